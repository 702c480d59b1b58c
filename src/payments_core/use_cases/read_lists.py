"""Read single things and pages of lists, each as of one revision of the merchant."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Final, Generic, TypeAlias, TypeVar

from payments_core import describe
from payments_core.checks import Faults
from payments_core.describe import JsonObject
from payments_core.errors import Invalid
from payments_core.ids import ApiKeyId, DeliveryId, EndpointId, EventId, PaymentKeyId, RefundId, TransactionId
from payments_core.merchant import Caller
from payments_core.page import (
    END,
    IDS,
    LIMIT_DEFAULT,
    LIMIT_MAX,
    POSITIONS,
    Page,
    Position,
    Slice,
    read_cursor,
    write_cursor,
)
from payments_core.ports import AuditFilter, Clock, DeliveryFilter, EventFilter, TransactionFilter, View, Views, Window
from payments_core.search import check_search
from payments_core.totals import SPAN_DAYS_MAX
from payments_core.transaction import REFUNDS_SHOWN_MAX, Transaction
from payments_core.values import Json, format_time

T = TypeVar("T")

EXPORT_BATCH: Final = 1_000
"""Transactions of an export that are read at once: a snapshot of some hundredths of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Generic[T]):
    """Something as it was at a revision of the merchant."""

    value: T
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """Which page: at most `limit` items (1 to LIMIT_MAX) from where `cursor` says."""

    limit: int = LIMIT_DEFAULT
    cursor: str | None = None


LATER_FILTERS: Final = frozenset({"text", "metadata"})
"""What lists can be filtered by since cursors were first given out: where it isn't, a cursor of before goes on."""

