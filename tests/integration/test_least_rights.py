"""What `docs/security.md` says to grant is all that the service needs, and does not let it touch its audit log."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psycopg
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.memory.limits import MemoryRateLimits
from adapters.postgres import PostgresStore, create_engine
from adapters.postgres.leftovers import PostgresLeftovers
from adapters.redis.breaker import Breaker
from adapters.redis.cache import RedisCache
from adapters.redis.client import make_client
from adapters.redis.limits import RedisRateLimits
from adapters.sandbox.postgres_ledger import PostgresLedger
from adapters.security.vault import AeadVault
from adapters.taskiq.broker import DoorbellBroker
from entrypoints.settings import read_settings
from entrypoints.wiring import wire
from entrypoints.worker.sweeper import run_worker
from payments_core import Pay, RefundTransaction, Register
from payments_core.ids import TransactionId
from payments_core.testing.audit import AuditContract
from payments_core.testing.builders import NOW, an_audit_entry
from payments_core.testing.credentials import CredentialsContract
from payments_core.testing.leftovers import LeftoversContract
from payments_core.testing.limits import TEN_A_MINUTE
from payments_core.testing.round_trips import RoundTripsContract
from payments_core.testing.subject import open_shop, put
from tests.patience import PATIENCE_SECONDS, until

PAGE: Final = Path(__file__).parents[2] / "docs" / "security.md"
VAULT: Final = AeadVault([b"k" * 32], entropy=os.urandom)
SECRET: Final = "q8Zk2vX0nB7cJ5rT1wL9yH4sD6fG3mPa"


def block_of(page: str, name: str) -> str:
    """Return the block of the page that stands behind a remark of this name."""
    found = re.search(rf"<!-- {re.escape(name)}: a test runs [^\n]*\n```[a-z]*\n(.*?)```", page, re.DOTALL)
    assert found is not None, f"the page has no block for {name}"
    return found[1]


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """A connection of who owns the tables."""
    plain = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(plain, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def service_url(database_url: str, owner: psycopg.AsyncConnection) -> AsyncIterator[str]:
    """The URL of a migrated database, for the role that the page makes."""
    ledger = PostgresLedger(database_url)
    await ledger.prepare()
    await ledger.close()
    await owner.execute(block_of(PAGE.read_text(), "the service's own role").encode())
    yield make_url(database_url).set(username="payments_service").render_as_string(hide_password=False)
    await owner.execute("DROP OWNED BY payments_service; DROP ROLE payments_service")


@pytest.fixture
async def engine(service_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(service_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def store(engine: AsyncEngine) -> PostgresStore:
    return PostgresStore(engine, vault=VAULT)


@pytest.fixture
def leftovers(engine: AsyncEngine) -> PostgresLeftovers:
    return PostgresLeftovers(engine)


class TestWhatTheServiceWrites(RoundTripsContract, AuditContract):
    """Supplies `store`."""


class TestTheCredentialsOfTheService(CredentialsContract):
    """Supplies `store`."""


class TestTheLeftoversOfTheService(LeftoversContract):
    """Supplies `store` and `leftovers`."""


async def test_a_payment_goes_its_whole_way_under_the_role_of_the_service(service_url: str) -> None:
    environ = {
        "PAYMENTS_DATABASE_URL": service_url,
        "PAYMENTS_SECRET_KEY": SECRET,
        "PAYMENTS_SANDBOX_LATENCY_SECONDS": "0",
    }
    async with wire(read_settings(environ, env_file=None)) as services:
        assert [await look() for look in services.vital.values()] == [None] * len(services.vital)
        stop = asyncio.Event()
        working = asyncio.create_task(run_worker(services, stop=stop))
        payments = services.payments
        try:
            account = await payments.register(
                Register(email="shop@example.com", password="correct horse battery staple")
            )
            caller = await payments.authenticator.by_api_key(str(account.json["api_key"]))
            key = str((await payments.make_payment_key(caller)).json["key"])
            command = Pay(payment_key=key, amount="1.00", currency="USD", payment_method="pm_timeout_not_charged")
            paid = TransactionId(str((await payments.pay(caller, command)).json["id"]))

            async def has(status: str, refunded: str) -> bool:
                seen = (await payments.read.transaction(caller, paid)).value
                return (seen["status"], seen["amount_refunded"]) == (status, refunded)

            await until(lambda: has("succeeded", "0.00"))
            await payments.refund(caller, RefundTransaction(transaction=paid))
            await until(lambda: has("succeeded", "1.00"))
            today = datetime.now(UTC).date()
            totals = (await payments.read.totals(caller, today - timedelta(1), today)).value
            assert sum(int(str(one["refunds"])) for one in totals) == 1
        finally:
            stop.set()
            await working


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payments.audit_entries SET action = 'nothing'",
        "DELETE FROM payments.audit_entries",
        "TRUNCATE payments.audit_entries",
        "DROP TRIGGER append_only ON payments.audit_entries",
        "ALTER TABLE payments.audit_entries DISABLE TRIGGER append_only",
        "ALTER TABLE payments.audit_entries DISABLE TRIGGER ALL",
        "ALTER TABLE payments.audit_entries RENAME TO other",
        "CREATE OR REPLACE FUNCTION payments.refuse_change() RETURNS trigger LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION payments.refuse_change() CASCADE",
        "DROP TABLE payments.audit_entries",
        "DROP SCHEMA payments CASCADE",
        "CREATE TABLE payments.mine (one integer)",
        "CREATE RULE mine AS ON INSERT TO payments.audit_entries DO INSTEAD NOTHING",
        "SET session_replication_role = replica",
        "SET ROLE postgres",
        "UPDATE payments.alembic_version SET version_num = '0001'",
        "DELETE FROM payments.events",
        "ALTER TABLE payments.events DISABLE TRIGGER daily_totals",
        "DROP FUNCTION payments.add_to_daily_totals() CASCADE",
        "INSERT INTO payments.daily_totals VALUES ('m', false, '2026-03-10', 'USD', 1, 1, 1, 0, 0, 0, 0)",
        "UPDATE payments.daily_totals SET accepted = 0",
        "DELETE FROM payments.transactions",
        "TRUNCATE payments.jobs",
    ],
)
async def test_whoever_has_the_password_of_the_service_changes_nothing_in_its_audit_log(
    engine: AsyncEngine, store: PostgresStore, statement: str
) -> None:
    shop = await open_shop(store)
    await put(store, an_audit_entry(shop.merchant))
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError) as refused:
            await connection.execute(text(statement))
    assert isinstance(refused.value.orig, psycopg.errors.InsufficientPrivilege)


async def test_nobody_else_takes_the_trigger_of_totals_for_a_table_of_their_own(service_url: str) -> None:
    plain = make_url(service_url).set(drivername="postgresql").render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(plain, autocommit=True) as connection:
        await connection.execute("CREATE TEMPORARY TABLE events (one integer)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(
                "CREATE TRIGGER mine AFTER INSERT ON events REFERENCING NEW TABLE AS written"
                " FOR EACH STATEMENT EXECUTE FUNCTION payments.add_to_daily_totals()"
            )


async def test_the_owner_removes_old_entries_as_the_page_says_and_the_log_is_append_only_again(
    owner: psycopg.AsyncConnection, store: PostgresStore
) -> None:
    shop = await open_shop(store)
    old, new = (an_audit_entry(shop.merchant, at=datetime.now(UTC) - timedelta(days=days)) for days in (740, 700))
    await put(store, old, new)
    await owner.execute(block_of(PAGE.read_text(), "entries that a law wants gone").encode())
    left = await owner.execute("SELECT id FROM payments.audit_entries")
    assert await left.fetchall() == [(new.id,)]
    for before in ("", "SET session_replication_role = replica; "):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            await owner.execute((before + "DELETE FROM payments.audit_entries").encode())


# ── Valkey


@pytest.fixture
async def service_redis_url(redis_url: str) -> AsyncIterator[str]:
    """The URL of a Valkey without keys, for the user that the page makes; other users there may do anything."""
    line = block_of(PAGE.read_text(), "the service's own user at Valkey").replace(">PASSWORD", f">{SECRET}")
    async with Redis.from_url(redis_url) as owner:
        await owner.execute_command(*line.split())  # type: ignore[no-untyped-call]
        yield redis_url.replace("://", f"://payments:{SECRET}@", 1)
        await owner.execute_command("ACL", "DELUSER", "payments")  # type: ignore[no-untyped-call]


async def test_cache_limits_and_doorbell_work_for_the_user_of_the_service(service_redis_url: str) -> None:
    breaker = Breaker(total_seconds=PATIENCE_SECONDS, turn_seconds=PATIENCE_SECONDS)
    async with make_client(service_redis_url, wait_seconds=PATIENCE_SECONDS) as client:
        cache = RedisCache(client, breaker=breaker)
        await cache.put("page:1", b"body", ttl_seconds=60)
        assert await cache.get("page:1") == b"body"
        await cache.put("page:1", b"body", ttl_seconds=0)
        assert await cache.get("page:1") is None
        limits = RedisRateLimits(client, breaker=breaker, fallback=MemoryRateLimits(clock=lambda: NOW))
        answers = [await limits.hit(TEN_A_MINUTE, "somebody") for _ in range(11)]
        assert [answer.allowed for answer in answers] == [True] * 10 + [False]
        await limits.give_back(TEN_A_MINUTE, "somebody")
        assert (await limits.hit(TEN_A_MINUTE, "somebody")).allowed
    assert not breaker.is_open
    broker = DoorbellBroker(service_redis_url)
    await broker.startup()
    try:
        await broker.ping()
        listening = broker.listen()
        heard = asyncio.ensure_future(anext(listening))

        async def rings() -> bool:
            await broker.wake.kiq()
            return heard.done()

        await until(rings)
        assert b"payments:wake" in heard.result()
        await listening.aclose()
    finally:
        await broker.shutdown()


@pytest.mark.parametrize(
    "command",
    [
        "KEYS *",
        "GET other:key",
        "CONFIG GET *",
        "FLUSHALL",
        "ACL LIST",
        "PUBLISH other x",
        "MONITOR",
        "EVAL return(redis.call('GET','other:key')) 0",
    ],
)
async def test_the_user_of_the_service_does_nothing_else_at_valkey(service_redis_url: str, command: str) -> None:
    async with Redis.from_url(service_redis_url) as client:
        with pytest.raises(ResponseError, match="permission"):
            await client.execute_command(*command.split(" "))  # type: ignore[no-untyped-call]
