"""What the store says when the database is away, cut off, busy, or told nonsense; and that it recovers by itself."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import LiteralString
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.memory import (
    MemoryAccessTokens,
    MemoryGateway,
    MemoryNotifier,
    MemoryPasswords,
    MemoryRateLimits,
    SystemClock,
)
from adapters.memory.doorbell import MemoryDoorbell
from adapters.postgres import Bounds, PostgresStore, Rejected, create_engine
from adapters.postgres.errors import translated
from adapters.postgres.statements import in_progress
from adapters.security.vault import AeadVault
from payments_core import Caller, Once, Pay, Payments, Ports, Register
from payments_core.errors import NotFound, OutcomeUnknown, Unavailable
from payments_core.idempotency import fingerprint
from payments_core.ids import MerchantId
from payments_core.ports import TransactionFilter
from payments_core.testing.builders import NOW, a_merchant, a_record, a_transaction
from payments_core.testing.subject import Shop, open_shop, put, stored, write
from payments_core.transaction import Transaction
from payments_core.use_cases.read_lists import ListQuery
from tests.patience import PATIENCE_SECONDS, until
from tests.servers import Server

CRASHES_MAX = 20
"""A server writes its log down now and then: a crash just after that loses nothing."""


def _store(engine: AsyncEngine) -> PostgresStore:
    return PostgresStore(engine, vault=AeadVault([b"k" * 32], entropy=os.urandom))


@pytest.fixture
def store(engine: AsyncEngine) -> PostgresStore:
    return _store(engine)


@pytest.fixture
async def observer(database_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection of its own, to look and to interfere."""
    engine = create_engine(database_url, application_name="observer")
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


async def _cut_all(observer: AsyncConnection) -> int:
    """End the store's connections; return how many there were."""
    cut = text("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'payments-core'")
    return len((await observer.execute(cut)).all())


async def _lock_revision(observer: AsyncConnection, shop: Shop) -> None:
    await observer.execute(
        text("SELECT FROM payments.merchant_revisions WHERE merchant_id = :id FOR UPDATE"), {"id": shop.merchant.id}
    )


