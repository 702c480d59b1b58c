"""What whoever verifies reads: the store's books page by page, and those of a gateway.

A page is as of one moment. Nothing in it is a secret that was opened, a body of an answer, or a card's data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from payments_core.attempt import Attempt, AttemptKind
from payments_core.event import ALL_EVENTS, Event, EventType
from payments_core.ids import AttemptId, DeliveryId, EndpointId, EventId, TransactionId
from payments_core.job import Job
from payments_core.money import Money
from payments_core.refund import Refund
from payments_core.transaction import Transaction
from payments_core.webhook import Delivery

T = TypeVar("T")


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


def dossiers(
    transactions: Sequence[Transaction],
    *,
    refunds: Iterable[Refund],
    attempts: Iterable[Attempt],
    jobs: Iterable[Job],
    events: Iterable[Event],
) -> Sequence[Dossier]:
    """Return a dossier for each transaction; what belongs to another one is passed over."""
    refunds_of = _grouped(refunds, lambda refund: refund.transaction)
    attempts_of = _grouped(attempts, lambda attempt: attempt.refund or attempt.transaction)
    jobs_of = _grouped(jobs, lambda job: job.subject)
    events_of = _grouped(events, lambda event: event.transaction or "")
    made: list[Dossier] = []
    for transaction in transactions:
        own_refunds = refunds_of.get(transaction.id, [])
        subjects = (transaction.id, *(refund.id for refund in own_refunds))
        made.append(
            Dossier(
                transaction=transaction,
                refunds=own_refunds,
                attempts=[attempt for subject in subjects for attempt in attempts_of.get(subject, [])],
                jobs=[job for subject in subjects for job in jobs_of.get(subject, [])],
                events=sorted(events_of.get(transaction.id, []), key=lambda event: event.sequence or 0),
            )
        )
    return made


def _grouped(rows: Iterable[T], by: Callable[[T], str]) -> Mapping[str, list[T]]:
    groups: dict[str, list[T]] = {}
    for row in rows:
        groups.setdefault(by(row), []).append(row)
    return groups


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
    open; `deliveries` has those of the wanted deliveries (`Subscription.wants`) that there are, others or not.
    """

    events: Sequence[LoggedEvent]
    counted: int
    subscriptions: Sequence[Subscription]
    deliveries: Set[DeliveryId]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPage:
    """Some of an endpoint's deliveries, in the order of their ids.

    `held_until`: when the last lease ends on one of its pending deliveries, on this page or not; None where there is
    none.
    """

    subscription: Subscription
    deliveries: Sequence[Delivery]
    held_until: datetime | None


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
