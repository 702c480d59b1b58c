"""Leases on due work, each claim a single statement."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import (
    ColumnElement,
    Executable,
    Integer,
    RowMapping,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    func,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.deliver import PENDING
from adapters.postgres.errors import translated
from adapters.postgres.mapping import Kinds
from adapters.postgres.statements import given
from adapters.postgres.tables import CLAIMABLE_AT, TIME, deliveries, endpoints, events, jobs
from adapters.postgres.turns import AT, FREE, LIMIT, due_deliveries, parameters
from payments_core.job import Job, JobKind
from payments_core.ports import Backlog, ClaimedDelivery, Room
from payments_core.webhook import Delivery

T = TypeVar("T")

COUNTED_MAX: Final = 100_000
"""Where the backlog's counts end: whoever has so much to do need not know it more exactly."""

_ALIVE: Final = jobs.c.dead_at.is_(None)
_KNOWN: Final = jobs.c.kind.in_([kind.value for kind in JobKind])
"""Whoever runs a later version beside this one does the others."""

_LEASE_UNTIL: Final = bindparam("lease_until", type_=TIME)

_log = logging.getLogger(__name__)


def _claim_jobs() -> Executable:
    chosen = (
        select(*jobs.primary_key, CLAIMABLE_AT.label("claimable_at"))
        .where(_ALIVE, _KNOWN, CLAIMABLE_AT <= AT)
        .order_by(CLAIMABLE_AT)
        .limit(LIMIT)
        .with_for_update(skip_locked=True)
        .cte("chosen")
    )
    return (
        update(jobs)
        .where(jobs.c.merchant_id == chosen.c.merchant_id, jobs.c.id == chosen.c.id)
        .values(lease_token=jobs.c.lease_token + 1, lease_expires_at=_LEASE_UNTIL)
        .returning(*jobs.c, chosen.c.claimable_at)
    )


def _claim_deliveries() -> Executable:
    chosen = due_deliveries()
    of_endpoint = {f"endpoint_{column.name}": column for column in endpoints.c}
    return (
        update(deliveries)
        .where(
            deliveries.c.merchant_id == chosen.c.merchant_id,
            deliveries.c.endpoint_id == chosen.c.endpoint_id,
            deliveries.c.id == chosen.c.id,
            endpoints.c.merchant_id == deliveries.c.merchant_id,
            endpoints.c.livemode == deliveries.c.livemode,
            endpoints.c.id == deliveries.c.endpoint_id,
            events.c.merchant_id == deliveries.c.merchant_id,
            events.c.id == deliveries.c.event_id,
        )
        .values(
            lease_token=deliveries.c.lease_token + 1,
            lease_expires_at=_LEASE_UNTIL,
            version=deliveries.c.version + 1,
        )
        .returning(*deliveries.c, events.c.body, *(column.label(f"of_{name}") for name, column in of_endpoint.items()))
    )


def _set_leases(table: Table) -> Executable:
    """Set the leases of `held_…` to LEASE_UNTIL where their token is still the last one."""
    keys = [column.name for column in table.primary_key]
    held = given("held", **dict.fromkeys(keys, Text), lease_token=Integer)
    # A row that is locked is being written by its holder, or claimed anew: to wait for it could end in a deadlock.
    locked = (
        select(*table.primary_key)
        .where(
            and_(*(table.c[name] == held.c[name] for name in (*keys, "lease_token"))),
            table.c.lease_expires_at.is_not(None),
        )
        .with_for_update(of=table, skip_locked=True)
        .cte("locked")
    )
    return (
        update(table).where(*(table.c[name] == locked.c[name] for name in keys)).values(lease_expires_at=_LEASE_UNTIL)
    )


# Built once: to build them takes longer than to run them, and a busy worker claims many times a second.
CLAIM_JOBS: Final = _claim_jobs()
CLAIM_DELIVERIES: Final = _claim_deliveries()
SET_JOB_LEASES: Final = _set_leases(jobs)
SET_DELIVERY_LEASES: Final = _set_leases(deliveries)


