"""The store: units of work on Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from sqlalchemy import RowMapping, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.changes import Changes
from adapters.postgres.claims import PostgresClaims
from adapters.postgres.commit import write
from adapters.postgres.credentials import PostgresCredentials
from adapters.postgres.errors import is_lost, translated
from adapters.postgres.mapping import kinds
from adapters.postgres.unit import PostgresUnit
from adapters.postgres.views import PostgresView, open_view, read_revision
from payments_core.errors import OutcomeUnknown, Unavailable
from payments_core.ids import MerchantId
from payments_core.ports import Begin, UnitOfWork, Vault

READ_BACK_TRIES: Final = 5
READ_BACK_PAUSE_SECONDS: Final = 0.2


class PostgresStore:
    """Units of work, views, claims and credentials over one engine, which its owner disposes of.

    Whatever the driver raises comes out as StaleWrite, Duplicate, Unavailable or OutcomeUnknown, or as `Rejected`,
    which is a defect.
    """

    def __init__(self, engine: AsyncEngine, *, vault: Vault) -> None:
        self._engine: Final = engine
        # Single statements need no transaction around them, which would be two round trips more.
        self._single: Final = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._kinds: Final = kinds(vault)
        self.claims: Final = PostgresClaims(self._single, self._kinds)
        self.credentials: Final = PostgresCredentials(self._single, self._kinds)

    # ── units of work

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        """Begin a unit of work, committed when the block ends without an exception.

        A commit that has begun is not cut short: a task that is cancelled meanwhile hears of it when the commit has
        ended, one way or the other.
        """
        unit = PostgresUnit(self._kinds, self._read)
        yield unit
        if unit.changes:
            await _to_its_end(self._commit(unit.changes))

    def begin_on(self, connection: AsyncConnection) -> Begin:
        """Have units of work join the transaction of a connection, each under a savepoint of its own.

        Nothing is visible to others before the caller commits, and nothing of it is if the caller doesn't; a unit
        that is refused leaves the transaction as it was. The transaction is READ COMMITTED, and short: from its first
        unit on it holds the lock on the merchant's revision. Who waits for jobs is to be rung after its commit.
        """

        async def read(statement: Select[Any]) -> Sequence[RowMapping]:
            with translated():
                return (await connection.execute(statement)).mappings().all()

        @asynccontextmanager
        async def begin() -> AsyncIterator[UnitOfWork]:
            unit = PostgresUnit(self._kinds, read)
            yield unit
            if unit.changes:
                with translated():
                    async with connection.begin_nested():
                        await write(connection, unit.changes)

        return begin

    async def _read(self, statement: Select[Any]) -> Sequence[RowMapping]:
        with translated():
            async with self._single.connect() as connection:
                return (await connection.execute(statement)).mappings().all()

    async def _commit(self, changes: Changes) -> None:
        with translated():
            async with self._engine.connect() as connection:
                # Left by an exception, the block rolls back.
                transaction_id = await write(connection, changes)
                try:
                    await connection.commit()
                except Exception as error:
                    if not is_lost(error):
                        raise
                    await self._read_back(transaction_id)

    async def _read_back(self, transaction_id: str) -> None:
        """Return where the database transaction was committed, raise Unavailable where it wasn't.

        The connection broke between the sending of COMMIT and its answer. The database remembers how its transactions
        ended; one that is still in progress has a process that has yet to notice that nobody listens.
        """
        for _ in range(READ_BACK_TRIES):
            try:
                match await self._ending(transaction_id):
                    case "committed":
                        return
                    case "aborted":
                        raise Unavailable("the connection to the store was lost before the commit") from None
            except Unavailable
            await asyncio.sleep(READ_BACK_PAUSE_SECONDS)
        raise OutcomeUnknown("the connection to the store was lost during the commit") from None
