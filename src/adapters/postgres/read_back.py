"""What a commit left behind, looked up after its answer was lost.

Whether a database transaction was committed cannot be asked of its id: after a crash of the server the id may be
another's. What was written stands for it:

- A row inserted under an id that nobody else makes is there, or was not committed. A job is not sure to be there: it is
  deleted when it is done.
- An idempotency record may be a twin's: it has to be this one, letter by letter.
- A unit that only updated and deleted was not committed where one row has not moved, or has somebody else's values, or
  a deleted job is still there. It was where every row stands as the unit would have left it: then all that it promised
  holds. Rows that have moved on since prove nothing, and neither do jobs that are gone alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from adapters.postgres.changes import VERSIONED, Changes, Writes
from adapters.postgres.mapping import Identity, Kind
from adapters.postgres.running import Row
from adapters.postgres.statements import KEPT, KEYS
from adapters.postgres.unit import Find

MOVED_ALONE: Final[Mapping[str, Iterable[str]]] = {
    **KEPT,
    "deliveries": ("lease_expires_at",),
    "jobs": ("lease_expires_at",),
}
"""Columns that others write without moving the version or the lease token."""


async def was_written(find: Find, changes: Changes) -> bool | None:
    """Say whether the changes were committed by their database transaction, which has ended; None: nobody can tell."""
    if not changes.touched:
        return True
    versioned = _writes(changes, *VERSIONED)
    for writes in (*_writes(changes, "events", "audit_entries"), *versioned):
        if writes.added:
            return await _row(find, writes.kind, next(iter(writes.added))) is not None
    for writes in _writes(changes, "idempotency_records"):
        for identity, record in writes.added.items():
            row = await _row(find, writes.kind, identity)
            return row is not None and writes.kind.of_row(row) == record
    jobs = _writes(changes, "jobs")
    for writes in jobs:
        for identity in writes.added:
            if await _row(find, writes.kind, identity) is not None:
                return True
    return await _updates_stand(find, changes, [*versioned, *jobs])


async def _updates_stand(find: Find, changes: Changes, parts: Sequence[Writes[Any]]) -> bool | None:
    for identity in changes.jobs_done.saved:
        if await _row(find, changes.jobs_done.kind, identity) is not None:
            return False
    standing = [await _stands(find, writes, identity) for writes in parts for identity in writes.saved]
    if False in standing:
        return False
    # These leave no trace that is looked for here, or none that is surely there.
    untold = changes.replays or any(writes.added for writes in _writes(changes, "jobs"))
    return True if standing and all(standing) and not untold else None


def _writes(changes: Changes, *tables: str) -> list[Writes[Any]]:
    return [writes for name in tables if (writes := changes.of_table(name)) is not None]


async def _stands(find: Find, writes: Writes[Any], identity: Identity) -> bool | None:
    """Say whether a row is as its update left it: no, where that surely never happened; None where it has moved on."""
    kind = writes.kind
    row = await _row(find, kind, identity)
    if row is None:
        return None
    meant = kind.to_row(writes.saved[identity])
    fence = "lease_token"
    if "version" in meant:
        fence = "version"
        meant["version"] += 1
    if row[fence] != meant[fence]:
        return False if row[fence] < meant[fence] else None
    meant |= {name: row[name] for name in MOVED_ALONE.get(kind.table.name, ())}
    return bool(kind.of_row(row) == kind.of_row(meant))


async def _row(find: Find, kind: Kind[Any], identity: Identity) -> Row | None:
    rows = await find((kind.table, KEYS[kind.table.name]), identity)
    return rows[0] if rows else None