async def _waits_for(observer: AsyncConnection) -> int | None:
    """Return the process that waits for the observer's lock, if one does."""
    blocked = text("SELECT pid FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
    pid: int | None = await observer.scalar(blocked)
    return pid


async def _block_commit(observer: AsyncConnection, shop: Shop, commit: Awaitable[None]) -> "asyncio.Future[None]":
    """Start a commit and return it when it waits for the observer."""
    await _lock_revision(observer, shop)
    running = asyncio.ensure_future(commit)

    async def waits() -> bool:
        assert not running.done(), "the commit was meant to wait"
        return await _waits_for(observer) is not None

    await until(waits)
    return running


# ── busy


async def test_a_merchant_whose_commits_wait_keeps_no_connection_from_another(
    database_url: str, observer: AsyncConnection
) -> None:
    engine = create_engine(database_url, bounds=Bounds(connections_max=2, connections_kept=2))
    store = _store(engine)
    busy, other = await open_shop(store), await open_shop(store)
    first = await _block_commit(observer, busy, put(store, a_transaction(busy.key)))
    waiting = [asyncio.ensure_future(put(store, a_transaction(busy.key))) for _ in range(20)]
    transaction = a_transaction(other.key)
    await put(store, transaction)
    assert (await stored(store, transaction)) is not None
    assert not any(commit.done() for commit in waiting)
    await observer.rollback()
    await asyncio.gather(first, *waiting, return_exceptions=True)
    await engine.dispose()


# ── away


async def test_a_killed_connection_is_unavailable_and_the_next_call_works(
    store: PostgresStore, observer: AsyncConnection
) -> None:
    shop = await open_shop(store)
    transaction = a_transaction(shop.key)
    commit = await _block_commit(observer, shop, put(store, transaction))
    await observer.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": await _waits_for(observer)})
    with pytest.raises(Unavailable):
        await commit
    await observer.rollback()
    with pytest.raises(NotFound):
        await stored(store, transaction)
    await put(store, transaction)
    await stored(store, transaction)


async def test_connections_that_were_cut_while_idle_are_replaced_unnoticed(
    database_url: str, observer: AsyncConnection
) -> None:
    engine = create_engine(database_url, bounds=Bounds(unasked_seconds=0))
    try:
        store = _store(engine)
        shop = await open_shop(store)
        assert await _cut_all(observer) == 1
        transaction = a_transaction(shop.key)
        await put(store, transaction)
        await stored(store, transaction)
    finally:
        await engine.dispose()


async def test_connections_that_were_cut_just_after_use_fail_one_call(
    store: PostgresStore, observer: AsyncConnection
) -> None:
    shop = await open_shop(store)
    assert await _cut_all(observer) == 1
    transaction = a_transaction(shop.key)
    with pytest.raises(Unavailable):
        await put(store, transaction)
    await put(store, transaction)


async def test_a_stopped_server_is_unavailable_in_bounded_time_and_recovery_needs_nobody(
    store: PostgresStore, postgres_server: Server
) -> None:
    shop = await open_shop(store)

    async def read() -> None:
        await stored(store, shop.merchant)

    async def look() -> None:
        async with store.view(shop.merchant.id, False) as view:
            await view.merchant()

    async def revision() -> None:
        await store.revision(shop.merchant.id)

    async def claim() -> None:
        await store.claims.claim_jobs(at=NOW, limit=1, lease=timedelta(seconds=1))

    async def credentials() -> None:
        await store.credentials.api_key("digest")

    async def commit() -> None:
        await put(store, a_transaction(shop.key))

    calls = (read, look, revision, claim, credentials, commit)
    await postgres_server.stop()
    for call in calls:
        with pytest.raises(Unavailable):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await call()
    await postgres_server.start()
    for call in calls:
        await call()


@pytest.fixture
def frozen(database_url: str) -> Iterator[Callable[[int], None]]:
    """Stops processes of the server, which go on at the end of the test."""
    stopped: list[int] = []

    def freeze(process: int) -> None:
        os.kill(process, signal.SIGSTOP)
        stopped.append(process)

    yield freeze
    for process in stopped:
        os.kill(process, signal.SIGCONT)


QUICK = Bounds(connections_max=1, connections_kept=1, statement_seconds=0.2, answer_margin_seconds=0.3)


async def test_a_server_that_stands_still_is_given_up(database_url: str, frozen: Callable[[int], None]) -> None:
    engine = create_engine(database_url, bounds=QUICK)
    store = _store(engine)
    shop = await open_shop(store)
    async with engine.connect() as connection:
        process = await connection.scalar(text("SELECT pg_backend_pid()"))
    frozen(process)
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(Unavailable):
            await store.revision(shop.merchant.id)

    async def answers() -> bool:
        try:
            return await store.revision(shop.merchant.id) == 1
        except Unavailable:  # this machine stood still, too
            return False

    await until(answers)  # over another connection
    await engine.dispose()


async def test_a_commit_that_stands_still_is_given_up(database_url: str, frozen: Callable[[int], None]) -> None:
    engine = create_engine(database_url, bounds=QUICK)
    store = _store(engine)
    shop = await open_shop(store)
    async with engine.connect() as connection:
        process = await connection.scalar(text("SELECT pg_backend_pid()"))

    async def pay() -> None:
        async with store.begin() as work:
            work.transactions.add(a_transaction(shop.key))
            frozen(process)

    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(Unavailable):
            await pay()
    await engine.dispose()


async def test_a_view_that_loses_its_connection_is_unavailable(store: PostgresStore, observer: AsyncConnection) -> None:
    shop = await open_shop(store)
    async with store.view(shop.merchant.id, False) as view:
        assert await _cut_all(observer) > 0
        with pytest.raises(Unavailable):
            await view.merchant()
    async with store.view(shop.merchant.id, False) as view:
        assert await view.merchant() == shop.merchant


async def test_a_database_without_tables_is_unavailable(store: PostgresStore, observer: AsyncConnection) -> None:
    await observer.execute(text("DROP SCHEMA payments CASCADE"))
    await observer.commit()
    with pytest.raises(Unavailable, match="migrate"):
        await store.revision(a_merchant().id)


async def test_a_database_that_only_reads_is_unavailable(
    store: PostgresStore, observer: AsyncConnection, database_url: str
) -> None:
    shop = await open_shop(store)
    await observer.execute(
        text(f'ALTER DATABASE "{make_url(database_url).database}" SET default_transaction_read_only = on')
    )
    await observer.commit()
    engine = create_engine(database_url)
    try:
        with pytest.raises(Unavailable):
            await put(_store(engine), a_transaction(shop.key))
    finally:
        await engine.dispose()


# ── busy


async def test_who_waits_too_long_for_a_lock_is_told_so_and_nothing_was_done(
    database_url: str, observer: AsyncConnection
) -> None:
    engine = create_engine(database_url, bounds=Bounds(lock_seconds=0.05))
    store = _store(engine)
    try:
        shop = await open_shop(store)
        transaction = a_transaction(shop.key)
        await _lock_revision(observer, shop)
        with pytest.raises(Unavailable):
            await put(store, transaction)
        await observer.rollback()
        with pytest.raises(NotFound):
            await stored(store, transaction)
    finally:
        await engine.dispose()


async def test_who_finds_no_free_connection_is_told_so(database_url: str) -> None:
    engine = create_engine(database_url, bounds=Bounds(connections_max=1, connections_kept=1, pool_wait_seconds=0.05))
    store = _store(engine)
    try:
        shop = await open_shop(store)
        async with store.view(shop.merchant.id, False):
            with pytest.raises(Unavailable, match="busy"):
                await store.revision(shop.merchant.id)
        assert await store.revision(shop.merchant.id) > 0
    finally:
        await engine.dispose()


async def test_each_connection_has_the_time_outs_of_its_bounds(database_url: str) -> None:
    bounds = Bounds(statement_seconds=4.5, lock_seconds=2.5, idle_in_transaction_seconds=7)
    engine = create_engine(f"{database_url}&options=-c%20work_mem%3D5MB", bounds=bounds)
    try:
        async with engine.connect() as connection:
            shown = {
                name: await connection.scalar(text(f"SHOW {name}"))
                for name in (
                    "statement_timeout",
                    "lock_timeout",
                    "idle_in_transaction_session_timeout",
                    "timezone",
                    "application_name",
                    "work_mem",
                )
            }
    finally:
        await engine.dispose()
    assert shown == {
        "statement_timeout": "4500ms",
        "lock_timeout": "2500ms",
        "idle_in_transaction_session_timeout": "7s",
        "timezone": "UTC",
        "application_name": "payments-core",
        "work_mem": "5MB",
    }


async def test_a_statement_that_takes_too_long_is_unavailable(database_url: str) -> None:
    engine = create_engine(database_url, bounds=Bounds(statement_seconds=0.05))
    try:
        with pytest.raises(Unavailable), translated():
            async with engine.connect() as connection:
                await connection.execute(text("SELECT pg_sleep(600)"))
    finally:
        await engine.dispose()


async def test_a_transaction_left_idle_is_ended_by_the_server(database_url: str, observer: AsyncConnection) -> None:
    engine = create_engine(database_url, bounds=Bounds(idle_in_transaction_seconds=0.05))
    try:
        async with engine.connect() as connection:
            process = await connection.scalar(text("SELECT pg_backend_pid()"))

            async def is_gone() -> bool:
                await observer.rollback()  # within one transaction nothing new is seen
                there = text("SELECT FROM pg_stat_activity WHERE pid = :pid")
                return (await observer.execute(there, {"pid": process})).first() is None

            await until(is_gone)
            with pytest.raises(Unavailable), translated():
                await connection.execute(text("SELECT 1"))
    finally:
        await engine.dispose()


async def test_restarts_under_load_lose_nothing_that_was_acknowledged_and_take_no_more_connections(
    database_url: str, postgres_server: Server
) -> None:
    engine = create_engine(database_url, bounds=Bounds(connections_max=4, connections_kept=4))
    store = _store(engine)
    shop = await open_shop(store)
    acknowledged: list[Transaction] = []
    unavailable = 0
    over = False

    async def pay_on_and_on() -> None:
        nonlocal unavailable
        while not over:
            transaction = a_transaction(shop.key)
            try:
                await put(store, transaction)
            except (Unavailable, OutcomeUnknown):
                unavailable += 1
                await asyncio.sleep(0.01)
            else:
                acknowledged.append(transaction)

    async def more(than: int) -> None:
        async def holds() -> bool:
            return len(acknowledged) > than

        await until(holds)

    async def refused() -> bool:
        return unavailable > 0

    paying = [asyncio.create_task(pay_on_and_on()) for _ in range(20)]
    for end in (postgres_server.stop, postgres_server.kill):
        await more(len(acknowledged) + 20)
        unavailable = 0
        await end()
        await until(refused)
        await postgres_server.start()
    await more(len(acknowledged) + 20)
    over = True
    await asyncio.gather(*paying)
    async with engine.connect() as connection:
        ours = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'payments-core'")
        assert (await connection.scalar(ours) or 0) <= 4
    for transaction in acknowledged:
        await stored(store, transaction)
    await engine.dispose()


async def test_a_commit_that_has_begun_ends_before_its_task_is_cancelled(
    store: PostgresStore, observer: AsyncConnection
) -> None:
    shop = await open_shop(store)
    transaction = a_transaction(shop.key)
    commit = await _block_commit(observer, shop, put(store, transaction))
    for _ in range(2):
        commit.cancel()
        await asyncio.sleep(0)
    assert not commit.done()
    await observer.rollback()
    with pytest.raises(asyncio.CancelledError):
        await commit
    await stored(store, transaction)


# ── nonsense


async def test_what_the_database_forbids_is_a_defect_that_shows_no_values(store: PostgresStore) -> None:
    shop = await open_shop(store)
    broken = replace(a_transaction(shop.key, customer_reference="a secret"), refunded_minor=99_999_999)
    with pytest.raises(Rejected, match="ck_transactions_refunds_within_amount") as refused:
        await put(store, broken)
    assert "secret" not in str(refused.value)
    assert refused.value.__suppress_context__
    with pytest.raises(NotFound):
        await stored(store, broken)


async def test_text_that_postgres_cannot_hold_is_a_defect_and_no_outage(store: PostgresStore) -> None:
    shop = await open_shop(store)
    with pytest.raises(Rejected):
        await put(store, a_transaction(shop.key, customer_reference="\0"))


# ── the answer to COMMIT


class Wire:
    """A relay between the store and Postgres that can be cut at a COMMIT, before or after Postgres got it."""

    def __init__(self, url: str) -> None:
        (self._directory,) = parse_qs(urlsplit(url).query)["host"]
        self._url = url
        self._relays: list[asyncio.Task[None]] = []
        self.cut: str | None = None
        self.accepts = True
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        """What happens between the cut and the store's hearing of it."""

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.gather(*self._relays)

    @property
    def url(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        parsed = make_url(self._url)
        return parsed.set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays.append(task)
        if self.accepts:
            up_reader, up_writer = await asyncio.open_unix_connection(f"{self._directory}/.s.PGSQL.5432")
            heard = asyncio.Event()
            await asyncio.gather(self._up(reader, up_writer, heard), self._down(up_reader, writer, heard))
            up_writer.close()
        writer.close()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: asyncio.Event) -> None:
        while data := await reader.read(65536):
            cut = self.cut if b"COMMIT\0" in data else None
            if cut is not None:
                heard.set()
            if cut != "before":
                writer.write(data)
            if cut is not None:
                if self.meanwhile is not None:
                    await self.meanwhile()
                break
        # What was written arrives before the end does, and is done before Postgres sees the end.
        writer.write_eof()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: asyncio.Event) -> None:
        while data := await reader.read(65536):
            if not heard.is_set():
                writer.write(data)
        if not heard.is_set():
            writer.close()


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[Wire]:
    async with Wire(database_url) as wire:
        yield wire


