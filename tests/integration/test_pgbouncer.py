"""The store through a real PgBouncer in transaction mode, with fewer connections to the server than clients have."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import Bounds, PostgresStore, create_engine, migrate
from adapters.postgres.health import ping
from adapters.postgres.role import bound_role, bound_transaction, unbounded
from adapters.security.vault import AeadVault
from entrypoints.secret import Secret
from entrypoints.settings import Settings
from entrypoints.wiring import migrate as migrate_all
from entrypoints.wiring import missing, wire
from entrypoints.worker import run_worker
from payments_core import Pay, Register
from payments_core.errors import OutcomeUnknown, StaleWrite, Unavailable
from payments_core.ports import TransactionFilter
from payments_core.testing.builders import a_transaction, an_event
from payments_core.testing.claims import ClaimsContract
from payments_core.testing.store import StoreContract
from payments_core.testing.subject import open_shop, put, read_all, stored_transaction
from payments_core.testing.views import ViewsContract
from payments_core.transaction import Transaction
from payments_core.use_cases.read_lists import ListQuery
from tests.patience import PATIENCE_SECONDS, until
from tests.processes import SECRET_KEY, free_port
from tests.reachable_postgres import ReachablePostgres, given_to, reachable_postgres

BINARY: Final = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SERVER_CONNECTIONS: Final = 3
CLIENTS: Final = 10
COMMITS: Final = 40
CUTS: Final = 30
TEMPLATE: Final = "payments_pooled"
VAULT: Final = AeadVault([b"k" * 32], entropy=os.urandom)
CONFIGURATION: Final = """\
[databases]
* = host={sockets} port=5432 user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
admin_users = postgres
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 500
logfile = {log}
"""

pytestmark = pytest.mark.skipif(
    BINARY is None, reason="there is no `pgbouncer`: `apt-get install pgbouncer` brings it on Debian"
)


class PgBouncer:
    """A pooler that runs, and the server behind it."""

    def __init__(self, postgres: ReachablePostgres, port: int) -> None:
        self.postgres: Final = postgres
        self._port: Final = port

    def url(self, database: str) -> str:
        """Where clients reach a database through it."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    async def command(self, words: str) -> None:
        """Tell its console."""
        console = await psycopg.AsyncConnection.connect(self.url("pgbouncer"), autocommit=True)
        async with console, psycopg.AsyncClientCursor(console) as cursor:
            await cursor.execute(words.encode())


