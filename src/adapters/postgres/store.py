"""The store: units of work on Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import psycopg
from sqlalchemy import RowMapping, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres import statements, tables
from adapters.postgres.books import PostgresBooks
from adapters.postgres.changes import Changes
from adapters.postgres.claims import PostgresClaims
from adapters.postgres.commit import HeldElsewhere, Patience, write
from adapters.postgres.credentials import PostgresCredentials
from adapters.postgres.engine import BOUNDS
from adapters.postgres.errors import translated
from adapters.postgres.group import GroupCommit
from adapters.postgres.leftovers import PostgresLeftovers
from adapters.postgres.lookups import By, Key, Lookups, look_up_one
from adapters.postgres.mapping import kinds
from adapters.postgres.oversight import PostgresAuditLog, PostgresOversight
from adapters.postgres.read_back import was_written
from adapters.postgres.running import OnConnection, Row, driver_of
from adapters.postgres.unit import PostgresUnit
from adapters.postgres.views import PostgresView, open_view
from payments_core.errors import NotFound, OutcomeUnknown, Unavailable
from payments_core.ids import MerchantId
from payments_core.ports import Begin, UnitOfWork, Vault

READ_BACK_TRIES_MAX: Final = 5
READ_BACK_PAUSE_SECONDS: Final = 0.2
_REVISION_OF: Final[By] = (tables.merchant_revisions, ("merchant_id",))
UNTOLD: Final = "the connection to the store was lost during the commit"


class PostgresStore:
    """Units of work, and the other ports of a store, over one engine of `connections_max`, which its owner disposes of.

    Whatever the driver raises comes out as StaleWrite, Duplicate, Unavailable or OutcomeUnknown, or as `Rejected`,
    which is a defect.
    """

    def __init__(self, engine: AsyncEngine, *, vault: Vault, connections_max: int = BOUNDS.connections_max) -> None:
        self._engine: Final = engine
        # Single statements need no transaction around them, which would be two round trips more.
        self._single: Final = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._kinds: Final = kinds(vault)
        self._lookups: Final = Lookups(self._single)
        self._commits: Final = GroupCommit(self._commit, connections_max=connections_max)
        self.claims: Final = PostgresClaims(self._single, self._kinds)
        self.oversight: Final = PostgresOversight(self._single, self._kinds)
        self.audit: Final = PostgresAuditLog(self._single, self._kinds)
        self.credentials: Final = PostgresCredentials(self._single, self._kinds)
        self.books: Final = PostgresBooks(engine, self._kinds)
        self.leftovers: Final = PostgresLeftovers(engine)

    # ── units of work

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[UnitOfWork]:
        """Begin a unit of work, committed when the block ends without an exception, together with others.

        A commit that has begun is not cut short: a task that is cancelled meanwhile hears of it when the commit has
        ended, one way or the other. Raises Unavailable where too many commits wait.
        """
        unit = PostgresUnit(self._kinds, self._lookups.rows, self._read)
        yield unit
        if unit.changes:
            await self._commits(unit.changes)

    def begin_on(self, connection: AsyncConnection) -> Begin:
        """Have units of work join the transaction of a connection, each under a savepoint of its own.

        Nothing is visible to others before the caller commits, and nothing of it is if the caller doesn't; a unit
        that is refused leaves the transaction as it was. The transaction is READ COMMITTED, and short: from its first
        unit on it holds the lock on the merchant's revision. Who waits for jobs is to be rung after its commit.
        """
        runner = OnConnection(connection)

        async def find(by: By, key: Key) -> Sequence[Row]:
            with translated():
                return await look_up_one(runner, by, key)

        async def read(statement: Select[Any]) -> Sequence[Row]:
            with translated():
                rows: Sequence[RowMapping] = (await connection.execute(statement)).mappings().all()
                return rows

        @asynccontextmanager
        async def begin() -> AsyncGenerator[UnitOfWork]:
            unit = PostgresUnit(self._kinds, find, read)
            yield unit
            if unit.changes:
                with translated():
                    async with connection.begin_nested():
                        (refusal,) = (await write(runner, [unit.changes], patience=Patience.FULL)).refusals
                        if refusal is not None:
                            raise refusal

        return begin

    async def _read(self, statement: Select[Any]) -> Sequence[Row]:
        with translated():
            async with self._single.connect() as connection:
                rows: Sequence[RowMapping] = (await connection.execute(statement)).mappings().all()
                return rows

    # ── commits

    async def _commit(self, group: Sequence[Changes], patience: Patience) -> Sequence[Exception | None]:
        """Commit units together; see `group.Commit`.

        Where the database refuses one of them that could not be told before, it refuses them all: then each half is
        committed apart, down to the one that it is about.
        """
        try:
            return await self._commit_at_once(group, patience)
        except (Unavailable, OutcomeUnknown) as error:
            return [type(error)(error.message) for _ in group]
        except Exception as error:
            if len(group) == 1:
                return [error]
        middle = len(group) // 2
        return [*await self._commit(group[:middle], patience), *await self._commit(group[middle:], patience)]

    async def _commit_at_once(self, group: Sequence[Changes], patience: Patience) -> Sequence[Exception | None]:
        """Commit units in one database transaction, or raise why none of them was."""
        with translated():
            async with driver_of(self._engine) as driver:
                try:
                    written = await write(driver, group, patience=patience)
                except psycopg.errors.LockNotAvailable:
                    if patience is not Patience.BRIEF:
                        raise
                    return [HeldElsewhere() for _ in group]
                refusals = written.refusals
                if all(refusals):
                    return refusals
                try:
                    await driver.commit()
                except psycopg.Error as error:
                    refused = error
                else:
                    return refusals
            accepted = [changes for changes, refusal in zip(group, refusals, strict=True) if refusal is None]
            try:
                if not await self._was_committed(accepted, written.transaction_id):
                    raise refused
            except OutcomeUnknown as error:
                # Of those that were refused it is known: nothing of them was written.
                return [refusal or OutcomeUnknown(error.message) for refusal in refusals]
            return refusals

    async def _was_committed(self, group: Sequence[Changes], transaction_id: str | None) -> bool:
        """Say whether a commit happened whose COMMIT was sent and not answered by "done", or raise OutcomeUnknown.

        One that is still in progress has a process that has yet to notice that nobody listens. What one unit left
        behind tells of all, as they were written together; one that writes nothing tells nothing.
        """
        assert transaction_id is not None
        telling = [changes for changes in group if changes.touched]
        if not telling:
            return True
        for _ in range(READ_BACK_TRIES_MAX):
            try:
                if not await self._read(statements.in_progress(transaction_id)):
                    for changes in telling:
                        written = await was_written(self._lookups.rows, changes)
                        if written is not None:
                            return written
                    break
            except Unavailable:
                pass
            except Exception as error:
                raise OutcomeUnknown(UNTOLD) from error
            await asyncio.sleep(READ_BACK_PAUSE_SECONDS)
        raise OutcomeUnknown(UNTOLD)

    async def open_a_secret(self) -> None:
        """Return if one of the secrets in use here opens, or none is, or raise Unreadable, or Unavailable."""
        table = self._kinds.endpoints.table
        in_use = select(table).where(table.c.removed_at.is_(None))
        for row in await self._read(in_use.order_by(*table.primary_key).limit(1)):
            self._kinds.endpoints.of_row(row)

    # ── views

    def view(self, merchant: MerchantId, livemode: bool, /) -> AbstractAsyncContextManager[PostgresView]:
        """Open a snapshot; raise NotFound for nobody."""
        return open_view(self._engine, self._kinds, merchant, livemode)

    async def revision(self, merchant: MerchantId, /) -> int:
        """Return the merchant's revision, or raise NotFound."""
        rows = await self._lookups.rows(_REVISION_OF, (merchant,))
        if not rows:
            raise NotFound("There is no such merchant.")
        return int(rows[0]["revision"])