@pytest.fixture
async def wired(wire: Wire) -> AsyncIterator[PostgresStore]:
    engine = create_engine(wire.url)
    yield _store(engine)
    await engine.dispose()


async def test_a_commit_whose_answer_was_lost_is_read_back(wire: Wire, wired: PostgresStore) -> None:
    shop = await open_shop(wired)
    transaction = a_transaction(shop.key)
    wire.cut = "after"
    await put(wired, transaction, a_record(shop.merchant))
    wire.cut = None
    await stored(wired, transaction)


async def test_a_commit_that_never_arrived_is_unavailable(wire: Wire, wired: PostgresStore) -> None:
    shop = await open_shop(wired)
    transaction = a_transaction(shop.key)
    wire.cut = "before"
    with pytest.raises(Unavailable):
        await put(wired, transaction, a_record(shop.merchant))
    wire.cut = None
    with pytest.raises(NotFound):
        await stored(wired, transaction)
    await put(wired, transaction)


async def test_an_update_whose_answer_was_lost_is_read_back(wire: Wire, wired: PostgresStore) -> None:
    shop = await open_shop(wired)
    wire.cut = "after"
    await write(wired, replace(shop.merchant, name="Renamed"))
    wire.cut = None
    assert await stored(wired, shop.merchant) == replace(shop.merchant, name="Renamed", version=2)


