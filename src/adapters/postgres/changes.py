"""What a unit of work remembers until its commit: plain values, no connection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from adapters.postgres.mapping import Identity, Kind, Kinds, Row
from payments_core.event import Event
from payments_core.idempotency import Record
from payments_core.ids import MerchantId
from payments_core.job import Job
from payments_core.merchant import ApiKey, Merchant, PaymentKey, RefreshToken, Session
from payments_core.ports import Versioned
from payments_core.refund import Refund
from payments_core.transaction import Transaction
from payments_core.webhook import Delivery, Endpoint

T = TypeVar("T")


class Writes(Generic[T]):
    """The things of one kind that were added and saved, each in its last state."""

    def __init__(self, kind: Kind[T]) -> None:
        self.kind = kind
        self.added: dict[Identity, tuple[T, Row]] = {}
        self.saved: dict[Identity, tuple[T, Row]] = {}

    def add(self, thing: T) -> None:
        row = self.kind.to_row(thing)
        self.added[self.kind.identity(row)] = thing, row

    def save(self, thing: T) -> None:
        row = self.kind.to_row(thing)
        identity = self.kind.identity(row)
        (self.added if identity in self.added else self.saved)[identity] = thing, row

    def own(self, *identity: object) -> T | None:
        """Return the unit's own state of a thing, if it has one."""
        written = self.added.get(identity) or self.saved.get(identity)
        return None if written is None else written[0]

    def things(self) -> Iterator[T]:
        """Go through everything that was written."""
        for thing, _ in (*self.added.values(), *self.saved.values()):
            yield thing

    def added_rows(self) -> list[Row]:
        """Return what to insert, in the order of the primary key: the order in which every commit takes locks."""
        return [row for _, (_, row) in sorted(self.added.items())]

    def saved_rows(self) -> list[Row]:
        """Return what to update, in the order of the primary key."""
        return [row for _, (_, row) in sorted(self.saved.items())]

    def __bool__(self) -> bool:
        return bool(self.added or self.saved)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Deliveries of an endpoint that are to be made again."""

    endpoint: Endpoint
    since: datetime
    until: datetime
    only_failed: bool
    at: datetime


class Changes:
    """The writes of one unit by kind, and the versions that it expects by table and primary key."""

    def __init__(self, kinds: Kinds) -> None:
        self.merchants = Writes(kinds.merchants)
        self.api_keys = Writes(kinds.api_keys)
        self.payment_keys = Writes(kinds.payment_keys)
        self.sessions = Writes(kinds.sessions)
        self.refresh_tokens = Writes(kinds.refresh_tokens)
        self.transactions = Writes(kinds.transactions)
        self.refunds = Writes(kinds.refunds)
        self.endpoints = Writes(kinds.endpoints)
        self.attempts = Writes(kinds.attempts)
        self.deliveries = Writes(kinds.deliveries)
        self.records = Writes(kinds.records)
        self.events = Writes(kinds.events)
        self.jobs = Writes(kinds.jobs)
        self.jobs_done = Writes(kinds.jobs)
        self.replays: list[Replay] = []
        self.expected: dict[tuple[Table, Identity], int] = {}

    def expect(self, aggregate: Versioned) -> None:
        """Remember the version that the aggregate must have; what the unit itself adds has none yet."""
        identity: Identity
        match aggregate:
            case Merchant():
                table, identity, added = tables.merchants, (aggregate.id,), self.merchants.added
            case ApiKey():
                table, identity, added = tables.api_keys, (aggregate.merchant, aggregate.id), self.api_keys.added
            case Session():
                table, identity, added = tables.sessions, (aggregate.merchant, aggregate.id), self.sessions.added
            case PaymentKey() | Transaction() | Refund() | Endpoint():
                writes = self._of_mode(aggregate)
                table, added = writes.kind.table, writes.added
                identity = aggregate.merchant, aggregate.livemode, aggregate.id
        if identity not in added:
            self.expected[table, identity] = aggregate.version

    def _of_mode(
        self, aggregate: PaymentKey | Transaction | Refund | Endpoint
    ) -> Writes[PaymentKey] | Writes[Transaction] | Writes[Refund] | Writes[Endpoint]:
        match aggregate:
            case PaymentKey():
                return self.payment_keys
            case Transaction():
                return self.transactions
            case Refund():
                return self.refunds
            case Endpoint():
                return self.endpoints
