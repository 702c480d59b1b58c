"""The search among transactions, as filters that look at rows: what `payments_core.search` says, said to the database.

Metadata is long, and most of it matches nothing: it is taken apart only where the text of its JSON, as it was written
here (`payments_core.values.encode_json`), has in it what would have to be there.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, FromClause, Text, case, cast, collate, exists, false, func, literal, or_
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.column_types import is_storable
from adapters.postgres.keyset import Filter, Listing, read_slice
from payments_core.page import Position, Slice
from payments_core.ports import Window
from payments_core.search import folded
from payments_core.values import Json, encode_json

FIRST_ROWS: Final = 250
"""How many rows a search looks at before it knows how fast it is, each with up to 8 kB of metadata."""
GROWTH_MAX: Final = 4
"""By how many times as many rows the next look may be larger than the one before: the next rows may be longer ones."""
SEARCH_SECONDS: Final = 0.025
"""How long a search may look for one slice, about: what is left is for the next."""
T = TypeVar("T")

_TEXTS: Final = ("description", "reference", "customer_reference", "gateway_reference")


def contains(text: str) -> Filter:
    """Return the condition that a transaction has the text in it (`payments_core.search.holds`)."""
    if not is_storable(text):
        return lambda _: false()
    wanted = folded(text).decode()
    written = folded(_written(text)[1:-1]).decode()

    def condition(rows: FromClause) -> ColumnElement[bool]:
        entries = func.json_each_text(rows.c.metadata).table_valued("key", "value")
        in_entry = or_(_has(_folded(entries.c.key), wanted), _has(_folded(entries.c.value), wanted))
        return or_(
            *(_has(_folded(rows.c[name]), wanted) for name in _TEXTS),
            case(
                (_has(_folded(_text_of(rows)), written), exists().select_from(entries).where(in_entry)), else_=false()
            ),
        )

    return condition


def has_entry(key: str, value: str) -> Filter:
    """Return the condition that a transaction's metadata has this entry."""
    if not is_storable(key + value):
        return lambda _: false()
    written = _written({key: value})[1:-1]

    def condition(rows: FromClause) -> ColumnElement[bool]:
        same = rows.c.metadata.op("->>")(literal(key, Text)) == literal(value, Text)
        return case((_has(collate(_text_of(rows), "C"), written), func.coalesce(same, false())), else_=false())

    return condition


async def read_searched(connection: AsyncConnection, listing: Listing[T], window: Window) -> Slice[T]:
    """Return what `read_slice` does, from as many rows as SEARCH_SECONDS suffice for, at most the listing's.

    A slice that is cut short by time is one of those that are cut short: there is a key to read on from.
    """
    backwards = window.position is not None and window.position.backwards
    began, looked_at, rows, position = time.monotonic(), 0, FIRST_ROWS, window.position
    items: list[T] = []
    near: str | None = None
    while True:
        part = await read_slice(
            connection,
            replace(listing, scan_rows_max=rows),
            Window(limit=window.limit - len(items), position=position),
        )
        if looked_at == 0:
            near = part.after if backwards else part.before
        items = [*part.items, *items] if backwards else [*items, *part.items]
        onward = part.before if backwards else part.after
        looked_at += rows
        rows = _next_rows(rows, looked_at, time.monotonic() - began, listing.scan_rows_max)
        if onward is None or len(items) == window.limit or rows < FIRST_ROWS:
            break
        position = Position(key=onward, backwards=backwards)
    near = near if items or onward is not None else None
    return Slice(items=items, before=onward, after=near) if backwards else Slice(items=items, before=near, after=onward)


def _next_rows(before: int, looked_at: int, seconds: float, rows_max: int) -> int:
    """Return how many rows there is time for, as fast as it went until now."""
    in_time = int((SEARCH_SECONDS - seconds) * looked_at / max(seconds, 1e-6))
    return min(in_time, before * GROWTH_MAX, rows_max - looked_at)


def _written(value: Json) -> str:
    return encode_json(value).decode()


def _text_of(rows: FromClause) -> ColumnElement[str]:
    return cast(rows.c.metadata, Text)


def _folded(text: ColumnElement[str]) -> ColumnElement[str]:
    # By the rules of "C" the letters of ASCII are all that have a lower case.
    return func.lower(collate(text, "C"))


def _has(text: ColumnElement[str], part: str) -> ColumnElement[bool]:
    return func.strpos(text, literal(part, Text)) > 0
