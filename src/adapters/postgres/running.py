"""Running statements: several in one round trip on a connection of our own, one after another on a caller's.

Statements are made with SQLAlchemy Core, once, and compiled once. A store's own go to the driver, several as one where
they can: a commit of many units is bound by round trips and by what Python does for each statement, not by what they do
there.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol, TypeAlias, cast

import msgspec
import psycopg
from psycopg.rows import dict_row
from sqlalchemy import ClauseElement, CursorResult, Delete, Dialect, Executable, Insert, Update
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.compiler import SQLCompiler

from adapters.postgres.errors import is_out_of_step
from adapters.postgres.mapping import Stored

STATEMENTS_MAX: Final = 1_000
"""How many compiled statements are kept; there are some dozens."""

# SQLAlchemy leaves the dialect's own constructor without types.
_DIALECT: Final[Dialect] = dialect()  # type: ignore[no-untyped-call]

Row: TypeAlias = Stored
Step: TypeAlias = tuple[Executable, Mapping[str, object]]
"""A statement and its parameters."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a statement brought: its rows, and how many it read or wrote."""

    rows: Sequence[Row]
    count: int


class Runner(Protocol):
    """Runs statements and returns what each brought; raises what the driver raises."""

    async def look(self, first: Sequence[Step], then: Sequence[Step]) -> Sequence[Done]:
        """Read: each of `first` in its turn, then all of `then`, which see what the locks of the first ones keep.

        What `then` brings are texts, numbers and truth values only: it may come as JSON.
        """
        ...

    async def write(self, steps: Sequence[Step], *, in_turn: bool) -> Sequence[Done]:
        """Write: all at once, none seeing what another does, or `in_turn`, each seeing what was done before."""
        ...


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement as the driver takes it, and the values that are part of it."""

    sql: bytes
    constants: Mapping[str, object]


Said: TypeAlias = tuple[Compiled, Mapping[str, object]]
"""A statement as it is said to the server, with its parameters."""


@lru_cache(maxsize=STATEMENTS_MAX)
def compiled(statement: Executable) -> Compiled:
    """Return a statement as the driver takes it."""
    clause = cast(ClauseElement, statement)
    made = cast(SQLCompiler, clause.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True}))
    given = {name for name, parameter in made.binds.items() if parameter.required}
    constants = {name: value for name, value in made.params.items() if name not in given}
    return Compiled(str(made).encode(), constants)


_NAMED: Final = re.compile(r"%\((\w+)\)s")


@lru_cache(maxsize=STATEMENTS_MAX)
def _together(statements: tuple[Executable, ...]) -> Compiled:
    """Return one statement for several that look, or several that write, with the parameters of each under its number.

    It brings one row: of each that looks its rows as JSON, of each that writes how many it wrote.
    """
    parts = [compiled(statement) for statement in statements]
    numbered = [(f"s{number}", part) for number, part in enumerate(parts)]
    constants = {f"{name}_{key}": value for name, part in numbered for key, value in part.constants.items()}
    said = [(name, _NAMED.sub(rf"%({name}_\1)s", part.sql.decode())) for name, part in numbered]
    # Made of our own statements and numbers alone.
    if all(isinstance(statement, Insert | Update | Delete) for statement in statements):
        done = ", ".join(f"{name} AS ({sql} RETURNING 1)" for name, sql in said)
        counts = ", ".join(f"(SELECT count(*) FROM {name}) AS {name}" for name, _ in said)  # noqa: S608
        return Compiled(f"WITH {done} SELECT {counts}".encode(), constants)
    found = (f"(SELECT coalesce(json_agg(one), '[]') FROM ({sql}) AS one) AS {name}" for name, sql in said)  # noqa: S608
    return Compiled(f"SELECT {', '.join(found)}".encode(), constants)


class Driver:
    """A driver's connection, for as long as the block of `driver_of` lasts; a `Runner`.

    What Python does for each statement, and each round trip, costs more than what most statements do.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection: Final = connection
        self._is_out_of_step = False

    @property
    def is_lost(self) -> bool:
        """Whether the connection ended or is of no use, and nobody knows what became of the last thing said on it."""
        return self._connection.closed or self._is_out_of_step

    async def look(self, first: Sequence[Step], then: Sequence[Step]) -> Sequence[Done]:
        """Read in one round trip; see `Runner`."""
        said = [(compiled(statement), parameters) for statement, parameters in first]
        if len(then) > 1:
            said.append(_all_of(then))
        else:
            said.extend((compiled(statement), parameters) for statement, parameters in then)
        done = await self._say(said)
        if len(then) > 1:
            (row,) = done.pop().rows
            for number in range(len(then)):
                rows: list[Row] = row[f"s{number}"]
                done.append(Done(rows, len(rows)))
        return done

    async def write(self, steps: Sequence[Step], *, in_turn: bool) -> Sequence[Done]:
        """Write in one round trip; see `Runner`."""
        if in_turn or len(steps) < 2:
            return await self._say([(compiled(statement), parameters) for statement, parameters in steps])
        (done,) = await self._say([_all_of(steps)])
        return [Done((), done.rows[0][f"s{number}"]) for number in range(len(steps))]

    async def _say(self, said: Sequence[Said]) -> list[Done]:
        with self._noting():
            if len(said) == 1:
                cursors = [await self._execute(*said[0])]
            else:
                async with self._connection.pipeline():
                    cursors = [await self._execute(*each) for each in said]
            return [
                Done(await cursor.fetchall() if cursor.description is not None else (), cursor.rowcount)
                for cursor in cursors
            ]

    async def _execute(self, made: Compiled, parameters: Mapping[str, object]) -> psycopg.AsyncCursor[dict[str, Any]]:
        cursor = self._connection.cursor(row_factory=dict_row)
        await cursor.execute(made.sql, {**made.constants, **parameters})
        return cursor

    async def commit(self) -> None:
        """Commit."""
        with self._noting():
            await self._connection.commit()

    @contextmanager
    def _noting(self) -> Generator[None]:
        try:
            yield
        except psycopg.Error as error:
            self._is_out_of_step = self._is_out_of_step or is_out_of_step(error)
            raise


def _all_of(steps: Sequence[Step]) -> Said:
    given = {f"s{number}_{name}": value for number, (_, named) in enumerate(steps) for name, value in named.items()}
    return _together(tuple(statement for statement, _ in steps)), given


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


class OnConnection:
    """Runs statements one after another on a caller's connection, whatever its driver, within its transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection: Final = connection

    async def look(self, first: Sequence[Step], then: Sequence[Step]) -> Sequence[Done]:
        """Read; see `Runner`."""
        return [await self._run(*step) for step in (*first, *then)]

    async def write(self, steps: Sequence[Step], *, in_turn: bool) -> Sequence[Done]:  # noqa: ARG002 - always
        """Write; see `Runner`. What may be written at once may as well be in turn."""
        return [await self._run(*step) for step in steps]

    async def _run(self, statement: Executable, parameters: Mapping[str, object]) -> Done:
        answer = await self._connection.execute(statement, dict(parameters), execution_options=_COUNTED)
        result = cast("CursorResult[Any]", answer)
        return Done(result.mappings().all() if result.returns_rows else (), result.rowcount)


_encode: Final = msgspec.json.Encoder().encode


def document(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows as the JSON text of which `statements.given_rows` makes a table: one value however many they are.

    Raises UnicodeEncodeError for text that no database in UTF-8 can hold.
    """
    return _encode(rows).decode()