Read: TypeAlias = Callable[[View], Awaitable[T]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Everything that a merchant can look at, as public JSON. Raises NotFound; Invalid for a bad cursor or limit."""

    views: Views
    clock: Clock

    async def merchant(self, caller: Caller) -> Seen[JsonObject]:
        async def read(view: View) -> JsonObject:
            return describe.merchant(await view.merchant())

        return await self._one(caller, read)

    async def transaction(self, caller: Caller, id: TransactionId) -> Seen[JsonObject]:
        async def read(view: View) -> JsonObject:
            return (await _with_refunds(view, [await view.transaction(id)]))[0]

        return await self._one(caller, read)

    async def transactions(self, caller: Caller, query: ListQuery, filter: TransactionFilter) -> Page[JsonObject]:
        _check(filter)

        async def read(view: View, window: Window) -> Slice[JsonObject]:
            found = await view.transactions(window, filter)
            return Slice(items=await _with_refunds(view, found.items), before=found.before, after=found.after)

        return await self._page(caller, query, "transactions", filter, read)

    def export(self, caller: Caller, filter: TransactionFilter) -> AsyncGenerator[Sequence[JsonObject]]:
        """Return all transactions that pass the filter, the newest first and without their refunds, in batches.

        Each batch (1 to EXPORT_BATCH) is a snapshot of its own, so that nothing is held between two, and who asks
        slowly holds up nobody: what changes meanwhile is given as it is when its batch is read. What is new is not
        given. Raises Invalid at once, and what a read raises with a batch.
        """
        _check(filter)
        return self._export(caller, filter)

    async def _export(self, caller: Caller, filter: TransactionFilter) -> AsyncGenerator[Sequence[JsonObject]]:
        position: Position | None = None
        while True:
            async with self.views.view(caller.merchant, caller.livemode) as view:
                found = await view.transactions(Window(limit=EXPORT_BATCH, position=position), filter)
            if found.items:
                yield [describe.transaction_alone(one) for one in found.items]
            if found.after is None:
                return
            # Each batch ends at an older transaction than the one before, and there is an oldest.
            position = Position(key=found.after)

    async def attempts(self, caller: Caller, id: TransactionId) -> Seen[Sequence[JsonObject]]:
        """The attempts to charge a transaction and to pay out its refunds, the oldest first."""

        async def read(view: View) -> Sequence[JsonObject]:
            await view.transaction(id)
            return [describe.attempt(attempt) for attempt in await view.attempts_of(id)]

        return await self._one(caller, read)

    async def deliveries_of(self, caller: Caller, id: TransactionId) -> Seen[Sequence[JsonObject]]:
        """The deliveries of a transaction's events over all endpoints, the oldest event first; see `View`."""

        async def read(view: View) -> Sequence[JsonObject]:
            await view.transaction(id)
            return [describe.delivery(delivery) for delivery in await view.deliveries_of(id)]

        return await self._one(caller, read)

    async def refund(self, caller: Caller, id: RefundId) -> Seen[JsonObject]:
        async def read(view: View) -> JsonObject:
            return describe.refund(await view.refund(id))

        return await self._one(caller, read)

    async def refunds(self, caller: Caller, query: ListQuery, transaction: TransactionId | None) -> Page[JsonObject]:
        async def read(view: View, window: Window) -> Slice[JsonObject]:
            return _described(await view.refunds(window, transaction), describe.refund)

        return await self._page(caller, query, "refunds", transaction, read)

    async def payment_key(self, caller: Caller, id: PaymentKeyId) -> Seen[JsonObject]:
        async def read(view: View) -> JsonObject:
            return describe.payment_key(await view.payment_key(id))

        return await self._one(caller, read)

    async def payment_keys(self, caller: Caller, query: ListQuery) -> Page[JsonObject]:
        async def read(view: View, window: Window) -> Slice[JsonObject]:
            return _described(await view.payment_keys(window), describe.payment_key)

        return await self._page(caller, query, "payment_keys", None, read)

    async def api_key(self, caller: Caller, id: ApiKeyId) -> Seen[JsonObject]:
        async def read(view: View) -> JsonObject:
            return describe.api_key(await view.api_key(id))

        return await self._one(caller, read)

    async def api_keys(self, caller: Caller, query: ListQuery) -> Page[JsonObject]:
        async def read(view: View, window: Window) -> Slice[JsonObject]:
            return _described(await view.api_keys(window), describe.api_key)

        return await self._page(caller, query, "api_keys", None, read)

    async def endpoint(self, caller: Caller, id: EndpointId) -> Seen[JsonObject]:
        async def read(view: View) -> JsonObject:
            return describe.endpoint(await view.endpoint(id))

        return await self._one(caller, read)

    async def endpoints(self, caller: Caller, query: ListQuery) -> Page[JsonObject]:
        async def read(view: View, window: Window) -> Slice[JsonObject]:
            return _described(await view.endpoints(window), describe.endpoint)

        return await self._page(caller, query, "endpoints", None, read)

    async def deliveries(
        self, caller: Caller, endpoint: EndpointId, query: ListQuery, filter: DeliveryFilter
    ) -> Page[JsonObject]:
        async def read(view: View, window: Window) -> Slice[JsonObject]:
            await view.endpoint(endpoint)
            return _described(await view.deliveries(endpoint, window, filter), describe.delivery)

        return await self._page(caller, query, f"deliveries:{endpoint}", filter, read)

    async def delivery(self, caller: Caller, endpoint: EndpointId, id: DeliveryId) -> Seen[JsonObject]:
        """One delivery, of an endpoint that is removed as well."""

        async def read(view: View) -> JsonObject:
            return describe.delivery(await view.delivery(endpoint, id))

        return await self._one(caller, read)

    async def event(self, caller: Caller, id: EventId) -> Seen[JsonObject]:
        async def read(view: View) -> JsonObject:
            return describe.recorded_event(await view.event(id))

        return await self._one(caller, read)

    async def events(self, caller: Caller, query: ListQuery, filter: EventFilter) -> Page[JsonObject]:
        async def read(view: View, window: Window) -> Slice[JsonObject]:
            return _described(await view.events(window, filter), describe.recorded_event)

        return await self._page(caller, query, "events", filter, read, keys=POSITIONS)

    async def latest_events(self, caller: Caller, query: ListQuery, filter: EventFilter) -> Page[JsonObject]:
        """The same list from its end, where `query` has no cursor: `previous` leads to what happened before."""
        if query.cursor is not None:
            return await self.events(caller, query, filter)

        async def read(view: View, window: Window) -> Slice[JsonObject]:
            last = Window(limit=window.limit, position=END)
            found = await view.events(last, filter)
            return Slice(
                items=[describe.recorded_event(event) for event in found.items], before=found.before, after=None
            )

        return await self._page(caller, query, "events", filter, read, keys=POSITIONS)

    async def history(self, caller: Caller, id: TransactionId, query: ListQuery) -> Page[JsonObject]:
        """The events of one transaction and its refunds, the oldest first."""

        async def read(view: View, window: Window) -> Slice[JsonObject]:
            await view.transaction(id)
            return _described(await view.events(window, EventFilter(transaction=id)), describe.recorded_event)

        return await self._page(caller, query, f"history:{id}", None, read, keys=POSITIONS)

    async def idempotency_key(self, caller: Caller, key: str) -> Seen[JsonObject]:
        async def read(view: View) -> JsonObject:
            return describe.idempotency_record(await view.record(key, at=self.clock.now()))

        return await self._one(caller, read)

    async def audit(self, caller: Caller, query: ListQuery, filter: AuditFilter) -> Page[JsonObject]:
        """What was done to the account, in this mode or in both, the newest first."""

        async def read(view: View, window: Window) -> Slice[JsonObject]:
            return _described(await view.audit(window, filter), describe.audit_entry)

        return await self._page(caller, query, "audit", filter, read)

    async def totals(self, caller: Caller, first: date, last: date) -> Seen[Sequence[JsonObject]]:
        """The totals of these days (UTC), both included, by day and currency; at most SPAN_DAYS_MAX days."""
        _check_span(first, last)

        async def read(view: View) -> Sequence[JsonObject]:
            return [describe.day_totals(one) for one in await view.totals(first, last)]

        return await self._one(caller, read)

    async def waiting(self, caller: Caller) -> Seen[JsonObject]:
        """What waits now. Work is claimed without a new revision: this is not to be kept under one."""

        async def read(view: View) -> JsonObject:
            return describe.waiting(await view.waiting(at=self.clock.now()))

        return await self._one(caller, read)

    async def endpoints_health(self, caller: Caller) -> Seen[Sequence[JsonObject]]:
        """How each endpoint is, the newest first. It changes with time: this is not to be kept under a revision."""

        async def read(view: View) -> Sequence[JsonObject]:
            return [describe.endpoint_health(one) for one in await view.endpoints_health(at=self.clock.now())]

        return await self._one(caller, read)

    async def _one(self, caller: Caller, read: Read[T]) -> Seen[T]:
        async with self.views.view(caller.merchant, caller.livemode) as view:
            return Seen(value=await read(view), revision=view.revision)

    async def _page(
        self,
        caller: Caller,
        query: ListQuery,
        name: str,
        filter: object,
        read: Callable[[View, Window], Awaitable[Slice[JsonObject]]],
        *,
        keys: re.Pattern[str] = IDS,
    ) -> Page[JsonObject]:
        if not 1 <= query.limit <= LIMIT_MAX:
            raise Invalid.field("limit", "out_of_range", f"Must be from 1 to {LIMIT_MAX}.")
        bound_to: Json = [caller.merchant, caller.livemode, name, _plain(filter)]
        position = None if query.cursor is None else read_cursor(query.cursor, bound_to, keys=keys)
        async with self.views.view(caller.merchant, caller.livemode) as view:
            found = await read(view, Window(limit=query.limit, position=position))
            revision = view.revision
        backwards = position is not None and position.backwards
        onward = found.before if backwards else found.after
        return Page(
            items=found.items,
            next=None if found.after is None else write_cursor(Position(key=found.after), bound_to),
            previous=None
            if found.before is None
            else write_cursor(Position(key=found.before, backwards=True), bound_to),
            revision=revision,
            stopped_at=onward if len(found.items) < query.limit else None,
        )


def _described(found: Slice[T], describe_one: Callable[[T], JsonObject]) -> Slice[JsonObject]:
    return Slice(items=[describe_one(item) for item in found.items], before=found.before, after=found.after)


async def _with_refunds(view: View, transactions: Sequence[Transaction]) -> list[JsonObject]:
    refunded = [transaction.id for transaction in transactions if transaction.refunds_count]
    refunds = await view.refunds_of(refunded, limit_each=REFUNDS_SHOWN_MAX) if refunded else {}
    return [describe.transaction(transaction, refunds.get(transaction.id, ())) for transaction in transactions]


def _check(filter: TransactionFilter) -> None:
    check_search(filter.text, filter.metadata)
    faults = Faults()
    if filter.currency is None:
        for field, value in (("min_amount", filter.min_amount_minor), ("max_amount", filter.max_amount_minor)):
            if value is not None:
                faults.add(field, "needs_currency", "Only together with `currency`.")
    faults.raise_if_any()


def _check_span(first: date, last: date) -> None:
    if not timedelta(0) <= last - first < timedelta(days=SPAN_DAYS_MAX):
        raise Invalid.field(
            "last", "out_of_range", f"Must be the first day or later, {SPAN_DAYS_MAX} days in all at most."
        )


def _plain(filter: object) -> Json:
    if filter is None or isinstance(filter, str):
        return filter
    fields = asdict(filter)  # type: ignore[call-overload]  # a dataclass by the calls above
    return {
        name: format_time(value) if isinstance(value, datetime) else value
        for name, value in fields.items()
        if value is not None or name not in LATER_FILTERS
    }