class PostgresClaims:
    """Claims of jobs and deliveries; see `payments_core.ports.Claims`."""

    def __init__(self, single: AsyncEngine, kinds: Kinds) -> None:
        self._single: Final = single
        self._kinds: Final = kinds

    async def claim_jobs(self, *, at: datetime, limit: int, lease: timedelta) -> Sequence[Job]:
        """Lease up to `limit` due jobs that nobody holds, the longest due first."""
        leased = {"at": at, "limit": limit, "lease_until": at + lease}
        rows = sorted(await self._rows(CLAIM_JOBS, leased), key=lambda row: (row["claimable_at"], row["id"]))
        return _readable(rows, self._kinds.jobs.of_row)

    async def claim_deliveries(self, *, at: datetime, room: Room, lease: timedelta) -> Sequence[ClaimedDelivery]:
        """Lease due deliveries that nobody holds, as many as there is room for."""
        leased = {"at": at, "lease_until": at + lease, **parameters(room)}
        claimed = _readable(await self._rows(CLAIM_DELIVERIES, leased), self._claimed)
        return sorted(claimed, key=lambda one: (one.delivery.due_at or at, one.delivery.id))

    def _claimed(self, row: RowMapping) -> ClaimedDelivery:
        endpoint = {column.name: row[f"of_endpoint_{column.name}"] for column in endpoints.c}
        return ClaimedDelivery(
            delivery=self._kinds.deliveries.of_row(row),
            endpoint=self._kinds.endpoints.of_row(endpoint),
            body=row["body"],
        )

    async def extend(self, jobs: Sequence[Job], deliveries: Sequence[Delivery], /, *, until: datetime) -> None:
        """Extend leases that are still held."""
        await self._set_leases(jobs, deliveries, until)

    async def release(self, jobs: Sequence[Job], deliveries: Sequence[Delivery], /) -> None:
        """Hand back what is still held, due as before."""
        await self._set_leases(jobs, deliveries, None)

    async def _set_leases(
        self, held_jobs: Sequence[Job], held_deliveries: Sequence[Delivery], until: datetime | None
    ) -> None:
        if held_jobs:
            parameters: dict[str, object] = {
                "lease_until": until,
                "held_merchant_id": [job.merchant for job in held_jobs],
                "held_id": [job.id for job in held_jobs],
                "held_lease_token": [job.lease_token for job in held_jobs],
            }
            await self._run(SET_JOB_LEASES, parameters)
        if held_deliveries:
            parameters = {
                "lease_until": until,
                "held_merchant_id": [delivery.merchant for delivery in held_deliveries],
                "held_endpoint_id": [delivery.endpoint for delivery in held_deliveries],
                "held_id": [delivery.id for delivery in held_deliveries],
                "held_lease_token": [delivery.lease_token for delivery in held_deliveries],
            }
            await self._run(SET_DELIVERY_LEASES, parameters)

    async def backlog(self, *, at: datetime) -> Backlog:
        """Count what waits, up to COUNTED_MAX of each."""
        due_jobs = select(jobs.c.due_at).where(_ALIVE, CLAIMABLE_AT <= AT).order_by(CLAIMABLE_AT)
        counted = due_jobs.limit(COUNTED_MAX).subquery()
        dead_jobs = select(jobs.c.due_at).where(jobs.c.dead_at.is_not(None))
        due_deliveries = select(deliveries.c.due_at).where(PENDING, FREE)
        (row,) = await self._rows(
            select(
                func.count().label("jobs_due"),
                func.min(counted.c.due_at).label("oldest"),
                _count(dead_jobs).label("jobs_dead"),
                _count(due_deliveries).label("deliveries_due"),
            ).select_from(counted),
            {"at": at},
        )
        return Backlog(
            jobs_due=row["jobs_due"],
            jobs_dead=row["jobs_dead"],
            deliveries_due=row["deliveries_due"],
            oldest_due_seconds=0.0 if row["oldest"] is None else (at - row["oldest"]).total_seconds(),
        )

    async def _rows(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Sequence[RowMapping]:
        with translated():
            async with self._single.connect() as connection:
                return (await connection.execute(statement, parameters or {})).mappings().all()

    async def _run(self, statement: Executable, parameters: Mapping[str, Any]) -> None:
        with translated():
            async with self._single.connect() as connection:
                await connection.execute(statement, parameters)


def _readable(rows: Sequence[RowMapping], read: Callable[[RowMapping], T]) -> list[T]:
    """Read the rows of a claim that can be read; the others' leases run out, and nobody else waits for them."""
    things: list[T] = []
    unreadable: dict[str, str] = {}
    for row in rows:
        try:
            things.append(read(row))
        except Exception as error:
            # The text of an error may hold what is in the row.
            unreadable[row["id"]] = type(error).__name__
    if unreadable:
        _log.error("claimed what cannot be read, left to its lease: %s", unreadable)
    return things


def _count(rows: Select[Any]) -> ColumnElement[int]:
    return select(func.count()).select_from(rows.limit(COUNTED_MAX).subquery()).scalar_subquery()
