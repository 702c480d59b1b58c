"""The command without servers: what it says, what it keeps, what it believes."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import httpx
import pytest
from click.testing import CliRunner

from adapters.postgres.health import ServerSeen
from entrypoints import wiring
from entrypoints.cli.app import payments as command_line
from entrypoints.cli.app import with_debug
from entrypoints.cli.command_settings import local_settings, settings_of_running, start_logging
from entrypoints.cli.data_directory import DataDirectory, DataDirectoryUnusable
from entrypoints.cli.demo.command import tell
from entrypoints.cli.demo.story import PromiseBroken, Story, check
from entrypoints.cli.doctor.diagnosis import diagnose
from entrypoints.cli.errors import CommandFailed, Stopped, first_of, line_of
from entrypoints.cli.listen.receiver import ACCEPTED, Received, Receiver
from entrypoints.cli.screen import Screen, printable, printable_json
from entrypoints.cli.signals import ended_by_signals
from entrypoints.cli.up.curl_lines import curl_lines
from entrypoints.cli.up.demo_merchant import DemoMerchant, demo_merchant
from entrypoints.http.app import create_app
from entrypoints.http.server import Application
from entrypoints.secret import Secret
from entrypoints.services import Services
from entrypoints.settings import LOOPBACK, Settings, SettingsError
from entrypoints.wiring import in_memory
from entrypoints.worker import run_worker
from payments_core import Caller, InvalidCredentials, LogIn
from payments_core.ids import ApiKeyId
from payments_core.merchant import PAYMENT_KEYS_MAX
from payments_core.ports import Answered, Notification, Unreached
from payments_core.use_cases.read_lists import ListQuery
from payments_core.values import Json
from payments_core.webhook import sign
from tests.patience import PATIENCE_SECONDS

SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY: Final = {"PAYMENTS_SECRET_KEY": "k" * 8 + SECRET}
ROOT: Final = Path(__file__).parents[2]
COMMANDS: Final = (
    "up",
    "demo",
    "serve",
    "worker",
    "migrate",
    "listen",
    "merchant",
    "jobs",
    "attempts",
    "shell",
    "doctor",
    "verify",
)
BELOW: Final = (
    ("merchant", "create"),
    *(("jobs", name) for name in ("list", "show", "revive")),
    *(("attempts", name) for name in ("list", "show", "resolve")),
)
GROUPS: Final = {group for group, _ in BELOW}


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_help_names_every_command() -> None:
    said = CliRunner().invoke(command_line, ["--help"]).output
    assert [name for name in COMMANDS if f"\n  {name} " not in said] == []


@pytest.mark.parametrize("path", [*((name,) for name in COMMANDS if name not in GROUPS), *BELOW])
def test_the_help_of_each_command_has_an_example(path: Sequence[str]) -> None:
    said = CliRunner().invoke(command_line, [*path, "--help"]).output
    assert re.search(r"\n *Example[^\n]*:\n +(\w+=\S+ |openssl .*)?payments ", said), said


@pytest.mark.parametrize("path", [*((name,) for name in COMMANDS), *BELOW])
def test_debug_is_taken_behind_each_command_and_listed_before_them_all_alone(path: Sequence[str]) -> None:
    done = CliRunner().invoke(command_line, [*path, "--debug", "--help"])
    assert done.exit_code == 0, done.stderr
    assert "--debug" not in done.output


def test_help_loads_nothing_heavy() -> None:
    heavy = ("litestar", "sqlalchemy", "uvicorn", "aiohttp", "rich", "taskiq", "cryptography")
    code = f"""
