"""Snapshots of one merchant in one mode."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from itertools import islice
from typing import TypeVar

from adapters.memory.overview import health_of, present_endpoints, waiting_of
from adapters.memory.slices import cut
from adapters.memory.state import Account, Table
from payments_core.attempt import Attempt
from payments_core.audit import AuditEntry
from payments_core.errors import NotFound
from payments_core.event import Event
from payments_core.idempotency import Record
from payments_core.ids import ApiKeyId, DeliveryId, EndpointId, EventId, PaymentKeyId, RefundId, TransactionId
from payments_core.job import Job
from payments_core.merchant import ApiKey, Merchant, PaymentKey
from payments_core.overview import EndpointHealth, Waiting
from payments_core.page import Slice
from payments_core.ports import AuditFilter, DeliveryFilter, EventFilter, TransactionFilter, Window
from payments_core.refund import Refund
from payments_core.search import holds, names_refund, names_transaction
from payments_core.totals import DayTotals, daily_totals
from payments_core.transaction import Transaction
from payments_core.webhook import (
    DELIVERIES_SHOWN_MAX,
    ENDPOINTS_MAX,
    REMOVED_SHOWN_MAX,
    STORY_EVENTS_MAX,
    Delivery,
    Endpoint,
)

V = TypeVar("V")


class MemoryView:
    """The port `View`, over an account that does not change any more, and its jobs of that moment."""

    def __init__(self, account: Account, jobs: Sequence[Job], livemode: bool) -> None:
        self._account = account
        self._jobs = jobs
        self._livemode = livemode
        self._revision = account.revision

    @property
    def revision(self) -> int:
        """The merchant's revision at this moment."""
        return self._revision

    async def merchant(self) -> Merchant:
        """Return the merchant."""
        await asyncio.sleep(0)
        return self._account.merchant

    async def transaction(self, id: TransactionId, /) -> Transaction:
        """Return the transaction, or raise NotFound."""
        await asyncio.sleep(0)
        found = self._account.transactions.get(id)
        if found is None or found.livemode is not self._livemode:
            raise NotFound("There is no transaction with this id.")
        return found

    async def refunds_of(
        self, transactions: Sequence[TransactionId], /, *, limit_each: int
    ) -> Mapping[TransactionId, Sequence[Refund]]:
        """Return the latest refunds of each, the newest first."""
        await asyncio.sleep(0)
        found: dict[TransactionId, Sequence[Refund]] = {}
        for id in transactions:
            mine = (refund for refund in self._refunds(id).newest_first() if refund.livemode is self._livemode)
            found[id] = list(islice(mine, limit_each))
        return found

    async def transactions(self, window: Window, filter: TransactionFilter, /) -> Slice[Transaction]:
        """List transactions, newest first."""
        await asyncio.sleep(0)
        return newest_first(
            self._account.transactions,
            window,
            lambda one: one.livemode is self._livemode and transaction_passes(one, filter, self._account.refunds),
            lambda one: one.id,
        )

    async def refund(self, id: RefundId, /) -> Refund:
        """Return the refund, or raise NotFound."""
        await asyncio.sleep(0)
        found = self._account.refunds.get(id)
        if found is None or found.livemode is not self._livemode:
            raise NotFound("There is no refund with this id.")
        return found

    async def refunds(self, window: Window, transaction: TransactionId | None, /) -> Slice[Refund]:
        """List refunds of a transaction, or of all, newest first."""
        await asyncio.sleep(0)
        table = self._account.refunds if transaction is None else self._refunds(transaction)
        return newest_first(table, window, lambda one: one.livemode is self._livemode, lambda one: one.id)

    async def payment_key(self, id: PaymentKeyId, /) -> PaymentKey:
        """Return the payment key, active or not, or raise NotFound."""
        await asyncio.sleep(0)
        found = self._account.payment_keys.get(id)
        if found is None or found.livemode is not self._livemode:
            raise NotFound("There is no payment key with this id.")
        return found

    async def payment_keys(self, window: Window, /) -> Slice[PaymentKey]:
        """List payment keys, newest first."""
        await asyncio.sleep(0)
        return newest_first(
            self._account.payment_keys, window, lambda one: one.livemode is self._livemode, lambda one: one.id
        )

    async def api_key(self, id: ApiKeyId, /) -> ApiKey:
        """Return the key of this mode, or raise NotFound; a revoked one is not found."""
        await asyncio.sleep(0)
        found = self._account.api_keys.get(id)
        if found is None or not self._opens(found):
            raise NotFound("There is no API key with this id.")
        return found

    async def api_keys(self, window: Window, /) -> Slice[ApiKey]:
        """List the keys of this mode that are not revoked, newest first."""
        await asyncio.sleep(0)
        return newest_first(self._account.api_keys, window, self._opens, lambda one: one.id)

    async def endpoint(self, id: EndpointId, /) -> Endpoint:
        """Return the endpoint, or raise NotFound."""
        await asyncio.sleep(0)
        found = self._account.endpoints.get(id)
        if found is None or not self._is_here(found):
            raise NotFound("There is no webhook endpoint with this id.")
        return found

    async def endpoints(self, window: Window, /) -> Slice[Endpoint]:
        """List endpoints, newest first."""
        await asyncio.sleep(0)
        return newest_first(self._account.endpoints, window, self._is_here, lambda one: one.id)

    async def deliveries(self, endpoint: EndpointId, window: Window, filter: DeliveryFilter, /) -> Slice[Delivery]:
        """List an endpoint's deliveries, newest first."""
        await asyncio.sleep(0)
        return newest_first(
            self._account.deliveries.get(endpoint) or Table[Delivery](),
            window,
            lambda one: (
                one.livemode is self._livemode
                and filter.status in (None, one.status)
                and filter.event_type in (None, one.event_type)
            ),
            lambda one: one.id,
        )

    async def delivery(self, endpoint: EndpointId, id: DeliveryId, /) -> Delivery:
        """Return the endpoint's delivery, or raise NotFound."""
        await asyncio.sleep(0)
        found = (self._account.deliveries.get(endpoint) or Table[Delivery]()).get(id)
        if found is None or found.livemode is not self._livemode:
            raise NotFound("There is no delivery with this id.")
        return found

    async def attempts_of(self, transaction: TransactionId, /) -> Sequence[Attempt]:
        """Return the attempts for a transaction and its refunds, the oldest first."""
        await asyncio.sleep(0)
        return [
            one
            for one in self._account.attempts.oldest_first()
            if one.livemode is self._livemode and one.transaction == transaction
        ]

    async def deliveries_of(self, transaction: TransactionId, /) -> Sequence[Delivery]:
        """Return the latest deliveries of a transaction's events, the oldest event first."""
        await asyncio.sleep(0)
        account = self._account
        its = [one for one in account.log if one.transaction == transaction and one.livemode is self._livemode]
        events = {one.id for one in sorted(its, key=lambda one: one.sequence or 0)[-STORY_EVENTS_MAX:]}
        found = [
            one
            for endpoint in self._shown_endpoints()
            for one in (account.deliveries.get(endpoint) or Table[Delivery]()).oldest_first()
            if one.event in events
        ]
        return sorted(found, key=lambda one: one.id)[-DELIVERIES_SHOWN_MAX:]

    def _shown_endpoints(self) -> set[EndpointId]:
        """Return the endpoints that there are, and those of the removed that were made last."""
        every = [one for one in self._account.endpoints.newest_first() if one.livemode is self._livemode]
        recent = every[: ENDPOINTS_MAX + REMOVED_SHOWN_MAX]
        return {one.id for one in (*recent, *filter(self._is_here, every))}

    async def event(self, id: EventId, /) -> Event:
        """Return the event, or raise NotFound."""
        await asyncio.sleep(0)
        found = self._account.events.get(id)
        if found is None or found.livemode is not self._livemode:
            raise NotFound("There is no event with this id.")
        return found

    async def events(self, window: Window, filter: EventFilter, /) -> Slice[Event]:
        """List events in the order of their position."""
        await asyncio.sleep(0)
        log, position = self._account.log, window.position
        if position is not None and position.backwards:
            indices = range(min(int(position.key) - 1, len(log)) - 1, -1, -1)
        else:
            indices = range(int(position.key) if position else 0, len(log))
        rows = (log[index] for index in indices if log[index].livemode is self._livemode)
        return cut((one for one in rows if _event_passes(one, filter)), window, lambda one: str(one.position))

    async def audit(self, window: Window, filter: AuditFilter, /) -> Slice[AuditEntry]:
        """List the entries of this mode and those that concern both, newest first."""
        await asyncio.sleep(0)
        return newest_first(
            self._account.audit,
            window,
            lambda one: one.livemode in (None, self._livemode) and entry_passes(one, filter),
            lambda one: one.id,
        )

    async def totals(self, first: date, last: date, /) -> Sequence[DayTotals]:
        """Return the totals of these days, both included."""
        await asyncio.sleep(0)
        events = (event for event in self._account.log if event.livemode is self._livemode)
        return [one for one in daily_totals(events) if first <= one.day <= last]

    async def waiting(self, *, at: datetime) -> Waiting:
        """Count what waits at that time."""
        await asyncio.sleep(0)
        return waiting_of(self._account, self._jobs, self._livemode, at)

    async def endpoints_health(self, *, at: datetime) -> Sequence[EndpointHealth]:
        """Return how each endpoint is, the newest first."""
        await asyncio.sleep(0)
        endpoints = present_endpoints(self._account, self._livemode)
        return [health_of(self._account, endpoint, at) for endpoint in endpoints]

    async def record(self, key: str, /, *, at: datetime) -> Record:
        """Return what an idempotency key did, or raise NotFound."""
        await asyncio.sleep(0)
        found = self._account.records.get((self._livemode, key))
        if found is None or found.expires_at <= at:
            raise NotFound("There is no idempotency key like this.")
        return found

    def _refunds(self, transaction: TransactionId) -> Table[Refund]:
        return self._account.refunds_of.get(transaction) or Table[Refund]()

    def _opens(self, key: ApiKey) -> bool:
        return key.livemode is self._livemode and key.revoked_at is None

    def _is_here(self, endpoint: Endpoint) -> bool:
        return endpoint.livemode is self._livemode and endpoint.removed_at is None