@asynccontextmanager
async def pooling(postgres: ReachablePostgres) -> AsyncGenerator[PgBouncer]:
    """Run a PgBouncer before the server; it refuses to be root."""
    assert BINARY is not None
    place, port, account = postgres.place / "pgbouncer", free_port(), postgres.account
    place.mkdir()
    configuration = place / "pgbouncer.ini"
    log, users = place / "pgbouncer.log", place / "users.txt"
    users.write_text('"postgres" ""\n')
    configuration.write_text(
        CONFIGURATION.format(sockets=postgres.sockets, port=port, connections=SERVER_CONNECTIONS, log=log, users=users)
    )
    given_to(account, place)
    process = subprocess.Popen(  # noqa: ASYNC220 - a test's own
        [BINARY, "--quiet", str(configuration)],
        user=account.user_id if account else None,
        group=account.group_id if account else None,
        extra_groups=[] if account else None,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            await asyncio.sleep(0.02)
        yield PgBouncer(postgres, port)
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pgbouncer() -> AsyncIterator[PgBouncer]:
    async with reachable_postgres() as postgres, pooling(postgres) as pooler:
        async with await psycopg.AsyncConnection.connect(postgres.server.dsn, autocommit=True) as connection:
            await connection.execute(f"CREATE DATABASE {TEMPLATE}")
        await migrate(postgres.url(TEMPLATE))
        yield pooler


@pytest.fixture
async def database(pgbouncer: PgBouncer) -> AsyncIterator[str]:
    """A migrated database without rows, whose role has its bounds."""
    name = await pgbouncer.postgres.clone(TEMPLATE)
    engine = create_engine(pgbouncer.postgres.url(name))
    await bound_role(engine)
    await engine.dispose()
    yield name
    await pgbouncer.postgres.drop(name)


@pytest.fixture
async def engine(pgbouncer: PgBouncer, database: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(pgbouncer.url(database), pooled=True)
    yield engine
    await engine.dispose()


@pytest.fixture
def store(engine: AsyncEngine) -> PostgresStore:
    return PostgresStore(engine, vault=VAULT)


class TestPooledStore(StoreContract):
    """Supplies `store`."""


class TestPooledViews(ViewsContract):
    """Supplies `store`."""


class TestPooledClaims(ClaimsContract):
    """Supplies `store`."""


async def test_more_clients_than_connections_lose_and_double_nothing(store: PostgresStore) -> None:
    shop = await open_shop(store)

    async def record(number: int) -> None:
        async with store.begin() as work:
            if number % 4 == 3:
                work.expect(replace(shop.merchant, version=99))
            work.transactions.add(a_transaction(shop.key))
            work.events.add(an_event(shop.merchant))

    async def look() -> None:
        async with store.view(shop.merchant.id, False) as view:
            seen = await read_all(lambda window: view.transactions(window, TransactionFilter()))
            # One moment: each unit adds one and moves the revision by one.
            assert view.revision - len(seen) == opened

    opened = await store.revision(shop.merchant.id)
    answers = await asyncio.gather(
        *(record(number) for number in range(COMMITS)), *(look() for _ in range(COMMITS)), return_exceptions=True
    )
    assert sum(isinstance(answer, StaleWrite) for answer in answers) == COMMITS // 4
    assert sum(answer is None for answer in answers) == 2 * COMMITS - COMMITS // 4
    assert await store.revision(shop.merchant.id) - opened == COMMITS - COMMITS // 4


async def test_clients_share_the_connections_of_the_server(pgbouncer: PgBouncer, database: str) -> None:
    engines = [create_engine(pgbouncer.url(database), pooled=True) for _ in range(CLIENTS)]

    async def backend(engine: AsyncEngine) -> object:
        async with engine.connect() as connection:
            return await connection.scalar(text("SELECT pg_backend_pid()"))

    try:
        backends = await asyncio.gather(*(backend(engine) for engine in engines for _ in range(CLIENTS)))
    finally:
        for engine in engines:
            await engine.dispose()
    assert len(set(backends)) <= SERVER_CONNECTIONS


async def test_what_is_cut_between_the_pooler_and_the_server_is_told_as_a_store_that_is_away(
    pgbouncer: PgBouncer, database: str, store: PostgresStore
) -> None:
    shop = await open_shop(store)
    made: list[Transaction] = []
    refused: list[BaseException] = []
    ended = asyncio.Event()

    async def pay() -> None:
        while not ended.is_set():
            transaction = a_transaction(shop.key)
            try:
                await put(store, transaction)
            except (Unavailable, OutcomeUnknown) as error:
                refused.append(error)
            else:
                made.append(transaction)

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(pay())
        for number in range(CUTS):
            await until(partial(_has_more, made, number * CLIENTS))
            await pgbouncer.postgres.cut(database)
        await until(partial(_has_more, refused, 0))
        ended.set()
    for transaction in made:
        await stored_transaction(store, transaction)


async def _has_more(things: Sequence[object], number: int) -> bool:
    return len(things) > number


@pytest.mark.parametrize("level", ["AUTOCOMMIT", "READ COMMITTED"])
async def test_each_statement_is_bounded_by_the_role(engine: AsyncEngine, level: str) -> None:
    async with engine.execution_options(isolation_level=level).connect() as connection:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "timezone")
        shown = [await connection.scalar(text(f"SHOW {name}")) for name in names]
    assert shown == ["5s", "3s", "10s", "UTC"]
    assert await unbounded(engine) == []


async def test_a_snapshot_leaves_nothing_to_the_next_client(engine: AsyncEngine, store: PostgresStore) -> None:
    shop = await open_shop(store)
    async with store.view(shop.merchant.id, False) as view:
        assert view.revision > 0
    for _ in range(SERVER_CONNECTIONS * 2):
        async with engine.connect() as connection:
            assert await connection.scalar(text("SHOW transaction_isolation")) == "read committed"
            assert await connection.scalar(text("SHOW transaction_read_only")) == "off"


async def test_without_the_setting_the_cause_is_told(pgbouncer: PgBouncer, database: str) -> None:
    engine = create_engine(pgbouncer.url(database))
    with pytest.raises(Unavailable, match="set PAYMENTS_DATABASE_POOLER"):
        await ping(engine)
    await engine.dispose()


async def test_bounds_of_one_transaction_are_not_those_of_the_next(engine: AsyncEngine) -> None:
    patient = Bounds(statement_seconds=3_600)
    async with engine.begin() as connection:
        await bound_transaction(connection, patient)
        assert await connection.scalar(text("SHOW statement_timeout")) == "1h"
    for _ in range(SERVER_CONNECTIONS * 2):
        async with engine.connect() as connection:
            assert await connection.scalar(text("SHOW statement_timeout")) == "5s"


# ── migrations and the whole service


@pytest.fixture
async def settings(pgbouncer: PgBouncer) -> AsyncIterator[Settings]:
    """The settings of an installation whose database is empty."""
    name = await pgbouncer.postgres.clone("template0")
    url = pgbouncer.url(name)
    yield Settings(
        database_url=Secret(url), database_pooler="transaction", secret_key=Secret(SECRET_KEY), metrics_port=0
    )
    await pgbouncer.postgres.drop(name)


async def test_a_role_without_bounds_is_told_until_migrate_has_set_them(
    pgbouncer: PgBouncer, settings: Settings
) -> None:
    async with wire(settings) as services:
        said = await services.vital["bounds"]()
    assert said is not None
    assert said.startswith(
        "idle_in_transaction_session_timeout, lock_timeout, statement_timeout of the role is not set"
    )
    assert "payments migrate" in said
    await migrate_all(settings)
    await pgbouncer.command("RECONNECT")

    async def bounded() -> bool:
        async with wire(settings) as services:
            return await services.vital["bounds"]() is None

    await until(bounded)


async def test_migrate_through_the_pooler_is_harmless_where_nothing_is_missing(settings: Settings) -> None:
    for _ in range(2):
        await migrate_all(settings)
    assert await missing(settings) == []


async def test_a_payment_goes_its_whole_way_through_the_pooler(settings: Settings) -> None:
    await migrate_all(settings)
    quick = replace(settings, sandbox_latency_seconds=(0.0, 0.0))
    async with wire(quick) as services:
        stop = asyncio.Event()
        working = asyncio.create_task(run_worker(services, stop=stop))
        try:
            answer = await services.payments.register(
                Register(email="shop@example.com", password="correct horse battery staple")
            )
            caller = await services.payments.authenticator.by_api_key(str(answer.json["api_key"]))
            key = str((await services.payments.make_payment_key(caller)).json["key"])
            for _ in range(COMMITS):
                await services.payments.pay(caller, Pay(payment_key=key, amount="1.00", currency="USD"))

            async def all_succeeded() -> bool:
                filter = TransactionFilter()
                page = await services.payments.read.transactions(caller, ListQuery(limit=COMMITS), filter)
                return [item["status"] for item in page.items] == ["succeeded"] * COMMITS

            await until(all_succeeded)
        finally:
            stop.set()
            await working