import sys
from entrypoints.cli.app import payments
payments(["--help"], standalone_mode=False)
assert not sys.modules.keys() & set({heavy})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_the_extras_one_line_says_what_to_install() -> None:
    # -S: without site-packages, so that nothing but the standard library and this project is there.
    done = subprocess.run(
        [sys.executable, "-S", "-m", "entrypoints.cli", "up"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: The command needs packages that are not installed: "
        'in the clone of payments-core: pip install ".[server,embedded]"'
    ]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InvalidCredentials("The password is wrong."), "The password is wrong."),
        (DataDirectoryUnusable("Choose another."), "Choose another."),
        (ModuleNotFoundError(name="litestar.x"), "The package litestar is not installed"),
        (ModuleNotFoundError(name="adapters.x"), "`payments doctor` says so"),
        (PermissionError(13, "Permission denied", "/some/file"), "/some/file: Permission denied."),
        (ValueError("two\nlines"), "ValueError: two"),
        (KeyError(), "KeyError"),
    ],
)
def test_a_failure_is_told_in_words(error: Exception, line: str) -> None:
    assert line in line_of(error)


def test_what_a_task_group_wraps_is_told_and_not_its_cancellations() -> None:
    cause = ValueError("the cause")
    wrapped = BaseExceptionGroup("group", [asyncio.CancelledError(), ExceptionGroup("inner", [cause])])
    assert first_of(wrapped) is cause


def test_an_unforeseen_failure_is_one_line_and_with_debug_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def break_down() -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setitem(command_line.commands, "break-down", with_debug(break_down))
    monkeypatch.delenv("PAYMENTS_LOG_LEVEL", raising=False)
    plain = CliRunner().invoke(command_line, ["break-down"])
    assert plain.exit_code == 1
    assert len(plain.stderr.splitlines()) == 1
    assert "out of luck" in plain.stderr
    for asked in (["--debug", "break-down"], ["break-down", "--debug"]):
        assert "Traceback" in CliRunner().invoke(command_line, asked).stderr
    monkeypatch.setenv("PAYMENTS_LOG_LEVEL", "debug")
    assert "Traceback" in CliRunner().invoke(command_line, ["break-down"]).stderr


def test_a_file_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.table([(True, "one", "[bold]well[/bold]"), (None, "two", "weak"), (False, "three", "wrong")])
    assert capsys.readouterr().out == "✓ one: [bold]well[/bold]\n- two: weak\n✗ three: wrong\n"


def test_progress_is_no_part_of_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen().working("Doing something", "Something done"):
        pass
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("✓ Something done (")


def test_the_end_that_a_signal_was_for_is_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    def stop() -> None:
        raise Stopped(signal.SIGINT)

    with ended_by_signals():
        stop()
    assert capsys.readouterr().err == "\nStopped.\n"


def test_a_log_line_goes_to_what_the_standard_error_is_at_that_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    start_logging(Settings(log_format="json"))
    above_the_spinner = io.StringIO()
    monkeypatch.setattr(sys, "stderr", above_the_spinner)
    logging.getLogger("entrypoints").warning("the port is taken")
    assert "the port is taken" in above_the_spinner.getvalue()


def test_what_strangers_send_does_not_steer_the_terminal() -> None:
    assert printable("evt_1\x1b[2J\r") == "evt_1?[2J?"


def test_json_of_strangers_stays_readable_json_and_does_not_steer_the_terminal() -> None:
    data: Json = {"note": "café\u009b2J\u202e\x7f\U000e0001\n", "lone": "\ud800"}
    shown = printable_json(data)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert 'café\\u009b2J\\u202e\\u007f\\udb40\\udc01\\n"' in shown
    assert json.loads(shown) == data


def test_json_that_is_nested_too_deeply_to_be_shown_is_said_to_be_so() -> None:
    nested: Json = None
    for _ in range(10_000):
        nested = [nested]
    assert printable_json(nested) == "(nested too deeply to be shown)"


