"""Slices of lists: rows beyond a key, found in an index, never counted and never skipped over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeAlias, TypeVar

from sqlalchemy import Column, ColumnElement, FromClause, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.mapping import Kind
from payments_core.page import Position, Slice
from payments_core.ports import Window

T = TypeVar("T")

SCAN_ROWS_MAX: Final = 10_000
"""How many rows a filter without an index may look at for one slice."""

Filter: TypeAlias = Callable[[FromClause], ColumnElement[bool]]
"""A condition on the rows of a table, or of a part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T]):
    """A list: what an index finds (`within`, in the order of `key`), and what has to be looked at row by row."""

    kind: Kind[T]
    key: Column[Any]
    within: Sequence[ColumnElement[bool]]
    filters: Sequence[Filter] = ()
    newest_first: bool = True
    scan_rows_max: int = SCAN_ROWS_MAX


async def read_slice(connection: AsyncConnection, listing: Listing[T], window: Window) -> Slice[T]:
    """Return at most `window.limit` items next to its position, and the keys to read on from."""
    backwards = window.position is not None and window.position.backwards
    looked_at = _beyond(listing, window.position, ascending=backwards == listing.newest_first)
    rows = (await connection.execute(_matching(listing, looked_at, window.limit + 1))).mappings().all()
    more, found = len(rows) > window.limit, rows[: window.limit]
    keys = [str(row[listing.key.name]) for row in found]
    first, last = (keys[0], keys[-1]) if keys else (None, None)
    onward = last if more else None
    if not more and listing.filters:
        onward = await _key_at(connection, listing, looked_at, listing.scan_rows_max - 1)
        if onward is not None and first is None:
            first = await _key_at(connection, listing, looked_at, 0)
    items = [listing.kind.of_row(row) for row in found]
    # Behind a position stands at least the row that it names.
    back = first if window.position is not None else None
    if backwards:
        return Slice(items=items[::-1], before=onward, after=back)
    return Slice(items=items, before=back, after=onward)


def _beyond(listing: Listing[T], position: Position | None, *, ascending: bool) -> Select[Any]:
    statement = select(listing.kind.table).where(*listing.within)
    if position is not None:
        key = listing.key.type.python_type(position.key)
        statement = statement.where(listing.key > key if ascending else listing.key < key)
    return statement.order_by(listing.key.asc() if ascending else listing.key.desc())


def _matching(listing: Listing[T], looked_at: Select[Any], limit: int) -> Select[Any]:
    if not listing.filters:
        return looked_at.limit(limit)
    scanned = looked_at.limit(listing.scan_rows_max).subquery("scanned")
    # The order is the subquery's; to ask for it again would cost nothing but could be got wrong.
    return select(scanned).where(*(filter(scanned) for filter in listing.filters)).limit(limit)


async def _key_at(connection: AsyncConnection, listing: Listing[T], looked_at: Select[Any], offset: int) -> str | None:
    """Return the key of a row that was looked at, by its place, if so many were."""
    key = await connection.scalar(looked_at.with_only_columns(listing.key).offset(offset).limit(1))
    return None if key is None else str(key)
