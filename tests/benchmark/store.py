"""A database of its own with the service's processes on it, and rows of it as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from tests.benchmark.fleet import Fleet

SCHEMA: Final = "payments"
# What a payment's acceptance writes, beside the revision of its merchant.
ACCEPTED: Final = ("idempotency_records", "transactions", "events", "jobs")

Literals = Mapping[str, str]
"""A row: each column's value as a literal of SQL."""


@dataclass(slots=True, kw_only=True)
class Store:
    """A database, and processes that work on it."""

    name: str
    dsn: str
    fleet: Fleet
    connection: psycopg.AsyncConnection[tuple[Any, ...]] = field(repr=False)

    async def rows(self, statement: str, *parameters: object) -> Sequence[tuple[Any, ...]]:
        """Return the rows of a statement."""
        return await (await self.connection.execute(statement.encode(), parameters or None)).fetchall()

    async def value(self, statement: str, *parameters: object) -> Any:
        """Return the one value of a statement's one row."""
        ((found,),) = await self.rows(statement, *parameters)
        return found

    async def do(self, statement: str, *parameters: object) -> None:
        """Run a statement that returns nothing."""
        await self.connection.execute(statement.encode(), parameters or None)

    async def count(self, table: str, where: str = "true") -> int:
        """Return how many rows of a table fulfil a condition."""
        return int(await self.value(f"SELECT count(*) FROM {SCHEMA}.{table} WHERE {where}"))

    async def columns(self, table: str) -> list[str]:
        """Return the columns of a table that are written, not computed."""
        found = await self.rows(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position",
            SCHEMA,
            table,
        )
        return [str(name) for (name,) in found]

    async def literals(self, table: str, merchant: str) -> Literals:
        """Return the only row of a merchant in a table."""
        columns = await self.columns(table)
        quoted = ", ".join(f"quote_nullable({column}::text)" for column in columns)
        (row,) = await self.rows(f"SELECT {quoted} FROM {SCHEMA}.{table} WHERE merchant_id = %s", merchant)
        return dict(zip(columns, map(str, row), strict=True))
