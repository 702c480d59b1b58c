"""The commit: what some units changed, looked at and written in one database transaction.

Each merchant has one counter row. The commit takes the locks on the counters of its merchants first, in the order of
their ids, and so commits of one merchant go one after another: what is looked at next stays as it is until the end,
and events get positions without gaps. Then each unit is held to what it expects, by itself: one that is refused leaves
no trace, and nothing is written that could still be refused. Then come the tables, always in the same order: no two
commits wait for each other in a circle. What moves rows without the counter passes over locked ones (claims, leases)
or takes a single row (last uses).

Units of one commit must not be in each other's way: see `Terms.holds` and `Terms.expects`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from operator import attrgetter, itemgetter
from typing import Any, Final, TypeAlias

from sqlalchemy import Executable, text

from adapters.postgres import deliver, statements
from adapters.postgres.changes import VERSIONED, Changes, Terms, Thing, Writes
from adapters.postgres.mapping import OF_NOBODY, Identity
from adapters.postgres.running import Done, Runner, Step, document
from adapters.postgres.statements import ROWS
from payments_core.errors import Duplicate, LeaseLost, StaleWrite
from payments_core.event import Event
from payments_core.idempotency import Record
from payments_core.job import Job
from payments_core.merchant import Merchant
from payments_core.ports import Unique

Rows: TypeAlias = list[dict[str, Any]]

BRIEF_MILLISECONDS: Final = 100
_WAIT_BRIEFLY: Final = text(f"SET LOCAL lock_timeout = {BRIEF_MILLISECONDS}")


class HeldElsewhere(Exception):
    """Somebody else holds what the unit needs: its merchant's counter, or a row; nothing of the unit was done."""


class Patience(Enum):
    """How long a commit waits for what somebody else holds."""

    NONE = "none"
    """Not at all: units that need it are refused with HeldElsewhere."""
    BRIEF = "brief"
    """As long as a commit takes (BRIEF_MILLISECONDS); then the driver says LockNotAvailable, and nothing is done."""
    FULL = "full"
    """As long as the connection's bounds allow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of each unit: None where it waits for the COMMIT alone, else why it is refused.

    `transaction_id` is the database transaction's, None where nothing was looked at.
    """

    refusals: Sequence[Exception | None]
    transaction_id: str | None


async def write(runner: Runner, group: Sequence[Changes], *, patience: Patience) -> Written:
    """Look at the changes of each unit and write those that are not refused, in the connection's transaction.

    Refusals are StaleWrite, Duplicate and LeaseLost, and HeldElsewhere where there is no patience. Raises what the
    driver raises, and StaleWrite where a row was not found that had just been looked at: then the transaction has to be
    rolled back, and nothing is known of any unit.
    """
    units = _Units(group)
    standing = await _look(runner, units, patience=patience)
    refusals = [standing.refusal_of(changes.terms, patience=patience) for changes in group]
    if any(refusals):
        units = _Units([changes for changes, refusal in zip(group, refusals, strict=True) if refusal is None])
    writing = _Writing()
    if units.all:
        _write(writing, units, standing.events)
    done = await runner.write(writing.steps, in_turn=writing.in_turn) if writing.steps else ()
    for (wanted, said), brought in zip(writing.wanted, done, strict=True):
        if wanted is not None and brought.count != wanted:
            raise StaleWrite(said)
    transaction_id = standing.transaction_id
    if transaction_id is None and done:
        transaction_id = str(done[-1].rows[0]["transaction_id"])
    return Written(refusals=refusals, transaction_id=transaction_id)


