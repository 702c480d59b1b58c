"""A merchant is suspended at a terminal while the service runs: nothing of it is charged from then on."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import psycopg
import pytest

from adapters.memory import HandClock, MemoryAccessTokens, MemoryNotifier, MemoryPasswords, MemoryRateLimits
from adapters.memory.credentials import CachedCredentials
from adapters.memory.doorbell import MemoryDoorbell
from adapters.postgres import PostgresStore, create_engine
from adapters.sandbox import MemoryLedger, SandboxGateway
from adapters.security.vault import AeadVault
from payments_core import Caller, Forbidden, InvalidCredentials, LogIn, Pay, Payments, Ports, Register
from payments_core.ids import MerchantId
from payments_core.ports import JobFilter, TransactionFilter, Window
from payments_core.testing.builders import NOW, SECOND
from payments_core.transaction import Status
from payments_core.use_cases.read_lists import ListQuery
from payments_core.worker import Worker
from tests.integration.test_staff import Deployment, deployment
from tests.patience import PATIENCE_SECONDS
from tests.processes import run, running

__all__ = ["deployment"]

REASON = "chargebacks, see ticket 4711"
PASSWORD = "correct horse battery"
PAYMENTS = 40


# ── processes


def test_a_merchant_who_is_suspended_at_a_terminal_is_charged_for_nothing_any_more(deployment: Deployment) -> None:
    pending = [deployment.pay("pm_approve") for _ in range(3)]
    assert deployment.shown(pending[0])["status"] == "pending"
    [merchant] = map(json.loads, deployment.command("merchant", "list", "--text", "shop@", "--json").splitlines())
    said = deployment.command("merchant", "suspend", merchant["id"], "--reason", REASON)
    assert said == f"Merchant {merchant['id']} shop@example.com is suspended; 3 pending payments were canceled.\n"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (refused := deployment.api.get("/api/transactions/")).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert (refused.status_code, refused.json()["code"]) == (403, "suspended")
    with running("worker", settings=deployment.settings, cwd=deployment.cwd):
        for id in pending:
            deployment.wait_until_there(
                f"SELECT FROM payments.transactions WHERE id = '{id}' AND status = 'canceled'"
                " AND status_reason = 'suspended'"
            )
        deployment.wait_until_there("SELECT WHERE NOT EXISTS (SELECT FROM payments.jobs)")
    with psycopg.connect(deployment.settings["PAYMENTS_DATABASE_URL"].replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM payments.attempts").fetchone() == (0,)
    for id in pending:
        assert deployment.receiver.types_of(id)[-1:] == ["transaction.canceled"]
    again = deployment.command("merchant", "suspend", merchant["id"], "--reason", "another")
    assert "its reason stays as it was; 0 pending payments were canceled" in again
    assert merchant["id"] in deployment.command("merchant", "list", "--suspended")
    deployment.command("merchant", "unsuspend", merchant["id"])
    assert deployment.shown(pending[0])["status"] == "canceled"
    log = [json.loads(line) for line in deployment.command("audit", "list", "--json").splitlines()]
    (suspended,) = [entry for entry in log if entry["action"] == "merchant.suspended"]
    assert (suspended["merchant"], suspended["detail"]) == (merchant["id"], {"reason": REASON})


def test_an_account_of_staff_is_made_listed_and_disabled_at_a_terminal(deployment: Deployment) -> None:
    assert "Nobody of the staff" in deployment.command("staff", "list")
    create = ("staff", "create", "--email", "Ada@example.com", "--name", "Ada", "--password-stdin")
    assert "ada@example.com (Ada)" in _typed(deployment, PASSWORD, *create)
    [member] = map(json.loads, deployment.command("staff", "list", "--json").splitlines())
    assert (member["email"], member["name"], member["disabled_at"]) == ("ada@example.com", "Ada", None)
    reset = ("staff", "reset-password", "--email", "ada@example.com", "--password-stdin")
    assert "has a new password" in _typed(deployment, f"another {PASSWORD}", *reset)
    assert "is disabled" in deployment.command("staff", "disable", "--email", "ada@example.com")


def _typed(deployment: Deployment, password: str, *arguments: str) -> str:
    done = run(*arguments, settings=deployment.settings, cwd=deployment.cwd, typed=f"{password}\n")
    assert done.returncode == 0, done.stderr
    return done.stdout


# ── two sets of services over one store


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Services over a store, connections and memory of their own."""

    payments: Payments
    store: PostgresStore
    worker: Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Two:
    """Two processes at one database and one gateway."""

    one: Process
    other: Process
    clock: HandClock
    ledger: MemoryLedger
    caller: Caller
    channel: str
    secret: str

    async def pay(self) -> str:
        command = Pay(payment_key=self.channel, amount="10.00", currency="USD", payment_method="pm_approve")
        return str((await self.one.payments.pay(self.caller, command)).json["id"])

    async def number(self, status: Status) -> int:
        seen = await self.one.payments.read.transactions(
            self.caller, ListQuery(limit=100), TransactionFilter(status=status)
        )
        return len(seen.items)


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[Two]:
    clock, ledger = HandClock(NOW), MemoryLedger()
    engines = [create_engine(database_url) for _ in range(2)]
    tokens = MemoryAccessTokens()

    def process(store: PostgresStore) -> Process:
        payments = Payments(
            Ports(
                begin=store.begin,
                views=store,
                oversight=store.oversight,
                audit=store.audit,
                credentials=CachedCredentials(store.credentials, clock=clock),
                passwords=MemoryPasswords(entropy=os.urandom, cost=4),
                tokens=tokens,
                limits=MemoryRateLimits(clock=clock.now),
                gateways={False: SandboxGateway(ledger, latency=(0, 0), clock=clock)},
                notifier=MemoryNotifier(),
                doorbell=MemoryDoorbell(),
                clock=clock,
                entropy=os.urandom,
            )
        )
        return Process(payments=payments, store=store, worker=Worker(payments, store.claims, clock, wake=lambda: None))

    vault = AeadVault([b"k" * 32], entropy=os.urandom)
    one, other = (process(PostgresStore(engine, vault=vault)) for engine in engines)
    account = await one.payments.register(Register(email="shop@example.com", password=PASSWORD))
    caller = Caller(merchant=MerchantId(str(account.json["id"])))
    channel = str((await one.payments.make_payment_key(caller)).json["key"])
    yield Two(
        one=one,
        other=other,
        clock=clock,
        ledger=ledger,
        caller=caller,
        channel=channel,
        secret=str(account.json["api_key"]),
    )
    for engine in engines:
        await engine.dispose()


