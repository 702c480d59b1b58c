"""What a person does for a running service: a job that died is done, and an attempt left open is resolved."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import pytest

from payments_core.job import FAILURES_MAX
from tests.patience import PATIENCE_SECONDS
from tests.processes import PASSWORD, SECRET_KEY, free_port, run, running, wait_until_ready

LOST: Final = "txn_00000000000000000000000000"


@dataclass(slots=True)
class Receiver:
    """Keeps the events that are posted to it."""

    url: str = ""
    events: list[Mapping[str, Any]] = field(default_factory=list)

    def types_of(self, transaction: str) -> list[str]:
        return [event["type"] for event in self.events if event["data"].get("id") == transaction]


@contextmanager
def receiving() -> Generator[Receiver, None, None]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A service, its database, a merchant who calls it, and a terminal on its machine."""

    settings: Mapping[str, str]
    cwd: Path
    api: httpx.Client
    channel: str
    receiver: Receiver

    def pay(self, payment_method: str) -> str:
        body = {
            "payment_key": self.channel,
            "amount": "10.00",
            "currency": "USD",
            "payment_method": payment_method,
        }
        answer = self.api.post("/api/transactions/pay", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def shown(self, transaction: str) -> Mapping[str, Any]:
        shown: Mapping[str, Any] = self.api.get(f"/api/transactions/{transaction}/").json()
        return shown

    def execute(self, statement: str, *values: object) -> None:
        with self._connect() as connection:
            connection.execute(statement, values)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self.settings["PAYMENTS_DATABASE_URL"].replace("+psycopg", ""), autocommit=True)

    def command(self, *arguments: str) -> str:
        done = run(*arguments, settings=self.settings, cwd=self.cwd)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait_until_there(self, query: str) -> None:
        """Return once a query finds a row."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._connect() as connection:
            while connection.execute(query).fetchone() is None:
                assert time.monotonic() < deadline, query
                time.sleep(0.02)

    def wait_until(self, transaction: str, status: str) -> None:
        """Return once the payment has the status, and its merchant was told so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (
            self.shown(transaction)["status"] == status
            and f"transaction.{status}" in self.receiver.types_of(transaction)
        ):
            assert time.monotonic() < deadline, (self.shown(transaction), self.receiver.events)
            time.sleep(0.02)


@pytest.fixture
def deployment(database_url: str, tmp_path: Path) -> Generator[Deployment, None, None]:
    """Everything but a worker; the gateway's outcome is looked up once, at once."""
    settings = {
        "PAYMENTS_DATABASE_URL": database_url,
        "PAYMENTS_SECRET_KEY": SECRET_KEY,
        "PAYMENTS_METRICS_PORT": "0",
        "PAYMENTS_SANDBOX_LATENCY_SECONDS": "0",
        "PAYMENTS_LOOKUP_SCHEDULE": "0s",
        "PAYMENTS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "PAYMENTS_WEBHOOK_ALLOW_HTTP": "on",
    }
    migrated = run("migrate", settings=settings, cwd=tmp_path)
    assert migrated.returncode == 0, migrated.stderr
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving())
        process = stack.enter_context(running("serve", "--port", str(port), settings=settings, cwd=tmp_path))
        wait_until_ready(url, process)
        api = stack.enter_context(httpx.Client(base_url=url, trust_env=False))
        account = {"email": "shop@example.com", "password": PASSWORD}
        api.headers["Authorization"] = f"Token {api.post('/api/auth/register/', json=account).json()['api_key']}"
        assert api.post("/api/webhooks/", json={"url": receiver.url}).status_code == 201
        channel = str(api.post("/api/payments/payment_key/").json()["key"])
        yield Deployment(settings=settings, cwd=tmp_path, api=api, channel=channel, receiver=receiver)


def test_a_job_that_died_is_listed_shown_revived_and_done(deployment: Deployment) -> None:
    paid = deployment.pay("pm_approve")
    # What it is about is lost, for a while.
    deployment.execute("UPDATE payments.jobs SET failures = %s, subject = %s", FAILURES_MAX - 1, LOST)
    with running("worker", settings=deployment.settings, cwd=deployment.cwd):
        deployment.wait_until_there("SELECT FROM payments.jobs WHERE dead_at IS NOT NULL")
        [job] = map(json.loads, deployment.command("jobs", "list", "--json").splitlines())
        assert (job["state"], job["failures"], job["subject"]) == ("dead", FAILURES_MAX, LOST)
        assert job["id"] in deployment.command("jobs", "list")
        assert "what it is about is not there" in deployment.command("jobs", "show", job["id"])
        deployment.execute("UPDATE payments.jobs SET subject = %s", paid)
        _, transaction = deployment.command("jobs", "show", job["id"]).split("its transaction\n")
        assert transaction.split()[:2] == ["id", paid]
        assert deployment.shown(paid)["status"] == "pending"
        assert deployment.command("jobs", "revive", job["id"]) == f"Revived {job['id']}.\n"
        deployment.wait_until(paid, "succeeded")
    assert deployment.command("jobs", "list") == "No job is dead.\n"
    gone = run("jobs", "revive", job["id"], settings=deployment.settings, cwd=deployment.cwd)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert gone.stderr == f"Error: There is no job {job['id']}: it is done, or never was.\n"


def test_an_attempt_that_the_gateway_left_open_is_listed_and_resolved(deployment: Deployment) -> None:
    paid = deployment.pay("pm_timeout_not_charged")
    word = ("--approved", "--reference", "ch_seen", "--by", "anna", "--yes")
    with running("worker", settings=deployment.settings, cwd=deployment.cwd):
        deployment.wait_until_there("SELECT FROM payments.attempts WHERE state = 'needs_review'")
        [attempt] = map(json.loads, deployment.command("attempts", "list", "--json").splitlines())
        assert (attempt["state"], attempt["transaction"]) == ("needs_review", paid)
        shown = deployment.shown(paid)
        assert (shown["status"], shown["status_reason"]) == ("processing", "needs_review")
        said = deployment.command("attempts", "resolve", attempt["id"], *word)
        assert f"transaction {paid} is succeeded." in said
        deployment.wait_until(paid, "succeeded")
    shown = deployment.shown(paid)
    assert (shown["status_reason"], shown["gateway_reference"]) == (None, "ch_seen")
    assert deployment.receiver.types_of(paid).count("transaction.succeeded") == 1
    assert "said by anna" in deployment.command("attempts", "show", attempt["id"])
    assert deployment.command("attempts", "list") == "No attempt needs review.\n"
    again = deployment.command("attempts", "resolve", attempt["id"], *word)
    assert again.startswith(f"Nothing was changed: attempt {attempt['id']}")