class _Units:
    """Units that are committed together, and their writes by table."""

    def __init__(self, units: Sequence[Changes]) -> None:
        self.all: Final = units
        self._writes: Final[dict[str, list[Writes[Any]]]] = defaultdict(list)
        for changes in units:
            for table, writes in changes.all_writes():
                if writes.added or writes.saved:
                    self._writes[table].append(writes)

    def writes(self, table: str) -> Sequence[Writes[Any]]:
        return self._writes.get(table, ())

    def added(self, table: str) -> list[Any]:
        return [thing for writes in self.writes(table) for thing in writes.added.values()]


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Standing:
    """What is stored, as far as the units of a commit depend on it, none of which moves until the commit has ended."""

    transaction_id: str | None = None
    events: dict[str, int] = field(default_factory=dict[str, int])
    """How many events each merchant has whose counter is locked."""
    versions: dict[Thing, int] = field(default_factory=dict[Thing, int])
    leases: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    taken: set[tuple[Unique, Identity]] = field(default_factory=set[tuple[Unique, Identity]])

    def refusal_of(self, terms: Terms, *, patience: Patience) -> Exception | None:
        """Return why a unit is refused, or None."""
        if not self.events.keys() >= terms.counted:
            return HeldElsewhere() if patience is Patience.NONE else StaleWrite("a merchant was never stored")
        if patience is Patience.NONE and self._may_be_held(terms):
            return HeldElsewhere()
        if not self._are_at(terms.expected):
            return StaleWrite("what the unit expected has moved")
        if not self._are_held(terms.jobs_expected):
            return LeaseLost("somebody else holds the job")
        taken = [unique for unique, identity in terms.unique if (unique, identity) in self.taken]
        if Unique.IDEMPOTENCY_KEY in taken:
            return Duplicate(Unique.IDEMPOTENCY_KEY)
        if not self._are_at(terms.saved):
            return StaleWrite("what the unit saves has moved")
        if taken:
            return Duplicate(taken[0])
        if not self._are_held(terms.jobs_saved):
            return LeaseLost("somebody else holds the job")
        return None

    def _may_be_held(self, terms: Terms) -> bool:
        """Whether a row that is locked when it is looked at did not come: somebody holds it, or it is not there."""
        return any([thing[0] in statements.LOCKED and thing not in self.versions for thing, _ in terms.saved]) or any(
            [(job.merchant, job.id) not in self.leases for job in (*terms.jobs_expected, *terms.jobs_saved)]
        )

    def _are_at(self, expected: Iterable[tuple[Thing, int]]) -> bool:
        return all([self.versions.get(thing) == version for thing, version in expected])

    def _are_held(self, jobs: Iterable[Job]) -> bool:
        return all([self.leases.get((job.merchant, job.id)) == job.lease_token for job in jobs])


async def _look(runner: Runner, units: _Units, *, patience: Patience) -> _Standing:
    """Lock the counters, and read what the units depend on, each in a statement that sees what the locks keep."""
    looks = statements.PASSING_OVER if patience is Patience.NONE else statements.WAITING
    group = [changes.terms for changes in units.all]
    locks: list[tuple[str, Step]] = []
    if patience is Patience.BRIEF:
        locks.append((_NOTHING, (_WAIT_BRIEFLY, {})))
    merchants = sorted({merchant for terms in group for merchant in terms.counted})
    if merchants:
        locks.append((_COUNTERS, _step(looks.counters, [{"merchant_id": merchant} for merchant in merchants])))
    reads = [*_looks_at_versions(looks, group), *_looks_at_what_is_taken(units)]
    standing = _Standing()
    if merchants or reads:
        brought = await runner.look([step for _, step in locks], [step for _, step in reads])
        for (name, _), done in zip((*locks, *reads), brought, strict=True):
            _note(standing, name, done)
    return standing


def _looks_at_versions(looks: statements.Looks, group: Sequence[Terms]) -> Iterable[tuple[str, Step]]:
    things: dict[str, set[Identity]] = defaultdict(set)
    for terms in group:
        for (table, identity), _ in (*terms.expected, *terms.saved):
            things[table].add(identity)
    for table in sorted(things):
        yield table, _step(looks.versions[table], _named(statements.KEYS[table], things[table]))
    jobs = {(job.merchant, job.id) for terms in group for job in (*terms.jobs_expected, *terms.jobs_saved)}
    if jobs:
        yield _LEASES, _step(looks.leases, _named(statements.KEYS["jobs"], jobs))


