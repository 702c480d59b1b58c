"""Reads of rows by their keys, those of one moment together: one statement for each kind of look-up, one round trip.

Each answers what was committed when it was asked for: what is asked while a round trip is under way waits for the next.
Who asks alone waits for nobody, and who stops waiting stops nobody else's look-up.
"""

from __future__ import annotations

import asyncio
import contextvars
import re
from collections.abc import Mapping, Sequence
from copy import copy
from functools import lru_cache
from itertools import islice
from typing import Final, TypeAlias

from sqlalchemy import Executable, Table, and_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.errors import translated
from adapters.postgres.running import Row, Run, document, driver_of
from adapters.postgres.statements import ROWS, given_rows

KEYS_MAX: Final = 500
"""Keys looked up in one round trip."""

By: TypeAlias = tuple[Table, tuple[str, ...]]
"""A kind of look-up: the table, and the columns that are equal to a key's values."""
Key: TypeAlias = tuple[object, ...]

_NEVER_STORED: Final = re.compile("[\0\ud800-\udfff]")
"""NUL, and halves of surrogate pairs, which UTF-8 has no bytes for: Postgres has neither in any text."""


@lru_cache
def _statement(by: By) -> Executable:
    table, names = by
    rows = given_rows([table.c[name] for name in names])
    # The key is made of the rows' own values: a column that ignored case, say, would be found under another.
    same = and_(*(table.c[name] == rows.c[name] for name in names))
    return select(table).join_from(rows, table, same)


def _is_storable(key: Key) -> bool:
    return not any(isinstance(value, str) and _NEVER_STORED.search(value) for value in key)


async def look_up(run: Run, wanted: Mapping[By, Sequence[Key]]) -> Mapping[tuple[By, Key], list[Row]]:
    """Return the rows under each key, none for one that is not there."""
    found: dict[tuple[By, Key], list[Row]] = {}
    steps = [
        (_statement(by), {ROWS: document([dict(zip(by[1], key, strict=True)) for key in keys])})
        for by, keys in wanted.items()
    ]
    for by, done in zip(wanted, await run(*steps), strict=True):
        for row in done.rows:
            found.setdefault((by, tuple(row[name] for name in by[1])), []).append(row)
    return found


async def look_up_one(run: Run, by: By, key: Key) -> Sequence[Row]:
    """Return the rows under one key."""
    if not _is_storable(key):
        return ()
    return (await look_up(run, {by: [key]})).get((by, key), ())


class Lookups:
    """Gathers look-ups of one process; `single` is an engine whose statements stand alone."""

    def __init__(self, single: AsyncEngine) -> None:
        self._single: Final = single
        self._waiting: dict[tuple[By, Key], list[asyncio.Future[Sequence[Row]]]] = {}
        self._running: asyncio.Task[None] | None = None

    async def rows(self, by: By, key: Key) -> Sequence[Row]:
        """Return the rows of `by`'s table under a key. Raises Unavailable."""
        if not _is_storable(key):
            return ()
        answer: asyncio.Future[Sequence[Row]] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault((by, key), []).append(answer)
        if self._running is None:
            # In no request's context, as it looks up for all.
            self._running = asyncio.create_task(self._run(), context=contextvars.Context())
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                taken = {one: self._waiting.pop(one) for one in list(islice(self._waiting, KEYS_MAX))}
                found = await self._found(list(taken))
                for one, answers in taken.items():
                    for answer in answers:
                        _tell(answer, found if isinstance(found, Exception) else found.get(one, ()))
        finally:
            self._running = None

    async def _found(self, asked: Sequence[tuple[By, Key]]) -> Mapping[tuple[By, Key], Sequence[Row]] | Exception:
        wanted: dict[By, list[Key]] = {}
        for by, key in asked:
            wanted.setdefault(by, []).append(key)
        try:
            with translated():
                async with driver_of(self._single) as driver:
                    return await look_up(driver.run, wanted)
        except Exception as error:
            return error


def _tell(answer: asyncio.Future[Sequence[Row]], found: Sequence[Row] | Exception) -> None:
    """Give the answer to who still waits; an error to each its own, as each adds to its trace."""
    if answer.done():
        return
    if isinstance(found, Exception):
        answer.set_exception(copy(found))
    else:
        answer.set_result(found)
