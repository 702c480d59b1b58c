"""Slices of lists: rows beyond a key, found in an index, never counted and never skipped over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from sqlalchemy import Column, ColumnElement, FromClause, Select, Table, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.mapping import Stored
from payments_core.page import Position, Slice
from payments_core.ports import Window

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

SCAN_ROWS_MAX: Final = 10_000
"""How many rows a filter without an index may look at for one slice."""
SEPARATOR: Final = "/"

Filter: TypeAlias = Callable[[FromClause], ColumnElement[bool]]
"""A condition on the rows of a table, or of a part of it."""


class Shown(Protocol[T_co]):
    """What rows are shown as: a `Kind`, or less of it."""

    @property
    def table(self) -> Table: ...
    @property
    def of_row(self) -> Callable[[Stored], T_co]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How a list is ordered where that is not by columns, and what the keys of its slices are then.

    `by` is what it is ordered by; `key_of` makes a key of a row's `columns`, `values_of` makes of a key what `by` is
    compared with.
    """

    by: Sequence[ColumnElement[Any]]
    columns: Sequence[Column[Any]]
    key_of: Callable[[Stored], str]
    values_of: Callable[[str], Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T]):
    """A list: what an index finds (`within`, in the order of `key`), and what has to be looked at row by row.

    A list over all merchants is in the order of `group` first, and its keys are both values with SEPARATOR between; or
    in the order that `place` says.
    """

    kind: Shown[T]
    key: Column[Any]
    within: Sequence[ColumnElement[bool]]
    filters: Sequence[Filter] = ()
    newest_first: bool = True
    scan_rows_max: int = SCAN_ROWS_MAX
    group: Column[Any] | None = None
    place: Place | None = None

    def placed(self) -> Place:
        """Return how the list is ordered."""
        if self.place is not None:
            return self.place
        columns = (self.key,) if self.group is None else (self.group, self.key)

        def values_of(key: str) -> Sequence[Any]:
            texts = [key] if self.group is None else key.split(SEPARATOR)
            return [column.type.python_type(text) for column, text in zip(columns, texts, strict=True)]

        def key_of(row: Stored) -> str:
            return SEPARATOR.join(str(row[column.name]) for column in columns)

        return Place(by=columns, columns=columns, key_of=key_of, values_of=values_of)


async def read_slice(connection: AsyncConnection, listing: Listing[T], window: Window) -> Slice[T]:
    """Return at most `window.limit` items next to its position, and the keys to read on from."""
    place, backwards = listing.placed(), window.position is not None and window.position.backwards
    looked_at = _beyond(listing, place, window.position, ascending=backwards == listing.newest_first)
    rows = (await connection.execute(_matching(listing, looked_at, window.limit + 1))).mappings().all()
    more, found = len(rows) > window.limit, rows[: window.limit]
    first, last = (place.key_of(found[0]), place.key_of(found[-1])) if found else (None, None)
    onward = last if more else None
    if not more and listing.filters:
        onward = await _key_at(connection, place, looked_at, listing.scan_rows_max - 1)
        if onward is not None and first is None:
            first = await _key_at(connection, place, looked_at, 0)
    items = [listing.kind.of_row(row) for row in found]
    # Behind a position stands at least the row that it names.
    back = first if window.position is not None else None
    if backwards:
        return Slice(items=items[::-1], before=onward, after=back)
    return Slice(items=items, before=back, after=onward)


def _beyond(listing: Listing[T], place: Place, position: Position | None, *, ascending: bool) -> Select[Any]:
    statement = select(listing.kind.table).where(*listing.within)
    if position is not None:
        here, given = tuple_(*place.by), tuple_(*place.values_of(position.key))
        statement = statement.where(here > given if ascending else here < given)
    return statement.order_by(*(each.asc() if ascending else each.desc() for each in place.by))


def _matching(listing: Listing[T], looked_at: Select[Any], limit: int) -> Select[Any]:
    if not listing.filters:
        return looked_at.limit(limit)
    scanned = looked_at.limit(listing.scan_rows_max).subquery("scanned")
    # The order is the subquery's; to ask for it again would cost nothing but could be got wrong.
    return select(scanned).where(*(filter(scanned) for filter in listing.filters)).limit(limit)


async def _key_at(connection: AsyncConnection, place: Place, looked_at: Select[Any], offset: int) -> str | None:
    """Return the key of a row that was looked at, by its place, if so many were."""
    rows = await connection.execute(looked_at.with_only_columns(*place.columns).offset(offset).limit(1))
    row = rows.mappings().first()
    return None if row is None else place.key_of(row)
