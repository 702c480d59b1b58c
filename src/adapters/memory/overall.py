"""What merchants have, for staff: of all of them and in both modes, the newest first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from adapters.memory.slices import cut
from adapters.memory.state import Account, State, Table
from adapters.memory.views import transaction_passes
from payments_core.errors import NotFound
from payments_core.idempotency import Record
from payments_core.ids import MerchantId
from payments_core.merchant import PaymentKey
from payments_core.overall import EndpointSeen, Found, RecordFilter, RecordSeen, ThingKind, kind_of, record_position
from payments_core.page import Slice
from payments_core.ports import TransactionFilter, Window
from payments_core.refund import Refund
from payments_core.transaction import Transaction
from payments_core.webhook import Endpoint


class Identified(Protocol):
    """What has an id."""

    @property
    def id(self) -> str: ...


class Held(Identified, Protocol):
    """What is a merchant's in a mode."""

    @property
    def merchant(self) -> MerchantId: ...
    @property
    def livemode(self) -> bool: ...


V = TypeVar("V")
I = TypeVar("I", bound=Identified)  # noqa: E741 - for Identified


class MemoryOverall:
    """Lists over all merchants of the port `Oversight`."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def transactions(
        self, window: Window, filter: TransactionFilter, merchant: MerchantId | None, /
    ) -> Slice[Transaction]:
        """List transactions, of a merchant or of everybody."""
        await asyncio.sleep(0)
        found = (
            one
            for account in self._accounts(merchant)
            for one in account.transactions.oldest_first()
            if transaction_passes(one, filter, account.refunds)
        )
        return _latest(found, window, _id)

    async def refunds(self, window: Window, merchant: MerchantId | None, /) -> Slice[Refund]:
        """List refunds, of a merchant or of everybody."""
        return await self._all(lambda account: account.refunds, window, merchant)

    async def payment_keys(self, window: Window, merchant: MerchantId | None, /) -> Slice[PaymentKey]:
        """List payment keys, of a merchant or of everybody."""
        return await self._all(lambda account: account.payment_keys, window, merchant)

    async def endpoints(self, window: Window, merchant: MerchantId | None, /) -> Slice[EndpointSeen]:
        """List endpoints, removed ones included, of a merchant or of everybody."""
        found = await self._all(lambda account: account.endpoints, window, merchant)
        return Slice(items=[_endpoint_seen(one) for one in found.items], before=found.before, after=found.after)

    async def idempotency_records(self, window: Window, filter: RecordFilter, /) -> Slice[RecordSeen]:
        """List idempotency records."""
        await asyncio.sleep(0)
        found = (
            _record_seen(one)
            for account in self._accounts(filter.merchant)
            for one in account.records.values()
            if filter.key in (None, one.key)
        )
        return _latest(found, window, _record_key)

    async def find(self, id: str, /) -> Found:
        """Say whose an id is, or raise NotFound."""
        await asyncio.sleep(0)
        kind = kind_of(id)
        if kind is ThingKind.MERCHANT and MerchantId(id) in self._state.accounts:
            return Found(id=id, kind=kind, merchant=MerchantId(id), livemode=None)
        if kind is not None:
            for thing in self._of_kind(kind, id):
                return Found(id=id, kind=kind, merchant=thing.merchant, livemode=thing.livemode)
        raise NotFound("There is nothing with this id.")

    def _of_kind(self, kind: ThingKind, id: str) -> Iterator[Held]:
        for account in self._state.accounts.values():
            held: dict[ThingKind, Held | None] = {
                ThingKind.PAYMENT_KEY: account.payment_keys.get(id),
                ThingKind.TRANSACTION: account.transactions.get(id),
                ThingKind.REFUND: account.refunds.get(id),
                ThingKind.ATTEMPT: account.attempts.get(id),
                ThingKind.ENDPOINT: account.endpoints.get(id),
                ThingKind.EVENT: account.events.get(id),
                ThingKind.JOB: next((job for job in self._state.jobs.values() if job.id == id), None),
            }
            found = held.get(kind)
            if found is not None:
                yield found

    def _accounts(self, merchant: MerchantId | None) -> Iterable[Account]:
        return [account for id, account in self._state.accounts.items() if merchant in (None, id)]

    async def _all(self, table: Callable[[Account], Table[I]], window: Window, merchant: MerchantId | None) -> Slice[I]:
        await asyncio.sleep(0)
        every = (one for account in self._accounts(merchant) for one in table(account).oldest_first())
        return _latest(every, window, _id)


def _latest(things: Iterable[V], window: Window, key: Callable[[V], str]) -> Slice[V]:
    position = window.position
    backwards = position is not None and position.backwards
    ordered = sorted(things, key=key, reverse=not backwards)
    if position is not None:
        ordered = [one for one in ordered if (key(one) > position.key if backwards else key(one) < position.key)]
    return cut(ordered, window, key)


def _id(thing: Identified) -> str:
    return thing.id


def _record_key(record: RecordSeen) -> str:
    return record_position(record.merchant, record.livemode, record.key, record.expires_at)


def _endpoint_seen(endpoint: Endpoint) -> EndpointSeen:
    return EndpointSeen(
        id=endpoint.id,
        merchant=endpoint.merchant,
        livemode=endpoint.livemode,
        url=endpoint.url,
        events=endpoint.events,
        description=endpoint.description,
        enabled=endpoint.enabled,
        created_at=endpoint.created_at,
        failing_since=endpoint.failing_since,
        removed_at=endpoint.removed_at,
    )


def _record_seen(record: Record) -> RecordSeen:
    return RecordSeen(
        merchant=record.merchant,
        livemode=record.livemode,
        key=record.key,
        route=record.route,
        status=record.status,
        resource=record.resource,
        created_at=record.created_at,
        expires_at=record.expires_at,
    )