def test_the_lines_to_paste_hold_the_address_and_both_keys() -> None:
    lines = [line for _, line in curl_lines("http://127.0.0.1:8000", api_key="sk_test_1", payment_key="pk_test_1")]
    assert len(lines) == 4
    assert all("http://127.0.0.1:8000/api/" in line and "sk_test_1" in line for line in lines)
    assert "pk_test_1" in lines[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("listen", "--secret", "nonsense"), "`whsec_`"),
        (("listen", "--secret", SECRET.removeprefix("whsec_")), "begin with whsec_"),
        (("listen", "--register", "127.0.0.1:8000"), "it is no address such as http://127.0.0.1:8000"),
        (("listen", "--register", "http://"), "it is no address such as http://127.0.0.1:8000"),
        (("listen", "--register", "http://127.0.0.1:x"), "it is no address such as http://127.0.0.1:8000"),
        (("listen", "--register", "http://127.0.0.1:65536"), "it is no address such as http://127.0.0.1:8000"),
        (("listen", "--register", "ftp://127.0.0.1"), "it is no address such as http://127.0.0.1:8000"),
        (("listen", "--api-key", "ключ"), "it is no merchant's `sk_…`"),
        (("listen", "--api-key", "sk_test_1\n"), "it is no merchant's `sk_…`"),
        (("merchant", "create", "--email", "nobody"), "must be an e-mail address"),
        (("merchant", "create", "--email", "shop@example.com"), "use --password-stdin"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_done(arguments: Sequence[str], said: str) -> None:
    done = CliRunner(env={"PAYMENTS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", **KEY}).invoke(
        command_line, arguments
    )
    assert done.exit_code != 0
    assert said in done.stderr


def test_a_password_of_a_length_that_is_refused_is_not_sent_anywhere() -> None:
    environ = {"PAYMENTS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", **KEY}
    create = ["merchant", "create", "--email", "shop@example.com", "--password-stdin"]
    assert "8 to 128 characters" in CliRunner(env=environ).invoke(command_line, create, input="short\n").stderr


def test_the_help_of_listen_names_the_variables_that_it_reads() -> None:
    said = CliRunner().invoke(command_line, ["listen", "--help"]).output
    assert "MERCHANT_API_KEY" in said
    assert "WEBHOOK_SECRET" in said


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_webhooks_reach_this_machine_in_development_and_in_production_only_where_it_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (local_settings().webhook_allowed_networks, local_settings().webhook_allow_http) == (LOOPBACK, True)
    monkeypatch.setenv("PAYMENTS_ENV", "production")
    assert (local_settings().webhook_allowed_networks, local_settings().webhook_allow_http) == ((), False)
    monkeypatch.setenv("PAYMENTS_WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/8")
    assert [str(network) for network in local_settings().webhook_allowed_networks] == ["10.0.0.0/8"]


def test_beside_an_up_on_a_database_that_is_named_the_key_in_its_directory_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, directory: DataDirectory
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAYMENTS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(SettingsError, match="PAYMENTS_SECRET_KEY is not set"):
        settings_of_running(directory.path)
    key = directory.secret_key()
    beside = settings_of_running(directory.path)
    url = "postgresql://nobody@127.0.0.1:1/none"
    assert (beside.database_url, beside.secret_key) == (Secret(url), Secret(key))
    assert beside.redis_url is None
    with directory.held():
        assert settings_of_running(directory.path).redis_url is not None, "it has a Valkey of its own then"
    monkeypatch.setenv("PAYMENTS_SECRET_KEY", SECRET)
    assert settings_of_running(directory.path).secret_key == Secret(SECRET)


# ── the data directory ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    made = DataDirectory(tmp_path / "data")
    made.make()
    return made


def test_what_is_kept_is_its_owners_alone(directory: DataDirectory) -> None:
    directory.secret_key()
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.path.iterdir()} == {0o600}


def test_the_directory_is_no_part_of_a_git_repository(directory: DataDirectory) -> None:
    assert (directory.read(".gitignore") or "").splitlines()[-1] == "*"


def test_the_secret_key_is_made_once(directory: DataDirectory) -> None:
    key = directory.secret_key()
    assert len(key) >= 32
    assert DataDirectory(directory.path).secret_key() == key
    assert {path.name for path in directory.path.iterdir()} == {".gitignore", "secret_key"}


