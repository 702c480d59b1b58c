"""The commit: what a unit changed, written in one database transaction.

Each merchant has one counter row. The commit takes the locks on the counters of its merchants first, in the order of
their ids, and so commits of one merchant go one after another: versions that are looked at stay, events get positions
without gaps. Then come the tables, always in the same order, and in each the rows by primary key: no two commits wait
for each other in a circle. What moves rows without the counter passes over locked ones (claims, leases) or takes a
single row (last uses).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import deliver, statements
from adapters.postgres.changes import Changes, Writes
from payments_core.errors import Duplicate, LeaseLost, StaleWrite
from payments_core.ports import Unique


async def write(connection: AsyncConnection, changes: Changes) -> str:
    """Write the changes in the connection's transaction; return the id of that transaction.

    Raises StaleWrite, Duplicate or LeaseLost, after which the transaction has to be rolled back. A unit without
    writes moves no revision.
    """
    counted, transaction_id = await _move_revisions(connection, changes)
    await _check_expectations(connection, changes)
    await _check_leases(connection, changes)
    await _insert_records(connection, changes)
    if changes.merchants.added:
        transaction_id = await _insert_merchants(connection, changes)
    for writes in changes.versioned:
        await _write_versioned(connection, writes)
    await _write_events(connection, changes, counted)
    await _move_deliveries(connection, changes)
    await _write_jobs(connection, changes)
    assert transaction_id is not None
    return transaction_id


# ── revisions and expectations ───────────────────────────────────────────────────────────────────────────────────────


async def _move_revisions(connection: AsyncConnection, changes: Changes) -> tuple[dict[str, int], str | None]:
    """Lock and move the counters; return how many events each merchant has now, and the database transaction's id."""
    merchants, touched = changes.counted(), changes.touched()
    if not merchants:
        return {}, None
    numbers = Counter[str](event.merchant for event in changes.events.added.values())
    found = await connection.execute(
        statements.MOVE_REVISIONS,
        {
            "moves_merchant_id": merchants,
            "moves_moved": [int(merchant in touched) for merchant in merchants],
            "moves_events": [numbers[merchant] for merchant in merchants],
        },
    )
    moved = found.all()
    if len(moved) != len(merchants):
        raise StaleWrite("a merchant was never stored")
    return {row.merchant_id: row.events for row in moved}, moved[0].transaction_id


async def _check_expectations(connection: AsyncConnection, changes: Changes) -> None:
    if changes.expected:
        moved = await connection.execute(*statements.moved(changes.expected))
        if moved.first() is not None:
            raise StaleWrite("what the unit expected has moved")


async def _check_leases(connection: AsyncConnection, changes: Changes) -> None:
    if changes.jobs_expected:
        arrays = {
            "held_merchant_id": [job.merchant for job in changes.jobs_expected],
            "held_id": [job.id for job in changes.jobs_expected],
            "held_lease_token": [job.lease_token for job in changes.jobs_expected],
        }
        if len((await connection.execute(statements.HELD_JOBS, arrays)).all()) != len(changes.jobs_expected):
            raise LeaseLost("somebody else holds the job")


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _insert_records(connection: AsyncConnection, changes: Changes) -> None:
    """Insert the idempotency records, before whatever else is unique: a repeated request is one, whatever it did."""
    rows = _added_rows(changes.records)
    if rows and (await connection.execute(statements.INSERT_RECORDS, rows)).rowcount != len(rows):
        raise Duplicate(Unique.IDEMPOTENCY_KEY)


async def _insert_merchants(connection: AsyncConnection, changes: Changes) -> str:
    """Insert new merchants with their counters; return the database transaction's id."""
    await connection.execute(statements.INSERT["merchants"], _added_rows(changes.merchants))
    numbers = Counter(event.merchant for event in changes.events.added.values())
    new = sorted(merchant.id for merchant in changes.merchants.added.values())
    rows = [{"merchant_id": merchant, "revision": 1, "events": numbers[merchant]} for merchant in new]
    await connection.execute(statements.INSERT_REVISIONS, rows)
    return str(await connection.scalar(statements.TRANSACTION_ID))


async def _write_versioned(connection: AsyncConnection, writes: Writes[Any]) -> None:
    """Update what was saved and insert what was added, each with the version after the one that it carries."""
    table = writes.kind.table
    if writes.saved:
        rows = _saved_rows(writes)
        updated = await connection.execute(statements.UPDATE[table.name], rows)
        if updated.rowcount != len(rows):
            raise StaleWrite(f"a row of {table.name} has moved")
    if writes.added and table.name != "merchants":
        await connection.execute(statements.INSERT[table.name], _added_rows(writes))


def _added_rows(writes: Writes[Any]) -> list[dict[str, Any]]:
    rows = [writes.kind.to_row(thing) for _, thing in sorted(writes.added.items())]
    for row in rows:
        if "version" in row:
            row["version"] += 1
    return rows


def _saved_rows(writes: Writes[Any]) -> list[dict[str, Any]]:
    """Return the rows with the names of parameters: keys and version say which row, the rest what is written."""
    rows = (writes.kind.to_row(thing) for _, thing in sorted(writes.saved.items()))
    return [{statements.parameter(name): value for name, value in row.items()} for row in rows]


# ── events, deliveries, jobs ─────────────────────────────────────────────────────────────────────────────────────────


async def _write_events(connection: AsyncConnection, changes: Changes, counted: Mapping[str, int]) -> None:
    """Insert the events at the next positions of their merchants, in the order in which they were added."""
    new = list(changes.events.added.values())
    if not new:
        return
    numbers = Counter(event.merchant for event in new)
    last = {merchant: counted.get(merchant, number) - number for merchant, number in numbers.items()}
    rows: list[dict[str, Any]] = []
    for event in new:
        last[event.merchant] += 1
        rows.append(changes.events.kind.to_row(event) | {"position": last[event.merchant]})
    await connection.execute(statements.INSERT["events"], rows)
    await connection.execute(deliver.DELIVER, {"events": [(event.merchant, event.id) for event in new]})


async def _move_deliveries(connection: AsyncConnection, changes: Changes) -> None:
    closed = [endpoint for _, endpoint in sorted(changes.endpoints.saved.items()) if not endpoint.enabled]
    if closed:
        await connection.execute(deliver.cancel_pending(closed))
    for replay in changes.replays:
        await connection.execute(deliver.again(replay))
        if not replay.only_failed:
            await connection.execute(deliver.for_the_first_time(replay))


async def _write_jobs(connection: AsyncConnection, changes: Changes) -> None:
    """Write the jobs; whoever's lease was taken by somebody else is refused."""
    if changes.jobs.added:
        await connection.execute(statements.INSERT["jobs"], _added_rows(changes.jobs))
    if changes.jobs.saved:
        rows = _saved_rows(changes.jobs)
        if (await connection.execute(statements.UPDATE["jobs"], rows)).rowcount != len(rows):
            raise LeaseLost("somebody else holds the job")
    if changes.jobs_done.saved:
        keys = [
            {"p_merchant_id": job.merchant, "p_id": job.id, "p_lease_token": job.lease_token}
            for _, job in sorted(changes.jobs_done.saved.items())
        ]
        if (await connection.execute(statements.DELETE_JOBS, keys)).rowcount != len(keys):
            raise LeaseLost("somebody else holds the job")
