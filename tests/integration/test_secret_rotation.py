"""From one secret key to the next while the service runs: webhooks go on, and repeated requests get the same bytes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import httpx
import psycopg
import pytest

from adapters.postgres import PostgresStore, create_engine
from adapters.security.keys import SecretKeys
from adapters.security.vault import AeadVault
from payments_core.idempotency import KEPT
from payments_core.testing.builders import a_merchant, a_record
from payments_core.testing.subject import put
from payments_core.webhook import InvalidSignature, verify
from tests.patience import PATIENCE_SECONDS
from tests.processes import PASSWORD, environment, free_port, run, running, wait_until_ready

OLD: Final = "the key that everything was sealed by up to now"
NEW: Final = "another key that is to seal it from now on"
RECORDS: Final = 10_000
"""As many kept answers as take a while to be sealed again."""
KILLS: Final = 2
UNDER_NEW: Final = "SELECT count(*) FROM payments.idempotency_records WHERE substr(body_sealed, 1, 5) = %s"


def _vault(*roots: str) -> AeadVault:
    keys = SecretKeys(roots=tuple(root.encode() for root in roots))
    return AeadVault(keys.derive("vault"), entropy=os.urandom)


@dataclass(slots=True)
class Receiver:
    """Keeps what is posted to it."""

    url: str = ""
    posts: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)

    def signed_by(self, secret: str) -> int:
        """Return how many of the posts this secret signed."""
        return sum(_is_signed(secret, *post) for post in self.posts)


def _is_signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    try:
        return bool(verify(secret, headers=headers, body=body, at=datetime.now(UTC)))
    except InvalidSignature:
        return False


@contextmanager
def receiving() -> Generator[Receiver, None, None]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.posts.append((dict(self.headers.items()), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@dataclass(slots=True, kw_only=True)
class Place:
    """A database, a directory, and what a merchant holds."""

    database_url: str
    cwd: Path
    receiver: Receiver
    api_key: str = ""
    endpoint: str = ""
    secret: str = ""
    channel: str = ""
    answers: dict[str, tuple[str, Mapping[str, str], bytes]] = field(
        default_factory=dict[str, tuple[str, Mapping[str, str], bytes]]
    )
    """What was answered to each idempotency key, with the request."""

    def settings(self, *roots: str) -> dict[str, str]:
        return {
            "PAYMENTS_DATABASE_URL": self.database_url,
            "PAYMENTS_SECRET_KEY": ",".join(roots),
            "PAYMENTS_METRICS_PORT": "0",
            "PAYMENTS_RATE_LIMITS": "off",
            "PAYMENTS_SANDBOX_LATENCY_SECONDS": "0",
            "PAYMENTS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
            "PAYMENTS_WEBHOOK_ALLOW_HTTP": "on",
        }

    @contextmanager
    def service(self, *roots: str) -> Generator[httpx.Client, None, None]:
        """Run the API and a worker with these roots."""
        settings, port = self.settings(*roots), free_port()
        url = f"http://127.0.0.1:{port}"
        with ExitStack() as stack:
            process = stack.enter_context(running("serve", "--port", str(port), settings=settings, cwd=self.cwd))
            stack.enter_context(running("worker", settings=settings, cwd=self.cwd))
            wait_until_ready(url, process)
            api = stack.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_SECONDS))
            if self.api_key:
                api.headers["Authorization"] = f"Token {self.api_key}"
            yield api

    def post(self, api: httpx.Client, key: str, path: str, body: Mapping[str, str]) -> httpx.Response:
        """Post, and keep what was answered."""
        answer = api.post(path, json=body, headers={"Idempotency-Key": key})
        assert answer.status_code == 201, answer.text
        self.answers[key] = (path, body, answer.content)
        return answer

    def pay(self, api: httpx.Client, key: str) -> str:
        body = {"payment_key": self.channel, "amount": "10.00", "currency": "USD", "payment_method": "pm_approve"}
        return str(self.post(api, key, "/api/transactions/pay", body).json()["id"])

    def rotate_secret(self, api: httpx.Client) -> None:
        answer = api.post(f"/api/webhooks/{self.endpoint}/rotate_secret/")
        assert answer.status_code == 200, answer.text
        self.secret = str(answer.json()["secret"])

    def wait_until_signed(self, secret: str, more_than: int) -> None:
        """Return once the receiver got more webhooks than that which the secret signed."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.receiver.signed_by(secret) <= more_than:
            assert time.monotonic() < deadline, len(self.receiver.posts)
            time.sleep(0.02)


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Generator[Place, None, None]:
    with receiving() as receiver:
        made = Place(database_url=database_url, cwd=tmp_path, receiver=receiver)
        migrated = run("migrate", settings=made.settings(OLD), cwd=tmp_path)
        assert migrated.returncode == 0, migrated.stderr
        yield made


