"""Views: one merchant in one mode as of one moment."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from typing import Final, TypeGuard, TypeVar

from sqlalchemy import ColumnElement, Table, Text, and_, func, lateral, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres import search, stories, tables
from adapters.postgres.column_types import is_storable
from adapters.postgres.errors import NOTHING, translated
from adapters.postgres.keyset import Filter, Listing, Place, read_slice
from adapters.postgres.mapping import Kind, Kinds
from adapters.postgres.overview import read_endpoints_health, read_totals, read_waiting
from adapters.postgres.statements import given
from payments_core.attempt import Attempt
from payments_core.audit import AuditEntry
from payments_core.errors import NotFound
from payments_core.event import Event
from payments_core.idempotency import Record
from payments_core.ids import (
    ApiKeyId,
    DeliveryId,
    EndpointId,
    EventId,
    MerchantId,
    PaymentKeyId,
    RefundId,
    TransactionId,
    lowest_id,
)
from payments_core.merchant import ApiKey, Merchant, PaymentKey
from payments_core.overview import EndpointHealth, Waiting
from payments_core.page import Slice
from payments_core.ports import AuditFilter, DeliveryFilter, EventFilter, TransactionFilter, Window
from payments_core.refund import Refund
from payments_core.search import names_refund, names_transaction
from payments_core.totals import DayTotals
from payments_core.transaction import Transaction
from payments_core.webhook import Delivery, Endpoint

T = TypeVar("T")

SKEW_MAX: Final = timedelta(hours=1)
"""By how much clocks of processes, and the time from an event to its commit, may differ at most."""
POSITION_MAX: Final = 2**63 - 1
_MICROSECOND: Final = timedelta(microseconds=1)


class PostgresView:
    """One snapshot: a transaction that is repeatable and only reads."""

    def __init__(
        self, connection: AsyncConnection, kinds: Kinds, merchant: MerchantId, livemode: bool, revision: int
    ) -> None:
        self._connection: Final = connection
        self._kinds: Final = kinds
        self._merchant: Final = merchant
        self._livemode: Final = livemode
        self.revision: Final = revision

    # ── one thing

    async def merchant(self) -> Merchant:
        """Return the merchant."""
        return await self._one(self._kinds.merchants, tables.merchants.c.id == self._merchant)

    async def transaction(self, id: TransactionId, /) -> Transaction:
        """Return the transaction, or raise NotFound."""
        return await self._by_id(self._kinds.transactions, id)

    async def refund(self, id: RefundId, /) -> Refund:
        """Return the refund, or raise NotFound."""
        return await self._by_id(self._kinds.refunds, id)

    async def payment_key(self, id: PaymentKeyId, /) -> PaymentKey:
        """Return the payment key, active or not, or raise NotFound."""
        return await self._by_id(self._kinds.payment_keys, id)

    async def api_key(self, id: ApiKeyId, /) -> ApiKey:
        """Return the key of this mode, or raise NotFound; a revoked one is not found."""
        key = await self._by_id(self._kinds.api_keys, id)
        if key.revoked_at is not None:
            raise NotFound(NOTHING)
        return key

    async def endpoint(self, id: EndpointId, /) -> Endpoint:
        """Return the endpoint, or raise NotFound; a removed one is not found."""
        endpoint = await self._by_id(self._kinds.endpoints, id)
        if endpoint.removed_at is not None:
            raise NotFound(NOTHING)
        return endpoint

    async def event(self, id: EventId, /) -> Event:
        """Return the event, or raise NotFound."""
        return await self._by_id(self._kinds.events, id)

    async def delivery(self, endpoint: EndpointId, id: DeliveryId, /) -> Delivery:
        """Return the endpoint's delivery, or raise NotFound."""
        columns = tables.deliveries.c
        own = self._own(tables.deliveries)
        return await self._one(self._kinds.deliveries, *own, columns.endpoint_id == endpoint, columns.id == id)

    async def record(self, key: str, /, *, at: datetime) -> Record:
        """Return what an idempotency key did, or raise NotFound."""
        columns = tables.idempotency_records.c
        return await self._one(
            self._kinds.records, *self._own(tables.idempotency_records), columns.key == key, columns.expires_at > at
        )

    # ── what belongs to one transaction

    async def attempts_of(self, transaction: TransactionId, /) -> Sequence[Attempt]:
        """Return the attempts for a transaction and its refunds, the oldest first."""
        return await self._story(stories.read_attempts, transaction)

    async def deliveries_of(self, transaction: TransactionId, /) -> Sequence[Delivery]:
        """Return the latest deliveries of a transaction's events, the oldest event first."""
        return await self._story(stories.read_deliveries, transaction)

    # ── lists

    async def transactions(self, window: Window, filter: TransactionFilter, /) -> Slice[Transaction]:
        """List transactions, newest first."""
        with translated():
            return await read_transactions(
                self._connection,
                transaction_listing(self._kinds, filter, self._merchant, self._livemode),
                filter,
                window,
            )

    async def refunds(self, window: Window, transaction: TransactionId | None, /) -> Slice[Refund]:
        """List refunds, newest first."""
        columns = tables.refunds.c
        within = [*self._own(tables.refunds)]
        if transaction is not None:
            within.append(columns.transaction_id == transaction)
        return await self._slice(Listing(kind=self._kinds.refunds, key=columns.id, within=within), window)

    async def refunds_of(
        self, transactions: Sequence[TransactionId], /, *, limit_each: int
    ) -> Mapping[TransactionId, Sequence[Refund]]:
        """Return the latest refunds of each, the newest first."""
        if not transactions:
            return {}
        asked = given("asked", transaction_id=Text)
        columns = tables.refunds.c
        latest = lateral(
            select(tables.refunds)
            .where(*self._own(tables.refunds), columns.transaction_id == asked.c.transaction_id)
            .order_by(columns.id.desc())
            .limit(limit_each)
        )
        statement = select(latest).select_from(asked.join(latest, true())).order_by(latest.c.id.desc())
        with translated():
            rows = await self._connection.execute(statement, {"asked_transaction_id": list(transactions)})
            refunds = [self._kinds.refunds.of_row(row) for row in rows.mappings()]
        found: dict[TransactionId, list[Refund]] = {id: [] for id in transactions}
        for refund in refunds:
            found[refund.transaction].append(refund)
        return found

    async def payment_keys(self, window: Window, /) -> Slice[PaymentKey]:
        """List payment keys, newest first."""
        table = tables.payment_keys
        return await self._slice(
            Listing(kind=self._kinds.payment_keys, key=table.c.id, within=self._own(table)), window
        )

    async def api_keys(self, window: Window, /) -> Slice[ApiKey]:
        """List the keys of this mode that are not revoked, newest first."""
        table = tables.api_keys
        listing = Listing(
            kind=self._kinds.api_keys,
            key=table.c.id,
            within=self._own(table),
            filters=[lambda keys: keys.c.revoked_at.is_(None)],
        )
        return await self._slice(listing, window)

    async def endpoints(self, window: Window, /) -> Slice[Endpoint]:
        """List endpoints that were not removed, newest first."""
        table = tables.endpoints
        listing = Listing(
            kind=self._kinds.endpoints,
            key=table.c.id,
            within=[*self._own(table), table.c.removed_at.is_(None)],
        )
        return await self._slice(listing, window)

    async def deliveries(self, endpoint: EndpointId, window: Window, filter: DeliveryFilter, /) -> Slice[Delivery]:
        """List an endpoint's deliveries, newest first."""
        table = tables.deliveries
        listing = Listing(
            kind=self._kinds.deliveries,
            key=table.c.id,
            within=[
                table.c.merchant_id == self._merchant,
                table.c.endpoint_id == endpoint,
                # An endpoint has one mode: this passes over all of its deliveries or none.
                table.c.livemode == self._livemode,
            ],
            filters=_equal(status=filter.status, event_type=filter.event_type),
        )
        return await self._slice(listing, window)

    async def events(self, window: Window, filter: EventFilter, /) -> Slice[Event]:
        """List events in the order of their position."""
        table = tables.events
        after, before = filter.created_after, filter.created_before
        within = [*self._own(table), *self._around(after, before)]
        if filter.transaction is not None:
            within.append(table.c.transaction_id == filter.transaction)
        timed: list[Filter] = [lambda events: and_(*_times("evt", events.c.id, after, before))]
        listing = Listing(
            kind=self._kinds.events,
            key=table.c.position,
            within=within,
            filters=_equal(type=filter.type) + (timed if after or before else []),
            newest_first=False,
        )
        return await self._slice(listing, window)

    async def audit(self, window: Window, filter: AuditFilter, /) -> Slice[AuditEntry]:
        """List the entries of this mode and those that concern both, newest first."""
        of_mode: list[Filter] = [
            lambda rows: or_(rows.c.livemode.is_(None), rows.c.livemode == self._livemode),
        ]
        return await self._slice(audit_listing(self._kinds, filter, self._merchant, of_mode), window)

    # ── at a glance

    async def totals(self, first: date, last: date, /) -> Sequence[DayTotals]:
        """Return the totals of these days, both included."""
        with translated():
            return await read_totals(self._connection, self._merchant, self._livemode, first, last)

    async def waiting(self, *, at: datetime) -> Waiting:
        """Count what waits at that time."""
        with translated():
            return await read_waiting(self._connection, self._merchant, self._livemode, at)

    async def endpoints_health(self, *, at: datetime) -> Sequence[EndpointHealth]:
        """Return how each endpoint is, the newest first."""
        with translated():
            kind = self._kinds.endpoints
            return await read_endpoints_health(self._connection, kind, self._merchant, self._livemode, at)

    def _around(self, after: datetime | None, before: datetime | None) -> Iterator[ColumnElement[bool]]:
        """Bound positions by times, roughly: events of nearly one time may have been committed in either order."""
        columns = tables.events.c
        positions = select(columns.position).where(columns.merchant_id == self._merchant).limit(1)
        if after is not None:
            older = positions.where(columns.id < lowest_id("evt", after, shift=-SKEW_MAX)).order_by(columns.id.desc())
            yield columns.position > func.coalesce(older.scalar_subquery(), 0)
        if before is not None:
            newer = positions.where(columns.id >= lowest_id("evt", before, shift=SKEW_MAX)).order_by(columns.id)
            yield columns.position < func.coalesce(newer.scalar_subquery(), POSITION_MAX)

    # ── reading

    def _own(self, table: Table) -> list[ColumnElement[bool]]:
        return own(table, self._merchant, self._livemode)

    async def _by_id(self, kind: Kind[T], id: str) -> T:
        return await self._one(kind, *self._own(kind.table), kind.table.c.id == id)

    async def _one(self, kind: Kind[T], *conditions: ColumnElement[bool]) -> T:
        with translated():
            row = (await self._connection.execute(select(kind.table).where(*conditions))).mappings().first()
        if row is None:
            raise NotFound(NOTHING)
        return kind.of_row(row)

    async def _story(self, read: stories.Read[T], transaction: TransactionId) -> Sequence[T]:
        if not is_storable(transaction):
            return ()
        with translated():
            return await read(self._connection, self._kinds, self._merchant, self._livemode, transaction)

    async def _slice(self, listing: Listing[T], window: Window) -> Slice[T]:
        with translated():
            return await read_slice(self._connection, listing, window)


