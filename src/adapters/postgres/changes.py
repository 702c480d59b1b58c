"""What a unit of work remembers until its commit: plain values, no connection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeAlias, TypeVar

from adapters.postgres.mapping import Identity, Kind, Kinds
from payments_core.job import Job
from payments_core.merchant import ApiKey, Merchant, PaymentKey, Session
from payments_core.ports import Unique, Versioned
from payments_core.refund import Refund
from payments_core.transaction import Transaction
from payments_core.webhook import Endpoint

T = TypeVar("T")

SMALL_MAX: Final = 50
"""Things that a unit writes beside others; one with more goes alone."""

Thing: TypeAlias = tuple[str, Identity]
"""A table's name and a primary key in it."""


class Writes(Generic[T]):
    """The things of one kind that were added and saved, each in its last state, by primary key."""

    def __init__(self, kind: Kind[T]) -> None:
        self.kind: Final = kind
        self.added: Final[dict[Identity, T]] = {}
        self.saved: Final[dict[Identity, T]] = {}

    def add(self, thing: T) -> None:
        self.added[self.kind.identity_of(thing)] = thing

    def save(self, thing: T) -> None:
        identity = self.kind.identity_of(thing)
        (self.added if identity in self.added else self.saved)[identity] = thing

    def own(self, *identity: object) -> T | None:
        """Return the unit's own state of a thing, if it has one."""
        return self.added.get(identity, self.saved.get(identity))

    @property
    def all(self) -> dict[Identity, T]:
        return {**self.added, **self.saved}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Deliveries of an endpoint that are to be made again."""

    endpoint: Endpoint
    since: datetime
    until: datetime
    only_failed: bool
    at: datetime


class Changes:
    """The writes of one unit by kind, and what it expects.

    Values only, so that the changes of several units can be written together.
    """

    def __init__(self, kinds: Kinds) -> None:
        self.records = Writes(kinds.records)
        self.merchants = Writes(kinds.merchants)
        self.api_keys = Writes(kinds.api_keys)
        self.payment_keys = Writes(kinds.payment_keys)
        self.sessions = Writes(kinds.sessions)
        self.refresh_tokens = Writes(kinds.refresh_tokens)
        self.transactions = Writes(kinds.transactions)
        self.refunds = Writes(kinds.refunds)
        self.attempts = Writes(kinds.attempts)
        self.endpoints = Writes(kinds.endpoints)
        self.events = Writes(kinds.events)
        self.deliveries = Writes(kinds.deliveries)
        self.jobs = Writes(kinds.jobs)
        self.jobs_done = Writes(kinds.jobs)
        self.jobs_expected: list[Job] = []
        self.replays: list[Replay] = []
        self._expectations: list[Versioned] = []
        self._of_type: dict[type[Versioned], Writes[Any]] = {
            Merchant: self.merchants,
            ApiKey: self.api_keys,
            PaymentKey: self.payment_keys,
            Session: self.sessions,
            Transaction: self.transactions,
            Refund: self.refunds,
            Endpoint: self.endpoints,
        }

    def expect(self, aggregate: Versioned) -> None:
        """Remember the version that the aggregate must have."""
        self._expectations.append(aggregate)

    @property
    def expected(self) -> Iterator[tuple[Thing, int]]:
        """The versions that things must have; what the unit itself adds has none yet."""
        for aggregate in self._expectations:
            writes = self._of_type[type(aggregate)]
            identity = writes.kind.identity_of(aggregate)
            if identity not in writes.added:
                yield (writes.kind.table.name, identity), aggregate.version

    def saved(self) -> Iterator[tuple[Thing, int]]:
        """Give what is saved, each with the version that it must have."""
        for writes in self.versioned:
            for identity, thing in writes.saved.items():
                yield (writes.kind.table.name, identity), thing.version

    def jobs_saved(self) -> Iterator[Job]:
        """Give the jobs that must still be under the lease that they carry: those to be saved or done."""
        yield from self.jobs.saved.values()
        yield from self.jobs_done.saved.values()

    def unique(self) -> Iterator[tuple[Unique, Identity]]:
        """Give what must not be taken, of what is unique within a merchant."""
        for identity in self.records.added:
            yield Unique.IDEMPOTENCY_KEY, identity
        for transaction in self.transactions.added.values():
            if transaction.reference is not None:
                yield Unique.TRANSACTION_REFERENCE, (transaction.merchant, transaction.livemode, transaction.reference)

    def closed(self) -> list[Endpoint]:
        """Return the endpoints that are saved as disabled, by identity."""
        return [endpoint for _, endpoint in sorted(self.endpoints.saved.items()) if not endpoint.enabled]

    @property
    def versioned(self) -> tuple[Writes[Any], ...]:
        """What carries a version, in the order in which each commit writes it: a thing after those that it names."""
        return (
            self.merchants,
            self.api_keys,
            self.payment_keys,
            self.sessions,
            self.refresh_tokens,
            self.transactions,
            self.refunds,
            self.attempts,
            self.endpoints,
            self.deliveries,
        )

    def touched(self) -> set[str]:
        """Return the merchants of whatever is written: every primary key begins with one."""
        writes = (*self.versioned, self.records, self.events, self.jobs, self.jobs_done)
        written = {str(identity[0]) for kind in writes for identity in (*kind.added, *kind.saved)}
        return written | {replay.endpoint.merchant for replay in self.replays}

    def counted(self) -> set[str]:
        """Return the merchants whose counters the commit locks; those that it adds have none yet."""
        expected = {str(identity[0]) for (_, identity), _ in self.expected} | {
            job.merchant for job in self.jobs_expected
        }
        return (self.touched() | expected) - {str(merchant) for (merchant,) in self.merchants.added}

    # ── beside other units in one commit

    def holds(self) -> set[Thing]:
        """Return what this unit changes or takes, which no other unit of the same commit may change, take or expect."""
        held: set[Thing] = {thing for thing, _ in self.saved()}
        held.update(self.unique())
        held.update(("jobs", (job.merchant, job.id)) for job in (*self.jobs_expected, *self.jobs_saved()))
        return held

    def expects(self) -> set[Thing]:
        """Return what this unit looks at, which no other unit of the same commit may change."""
        return {thing for thing, _ in self.expected}

    def is_large(self) -> bool:
        """Whether the unit has a commit of its own: one that takes long, or is of another kind than the many.

        New merchants, because e-mail addresses are unique over all of them; endpoints that close and replays, because
        they move any number of deliveries.
        """
        if self.merchants.added or self.replays or self.closed():
            return True
        writes = (*self.versioned, self.records, self.events, self.jobs, self.jobs_done)
        return sum(len(kind.added) + len(kind.saved) for kind in writes) > SMALL_MAX

    def __bool__(self) -> bool:
        return bool(self._expectations or self.jobs_expected or self.touched())
