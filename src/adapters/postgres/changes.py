"""What a unit of work remembers until its commit: plain values, no connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeAlias, TypeVar

from adapters.postgres.mapping import OF_NOBODY, Identity, Kind, Kinds
from adapters.postgres.tables import OF_STAFF
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
    "staff_members",
    "staff_sessions",
)
"""The tables of what carries a version, in the order in which each commit writes: a thing after those that it names."""

SMALL_MAX: Final = 50
"""Things that a unit writes beside others; one with more goes alone."""

Thing: TypeAlias = tuple[str, Identity]
"""A table's name and a primary key in it."""


class Writes(Generic[T]):
    """The things of one kind that were added and saved, each in its last state, by primary key."""

    __slots__ = ("_is_staffs", "_touched", "added", "kind", "saved")

    def __init__(self, kind: Kind[T], touched: set[str]) -> None:
        self.kind: Final = kind
        self.added: Final[dict[Identity, T]] = {}
        self.saved: Final[dict[Identity, T]] = {}
        self._touched: Final = touched
        self._is_staffs: Final = kind.table.name in OF_STAFF

    def add(self, thing: T) -> None:
        identity = self.kind.identity_of(thing)
        self.added[identity] = thing
        self._touch(identity)

    def save(self, thing: T) -> None:
        identity = self.kind.identity_of(thing)
        (self.added if identity in self.added else self.saved)[identity] = thing
        self._touch(identity)

    def own(self, *identity: object) -> T | None:
        """Return the unit's own state of a thing, if it has one."""
        return self.added.get(identity, self.saved.get(identity))

    @property
    def all(self) -> dict[Identity, T]:
        return {**self.added, **self.saved}

    def _touch(self, identity: Identity) -> None:
        self._touched.add(OF_NOBODY if self._is_staffs else str(identity[0]))


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
        self.kinds: Final = kinds
        self._writes: Final[dict[str, Writes[Any]]] = {}
        self._expectations: Final[list[Versioned]] = []
        self.touched: Final[set[str]] = set()
        """The merchants of whatever is written: each primary key begins with one. OF_NOBODY for what is nobody's."""
        self.jobs_done: Final = Writes(kinds.jobs, self.touched)
        self.jobs_expected: Final[list[Job]] = []
        self.replays: Final[list[Replay]] = []
        self._terms: Terms | None = None

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

    def expectations(self) -> list[tuple[Thing, int]]:
        """Return the versions that things must have; what the unit itself adds has none yet."""
        expected: list[tuple[Thing, int]] = []
        for aggregate in self._expectations:
            kind = _kind_of(self.kinds, aggregate)
            name, identity = kind.table.name, kind.identity_of(aggregate)
            writes = self._writes.get(name)
            if writes is None or identity not in writes.added:
                expected.append(((name, identity), aggregate.version))
        return expected

    @property
    def terms(self) -> Terms:
        """What must hold for the unit to be committed: asked for when the unit's block has ended, and made once."""
        if self._terms is None:
            self._terms = Terms(self)
        return self._terms

    def all_writes(self) -> Iterable[tuple[str, Writes[Any]]]:
        """Return the writes by table."""
        return self._writes.items()

    def __bool__(self) -> bool:
        return bool(self._expectations or self.jobs_expected or self.touched)


class Terms:
    """What must hold for a unit to be committed, and what it may not share a commit with."""

    __slots__ = (
        "closed",
        "counted",
        "expected",
        "expects",
        "holds",
        "is_large",
        "jobs_expected",
        "jobs_saved",
        "new",
        "of_nobody",
        "saved",
        "unique",
    )

    def __init__(self, changes: Changes) -> None:
        self.expected: Final = changes.expectations()
        """The versions that things must have; what the unit itself adds has none yet."""
        self.jobs_expected: Final[Sequence[Job]] = changes.jobs_expected
        """The jobs that must still be under the lease that they carry."""
        self.jobs_saved: Final[list[Job]] = list(changes.jobs_done.saved.values())
        """The same, of those that are to be saved or are done."""
        self.saved: Final[list[tuple[Thing, int]]] = []
        """What is saved, each with the version that it must have."""
        self.unique: Final[list[tuple[Unique, Identity]]] = []
        """What must not be taken, of what is unique within a merchant."""
        self.closed: Final[list[Endpoint]] = []
        """The endpoints that are saved as disabled, by identity."""
        self.new: Final[set[str]] = set()
        """The merchants that are added."""
        number = len(self.jobs_saved)
        for name, writes in changes.all_writes():
            number += len(writes.added) + len(writes.saved)
            if writes.added:
                self._note_added(name, writes.added)
            if writes.saved:
                self._note_saved(name, writes.saved)
        self.expects: Final[set[Thing]] = {thing for thing, _ in self.expected}
        """What the unit looks at, which no other unit of the same commit may change."""
        self.holds: Final[set[Thing]] = {thing for thing, _ in self.saved}
        """What the unit changes or takes, which no other unit of the same commit may change, take or expect."""
        self.holds.update(self.unique)
        self.holds.update([("jobs", (job.merchant, job.id)) for job in (*self.jobs_expected, *self.jobs_saved)])
        self.counted: Final = {*changes.touched, *[str(identity[0]) for _, identity in self.expects]} - self.new
        """The merchants whose counters the commit locks; those that it adds have none yet."""
        self.counted.update([job.merchant for job in self.jobs_expected])
        self.counted.discard(OF_NOBODY)
        self.of_nobody: Final = OF_NOBODY in changes.touched
        """Whether something is written that is no merchant's: no counter is locked for it."""
        self.is_large: Final = bool(changes.replays or self.closed or self.new or self.of_nobody or number > SMALL_MAX)
        """Whether the unit has a commit of its own: one that takes long, or is of another kind than the many.

        New merchants, and what is staff's, because e-mail addresses are unique over all of them; endpoints that close
        and replays, because they move any number of deliveries.
        """

    def _note_added(self, table: str, added: Mapping[Identity, Any]) -> None:
        if table == "idempotency_records":
            self.unique.extend([(Unique.IDEMPOTENCY_KEY, identity) for identity in added])
        elif table == "transactions":
            made: Iterable[Transaction] = added.values()
            self.unique.extend(
                [
                    (Unique.TRANSACTION_REFERENCE, (one.merchant, one.livemode, one.reference))
                    for one in made
                    if one.reference is not None
                ]
            )
        elif table == "merchants":
            self.new.update([str(merchant) for (merchant,) in added])

    def _note_saved(self, table: str, saved: Mapping[Identity, Any]) -> None:
        if table == "jobs":
            self.jobs_saved.extend(saved.values())
            return
        self.saved.extend([((table, identity), thing.version) for identity, thing in saved.items()])
        if table == "endpoints":
            self.closed.extend([endpoint for _, endpoint in sorted(saved.items()) if not endpoint.enabled])


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