def own(table: Table, merchant: MerchantId, livemode: bool) -> list[ColumnElement[bool]]:
    """Return the conditions on what is a merchant's in a mode."""
    return [table.c.merchant_id == merchant, table.c.livemode == livemode]


def transaction_listing(
    kinds: Kinds, filter: TransactionFilter, merchant: MerchantId, livemode: bool
) -> Listing[Transaction]:
    """Return the transactions of one merchant in one mode."""
    columns = tables.transactions.c
    indexed = _indexed(filter)
    times = _times("txn", columns.id, filter.created_after, filter.created_before)
    named = _named(filter.text, columns.id, tables.refunds.c.id, own(tables.refunds, merchant, livemode))
    return Listing(
        kind=kinds.transactions,
        key=columns.id,
        # Of two that have an index each, the narrower: both together may match nothing among all there are.
        within=[
            *own(tables.transactions, merchant, livemode),
            *named,
            *(one(tables.transactions) for one in indexed[:1]),
            *times,
        ],
        filters=indexed[1:] + _row_filters(filter),
    )


def transactions_of_all(kinds: Kinds, filter: TransactionFilter) -> Listing[Transaction]:
    """Return the transactions of all merchants."""
    id, refund_id = tables.overall(tables.transactions), tables.overall(tables.refunds)
    return Listing(
        kind=kinds.transactions,
        key=tables.transactions.c.id,
        place=overall_place(tables.transactions),
        within=[
            *_named(filter.text, id, refund_id),
            *_times("txn", id, filter.created_after, filter.created_before),
        ],
        filters=_indexed(filter) + _row_filters(filter),
    )