def _looks_at_what_is_taken(units: _Units) -> Iterable[tuple[str, Step]]:
    records: list[Record] = units.added("idempotency_records")
    if records:
        rows = [
            {
                "merchant_id": record.merchant,
                "livemode": record.livemode,
                "key": record.key,
                "created_at": record.created_at,
            }
            for record in records
        ]
        yield Unique.IDEMPOTENCY_KEY, _step(statements.RECORDS_TAKEN, rows)
    unique = [one for changes in units.all for one in changes.terms.unique]
    references = [identity for kind, identity in unique if kind is _REFERENCE]
    if references:
        yield _REFERENCE, _step(statements.REFERENCES_TAKEN, _named(_UNIQUE[_REFERENCE], references))


_NOTHING: Final = "nothing"
_COUNTERS: Final = "counters"
_LEASES: Final = "leases"
_REFERENCE: Final = Unique.TRANSACTION_REFERENCE
_UNIQUE: Final[Mapping[Unique, tuple[str, ...]]] = {
    Unique.IDEMPOTENCY_KEY: statements.KEYS["idempotency_records"],
    _REFERENCE: ("merchant_id", "livemode", "reference"),
}


def _note(standing: _Standing, name: str, done: Done) -> None:
    if name == _NOTHING:
        return
    if name == _COUNTERS:
        for row in done.rows:
            standing.events[row["merchant_id"]] = row["events"]
            standing.transaction_id = row["transaction_id"]
    elif name == _LEASES:
        for row in done.rows:
            standing.leases[row["merchant_id"], row["id"]] = row["lease_token"]
    elif isinstance(name, Unique):
        standing.taken.update((name, tuple(row[column] for column in _UNIQUE[name])) for row in done.rows)
    else:
        names = statements.KEYS[name]
        for row in done.rows:
            standing.versions[name, tuple(row[column] for column in names)] = row["version"]


def _named(names: Sequence[str], identities: Iterable[Identity]) -> Rows:
    # Sorted, so that rows are locked in the order of their keys.
    return [dict(zip(names, identity, strict=True)) for identity in sorted(identities)]


def _step(statement: Executable, rows: Rows) -> Step:
    return statement, {ROWS: document(rows)}


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Writing:
    """Steps, each with how many rows it must count (None: any number) and what is said otherwise.

    `in_turn`: one of them has to see what those before it did.
    """

    def __init__(self) -> None:
        self.in_turn = False
        self.steps: list[Step] = []
        self.wanted: list[tuple[int | None, str]] = []

    def rows(self, statement: Executable, rows: Rows, *, counted: bool = True) -> None:
        """Write rows, where there are any."""
        if rows:
            self.steps.append(_step(statement, rows))
            self.wanted.append((len(rows) if counted else None, "a row has moved that had been looked at"))

    def other(self, statement: Executable, given: Mapping[str, object]) -> None:
        """Run a statement that sees what was done before."""
        self.in_turn = True
        self.steps.append((statement, given))
        self.wanted.append((None, ""))