async def test_an_update_that_somebody_else_moved_on_before_it_was_read_back_is_unknown(
    wire: Wire, wired: PostgresStore, store: PostgresStore
) -> None:
    shop = await open_shop(wired)
    renamed = replace(shop.merchant, name="Renamed", version=2)

    async def rename_again() -> None:
        async def is_renamed() -> bool:
            return await stored(store, shop.merchant) == renamed

        await until(is_renamed)
        await write(store, replace(renamed, name="Renamed Again"))

    wire.cut, wire.meanwhile = "after", rename_again
    with pytest.raises(OutcomeUnknown):
        await write(wired, replace(shop.merchant, name="Renamed"))


class Crash:
    """Ends the server before it has written down whose transaction it was, and has others take the same id."""

    def __init__(self, server: Server, database_url: str) -> None:
        self._server = server
        self._dsn = database_url.replace("+psycopg", "")
        self.reused = False

    async def __call__(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as observer:
            ours = await _number(
                observer,
                "SELECT max(backend_xid::text::bigint) FROM pg_stat_activity WHERE datname = current_database()",
            )
        await self._server.kill()
        await self._server.start()
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as others:
            await others.execute("CREATE TABLE IF NOT EXISTS others (id bigint)")
            taken = 0
            while taken < ours:
                taken = await _number(
                    others, "INSERT INTO others VALUES (1) RETURNING pg_current_xact_id()::text::bigint"
                )
                self.reused = self.reused or taken == ours


async def _number(connection: "psycopg.AsyncConnection[tuple[int, ...]]", query: LiteralString) -> int:
    row = await (await connection.execute(query)).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize("updated", [False, True])
async def test_a_commit_that_a_crash_swallowed_is_not_done_though_its_id_is_given_out_again(
    wire: Wire, wired: PostgresStore, postgres_server: Server, database_url: str, updated: bool
) -> None:
    crash = Crash(postgres_server, database_url)
    for _ in range(CRASHES_MAX):
        shop = await open_shop(wired)
        transaction = a_transaction(shop.key)
        wire.cut, wire.meanwhile = "before", crash
        swallowed = (
            write(wired, replace(shop.merchant, name="Swallowed"))
            if updated
            else put(wired, transaction, a_record(shop.merchant))
        )
        with pytest.raises(Unavailable):
            await swallowed
        wire.cut, wire.meanwhile = None, None
        assert await stored(wired, shop.merchant) == shop.merchant
        with pytest.raises(NotFound):
            await stored(wired, transaction)
        if crash.reused:
            return
    raise AssertionError("the server wrote the transaction down each time")


async def test_a_database_transaction_is_in_progress_until_it_has_ended(
    engine: AsyncEngine, observer: AsyncConnection
) -> None:
    async def is_in_progress(id: int) -> bool:
        async with engine.connect() as connection:
            return (await connection.execute(in_progress(str(id)))).first() is not None

    id = await observer.scalar(text("SELECT pg_current_xact_id()::text::bigint"))
    assert id is not None
    assert await is_in_progress(id)
    assert not await is_in_progress(id + 1_000_000), "one that has yet to be given out is no error"
    await observer.rollback()
    assert not await is_in_progress(id)


async def test_a_commit_whose_end_nobody_can_tell_is_unknown(wire: Wire, wired: PostgresStore) -> None:
    shop = await open_shop(wired)
    transaction = a_transaction(shop.key)
    wire.cut = "after"
    wire.accepts = False
    with pytest.raises(OutcomeUnknown):
        await put(wired, transaction)
    wire.cut, wire.accepts = None, True
    await stored(wired, transaction)


@pytest.mark.parametrize("arrived", [True, False])
async def test_the_same_key_tells_the_truth_about_a_payment_of_which_nobody_could_tell(
    wire: Wire, wired: PostgresStore, arrived: bool
) -> None:
    payments = _payments(wired)
    account = await payments.register(Register(email="shop@example.com", password="correct horse battery"))
    caller = Caller(merchant=MerchantId(str(account.json["id"])))
    order: dict[str, str] = {
        "payment_key": str((await payments.make_payment_key(caller)).json["key"]),
        "amount": "10.00",
        "currency": "USD",
    }
    route = "POST /api/transactions/pay"
    digest = fingerprint(b"secret", route=route, body={**order})
    once = Once(key="order-1", route=route, status=201, fingerprint=digest)

    wire.cut, wire.accepts = "after" if arrived else "before", False
    with pytest.raises(OutcomeUnknown):
        await payments.pay(caller, Pay(**order), once=once)  # type: ignore[arg-type]  # text fields only
    wire.cut, wire.accepts = None, True

    first, second = [
        await payments.pay(caller, Pay(**order), once=once)  # type: ignore[arg-type]  # text fields only
        for _ in range(2)
    ]
    assert (first.replayed, second.replayed) == (arrived, True)
    assert first.body == second.body
    page = await payments.read.transactions(caller, ListQuery(limit=10), TransactionFilter())
    assert [item["id"] for item in page.items] == [first.json["id"]]


def _payments(store: PostgresStore) -> Payments:
    clock = SystemClock()
    return Payments(
        Ports(
            begin=store.begin,
            views=store,
            oversight=store.oversight,
            audit=store.audit,
            credentials=store.credentials,
            passwords=MemoryPasswords(entropy=os.urandom, cost=4),
            tokens=MemoryAccessTokens(),
            limits=MemoryRateLimits(clock=clock.now),
            gateways={False: MemoryGateway()},
            notifier=MemoryNotifier(),
            doorbell=MemoryDoorbell(),
            clock=clock,
            entropy=os.urandom,
        )
    )