def test_a_secret_key_that_is_gone_is_never_replaced_where_there_is_data(directory: DataDirectory) -> None:
    (directory.path / "postgres").mkdir()
    with pytest.raises(DataDirectoryUnusable, match=r"is missing.*PAYMENTS_SECRET_KEY"):
        directory.secret_key()
    assert directory.read("secret_key") is None


def test_a_directory_is_held_by_one_at_a_time_and_free_again_afterwards(directory: DataDirectory) -> None:
    assert not directory.is_held()
    with directory.held():
        assert directory.is_held()
        with (
            pytest.raises(DataDirectoryUnusable, match=rf"process {os.getpid()}\).*--data-dir"),
            DataDirectory(directory.path).held(),
        ):
            pass
        assert directory.is_held()
    assert not directory.is_held()


def test_two_directories_have_two_keys(directory: DataDirectory, tmp_path: Path) -> None:
    other = DataDirectory(tmp_path / "other")
    other.make()
    assert other.secret_key() != directory.secret_key()


def test_a_damaged_secret_key_is_never_replaced(directory: DataDirectory) -> None:
    directory.write("secret_key", "")
    with pytest.raises(DataDirectoryUnusable, match="damaged"):
        directory.secret_key()
    assert directory.read("secret_key") == ""


def test_a_directory_with_files_of_somebody_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(b"*.log\n\xff\n")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataDirectoryUnusable, match=rf"{tmp_path} holds files.*--data-dir, such as {tmp_path}/"):
        DataDirectory(tmp_path).make()
    assert {path.name for path in tmp_path.iterdir()} == {".gitignore", "notes.txt"}


@pytest.mark.parametrize("kept", [None, ".gitignore.0a1b2c3d.new", "secret_key"])
def test_a_directory_is_ours_that_is_empty_or_holds_what_a_start_left(kept: str | None, tmp_path: Path) -> None:
    if kept is not None:
        (tmp_path / kept).touch()
    DataDirectory(tmp_path).make()
    DataDirectory(tmp_path).make()
    assert (tmp_path / ".gitignore").is_file()


@pytest.mark.parametrize(
    "command", [("up",), ("merchant", "create", "--email", "a@b.example"), ("shell",), ("doctor",), ("verify",)]
)
def test_an_empty_data_directory_is_not_taken_for_the_current_one(command: Sequence[str]) -> None:
    done = CliRunner().invoke(command_line, [*command, "--data-dir", ""])
    assert done.exit_code == 2
    assert "'--data-dir': it is empty" in done.stderr


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DataDirectoryUnusable, match="--data-dir"):
            DataDirectory(path).make()


# ── doctor ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_doctor_asks_a_database_once_and_tells_all_that_it_saw(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Settings] = []

    async def see(settings: Settings) -> ServerSeen:
        asked.append(settings)
        return ServerSeen(version="18.0", clock_skew_seconds=7.0)

    async def missing(settings: Settings) -> list[str]:
        return ["0001"]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAYMENTS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("PAYMENTS_SECRET_KEY", KEY["PAYMENTS_SECRET_KEY"])
    monkeypatch.setattr(wiring, "see_database", see)
    monkeypatch.setattr(wiring, "missing", missing)
    told = {finding.name: (finding.good, finding.text) async for finding in diagnose(tmp_path / "data")}
    assert told["database"] == (True, "Postgres 18.0 answers")
    assert told["clock"] == (False, "it is 7.0 s away from the database's: let NTP set both")
    assert told["migrations"] == (False, "the database lacks 0001; run `payments migrate`")
    assert len(asked) == 1


# ── the demo merchant ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    async with in_memory() as services:
        yield services


async def test_the_demo_merchant_is_made_once(services: Services, directory: DataDirectory) -> None:
    made = await demo_merchant(services.payments, directory)
    assert await demo_merchant(services.payments, directory) == made
    caller = await services.payments.authenticator.by_api_key(made.api_key)
    session = await services.payments.log_in(LogIn(email=made.email, password=made.password))
    assert isinstance(session.json["merchant"], dict)
    assert session.json["merchant"]["id"] == caller.merchant


