"""Reads of rows by their keys, those of one moment together: one statement for each kind of look-up, one round trip.

Each answers what was committed when it was asked for: what is asked while a round trip is under way waits for the next.
Who asks alone waits for nobody, and who stops waiting stops nobody else's look-up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from sqlalchemy import Executable, Table, select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.errors import translated
from adapters.postgres.running import Row, Runner, document, driver_of
from adapters.postgres.statements import ROWS, given_rows, matching
from payments_core.gathered import Gathered

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
    return select(table).join_from(rows, table, matching(table, rows, names))


def is_storable(key: Key) -> bool:
    """Say whether Postgres can hold these values at all: otherwise there is nothing under them."""
    return not any(isinstance(value, str) and _NEVER_STORED.search(value) for value in key)


async def look_up(runner: Runner, wanted: Mapping[By, Sequence[Key]]) -> Mapping[tuple[By, Key], list[Row]]:
    """Return the rows under each key, none for one that is not there."""
    found: dict[tuple[By, Key], list[Row]] = {}
    steps = [
        (_statement(by), {ROWS: document([dict(zip(by[1], key, strict=True)) for key in keys])})
        for by, keys in wanted.items()
    ]
    for by, done in zip(wanted, await runner.look(steps, ()), strict=True):
        for row in done.rows:
            found.setdefault((by, tuple(row[name] for name in by[1])), []).append(row)
    return found


async def look_up_one(runner: Runner, by: By, key: Key) -> Sequence[Row]:
    """Return the rows under one key."""
    if not is_storable(key):
        return ()
    return (await look_up(runner, {by: [key]})).get((by, key), ())


class Lookups:
    """Gathers look-ups of one process; `single` is an engine whose statements stand alone."""

    def __init__(self, single: AsyncEngine) -> None:
        self._single: Final = single
        self._gathered: Final = Gathered(self._look_up, keys_max=KEYS_MAX)

    async def rows(self, by: By, key: Key) -> Sequence[Row]:
        """Return the rows of `by`'s table under a key. Raises Unavailable."""
        if not is_storable(key):
            return ()
        return await self._gathered.get((by, key)) or ()

    async def _look_up(self, asked: Sequence[tuple[By, Key]]) -> Mapping[tuple[By, Key], Sequence[Row]]:
        wanted: dict[By, list[Key]] = {}
        for by, key in asked:
            wanted.setdefault(by, []).append(key)
        with translated():
            async with driver_of(self._single) as driver:
                return await look_up(driver, wanted)