def _write(writing: _Writing, units: _Units, events: Mapping[str, int]) -> None:
    _move_counters(writing, units)
    writing.rows(statements.INSERT_RECORDS, _added_rows(units.writes("idempotency_records")))
    for name in VERSIONED:
        writes = units.writes(name)
        if writes:
            writing.rows(statements.UPDATE[name], _saved_rows(writes))
            writing.rows(statements.INSERT[name], _added_rows(writes))
        if name == "merchants":
            _insert_counters(writing, units)
    new = bool(units.added("merchants"))
    # Events go to the endpoints as these are now.
    writing.in_turn = new or bool(units.writes("endpoints"))
    _write_events(writing, units, events)
    for changes in units.all:
        _move_deliveries(writing, changes)
    jobs = units.writes("jobs")
    writing.rows(statements.INSERT["jobs"], _added_rows(jobs))
    writing.rows(statements.UPDATE["jobs"], _saved_rows(jobs))
    writing.rows(statements.INSERT["audit_entries"], _added_rows(units.writes("audit_entries")))
    done = [
        (job.merchant, job.id, job.lease_token) for changes in units.all for job in changes.jobs_done.saved.values()
    ]
    writing.rows(statements.DELETE_JOBS, _named((*statements.KEYS["jobs"], "lease_token"), done))
    if new or any([changes.terms.of_nobody for changes in units.all]):
        writing.other(statements.TRANSACTION_ID, {})


def _number_of_events(units: _Units) -> Mapping[str, int]:
    events: list[Event] = units.added("events")
    return Counter[str]([event.merchant for event in events])


def _move_counters(writing: _Writing, units: _Units) -> None:
    """Move the revision of each merchant by one for each unit that touched it; its events by as many as there are."""
    moved = Counter(
        [merchant for changes in units.all for merchant in changes.touched - changes.terms.new - {OF_NOBODY}]
    )
    added = _number_of_events(units)
    rows: Rows = [
        {"merchant_id": merchant, "revision": number, "events": added[merchant]}
        for merchant, number in sorted(moved.items())
    ]
    writing.rows(statements.MOVE_COUNTERS, rows)


def _insert_counters(writing: _Writing, units: _Units) -> None:
    """Give new merchants their counters."""
    merchants: list[Merchant] = units.added("merchants")
    if merchants:
        added = _number_of_events(units)
        rows: Rows = [
            {"merchant_id": merchant.id, "revision": 1, "events": added[merchant.id]}
            for merchant in sorted(merchants, key=_merchant_id)
        ]
        writing.rows(statements.INSERT_COUNTERS, rows)


_merchant_id: Final = attrgetter("id")


def _added_rows(parts: Iterable[Writes[Any]]) -> Rows:
    """Return the rows of what was added, by primary key, each with the version after the one that it carries."""
    added = [(identity, writes.kind.to_row(thing)) for writes in parts for identity, thing in writes.added.items()]
    rows = [row for _, row in sorted(added, key=_identity)]
    for row in rows:
        if "version" in row:
            row["version"] += 1
    return rows


def _saved_rows(parts: Iterable[Writes[Any]]) -> Rows:
    saved = [(identity, writes.kind.to_row(thing)) for writes in parts for identity, thing in writes.saved.items()]
    return [row for _, row in sorted(saved, key=_identity)]


_identity: Final = itemgetter(0)


def _write_events(writing: _Writing, units: _Units, events: Mapping[str, int]) -> None:
    """Insert the events at the next positions of their merchants, in the order in which they were added."""
    last = dict(events)
    rows: Rows = []
    for writes in units.writes("events"):
        for event in writes.added.values():
            position = last[event.merchant] = last.get(event.merchant, 0) + 1
            rows.append({**writes.kind.to_row(event), "position": position})
    writing.rows(statements.INSERT["events"], rows)
    told = [{name: row[name] for name in deliver.TOLD} for row in rows]
    writing.rows(deliver.DELIVER, told, counted=False)


def _move_deliveries(writing: _Writing, changes: Changes) -> None:
    for endpoint in changes.terms.closed:
        writing.other(deliver.CANCEL_PENDING, deliver.given_by_endpoint(endpoint))
    for replay in changes.replays:
        given = deliver.given_by(replay)
        writing.other(deliver.FAILED_AGAIN if replay.only_failed else deliver.ALL_AGAIN, given)
        if not replay.only_failed:
            writing.other(deliver.FOR_THE_FIRST_TIME, given)