def overall_place(table: Table) -> Place:
    """Return the order of the rows of all merchants by their ids."""
    return Place(
        by=[tables.overall(table)],
        columns=[table.c.id],
        key_of=lambda row: str(row["id"]),
        values_of=lambda key: [key],
    )


async def read_transactions(
    connection: AsyncConnection, listing: Listing[Transaction], filter: TransactionFilter, window: Window
) -> Slice[Transaction]:
    """Return a slice; where rows have to be looked into, as much as there is time for."""
    is_searched = _is_searched(filter.text) or filter.metadata is not None
    return await (search.read_searched if is_searched else read_slice)(connection, listing, window)


def _indexed(filter: TransactionFilter) -> list[Filter]:
    """Return what a merchant's transactions have an index for, the narrower first."""
    return _equal(
        reference=filter.reference, customer_reference=filter.customer_reference, payment_key_id=filter.payment_key
    )


def _named(
    text: str | None,
    id: ColumnElement[str],
    refund_id: ColumnElement[str],
    own_refunds: Sequence[ColumnElement[bool]] = (),
) -> Iterator[ColumnElement[bool]]:
    """Bound ids to the one that a text names, if it is an id of a transaction or of a refund."""
    if text is not None and names_transaction(text):
        yield id == text
    elif text is not None and names_refund(text):
        yield id == select(tables.refunds.c.transaction_id).where(*own_refunds, refund_id == text).scalar_subquery()


