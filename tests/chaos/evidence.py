"""What is known in the end: what clients were told, receivers got, the gateway booked; and what the service shows.

The first three come from outside the service. Each payment has an amount that no other has, so that the gateway's
books tell by themselves which payment an entry is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Action(StrEnum):
    """What a client asks for under an idempotency key."""

    PAY = "pay"
    REFUND = "refund"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that tells what happened; `at` is in seconds of the harness's clock, `resource` the id in the body."""

    status: int
    body: bytes
    at: float
    resource: str | None = None


@dataclass(slots=True, kw_only=True)
class Ask:
    """One thing that a client wanted, under one idempotency key, with every telling answer that it got.

    `doubts` counts what told nothing: connections cut, time-outs, 503, `outcome_unknown`. `unexpected` keeps answers
    that the contract has no room for here.
    """

    key: str
    merchant: str
    action: Action
    amount_minor: int
    asked_at: float
    transaction: str | None = None
    method: str | None = None
    answers: list[Answer] = field(default_factory=list)
    doubts: int = 0
    unexpected: list[str] = field(default_factory=list)

    @property
    def made(self) -> str | None:
        """The id of what was made or changed, where the client was told that it was."""
        return next((answer.resource for answer in self.answers if answer.status in (200, 201)), None)

    @property
    def told_at(self) -> float | None:
        """When the client was told so first."""
        return next((answer.at for answer in self.answers if answer.status in (200, 201)), None)


@dataclass(slots=True, kw_only=True)
class Received:
    """One event as one endpoint got it: how often, and to how many of these it answered 2xx."""

    type: str
    transaction: str | None
    sequence: int | None
    digest: bytes
    first_at: float
    times: int = 0
    welcomed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTransaction:
    """A transaction as the API lists it in the end; `order` is the client's key, from its metadata."""

    id: str
    merchant: str
    order: str
    status: str
    reason: str | None
    amount_minor: int
    refunded_minor: int
    pending_minor: int
    reference: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRefund:
    """A refund as the API lists it in the end."""

    id: str
    merchant: str
    order: str
    transaction: str
    status: str
    reason: str | None
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEvent:
    """An event as the API lists it; `status` is that of the resource in it."""

    id: str
    type: str
    transaction: str | None
    sequence: int | None
    status: str | None
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDelivery:
    """A delivery as the store keeps it; `overdue_seconds` is None where it isn't due any more."""

    id: str
    endpoint: str
    event: str
    status: str
    tries: int
    overdue_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptJob:
    """A job as the store keeps it."""

    id: str
    subject: str
    dead: bool
    overdue_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry of the gateway's books: `status` is charged, refunded or declined."""

    attempt: str
    kind: str
    amount_minor: int
    status: str
    reference: str
    charge_reference: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All of it. `endpoints` and `events` are by endpoint and by merchant; `received` is by endpoint and event.

    `positions` are the places that the store gives to each merchant's events, in the order of the list; `unverified`
    is what `payments verify` says where it finds something wrong.
    """

    asks: Sequence[Ask] = ()
    reads: int = 0
    stale_reads: Sequence[str] = ()
    endpoints: Mapping[str, str] = field(default_factory=dict)
    received: Mapping[tuple[str, str], Received] = field(default_factory=dict)
    forged: Sequence[str] = ()
    differing: Sequence[str] = ()
    entries: Sequence[Entry] = ()
    transactions: Sequence[ShownTransaction] = ()
    refunds: Sequence[ShownRefund] = ()
    events: Mapping[str, Sequence[ShownEvent]] = field(default_factory=dict)
    positions: Mapping[str, Sequence[tuple[int, str]]] = field(default_factory=dict)
    deliveries: Sequence[KeptDelivery] = ()
    jobs: Sequence[KeptJob] = ()
    tries_max: int = 10
    started: int = 0
    ended_alone: Sequence[str] = ()
    planned: int = 0
    left_undone: Sequence[str] = ()
    unverified: Sequence[str] = ()
