"""What a unit of work remembers until its commit: plain values, no connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Generic, TypeAlias, TypeVar

from adapters.postgres.mapping import Identity, Kind, Kinds
from payments_core.job import Job
from payments_core.merchant import ApiKey, Merchant, PaymentKey, Session
from payments_core.ports import Unique, Versioned
from payments_core.refund import Refund
from payments_core.transaction import Transaction
from payments_core.webhook import Endpoint

T = TypeVar("T")

VERSIONED: Final = (
    "merchants",
    "api_keys",
    "payment_keys",
    "sessions",
    "refresh_tokens",
    "transactions",
    "refunds",
    "attempts",
    "endpoints",
    "deliveries",
)
"""The tables of what carries a version, in the order in which each commit writes: a thing after those that it names."""

SMALL_MAX: Final = 50
"""Things that a unit writes beside others; one with more goes alone."""

Thing: TypeAlias = tuple[str, Identity]
"""A table's name and a primary key in it."""


class Writes(Generic[T]):
    """The things of one kind that were added and saved, each in its last state, by primary key."""

    __slots__ = ("_touched", "added", "kind", "saved")

    def __init__(self, kind: Kind[T], touched: set[str]) -> None:
        self.kind: Final = kind
        self.added: Final[dict[Identity, T]] = {}
        self.saved: Final[dict[Identity, T]] = {}
        self._touched: Final = touched

    def add(self, thing: T) -> None:
        identity = self.kind.identity_of(thing)
        self.added[identity] = thing
        self._touched.add(str(identity[0]))

    def save(self, thing: T) -> None:
        identity = self.kind.identity_of(thing)
        (self.added if identity in self.added else self.saved)[identity] = thing
        self._touched.add(str(identity[0]))

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

    Values only, so that the changes of several units can be written together. What is derived from them is made once:
    asked for when the unit's block has ended.
    """

    def __init__(self, kinds: Kinds) -> None:
        self.kinds: Final = kinds
        self._writes: Final[dict[str, Writes[Any]]] = {}
        self._expectations: Final[list[Versioned]] = []
        self.touched: Final[set[str]] = set()
        """The merchants of whatever is written: every primary key begins with one."""
        self.jobs_done: Final = Writes(kinds.jobs, self.touched)
        self.jobs_expected: Final[list[Job]] = []
        self.replays: Final[list[Replay]] = []

    def of(self, kind: Kind[T]) -> Writes[T]:
        """Return the writes of a kind."""
        name = kind.table.name
        found = self._writes.get(name)
        if found is None:
            found = self._writes[name] = Writes(kind, self.touched)
        return found

    def of_table(self, name: str) -> Writes[Any] | None:
        """Return the writes into a table, where there may be some."""
        return self._writes.get(name)

    def replay(self, replay: Replay) -> None:
        """Remember deliveries that are to be made again."""
        self.replays.append(replay)
        self.touched.add(replay.endpoint.merchant)

    def expect(self, aggregate: Versioned) -> None:
        """Remember the version that the aggregate must have."""
        self._expectations.append(aggregate)

    # ── what must hold

    @cached_property
    def expected(self) -> Sequence[tuple[Thing, int]]:
        """The versions that things must have; what the unit itself adds has none yet."""
        expected: list[tuple[Thing, int]] = []
        for aggregate in self._expectations:
            kind = _kind_of(self.kinds, aggregate)
            identity = kind.identity_of(aggregate)
            if identity not in self.of(kind).added:
                expected.append(((kind.table.name, identity), aggregate.version))
        return expected

    @cached_property
    def saved(self) -> Sequence[tuple[Thing, int]]:
        """What is saved, each with the version that it must have."""
        return [
            ((name, identity), thing.version)
            for name in VERSIONED
            if (writes := self._writes.get(name))
            for identity, thing in writes.saved.items()
        ]

    @cached_property
    def jobs_saved(self) -> Sequence[Job]:
        """The jobs that must still be under the lease that they carry: those to be saved or done."""
        saved = self._writes.get("jobs")
        return [*(saved.saved.values() if saved else ()), *self.jobs_done.saved.values()]

    @cached_property
    def unique(self) -> Sequence[tuple[Unique, Identity]]:
        """What must not be taken, of what is unique within a merchant."""
        made = self.of(self.kinds.transactions).added.values()
        return [
            *((Unique.IDEMPOTENCY_KEY, identity) for identity in self.of(self.kinds.records).added),
            *(
                (Unique.TRANSACTION_REFERENCE, (one.merchant, one.livemode, one.reference))
                for one in made
                if one.reference is not None
            ),
        ]

    @cached_property
    def closed(self) -> Sequence[Endpoint]:
        """The endpoints that are saved as disabled, by identity."""
        saved = self.of(self.kinds.endpoints).saved
        return [endpoint for _, endpoint in sorted(saved.items()) if not endpoint.enabled]

    @cached_property
    def counted(self) -> frozenset[str]:
        """The merchants whose counters the commit locks; those that it adds have none yet."""
        expected = {str(identity[0]) for (_, identity), _ in self.expected}
        expected.update(job.merchant for job in self.jobs_expected)
        new = {str(merchant) for (merchant,) in self.of(self.kinds.merchants).added}
        return frozenset((self.touched | expected) - new)

    # ── beside other units in one commit

    def holds(self) -> set[Thing]:
        """Return what this unit changes or takes, which no other unit of the same commit may change, take or expect."""
        held: set[Thing] = {thing for thing, _ in self.saved}
        held.update(self.unique)
        held.update(("jobs", (job.merchant, job.id)) for job in (*self.jobs_expected, *self.jobs_saved))
        return held

    def expects(self) -> set[Thing]:
        """Return what this unit looks at, which no other unit of the same commit may change."""
        return {thing for thing, _ in self.expected}

    def is_large(self) -> bool:
        """Whether the unit has a commit of its own: one that takes long, or is of another kind than the many.

        New merchants, because e-mail addresses are unique over all of them; endpoints that close and replays, because
        they move any number of deliveries.
        """
        if self.replays or self.closed or self.of(self.kinds.merchants).added:
            return True
        return sum(len(kind.added) + len(kind.saved) for kind in (*self._writes.values(), self.jobs_done)) > SMALL_MAX

    def __bool__(self) -> bool:
        return bool(self._expectations or self.jobs_expected or self.touched)


def _kind_of(kinds: Kinds, aggregate: Versioned) -> Kind[Any]:
    match aggregate:
        case Merchant():
            return kinds.merchants
        case PaymentKey():
            return kinds.payment_keys
        case Transaction():
            return kinds.transactions
        case ApiKey():
            return kinds.api_keys
        case Session():
            return kinds.sessions
        case Refund():
            return kinds.refunds
        case Endpoint():
            return kinds.endpoints
