"""Everything in memory, page by page, for whoever verifies it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from itertools import islice
from typing import TypeVar

from adapters.memory.state import Account, State, Table
from payments_core.books import DeliveryPage, Dossier, KeyUse, LoggedEvent, LogPage, Subscription, dossiers
from payments_core.errors import NotFound
from payments_core.event import Event
from payments_core.idempotency import Record
from payments_core.ids import AttemptId, EndpointId, MerchantId
from payments_core.webhook import Delivery, DeliveryStatus, Endpoint

V = TypeVar("V")


class MemoryBooks:
    """The port `Books`. Each call lets others run first, then reads without waiting."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def merchants(self, *, after: str, limit: int) -> Sequence[MerchantId]:
        """Return ids of merchants."""
        await asyncio.sleep(0)
        return sorted(id for id in self._state.accounts if id > after)[:limit]

    async def dossiers(self, merchant: MerchantId, livemode: bool, /, *, after: str, limit: int) -> Sequence[Dossier]:
        """Return transactions of a mode, each with what belongs to it."""
        await asyncio.sleep(0)
        account = self._state.account(merchant)
        wanted = (one for one in account.transactions.oldest_first(above=after) if one.livemode is livemode)
        return dossiers(
            list(islice(wanted, limit)),
            refunds=account.refunds.oldest_first(),
            attempts=account.attempts.oldest_first(),
            jobs=[job for _, job in sorted(self._state.jobs.items()) if job.merchant == merchant],
            events=account.log,
        )

    async def log(self, merchant: MerchantId, /, *, after: int, limit: int) -> LogPage:
        """Return events, and which of their deliveries there are. Raises NotFound for nobody."""
        await asyncio.sleep(0)
        account = self._state.account(merchant)
        events = [event for event in account.log if event.position > after][:limit]
        endpoints = [endpoint for endpoint in account.endpoints.oldest_first() if endpoint.enabled]
        ids = {event.id for event in events}
        return LogPage(
            events=[_logged(account, event) for event in events],
            counted=len(account.log),
            subscriptions=[_subscription(endpoint) for endpoint in endpoints],
            deliveries={
                delivery.id
                for endpoint in endpoints
                for delivery in _deliveries(account, endpoint.id).oldest_first()
                if delivery.event in ids
            },
        )

    async def endpoints(
        self, merchant: MerchantId, livemode: bool, /, *, after: str, limit: int
    ) -> Sequence[EndpointId]:
        """Return ids of a mode's endpoints, removed ones included."""
        await asyncio.sleep(0)
        endpoints = self._state.account(merchant).endpoints.oldest_first(above=after)
        return [endpoint.id for endpoint in endpoints if endpoint.livemode is livemode][:limit]

    async def deliveries(
        self, merchant: MerchantId, livemode: bool, endpoint: EndpointId, /, *, after: str, limit: int
    ) -> DeliveryPage:
        """Return deliveries of an endpoint, or raise NotFound where the endpoint isn't there."""
        await asyncio.sleep(0)
        account = self._state.account(merchant)
        found = account.endpoints.get(endpoint)
        if found is None or found.livemode is not livemode:
            raise NotFound("There is no webhook endpoint with this id.")
        table = _deliveries(account, endpoint)
        leases = (one.lease_expires_at for one in table.oldest_first() if one.status is DeliveryStatus.PENDING)
        return DeliveryPage(
            subscription=_subscription(found),
            deliveries=list(islice(table.oldest_first(above=after), limit)),
            held_until=max((lease for lease in leases if lease is not None), default=None),
        )

    async def key_uses(self, merchant: MerchantId, livemode: bool, /, *, after: str, limit: int) -> Sequence[KeyUse]:
        """Return what idempotency keys of a mode did."""
        await asyncio.sleep(0)
        account = self._state.account(merchant)
        keys = sorted(key for mode, key in account.records if mode is livemode and key > after)
        return [_use(account, account.records[livemode, key]) for key in keys[:limit]]

    async def known_attempts(self, ids: Sequence[AttemptId], /) -> Set[AttemptId]:
        """Return those of these ids that are attempts of any merchant."""
        await asyncio.sleep(0)
        accounts = self._state.accounts.values()
        return {id for id in ids if any(account.attempts.get(id) is not None for account in accounts)}


def _deliveries(account: Account, endpoint: EndpointId) -> Table[Delivery]:
    return account.deliveries.get(endpoint) or Table[Delivery]()


def _subscription(endpoint: Endpoint) -> Subscription:
    return Subscription(
        endpoint=endpoint.id,
        livemode=endpoint.livemode,
        events=endpoint.events,
        is_open=endpoint.enabled and endpoint.removed_at is None,
        since=endpoint.subscribed_at,
    )


def _logged(account: Account, event: Event) -> LoggedEvent:
    return LoggedEvent(
        id=event.id,
        position=event.position,
        livemode=event.livemode,
        type=event.type,
        transaction=event.transaction,
        at=event.at,
        only=event.only,
        is_kept=event.transaction is None or account.transactions.get(event.transaction) is not None,
    )


def _use(account: Account, record: Record) -> KeyUse:
    return KeyUse(
        key=record.key,
        route=record.route,
        resource=record.resource,
        created_at=record.created_at,
        is_kept=record.resource is None or _is_kept(account, record.resource),
    )


def _is_kept(account: Account, id: str) -> bool:
    tables = (account.transactions, account.refunds, account.endpoints, account.api_keys, account.payment_keys)
    return (
        any(table.get(id) is not None for table in tables)
        or id in account.events
        or any(deliveries.get(id) is not None for deliveries in account.deliveries.values())
    )
