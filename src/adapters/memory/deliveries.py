"""Deliveries in memory: made by a commit, canceled by it, replayed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from adapters.memory import kinds
from adapters.memory.shelf import Shelf
from adapters.memory.state import Account, State, Table
from payments_core.event import Event
from payments_core.ids import DeliveryId, EndpointId, MerchantId, delivery_id
from payments_core.webhook import Delivery, DeliveryStatus, Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What `MemoryDeliveries.replay` was asked for."""

    endpoint: Endpoint
    since: datetime
    until: datetime
    only_failed: bool
    at: datetime


class MemoryDeliveries(Shelf[Delivery]):
    """The port `Deliveries`."""

    def __init__(self, state: State) -> None:
        super().__init__(kinds.DELIVERY, state)
        self.replays: list[Replay] = []

    async def get(self, merchant: MerchantId, endpoint: EndpointId, id: DeliveryId, /) -> Delivery:
        """Return the endpoint's delivery, or raise NotFound."""
        return await self.read(merchant, endpoint, id)

    async def replay(
        self, endpoint: Endpoint, /, *, since: datetime, until: datetime, only_failed: bool, at: datetime
    ) -> int:
        """Remember to make deliveries due again; return how many there are."""
        await asyncio.sleep(0)
        replay = Replay(endpoint=endpoint, since=since, until=until, only_failed=only_failed, at=at)
        self.replays.append(replay)
        return sum(1 for _ in deliveries_of_replay(self.state, replay))


def deliveries_of_replay(state: State, replay: Replay) -> Iterator[Delivery]:
    """Return the deliveries of a replay as they are to be stored."""
    endpoint = replay.endpoint
    account = state.accounts.get(endpoint.merchant)
    if account is None:
        return
    known = account.deliveries.get(endpoint.id) or Table[Delivery]()
    for event in account.log:
        if not replay.since <= event.at < replay.until:
            continue
        before = known.get(delivery_id(event.id, endpoint.id))
        if before is None:
            if not replay.only_failed and _is_for(event, endpoint):
                yield _delivery(event, endpoint, at=replay.at)
        elif _is_replayed(before, event, replay):
            yield replace(before.queue_again(at=replay.at), version=before.version + 1)


def _is_replayed(delivery: Delivery, event: Event, replay: Replay) -> bool:
    if replay.only_failed:
        return delivery.status in (DeliveryStatus.EXHAUSTED, DeliveryStatus.CANCELED)
    return delivery.status is not DeliveryStatus.PENDING and _is_for(event, replay.endpoint)


def make_deliveries(state: State, account: Account, event: Event) -> None:
    """Make a pending delivery of the event for each endpoint that is to get it."""
    for endpoint in account.endpoints.oldest_first():
        if _is_for(event, endpoint):
            state.put_delivery(_delivery(event, endpoint, at=event.at))


def cancel_pending(state: State, endpoint: Endpoint) -> None:
    """Cancel what is pending for an endpoint that wants nothing any more; who holds it finds its version moved."""
    deliveries = state.writable(endpoint.merchant).deliveries.get(endpoint.id) or Table[Delivery]()
    for delivery in list(deliveries.oldest_first()):
        if delivery.status is DeliveryStatus.PENDING:
            state.put_delivery(
                replace(
                    delivery,
                    status=DeliveryStatus.CANCELED,
                    due_at=None,
                    lease_expires_at=None,
                    version=delivery.version + 1,
                )
            )


def _is_for(event: Event, endpoint: Endpoint) -> bool:
    if event.livemode is not endpoint.livemode or not endpoint.enabled or endpoint.removed_at is not None:
        return False
    return event.only == endpoint.id if event.only is not None else endpoint.listens_to(event.type)


def _delivery(event: Event, endpoint: Endpoint, *, at: datetime) -> Delivery:
    return Delivery(
        id=delivery_id(event.id, endpoint.id),
        merchant=event.merchant,
        livemode=event.livemode,
        endpoint=endpoint.id,
        event=event.id,
        event_type=event.type,
        status=DeliveryStatus.PENDING,
        created_at=at,
        updated_at=at,
        due_at=at,
        version=1,
    )
