"""The store: units of work on Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final

from sqlalchemy import RowMapping, Select, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres import statements
from adapters.postgres.books import PostgresBooks
from adapters.postgres.changes import Changes
from adapters.postgres.claims import PostgresClaims
from adapters.postgres.commit import write
from adapters.postgres.credentials import PostgresCredentials
from adapters.postgres.errors import translated
from adapters.postgres.mapping import kinds
from adapters.postgres.oversight import PostgresOversight
from adapters.postgres.read_back import was_written
from adapters.postgres.unit import PostgresUnit
from adapters.postgres.views import PostgresView, open_view, read_revision
from payments_core.errors import OutcomeUnknown, Unavailable
from payments_core.ids import MerchantId
from payments_core.mutexes import Mutexes
from payments_core.ports import Begin, UnitOfWork, Vault

READ_BACK_TRIES_MAX: Final = 5
READ_BACK_PAUSE_SECONDS: Final = 0.2
TURN_SECONDS: Final = 5.0
"""How long a commit waits for the commits of its merchant that came before, in this process."""
UNTOLD: Final = "the connection to the store was lost during the commit"


class PostgresStore:
    """Units of work, views, claims, oversight, credentials and books over one engine, which its owner disposes of.

    Whatever the driver raises comes out as StaleWrite, Duplicate, Unavailable or OutcomeUnknown, or as `Rejected`,
    which is a defect.
    """

    def __init__(self, engine: AsyncEngine, *, vault: Vault) -> None:
        self._engine: Final = engine
        # Single statements need no transaction around them, which would be two round trips more.
        self._single: Final = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._kinds: Final = kinds(vault)
        self._turns: Final = Mutexes()
        self.claims: Final = PostgresClaims(self._single, self._kinds)
        self.oversight: Final = PostgresOversight(self._single, self._kinds)
        self.credentials: Final = PostgresCredentials(self._single, self._kinds)
        self.books: Final = PostgresBooks(engine, self._kinds)

    # ── units of work

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[UnitOfWork]:
        """Begin a unit of work, committed when the block ends without an exception.

        A commit that has begun is not cut short: a task that is cancelled meanwhile hears of it when the commit has
        ended, one way or the other.
        """
        unit = PostgresUnit(self._kinds, self._read)
        yield unit
        if unit.changes:
            async with self._turn_of(unit.changes.counted()):
                await _to_its_end(self._commit(unit.changes))

    def begin_on(self, connection: AsyncConnection) -> Begin:
        """Have units of work join the transaction of a connection, each under a savepoint of its own.

        Nothing is visible to others before the caller commits, and nothing of it is if the caller doesn't; a unit
        that is refused leaves the transaction as it was. The transaction is READ COMMITTED, and short: from its first
        unit on it holds the lock on the merchant's revision. Who waits for jobs is to be rung after its commit.
        """

        async def read(statement: Select[Any]) -> Sequence[RowMapping]:
            with translated():
                rows: Sequence[RowMapping] = (await connection.execute(statement)).mappings().all()
                return rows

        @asynccontextmanager
        async def begin() -> AsyncGenerator[UnitOfWork]:
            unit = PostgresUnit(self._kinds, read)
            yield unit
            if unit.changes:
                with translated():
                    async with connection.begin_nested():
                        await write(connection, unit.changes)

        return begin

    @asynccontextmanager
    async def _turn_of(self, merchants: Sequence[str]) -> AsyncGenerator[None]:
        """Hold the turn of these merchants, whose commits go one after another: here no connection waits with them."""
        async with AsyncExitStack() as turns:
            for merchant in merchants:
                try:
                    await turns.enter_async_context(self._turns.hold(merchant, timeout_seconds=TURN_SECONDS))
                except TimeoutError:
                    raise Unavailable("the store is busy: too many commits of one merchant wait") from None
            yield

    async def _read(self, statement: Select[Any]) -> Sequence[RowMapping]:
        with translated():
            async with self._single.connect() as connection:
                rows: Sequence[RowMapping] = (await connection.execute(statement)).mappings().all()
                return rows

    async def _commit(self, changes: Changes) -> None:
        with translated():
            async with self._engine.connect() as connection:
                # Left by an exception, the block rolls back.
                transaction_id = await write(connection, changes)
                try:
                    await connection.commit()
                except DBAPIError as error:
                    refused = error
                else:
                    return
            if not await self._was_committed(changes, transaction_id):
                raise refused

    async def open_a_secret(self) -> None:
        """Return if one of the secrets in use here opens, or none is, or raise Unreadable, or Unavailable."""
        table = self._kinds.endpoints.table
        in_use = select(table).where(table.c.removed_at.is_(None))
        for row in await self._read(in_use.order_by(*table.primary_key).limit(1)):
            self._kinds.endpoints.of_row(row)

    async def _was_committed(self, changes: Changes, transaction_id: str) -> bool:
        """Say whether a commit happened whose COMMIT was sent and not answered by "done", or raise OutcomeUnknown.

        One that is still in progress has a process that has yet to notice that nobody listens.
        """
        for _ in range(READ_BACK_TRIES_MAX):
            try:
                if not await self._read(statements.in_progress(transaction_id)):
                    written = await was_written(self._read, changes)
                    if written is None:
                        break
                    return written
            except Unavailable:
                pass
            except Exception as error:
                raise OutcomeUnknown(UNTOLD) from error
            await asyncio.sleep(READ_BACK_PAUSE_SECONDS)
        raise OutcomeUnknown(UNTOLD)

    # ── views

    def view(self, merchant: MerchantId, livemode: bool, /) -> AbstractAsyncContextManager[PostgresView]:
        """Open a snapshot; raise NotFound for nobody."""
        return open_view(self._engine, self._kinds, merchant, livemode)

    async def revision(self, merchant: MerchantId, /) -> int:
        """Return the merchant's revision, or raise NotFound."""
        with translated():
            async with self._single.connect() as connection:
                return await read_revision(connection, merchant)


async def _to_its_end(commit: Coroutine[Any, Any, None]) -> None:
    """Await a commit; a cancellation meanwhile takes effect when it has ended, which its time-outs bound.

    Cut short, it might have been done or not, and nobody would be left to look.
    """
    running = asyncio.ensure_future(commit)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        # What became of it is not for the cancelled task to act on, but is no error that nobody looked at either.
        running.exception()
        raise cancelled
    running.result()