def _row_filters(filter: TransactionFilter) -> list[Filter]:
    """Return what has to be looked at row by row, whoever's the transactions are."""
    filters = _equal(status=filter.status, currency=filter.currency)
    filters += _amounts(filter.min_amount_minor, filter.max_amount_minor)
    if _is_searched(filter.text):
        filters.append(search.contains(filter.text))
    if filter.metadata is not None:
        filters.append(search.has_entry(*filter.metadata))
    return filters


def _is_searched(text: str | None) -> TypeGuard[str]:
    return text is not None and not names_transaction(text) and not names_refund(text)


def audit_listing(
    kinds: Kinds, filter: AuditFilter, merchant: MerchantId | None, filters: Sequence[Filter] = ()
) -> Listing[AuditEntry]:
    """Return the audit log of a merchant, or of everybody and nobody."""
    columns = tables.audit_entries.c
    own = [] if merchant is None else [columns.merchant_id == merchant]
    key = columns.overall_id if merchant is None else columns.id
    return Listing(
        kind=kinds.audit_entries,
        key=key,
        within=[*own, *_times("aud", key, filter.created_after, filter.created_before)],
        filters=[*filters, *_equal(action=filter.action, subject=filter.subject)],
    )


def _equal(**values: str | None) -> list[Filter]:
    return [_equals(column, value) for column, value in values.items() if value is not None]


def _equals(column: str, value: str) -> Filter:
    return lambda rows: rows.c[column] == value


def _amounts(least: int | None, most: int | None) -> list[Filter]:
    filters: list[Filter] = []
    if least is not None:
        filters.append(lambda rows: rows.c.amount_minor >= least)
    if most is not None:
        filters.append(lambda rows: rows.c.amount_minor <= most)
    return filters


def _times(
    prefix: str, id: ColumnElement[str], after: datetime | None, before: datetime | None
) -> Iterator[ColumnElement[bool]]:
    """Bound ids by times, both exclusive."""
    if after is not None:
        yield id >= lowest_id(prefix, after, shift=_MICROSECOND)
    if before is not None:
        yield id < lowest_id(prefix, before)


async def read_revision(connection: AsyncConnection, merchant: MerchantId) -> int:
    """Return the merchant's revision, or raise NotFound."""
    revisions = tables.merchant_revisions.c
    revision = await connection.scalar(select(revisions.revision).where(revisions.merchant_id == merchant))
    if revision is None:
        raise NotFound("There is no such merchant.")
    return int(revision)


@asynccontextmanager
async def open_view(
    engine: AsyncEngine, kinds: Kinds, merchant: MerchantId, livemode: bool
) -> AsyncGenerator[PostgresView]:
    """Open a snapshot; its moment is that of its first statement, which reads the revision."""
    with translated():
        snapshot = await engine.connect()
    try:
        with translated():
            await snapshot.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            revision = await read_revision(snapshot, merchant)
        yield PostgresView(snapshot, kinds, merchant, livemode, revision)
    finally:
        with translated():
            await snapshot.close()
