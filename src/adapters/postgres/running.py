"""Running statements: several in one round trip on a connection of our own, one after another on a caller's.

Statements are made with SQLAlchemy Core, once, and compiled once. A store's own go to the driver in its pipeline mode:
a commit of many units is bound by round trips and by what Python does for each statement, not by what they do there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol, TypeAlias, cast

import msgspec
import psycopg
from psycopg.rows import dict_row
from sqlalchemy import ClauseElement, CursorResult, Dialect, Executable
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.compiler import SQLCompiler

from adapters.postgres.mapping import Stored

STATEMENTS_MAX: Final = 1_000
"""How many compiled statements are kept; there are some dozens."""

_DIALECT: Final[Dialect] = dialect()  # type: ignore[no-untyped-call]

Row: TypeAlias = Stored
Step: TypeAlias = tuple[Executable, Mapping[str, object]]
"""A statement and its parameters."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a statement brought: its rows, and how many it read or wrote."""

    rows: Sequence[Row]
    count: int


class Run(Protocol):
    """Run statements, in their order, and return what each brought; raise what the driver raises."""

    async def __call__(self, *steps: Step) -> Sequence[Done]: ...


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement as the driver takes it, and the values that are part of it."""

    sql: bytes
    constants: Mapping[str, object]


@lru_cache(maxsize=STATEMENTS_MAX)
def compiled(statement: Executable) -> Compiled:
    """Return a statement as the driver takes it."""
    clause = cast(ClauseElement, statement)
    made = cast(SQLCompiler, clause.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True}))
    given = {name for name, parameter in made.binds.items() if parameter.required}
    constants = {name: value for name, value in made.params.items() if name not in given}
    return Compiled(str(made).encode(), constants)


class Driver:
    """A driver's connection, for as long as the block of `driver_of` lasts."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection: Final = connection

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended, so that nobody knows what became of the last thing said on it."""
        return self._connection.closed

    async def run(self, *steps: Step) -> Sequence[Done]:
        """Run statements in one round trip, outside of which nothing of them is seen; see `Run`."""
        cursors: list[psycopg.AsyncCursor[dict[str, Any]]] = []
        async with self._connection.pipeline():
            for statement, parameters in steps:
                made = compiled(statement)
                cursor = self._connection.cursor(row_factory=dict_row)
                await cursor.execute(made.sql, {**made.constants, **parameters})
                cursors.append(cursor)
        return [
            Done(await cursor.fetchall() if cursor.description is not None else (), cursor.rowcount)
            for cursor in cursors
        ]

    async def commit(self) -> None:
        """Commit."""
        await self._connection.commit()

    async def roll_back(self) -> None:
        """Roll back."""
        await self._connection.rollback()


@asynccontextmanager
async def driver_of(engine: AsyncEngine) -> AsyncGenerator[Driver]:
    """Take a connection of the engine's pool for the block; one that was lost in it does not go back.

    Left by an exception, the block rolls back.
    """
    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        driver = Driver(cast("psycopg.AsyncConnection[Any]", raw.driver_connection))
        try:
            yield driver
        finally:
            if driver.is_lost:
                await connection.invalidate()


_COUNTED: Final = {"preserve_rowcount": True}


def on_connection(connection: AsyncConnection) -> Run:
    """Run statements on a caller's connection, whatever its driver, within its transaction."""

    async def run(*steps: Step) -> Sequence[Done]:
        done: list[Done] = []
        for statement, parameters in steps:
            answer = await connection.execute(statement, dict(parameters), execution_options=_COUNTED)
            result = cast("CursorResult[Any]", answer)
            rows = result.mappings().all() if result.returns_rows else ()
            done.append(Done(rows, result.rowcount))
        return done

    return run


_encode: Final = msgspec.json.Encoder().encode


def document(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows as the JSON text of which `statements.given_rows` makes a table: one value however many they are.

    Raises UnicodeEncodeError for text that no database in UTF-8 can hold.
    """
    return _encode(rows).decode()
