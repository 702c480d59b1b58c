"""What merchants have, for staff: of all of them and in both modes, the newest first.

Over all merchants a list goes by an index of its own (`tables.overall`). A merchant's own is read mode by mode, by the
indices that the merchant's lists have, and put together. Secrets stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from sqlalchemy import ColumnElement, Integer, Table, Text, any_, cast, collate, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres import tables
from adapters.postgres.column_types import is_storable
from adapters.postgres.errors import NOTHING, translated
from adapters.postgres.keyset import Filter, Listing, Place, Shown, read_slice
from adapters.postgres.mapping import Kinds, Stored
from adapters.postgres.views import (
    overall_place,
    own,
    read_transactions,
    transaction_listing,
    transactions_of_all,
)
from payments_core.errors import NotFound
from payments_core.ids import MerchantId, time_at
from payments_core.merchant import PaymentKey
from payments_core.overall import EndpointSeen, Found, RecordFilter, RecordSeen, ThingKind, kind_of, record_position
from payments_core.page import Slice
from payments_core.ports import TransactionFilter, Window
from payments_core.refund import Refund
from payments_core.transaction import Transaction


class Identified(Protocol):
    """What has an id."""

    @property
    def id(self) -> str: ...


T = TypeVar("T")
I = TypeVar("I", bound=Identified)  # noqa: E741 - for Identified

MODES: Final = (False, True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Generic[T]):
    """Some columns of a table, as they are shown."""

    table: Table
    of_row: Callable[[Stored], T]


class PostgresOverall:
    """Lists over all merchants; see `payments_core.ports.Oversight`."""

    def __init__(self, single: AsyncEngine, kinds: Kinds) -> None:
        self._single: Final = single
        self._kinds: Final = kinds

    async def transactions(
        self, window: Window, filter: TransactionFilter, merchant: MerchantId | None, /
    ) -> Slice[Transaction]:
        """List transactions, of a merchant or of everybody."""
        kinds = self._kinds
        listings = (
            [transactions_of_all(kinds, filter)]
            if merchant is None
            else [transaction_listing(kinds, filter, merchant, livemode) for livemode in MODES]
        )
        with translated():
            async with self._single.connect() as connection:
                return merged(
                    [await read_transactions(connection, listing, filter, window) for listing in listings], window
                )

    async def refunds(self, window: Window, merchant: MerchantId | None, /) -> Slice[Refund]:
        """List refunds, of a merchant or of everybody."""
        return await self._latest(self._kinds.refunds, window, merchant)

    async def payment_keys(self, window: Window, merchant: MerchantId | None, /) -> Slice[PaymentKey]:
        """List payment keys, of a merchant or of everybody."""
        return await self._latest(self._kinds.payment_keys, window, merchant)

    async def endpoints(self, window: Window, merchant: MerchantId | None, /) -> Slice[EndpointSeen]:
        """List endpoints, removed ones included, of a merchant or of everybody."""
        return await self._latest(Part(table=tables.endpoints, of_row=_endpoint_seen), window, merchant)

    async def idempotency_records(self, window: Window, filter: RecordFilter, /) -> Slice[RecordSeen]:
        """List idempotency records."""
        with translated():
            async with self._single.connect() as connection:
                return await read_slice(connection, _record_listing(filter), window)

    async def find(self, id: str, /) -> Found:
        """Say whose an id is, or raise NotFound."""
        kind = kind_of(id)
        if kind is None or not is_storable(id):
            raise NotFound(NOTHING)
        with translated():
            async with self._single.connect() as connection:
                return await _find(connection, kind, id)

    async def _latest(self, kind: Shown[I], window: Window, merchant: MerchantId | None) -> Slice[I]:
        table = kind.table
        listings = (
            [Listing(kind=kind, key=table.c.id, place=overall_place(table), within=[])]
            if merchant is None
            else [Listing(kind=kind, key=table.c.id, within=own(table, merchant, livemode)) for livemode in MODES]
        )
        with translated():
            async with self._single.connect() as connection:
                return merged([await read_slice(connection, listing, window) for listing in listings], window)


def merged(parts: Sequence[Slice[I]], window: Window) -> Slice[I]:
    """Make of slices of lists, newest first, the slice that one list of all of them would give.

    Where a part was cut short nothing beyond that is told of the others.
    """
    backwards = window.position is not None and window.position.backwards
    nearest = min if backwards else max
    onwards = [part.before if backwards else part.after for part in parts]
    reached = nearest((key for key in onwards if key is not None), default=None)
    items = [
        one
        for part in parts
        for one in part.items
        if reached is None or (one.id <= reached if backwards else one.id >= reached)
    ]
    items.sort(key=lambda one: one.id, reverse=not backwards)
    found = items[: window.limit]
    onward = found[-1].id if len(items) > window.limit else reached
    begun = [part.after if backwards else part.before for part in parts]
    back = found[0].id if found else nearest((key for key in begun if key is not None), default=None)
    if window.position is None or (not found and onward is None):
        back = None
    if backwards:
        return Slice(items=found[::-1], before=onward, after=back)
    return Slice(items=found, before=back, after=onward)


def of_anybody(table: Table) -> ColumnElement[bool]:
    """Have rows be looked for at each merchant, by an index that begins with one."""
    every = func.array(select(tables.merchants.c.id).scalar_subquery())
    return table.c.merchant_id == any_(every)


async def _find(connection: AsyncConnection, kind: ThingKind, id: str) -> Found:
    if kind is ThingKind.MERCHANT:
        found = select(tables.merchants.c.id.label("merchant_id")).where(tables.merchants.c.id == id)
    else:
        table, conditions = _place_of(kind, id)
        found = select(table.c.merchant_id, table.c.livemode).where(*conditions)
    row = (await connection.execute(found)).mappings().first()
    if row is None:
        raise NotFound(NOTHING)
    return Found(id=id, kind=kind, merchant=MerchantId(row["merchant_id"]), livemode=row.get("livemode"))


def _place_of(kind: ThingKind, id: str) -> tuple[Table, Sequence[ColumnElement[bool]]]:
    """Return where an id of this kind is, and how it is found among all merchants'."""
    match kind:
        case ThingKind.ATTEMPT:
            return tables.attempts, [tables.attempts.c.id == id]
        case ThingKind.JOB | ThingKind.EVENT:
            table = tables.jobs if kind is ThingKind.JOB else tables.events
            return table, [of_anybody(table), table.c.id == id]
        case _:
            table = _OVERALL[kind]
            return table, [tables.overall(table) == id]