async def test_a_start_that_was_killed_before_it_kept_the_keys_finds_its_account_again(
    services: Services, directory: DataDirectory
) -> None:
    made = await demo_merchant(services.payments, directory)
    kept = {"email": made.email, "password": made.password}
    directory.write("demo_merchant.json", json.dumps(kept))
    again = await demo_merchant(services.payments, directory)
    assert (again.email, again.password) == (made.email, made.password)
    first = await services.payments.authenticator.by_api_key(made.api_key)
    second = await services.payments.authenticator.by_api_key(again.api_key)
    assert first.merchant == second.merchant


async def test_another_store_gets_the_same_merchant_with_keys_of_its_own(directory: DataDirectory) -> None:
    merchants: list[DemoMerchant] = []
    for _ in range(2):
        async with in_memory() as services:
            merchants.append(await demo_merchant(services.payments, directory))
            await services.payments.authenticator.by_api_key(merchants[-1].api_key)
    assert merchants[0].email == merchants[1].email
    assert merchants[0].api_key != merchants[1].api_key


async def revoke(services: Services, api_key: str) -> Caller:
    """Revoke the key, and return whose it was."""
    caller = await services.payments.authenticator.by_api_key(api_key)
    await services.payments.revoke_api_key(caller, ApiKeyId(str(caller.credential)))
    return caller


async def test_another_demo_merchant_is_made_where_neither_key_nor_password_opens_the_first(
    services: Services, directory: DataDirectory
) -> None:
    made = await demo_merchant(services.payments, directory)
    caller = await revoke(services, made.api_key)
    await services.payments.change_password(caller, password=made.password, new_password="correct horse battery staple")
    another = await demo_merchant(services.payments, directory)
    assert another.email != made.email
    assert await demo_merchant(services.payments, directory) == another


async def test_another_demo_merchant_is_made_where_the_first_may_have_no_more_keys(
    services: Services, directory: DataDirectory
) -> None:
    made = await demo_merchant(services.payments, directory)
    caller = await revoke(services, made.api_key)
    for _ in range(1, PAYMENT_KEYS_MAX):
        await services.payments.make_payment_key(caller)
    another = await demo_merchant(services.payments, directory)
    assert another.email != made.email
    keys = await services.payments.read.api_keys(caller, ListQuery())
    assert "payments up" not in [key["name"] for key in keys.items], "none that nobody uses"


# ── the receiver ──────────────────────────────────────────────────────────────────────────────────────────────────────

BODY: Final = b'{"type": "webhook.test", "sequence": null}'


def signed(body: bytes = BODY, secret: str = SECRET) -> Mapping[str, str]:
    return sign([secret], id="evt_1", at=datetime.now(UTC), body=body)


def in_process(app: Application) -> httpx.ASGITransport:
    return httpx.ASGITransport(app)


async def post(receiver: Receiver, body: bytes, headers: Mapping[str, str], method: str = "POST") -> int:
    async with httpx.AsyncClient(transport=in_process(receiver), base_url="http://receiver") as client:
        return (await client.request(method, "/", content=body, headers=headers)).status_code


async def test_a_webhook_that_is_signed_is_heard_and_accepted() -> None:
    heard: list[Received] = []
    assert await post(Receiver(hear=heard.append, secret=SECRET), BODY, signed()) == ACCEPTED
    assert [(each.id, each.refusal, each.event["type"]) for each in heard] == [("evt_1", None, "webhook.test")]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY + b" ", signed()),
        (BODY, signed(secret="whsec_" + "A" * 32)),
        (BODY, {}),
    ],
)
async def test_a_webhook_that_is_not_what_its_sender_signed_is_refused(body: bytes, headers: Mapping[str, str]) -> None:
    heard: list[Received] = []
    assert await post(Receiver(hear=heard.append, secret=SECRET), body, headers) == 400
    assert [each.refusal is None for each in heard] == [False]