async def test_credentials_stop_at_once_in_one_process_and_within_a_second_in_the_other(two: Two) -> None:
    made = await two.other.payments.open_session(LogIn(email="shop@example.com", password=PASSWORD))
    access, refresh = str(made.json["access"]), str(made.json["refresh"])
    for process in (two.one, two.other):
        await process.payments.authenticator.by_api_key(two.secret)
        await process.payments.authenticator.by_access_token(access)
    await two.one.payments.staff.suspend(two.caller.merchant, REASON)
    with pytest.raises(Forbidden):
        await two.one.payments.authenticator.by_api_key(two.secret)
    two.clock.move(SECOND)
    for process in (two.one, two.other):
        for act in (
            process.payments.authenticator.by_api_key(two.secret),
            process.payments.authenticator.by_access_token(access),
            process.payments.refresh_session(refresh),
            process.payments.log_in(LogIn(email="shop@example.com", password=PASSWORD)),
        ):
            with pytest.raises(Forbidden) as refused:
                await act
            assert refused.value.code == "suspended"


async def test_of_payments_that_are_made_done_and_suspended_at_once_each_is_charged_or_canceled(two: Two) -> None:
    for _ in range(5):
        await two.pay()
    await two.other.worker.sweep_until_idle()
    paying = [asyncio.create_task(two.pay()) for _ in range(PAYMENTS)]
    working = asyncio.create_task(two.other.worker.sweep_until_idle())
    done = await two.one.payments.staff.suspend(two.caller.merchant, REASON)
    ended = await asyncio.gather(*paying, return_exceptions=True)
    await working
    await two.other.worker.sweep_until_idle()
    accepted = 5 + sum(isinstance(one, str) for one in ended)
    assert all(isinstance(one, str | Forbidden) for one in ended)
    canceled, succeeded = await two.number(Status.CANCELED), await two.number(Status.SUCCEEDED)
    assert (canceled + succeeded, done.canceled <= canceled) == (accepted, True)
    assert await charged(two) == succeeded
    assert (await two.one.store.oversight.jobs(Window(limit=9), JobFilter(), at=two.clock.now())).items == []


async def test_what_is_left_by_a_crash_is_canceled_by_a_worker_that_remembers_the_merchant_active(two: Two) -> None:
    await two.pay()
    await two.other.worker.sweep_until_idle()
    for _ in range(PAYMENTS):
        await two.pay()
    async with two.one.store.begin() as work:
        merchant = await work.merchants.get(two.caller.merchant)
        work.merchants.save(merchant.suspend(two.clock.now()))
    await two.other.worker.sweep_until_idle()
    assert (await two.number(Status.CANCELED), await charged(two)) == (PAYMENTS, 1)


async def test_staff_who_are_disabled_in_one_process_are_strangers_to_the_other_at_once(two: Two) -> None:
    await two.one.payments.staff.create_member("ada@example.com", "Ada", PASSWORD)
    session = await two.one.payments.staff.sign_in("ada@example.com", PASSWORD)
    assert (await two.other.payments.staff.recognise(session.id)).email == "ada@example.com"
    await two.one.payments.staff.disable_member("ada@example.com")
    with pytest.raises(InvalidCredentials):
        await two.other.payments.staff.recognise(session.id)


async def charged(two: Two) -> int:
    """Return how many charges the gateway's own ledger has."""
    return len(await two.ledger.entries())