def _open(place: Place, api: httpx.Client) -> None:
    account = {"email": "shop@example.com", "password": PASSWORD}
    place.api_key = str(api.post("/api/auth/register/", json=account).json()["api_key"])
    api.headers["Authorization"] = f"Token {place.api_key}"
    endpoint = place.post(api, "endpoint", "/api/webhooks/", {"url": place.receiver.url}).json()
    place.endpoint, place.secret = endpoint["id"], endpoint["secret"]
    place.channel = str(api.post("/api/payments/payment_key/").json()["key"])
    place.rotate_secret(api)
    place.pay(api, "before")
    place.post(api, "a key", "/api/auth/api_keys/", {"name": "kept with its secret"})


async def _fill(place: Place) -> None:
    engine = create_engine(place.database_url)
    store = PostgresStore(engine, vault=_vault(OLD))
    try:
        merchant = a_merchant()
        now = datetime.now(UTC)
        await put(store, merchant)
        record = replace(a_record(merchant), created_at=now, expires_at=now + KEPT)
        await put(store, *(replace(record, key=f"kept {number}") for number in range(RECORDS)))
    finally:
        await engine.dispose()


@contextmanager
def _traffic(place: Place, api: httpx.Client) -> Generator[list[str], None, None]:
    """Have payments made and the endpoint's secret changed while the block runs; give the payments."""
    ended = threading.Event()
    made: list[str] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            while not ended.is_set():
                made.append(place.pay(api, f"meanwhile {len(made)}"))
                if len(made) % 20 == 0:
                    place.rotate_secret(api)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield made
    finally:
        ended.set()
        thread.join()
    assert failed == []


def _count_under_new(place: Place) -> int:
    with psycopg.connect(place.database_url.replace("+psycopg", "")) as connection:
        row = connection.execute(UNDER_NEW, [_vault(NEW).headers[0]]).fetchone()
        assert row is not None
        return int(row[0])


def _kill_in_the_middle(place: Place) -> None:
    """Begin to seal again, and end that by SIGKILL once some more of it is done."""
    before = _count_under_new(place)
    command = [sys.executable, "-m", "entrypoints.cli", "secrets", "rotate"]
    with subprocess.Popen(command, env=environment(place.settings(NEW, OLD)), cwd=place.cwd) as rotating:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while _count_under_new(place) < before + RECORDS // 10:
            assert rotating.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
        rotating.kill()
    assert before < _count_under_new(place) < RECORDS, "it was killed in the middle"


def test_a_secret_key_is_replaced_while_the_service_runs(place: Place) -> None:
    with place.service(OLD) as api:
        _open(place, api)
    asyncio.run(_fill(place))
    with place.service(NEW, OLD) as api, _traffic(place, api) as made:
        for _ in range(KILLS):
            _kill_in_the_middle(place)
        done = run("secrets", "rotate", settings=place.settings(NEW, OLD), cwd=place.cwd)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Nothing is sealed under an older key.\n" in done.stdout
    assert made
    checked = run("secrets", "check", settings=place.settings(NEW, OLD), cwd=place.cwd)
    heading, *rows, last = checked.stdout.splitlines()
    assert heading.split() == ["SEALED", "KEY", "1", "KEY", "2", "NO", "KEY", "OPENS"]
    assert [row.split()[-2:] for row in rows] == [["0", "0"]] * 3
    assert last.startswith("PAYMENTS_SECRET_KEY needs its first key alone")
    with place.service(NEW) as api:
        signed = place.receiver.signed_by(place.secret)
        for key, (path, body, content) in place.answers.items():
            again = api.post(path, json=body, headers={"Idempotency-Key": key})
            assert (again.content, again.headers.get("Idempotent-Replayed")) == (content, "true"), key
        place.pay(api, "after")
        place.wait_until_signed(place.secret, signed)
    assert all(_is_signed(place.secret, *post) for post in place.receiver.posts[-1:])


def test_what_the_key_at_hand_does_not_open_is_named_and_ends_with_1(place: Place) -> None:
    with place.service(OLD) as api:
        _open(place, api)
    for command in ("rotate", "check"):
        refused = run("secrets", command, settings=place.settings(NEW), cwd=place.cwd)
        assert refused.returncode == 1
        *named, last = refused.stderr.splitlines()
        assert [line.rpartition(" of ")[0] for line in named] == [
            "No key opens: signing secrets",
            "No key opens: old signing secrets",
            *["No key opens: kept answers"] * 3,
        ]
        assert place.endpoint in named[0]
        assert last.startswith("Error: 5 are opened by no key of PAYMENTS_SECRET_KEY")