_OVERALL: Final = {
    ThingKind.TRANSACTION: tables.transactions,
    ThingKind.REFUND: tables.refunds,
    ThingKind.PAYMENT_KEY: tables.payment_keys,
    ThingKind.ENDPOINT: tables.endpoints,
}


def _record_listing(filter: RecordFilter) -> Listing[RecordSeen]:
    """Return the records, by when they expire, which they do so long after they were made.

    There is an index by that time, which a merchant's records are looked for in; a key is looked for at each merchant.
    """
    table = tables.idempotency_records
    columns = table.c
    within: list[ColumnElement[bool]] = []
    filters: list[Filter] = []
    if filter.key is not None:
        whose = of_anybody(table) if filter.merchant is None else columns.merchant_id == filter.merchant
        within = [whose, columns.livemode.in_(MODES), columns.key == filter.key]
    elif filter.merchant is not None:
        merchant = filter.merchant
        filters = [lambda rows: rows.c.merchant_id == merchant]
    return Listing(
        kind=Part(table=table, of_row=_record_seen),
        key=columns.key,
        place=Place(
            by=[columns.expires_at, _record_digest()],
            columns=[columns.merchant_id, columns.livemode, columns.key, columns.expires_at],
            key_of=lambda row: record_position(row["merchant_id"], row["livemode"], row["key"], row["expires_at"]),
            values_of=_record_place,
        ),
        within=within,
        filters=filters,
    )


def _record_digest() -> ColumnElement[str]:
    """Return `payments_core.overall.record_digest`, computed by the database."""
    columns = tables.idempotency_records.c
    mode = cast(cast(columns.livemode, Integer), Text)
    text = columns.merchant_id.concat(literal("/")).concat(mode).concat(literal("/")).concat(columns.key)
    return collate(func.md5(text), "C")


def _record_place(key: str) -> Sequence[Any]:
    at, _, digest = key.partition("-")
    return [time_at(int(at)), digest]


def _endpoint_seen(row: Stored) -> EndpointSeen:
    return EndpointSeen(
        id=row["id"],
        merchant=row["merchant_id"],
        livemode=row["livemode"],
        url=row["url"],
        events=tuple(row["events"]),
        description=row["description"],
        enabled=row["enabled"],
        created_at=row["created_at"],
        failing_since=row["failing_since"],
        removed_at=row["removed_at"],
    )


def _record_seen(row: Stored) -> RecordSeen:
    return RecordSeen(
        merchant=row["merchant_id"],
        livemode=row["livemode"],
        key=row["key"],
        route=row["route"],
        status=row["status"],
        resource=row["resource"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )
