"""What whoever verifies reads: the store's books page by page, and those of a gateway.

A page is as of one moment. Nothing in it is a secret that was opened, a body of an answer, or a card's data.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from payments_core.attempt import Attempt, AttemptKind
from payments_core.event import ALL_EVENTS, Event, EventType
from payments_core.ids import AttemptId, DeliveryId, EndpointId, EventId, TransactionId
from payments_core.job import Job
from payments_core.money import Money
from payments_core.refund import Refund
from payments_core.transaction import Transaction
from payments_core.webhook import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """A transaction and everything that belongs to it, its refunds' included.

    `events` are in the order of their sequence, the others the oldest first; `jobs` has those of its refunds too.
    """

    transaction: Transaction
    refunds: Sequence[Refund]
    attempts: Sequence[Attempt]
    jobs: Sequence[Job]
    events: Sequence[Event]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What an endpoint listens to, without its address and its secrets.

    `since` is when its present subscription began (`Endpoint.subscribed_at`).
    """

    endpoint: EndpointId
    livemode: bool
    events: Sequence[str]
    is_open: bool
    since: datetime

    def wants(self, event: LoggedEvent) -> bool:
        """Say whether the event is one of those that are sent there now."""
        if not self.is_open or event.livemode is not self.livemode:
            return False
        if event.only is not None:
            return event.only == self.endpoint
        return ALL_EVENTS in self.events or event.type in self.events


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """An event without its body; `is_kept`: the transaction that it names is there (True where it names none)."""

    id: EventId
    position: int
    livemode: bool
    type: EventType
    transaction: TransactionId | None
    at: datetime
    only: EndpointId | None
    is_kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """Some of a merchant's events, of both modes, in the order of their positions.

    `counted` is how many events the merchant's counter says there are; `subscriptions` those of all endpoints that are
    open; `deliveries` which deliveries of these events to these endpoints there are.
    """

    events: Sequence[LoggedEvent]
    counted: int
    subscriptions: Sequence[Subscription]
    deliveries: Set[DeliveryId]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPage:
    """Some of an endpoint's deliveries, in the order of their ids."""

    subscription: Subscription
    deliveries: Sequence[Delivery]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """What an idempotency key did, without the answer; `is_kept`: what it names is there."""

    key: str
    route: str
    resource: str | None
    created_at: datetime
    is_kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayEntry:
    """What a gateway's books say of an attempt: `moved` where the money is where the attempt was to bring it."""

    attempt: AttemptId
    kind: AttemptKind
    amount: Money
    moved: bool
