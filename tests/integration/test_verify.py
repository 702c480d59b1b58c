"""`payments verify` on real servers: no false alarm while a service is busy, and what was tampered with is named."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import pytest
from sqlalchemy import make_url

from entrypoints.secret import Secret
from entrypoints.settings import Settings
from entrypoints.wiring import migrate, wire
from entrypoints.worker.sweeper import make_worker
from payments_core import Pay, Register
from payments_core.verification import RULES, Report, Verification
from payments_core.verification.rules import WORK_IN_TIME
from tests.patience import until
from tests.processes import PASSWORD, SECRET_KEY, free_port, run, running, wait_until_ready

RUNS: Final = 5
EVENTS_BEFORE: Final = 50
BUYERS: Final = 6
METHODS: Final = (
    "pm_approve",
    "pm_decline_fraud",
    "pm_timeout_charged",
    "pm_error_once",
    "pm_refund_returned_late",
    "pm_corrected_late",
    "pm_approve",
    "pm_refund_fails",
)


def _revealed(secret: Secret | None) -> str:
    assert secret is not None
    return secret.reveal()


@dataclass
class Database:
    """A database with a merchant, and the command that verifies it."""

    settings: Settings
    cwd: Path

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "PAYMENTS_DATABASE_URL": _revealed(self.settings.database_url),
            "PAYMENTS_REDIS_URL": _revealed(self.settings.redis_url),
            "PAYMENTS_SECRET_KEY": SECRET_KEY,
            "PAYMENTS_METRICS_PORT": "0",
            "PAYMENTS_RATE_LIMITS": "off",
            "PAYMENTS_SANDBOX_LATENCY_SECONDS": "0.02",
            "PAYMENTS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
            "PAYMENTS_WEBHOOK_ALLOW_HTTP": "on",
        }

    async def verify(self, *options: str, **settings: str) -> tuple[int, str, str]:
        """Return the exit status, and what was said on both streams."""
        done = await asyncio.to_thread(run, "verify", *options, settings={**self.environment, **settings}, cwd=self.cwd)
        return done.returncode, done.stdout, done.stderr

    async def found(self, *options: str) -> tuple[int, dict[str, Any]]:
        """Return the exit status, and what was found."""
        status, out, err = await self.verify("--json", *options)
        assert out, err
        return status, json.loads(out)

    async def tamper(self, statement: str) -> None:
        url = make_url(_revealed(self.settings.database_url)).set(drivername="postgresql")
        dsn = url.render_as_string(hide_password=False)
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            changed = await connection.execute(statement.encode())
            assert changed.rowcount != 0


@pytest.fixture
async def database(database_url: str, redis_url: str, tmp_path: Path) -> Database:
    settings = Settings(
        database_url=Secret(database_url),
        redis_url=Secret(redis_url),
        secret_key=Secret(SECRET_KEY),
        metrics_port=0,
        sandbox_latency_seconds=(0.0, 0.0),
    )
    await migrate(settings)
    return Database(settings, tmp_path)


@pytest.fixture
async def paid(database: Database) -> tuple[str, str]:
    """The ids of a merchant and of a payment of theirs that has succeeded."""
    async with wire(database.settings) as services:
        payments = services.payments
        registered = await payments.register(Register(email="shop@example.com", password=PASSWORD))
        caller = await payments.authenticator.by_api_key(str(registered.json["api_key"]))
        key = str((await payments.make_payment_key(caller)).json["key"])
        answer = await payments.pay(caller, Pay(payment_key=key, amount="100.00", currency="USD"))
        await make_worker(services, wake=services.bell.ring).sweep_until_idle()
        return caller.merchant, str(answer.resource)


# ── a busy service


async def _receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take most webhooks."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    body = await reader.readexactly(int(lengths[0]))
    status = b"500 Oh no" if body[-5] % 7 == 0 else b"200 OK"
    writer.write(b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
    await writer.drain()
    writer.close()


async def _buy(api: httpx.AsyncClient, payment_key: str, enough: asyncio.Event, buyer: int) -> None:
    """Pay, cancel and refund until it is enough."""
    for number in itertools.count():
        if enough.is_set():
            return
        method = METHODS[(buyer + number) % len(METHODS)]
        order = {"payment_key": payment_key, "amount": "100.00", "currency": "USD", "payment_method": method}
        answer = await api.post("/api/transactions/pay", json=order, headers={"Idempotency-Key": f"{buyer}-{number}"})
        assert answer.status_code == 201, answer.text
        id = answer.json()["id"]
        if number % 3 == 0:
            await api.post(f"/api/transactions/{id}/cancel/")
        await asyncio.sleep(0.05)
        await api.post("/api/refunds/", json={"transaction": id, "amount": "30.00"})


async def _open_shop(api: httpx.AsyncClient, hook: str) -> str:
    """Register a merchant with an endpoint, and return a payment key."""
    account = {"email": "shop@example.com", "password": PASSWORD}
    registered = (await api.post("/api/auth/register/", json=account)).json()
    api.headers["Authorization"] = f"Token {registered['api_key']}"
    assert (await api.post("/api/webhooks/", json={"url": hook})).status_code == 201
    return str((await api.post("/api/payments/payment_key/")).json()["key"])


async def _until_busy(api: httpx.AsyncClient, count: int) -> None:
    """Wait until so many events have happened."""

    async def happened() -> bool:
        return len((await api.get("/api/events/", params={"limit": count})).json()["results"]) == count

    await until(happened)


async def _verified(settings: Settings) -> Report:
    async with wire(settings) as services:
        return await Verification(books=services.books, ledgers=services.ledgers, clock=services.clock).run()


async def test_a_busy_service_raises_no_false_alarm(database: Database) -> None:
    receiver = await asyncio.start_server(_receive, "127.0.0.1", 0)
    hook = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/"
    port, enough = free_port(), asyncio.Event()
    url = f"http://127.0.0.1:{port}"
    service, cwd = database.environment, database.cwd
    with (
        running("serve", "--port", str(port), settings=service, cwd=cwd) as api,
        running("worker", settings=service, cwd=cwd),
    ):
        await asyncio.to_thread(wait_until_ready, url, api)
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client, asyncio.TaskGroup() as tasks:
            key = await _open_shop(client, hook)
            for buyer in range(BUYERS):
                tasks.create_task(_buy(client, key, enough, buyer))
            try:
                await _until_busy(client, EVENTS_BEFORE)
                reports = [await _verified(database.settings) for _ in range(RUNS)]
            finally:
                enough.set()
    receiver.close()
    assert [report.breaches for report in reports] == [()] * RUNS
    assert reports[0].transactions < reports[-1].transactions, "there was work meanwhile"
    assert [rule.name for rule in RULES if not reports[-1].looked[rule] and rule is not WORK_IN_TIME] == []


# ── a service at rest


async def test_a_row_that_was_tampered_with_is_named_and_the_exit_status_says_so(
    database: Database, paid: tuple[str, str]
) -> None:
    merchant, id = paid
    await database.tamper("UPDATE payments.transactions SET refunded_minor = 700")
    status, found = await database.found()
    rows = {rule["name"]: rule["rows"] for rule in found["rules"] if rule["rows"]}
    message = "refunded: 700, but 0"
    assert rows == {"refunds-add-up": [{"merchant": merchant, "id": id, "message": message}]}
    assert (status, found["holds"]) == (1, False)
    status, out, _ = await database.verify()
    assert status == 1
    assert f"{merchant} {id} {message}" in out
    assert "✗ refunds-add-up: broken 1 times, looked at 1." in out
    assert "✓ payments-end: holds" in out


async def test_a_charge_that_only_the_gateway_knows_is_named_unless_one_merchant_is_asked_for(
    database: Database, paid: tuple[str, str]
) -> None:
    await database.tamper(
        "INSERT INTO sandbox.entries (attempt, kind, amount_minor, currency, status, reference, at) "
        "SELECT 'att_0', kind, amount_minor, currency, status, reference, at FROM sandbox.entries"
    )
    status, out, _ = await database.verify()
    assert status == 1
    assert "- att_0 is in the ledger of sandbox, and no attempt of ours" in out
    status, out, _ = await database.verify("--merchant", paid[0])
    assert status == 0, out
    assert "- gateway-adds-nothing: not looked at: " in out
    assert out.endswith("Every rule that was looked at holds.\n")


async def test_nobody_is_verified_and_no_server_is_an_error_in_a_line(database: Database) -> None:
    nobody = "mer_" + "0" * 26
    status, out, err = await database.verify("--merchant", nobody)
    assert (status, out) == (1, "")
    assert f"There is no merchant {nobody}." in err
    nowhere = "postgresql://nobody:very-secret@127.0.0.1:1/none"
    status, out, err = await database.verify(PAYMENTS_DATABASE_URL=nowhere)
    assert (status, out) == (1, "")
    assert "very-secret" not in err
    assert "Error: " in err.splitlines()[-1]