@pytest.mark.parametrize("body", [b"[" * 30_000, b"{", b"\xff", b"[]"])
async def test_a_body_that_is_no_event_is_answered_by_its_signature_and_read_as_nothing(body: bytes) -> None:
    events: list[Mapping[str, Json]] = []
    receiver = Receiver(hear=lambda received: events.append(received.event), secret=SECRET)
    assert await post(receiver, body, signed(body)) == ACCEPTED
    assert await post(receiver, body, {}) == 400
    assert events == [{}, {}]


async def test_a_receiver_that_is_told_to_fail_fails_for_what_is_signed() -> None:
    receiver = Receiver(hear=lambda _: None, secret=SECRET, status=500)
    assert await post(receiver, BODY, signed()) == 500
    assert await post(receiver, BODY, {}) == 400


async def test_nothing_larger_than_a_webhook_is_read_and_nothing_but_post_is_heard() -> None:
    heard: list[Received] = []
    receiver = Receiver(hear=heard.append, secret=SECRET)
    large = b"x" * (64 * 1024 + 1)
    assert await post(receiver, large, signed(large)) == 413
    assert await post(receiver, b"", {}, method="GET") == 405
    assert heard == []


# ── the story ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Post:
    """Hands notifications to a receiver in this process; `loses` those of a type, `garbles` their bodies."""

    def __init__(self, *, loses: str | None = None, garbles: bool = False) -> None:
        self.receiver: Receiver | None = None
        self._loses = loses
        self._garbles = garbles

    def refuses(self, url: str, /) -> str | None:
        return None

    async def send(self, notification: Notification, /) -> Answered | Unreached:
        assert self.receiver is not None
        if self._loses is not None and self._loses in notification.body.decode():
            return Answered(status_code=204, milliseconds=0, excerpt="")
        body = notification.body + (b" " if self._garbles else b"")
        status = await post(self.receiver, body, notification.headers)
        return Answered(status_code=status, milliseconds=0, excerpt="")


async def tell_over(notifier: Post, *, patience_seconds: float = PATIENCE_SECONDS, works: bool = True) -> None:
    """Tell the story over an API and a worker in memory, without a socket."""
    settings = Settings(webhook_allowed_networks=LOOPBACK, webhook_allow_http=True)
    stop = asyncio.Event()
    async with in_memory(settings, notifier=notifier) as services:
        transport = in_process(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            story = Story(client=client, listens_at="http://127.0.0.1:9999/", patience_seconds=patience_seconds)
            notifier.receiver = story.receiver
            worker = asyncio.create_task(run_worker(services, stop=stop)) if works else None
            try:
                await tell(story, Screen())
            finally:
                stop.set()
                if worker is not None:
                    await worker


async def test_the_story_is_told_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    await tell_over(Post())
    assert capsys.readouterr().out.count("✓") == 10


async def test_a_webhook_that_never_comes_breaks_the_story() -> None:
    with pytest.raises(CommandFailed, match=r"Webhooks arrive.*promised .*refund\.succeeded.*came"):
        await tell_over(Post(loses="refund.succeeded"), patience_seconds=0.5)


async def test_a_webhook_that_was_changed_on_its_way_breaks_the_story() -> None:
    with pytest.raises(CommandFailed, match=r"Webhooks arrive.*refused for their signature"):
        await tell_over(Post(garbles=True), patience_seconds=0.5)


async def test_a_payment_that_nobody_processes_breaks_the_story() -> None:
    with pytest.raises(CommandFailed, match=r"processed.*promised succeeded, came pending"):
        await tell_over(Post(), patience_seconds=0.1, works=False)


def test_a_promise_that_is_kept_says_nothing_and_a_broken_one_both_sides() -> None:
    check("a number", promised=1, came=1)
    with pytest.raises(PromiseBroken, match="a number: promised 1, came 2"):
        check("a number", promised=1, came=2)
