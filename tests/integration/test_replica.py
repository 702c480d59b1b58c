"""Views of a real streaming replica: one that follows, one that lags, one that is away, one that says nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.embedded import EmbeddedPostgres
from adapters.embedded.binaries import postgres_binaries
from adapters.postgres import PostgresStore, ReplicaViews, create_engine, migrate
from adapters.postgres.mapping import kinds
from adapters.postgres.replica import REPLICA_BOUNDS
from adapters.postgres.views import open_view
from adapters.security.vault import AeadVault
from entrypoints.secret import Secret
from entrypoints.settings import Settings
from entrypoints.wiring import wire
from payments_core.ids import MerchantId
from payments_core.ports import AuditLog, Begin, Claims, Credentials, Oversight, View
from payments_core.testing.builders import a_transaction
from payments_core.testing.subject import Shop, open_shop, put
from payments_core.testing.views import ViewsContract
from payments_core.transaction import Transaction
from tests.patience import until
from tests.processes import SECRET_KEY
from tests.reachable_postgres import ReachablePostgres, given_to, reachable_postgres

TEMPLATE: Final = "payments_replicated"
VAULT: Final = AeadVault([b"k" * 32], entropy=os.urandom)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A server and its standby."""

    primary: ReachablePostgres
    standby: EmbeddedPostgres

    def url_of_standby(self, database: str) -> str:
        return self.standby.url.replace("@/postgres?", f"@/{database}?")

    async def at_standby(self, statement: str) -> object:
        async with await psycopg.AsyncConnection.connect(self.standby.dsn, autocommit=True) as connection:
            row = await (await connection.execute(statement.encode())).fetchone()
            return row[0] if row else None

    async def caught_up(self) -> None:
        """Return when the standby has replayed all that the primary has written by now."""
        async with await psycopg.AsyncConnection.connect(self.primary.server.dsn, autocommit=True) as connection:
            row = await (await connection.execute("SELECT pg_current_wal_insert_lsn()")).fetchone()
        assert row is not None

        async def replayed() -> bool:
            return bool(await self.at_standby(f"SELECT pg_last_wal_replay_lsn() >= '{row[0]}'"))

        await until(replayed)

    @asynccontextmanager
    async def standing_still(self) -> AsyncGenerator[None]:
        """Have the standby receive and not replay while the block runs."""
        await self.at_standby("SELECT pg_wal_replay_pause()")
        try:
            yield
        finally:
            await self.at_standby("SELECT pg_wal_replay_resume()")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair() -> AsyncIterator[Pair]:
    async with reachable_postgres() as primary:
        async with await psycopg.AsyncConnection.connect(primary.server.dsn, autocommit=True) as connection:
            await connection.execute(f"CREATE DATABASE {TEMPLATE}".encode())
        await migrate(primary.url(TEMPLATE))
        async with standby_of(primary) as standby:
            yield Pair(primary=primary, standby=standby)


@asynccontextmanager
async def standby_of(primary: ReachablePostgres) -> AsyncGenerator[EmbeddedPostgres]:
    directory = primary.place / "standby"
    directory.mkdir(mode=0o700)
    binaries, _ = postgres_binaries(primary.account)
    source = ["-h", str(primary.sockets), "-p", "5432", "-U", "postgres"]
    copy = [str(binaries / "pg_basebackup"), *source, "-D", str(directory / "data"), "-R", "-X", "stream", "-c", "fast"]
    subprocess.run([*copy, "--no-sync"], check=True, capture_output=True)  # noqa: ASYNC221 - a test's own
    # The primary keeps its socket among its data, and so the lock on it was copied too.
    (directory / "data" / ".s.PGSQL.5432.lock").unlink()
    given_to(primary.account, directory / "data")
    async with EmbeddedPostgres(directory, durable=False) as standby:
        yield standby


@pytest.fixture
async def database(pair: Pair) -> AsyncIterator[str]:
    name = await pair.primary.clone(TEMPLATE)
    await pair.caught_up()
    yield name
    await pair.primary.drop(name)


