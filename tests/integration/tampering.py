"""Writes into the database what no commit would: its checks are dropped first."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, delete, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.mapping import Kind, kinds
from payments_core.attempt import Attempt
from payments_core.event import Event
from payments_core.idempotency import Record
from payments_core.job import Job
from payments_core.ports import Vault
from payments_core.refund import Refund
from payments_core.testing.verified import Row
from payments_core.transaction import Transaction
from payments_core.webhook import Delivery, Endpoint

DROP_CHECKS = """
DO $$
DECLARE found record;
BEGIN
    FOR found IN
        SELECT conrelid::regclass AS name, conname FROM pg_constraint
        WHERE connamespace = 'payments'::regnamespace AND contype IN ('c', 'u', 'f')
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', found.name, found.conname);
    END LOOP;
END $$
"""


class PostgresTampering:
    """The port `Tampering` of the contract of books."""

    def __init__(self, engine: AsyncEngine, vault: Vault) -> None:
        self._engine = engine
        found = kinds(vault)
        self._kinds: dict[type, Kind[Any]] = {
            Transaction: found.transactions,
            Refund: found.refunds,
            Attempt: found.attempts,
            Endpoint: found.endpoints,
            Event: found.events,
            Delivery: found.deliveries,
            Job: found.jobs,
            Record: found.records,
        }

    async def drop_checks(self) -> None:
        """Have the database take everything."""
        async with self._engine.begin() as connection:
            await connection.execute(text(DROP_CHECKS))
            await connection.execute(text("DROP INDEX payments.uq_events_sequence"))
            await connection.execute(text("CREATE INDEX ON payments.events (merchant_id, transaction_id, sequence)"))

    async def put(self, row: Row, /) -> None:
        """Write a row as it is."""
        kind = self._kinds[type(row)]
        async with self._engine.begin() as connection:
            await connection.execute(delete(kind.table).where(_same(kind, row)))
            await connection.execute(insert(kind.table).values(kind.to_row(row)))

    async def remove(self, row: Row, /) -> None:
        """Remove the row with its identity."""
        kind = self._kinds[type(row)]
        async with self._engine.begin() as connection:
            await connection.execute(delete(kind.table).where(_same(kind, row)))


def _same(kind: Kind[Any], row: Row) -> Any:
    return and_(*(column == value for column, value in zip(kind.table.primary_key, kind.identity_of(row), strict=True)))