def newest_first(table: Table[V], window: Window, wanted: Callable[[V], bool], key: Callable[[V], str]) -> Slice[V]:
    """Cut a window out of a list that is newest first."""
    position = window.position
    if position is not None and position.backwards:
        rows = table.oldest_first(above=position.key)
    else:
        rows = table.newest_first(below=position.key if position else None)
    return cut((row for row in rows if wanted(row)), window, key)


def entry_passes(one: AuditEntry, filter: AuditFilter) -> bool:
    """Say whether an entry is one of those that are asked for."""
    return (
        filter.action in (None, one.action)
        and filter.subject in (None, one.subject)
        and (filter.created_after is None or one.at > filter.created_after)
        and (filter.created_before is None or one.at < filter.created_before)
    )


def transaction_passes(one: Transaction, filter: TransactionFilter, refunds: Table[Refund]) -> bool:
    """Say whether a transaction is one of those that are asked for; `refunds` are its merchant's."""
    amount = one.amount.amount_minor
    return (
        filter.status in (None, one.status)
        and filter.currency in (None, one.amount.currency.code)
        and filter.payment_key in (None, one.payment_key)
        and filter.reference in (None, one.reference)
        and filter.customer_reference in (None, one.customer_reference)
        and (filter.created_after is None or one.created_at > filter.created_after)
        and (filter.created_before is None or one.created_at < filter.created_before)
        and (filter.min_amount_minor is None or amount >= filter.min_amount_minor)
        and (filter.max_amount_minor is None or amount <= filter.max_amount_minor)
        and (filter.text is None or _is_found(one, filter.text, refunds))
        and (filter.metadata is None or one.metadata.get(filter.metadata[0]) == filter.metadata[1])
    )


def _is_found(one: Transaction, text: str, refunds: Table[Refund]) -> bool:
    if names_transaction(text):
        return one.id == text
    if names_refund(text):
        refund = refunds.get(text)
        return refund is not None and refund.livemode is one.livemode and refund.transaction == one.id
    return holds(one, text)


def _event_passes(one: Event, filter: EventFilter) -> bool:
    return (
        filter.type in (None, one.type)
        and filter.transaction in (None, one.transaction)
        and (filter.created_after is None or one.at > filter.created_after)
        and (filter.created_before is None or one.at < filter.created_before)
    )