@pytest.fixture
async def engine(pair: Pair, database: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(pair.primary.url(database))
    yield engine
    await engine.dispose()


@pytest.fixture
async def standby_engine(pair: Pair, database: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(pair.url_of_standby(database), bounds=REPLICA_BOUNDS)
    yield engine
    await engine.dispose()


class Reads:
    """A store whose views are the replica's where that will do; it counts those."""

    def __init__(self, engine: AsyncEngine, standby_engine: AsyncEngine) -> None:
        self._primary: Final = PostgresStore(engine, vault=VAULT)
        self._open: Final = partial(open_view, standby_engine, kinds(VAULT))
        self._views: Final = ReplicaViews(self._primary, self._view_of_replica)
        self.opened_on_replica = 0

    @property
    def begin(self) -> Begin:
        return self._primary.begin

    @property
    def claims(self) -> Claims:
        return self._primary.claims

    @property
    def oversight(self) -> Oversight:
        return self._primary.oversight

    @property
    def credentials(self) -> Credentials:
        return self._primary.credentials

    @property
    def audit(self) -> AuditLog:
        return self._primary.audit

    async def revision(self, merchant: MerchantId, /) -> int:
        return await self._views.revision(merchant)

    def view(self, merchant: MerchantId, livemode: bool, /) -> AbstractAsyncContextManager[View]:
        return self._views.view(merchant, livemode)

    @asynccontextmanager
    async def _view_of_replica(self, merchant: MerchantId, livemode: bool, /) -> AsyncGenerator[View]:
        async with self._open(merchant, livemode) as view:
            self.opened_on_replica += 1
            yield view


@pytest.fixture
def store(engine: AsyncEngine, standby_engine: AsyncEngine) -> Reads:
    return Reads(engine, standby_engine)


class TestReplicatedViews(ViewsContract):
    """Supplies `store`: the replica lags as it happens to."""


async def sees(store: Reads, shop: Shop, transaction: Transaction) -> bool:
    async with store.view(shop.merchant.id, False) as view:
        assert view.revision >= 1
        return (await view.transaction(transaction.id)).id == transaction.id


async def test_a_replica_that_has_caught_up_is_read(pair: Pair, store: Reads) -> None:
    shop = await open_shop(store)
    await put(store, transaction := a_transaction(shop.key))
    await pair.caught_up()
    assert await sees(store, shop, transaction)
    assert store.opened_on_replica == 1
    assert await pair.at_standby("SELECT pg_is_in_recovery()") is True


async def test_what_a_merchant_was_told_is_seen_while_the_replica_lags(pair: Pair, store: Reads) -> None:
    shop = await open_shop(store)
    await pair.caught_up()
    transactions = [a_transaction(shop.key) for _ in range(3)]
    async with pair.standing_still():
        for transaction in transactions:
            await put(store, transaction)
            assert await sees(store, shop, transaction)
    await pair.caught_up()
    assert await sees(store, shop, transactions[-1])


async def test_a_replica_that_is_stopped_is_done_without_and_used_again(
    pair: Pair, store: Reads, caplog: pytest.LogCaptureFixture
) -> None:
    shop = await open_shop(store)
    await put(store, transaction := a_transaction(shop.key))
    await pair.caught_up()
    assert await sees(store, shop, transaction)
    await pair.standby.stop()
    try:
        for _ in range(3):
            assert await sees(store, shop, transaction)
        assert store.opened_on_replica == 1
        assert sum("replica is away" in record.message for record in caplog.records) == 1
    finally:
        await pair.standby.start()
    await pair.caught_up()

    async def is_read_again() -> bool:
        assert await sees(store, shop, transaction)
        return store.opened_on_replica > 1

    await until(is_read_again)


async def test_a_replica_that_says_nothing_costs_one_wait(pair: Pair, store: Reads) -> None:
    shop = await open_shop(store)
    await put(store, transaction := a_transaction(shop.key))
    await pair.caught_up()
    process = pair.standby.process_id
    assert process is not None
    os.kill(process, signal.SIGSTOP)  # who connects is neither let in nor refused
    try:
        answers = await asyncio.gather(*(sees(store, shop, transaction) for _ in range(20)))
    finally:
        os.kill(process, signal.SIGCONT)
    assert all(answers)
    assert store.opened_on_replica == 0


async def test_the_wiring_reads_from_the_replica_of_the_settings_and_looks_after_it(pair: Pair, database: str) -> None:
    settings = Settings(
        database_url=Secret(pair.primary.url(database)),
        database_replica_url=Secret(pair.url_of_standby(database)),
        secret_key=Secret(SECRET_KEY),
        metrics_port=0,
    )
    async with wire(settings) as services:
        assert await services.useful["replica"]() is None
        assert isinstance(services.views, ReplicaViews)
    nobody = Settings(
        database_url=Secret(pair.primary.url(database)),
        database_replica_url=Secret("postgresql://nobody@127.0.0.1:1/none"),
        secret_key=Secret(SECRET_KEY),
        metrics_port=0,
    )
    async with wire(nobody) as services:
        said = await services.useful["replica"]()
        assert said is not None
        assert "everything is read from the database itself" in said
        assert [await check() for check in services.vital.values()] == [None] * 3
