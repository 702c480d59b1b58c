"""What staff see: merchants, jobs and attempts of all of them in the order of the primary key, and who the staff are.

A list of another state than those that wait for a person has no index, and looks at so many rows at a time. A single
attempt is found by its id, a single job at each merchant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, FromClause, RowMapping, Table, and_, func, insert, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.errors import NOTHING, translated
from adapters.postgres.keyset import Filter, Listing, read_slice
from adapters.postgres.lookups import is_storable
from adapters.postgres.mapping import Kind, Kinds, Row
from adapters.postgres.overall import PostgresOverall, of_anybody
from adapters.postgres.tables import attempts, jobs, merchants, staff_members, staff_sessions
from adapters.postgres.views import audit_listing
from payments_core.attempt import Attempt, AttemptState
from payments_core.audit import AuditEntry
from payments_core.errors import NotFound
from payments_core.ids import AttemptId, JobId, MerchantId, StaffSessionId
from payments_core.job import Job, JobState
from payments_core.merchant import Merchant
from payments_core.page import Slice
from payments_core.ports import AttemptFilter, AuditFilter, JobFilter, MerchantFilter, StaffSessionHolder, Window
from payments_core.staff_member import StaffMember
from payments_core.values import lower_ascii

T = TypeVar("T")

_NEEDS_REVIEW: Final = attempts.c.needs_review
_DEAD: Final = jobs.c.dead_at.is_not(None)


class PostgresOversight(PostgresOverall):
    """Reads over all merchants; see `payments_core.ports.Oversight`."""

    async def merchants(self, window: Window, filter: MerchantFilter, /) -> Slice[Merchant]:
        """List merchants."""
        filters: list[Filter] = []
        if filter.text is not None and filter.id is None:
            filters.append(_contains(filter.text))
        if filter.suspended is not None:
            filters.append(_is_suspended(filter.suspended))
        within = [] if filter.id is None else [merchants.c.id == filter.id]
        listing = Listing(kind=self._kinds.merchants, key=merchants.c.id, within=within, filters=filters)
        with translated():
            async with self._single.connect() as connection:
                return await read_slice(connection, listing, window)

    async def merchant(self, id: MerchantId, /) -> Merchant:
        """Return the merchant, or raise NotFound."""
        if not is_storable((id,)):
            raise NotFound(NOTHING)
        return await self._one(self._kinds.merchants, merchants.c.id == id)

    async def staff_members(self, *, limit: int) -> Sequence[StaffMember]:
        """Return up to `limit` of the staff."""
        oldest_first = select(staff_members).order_by(staff_members.c.id).limit(limit)
        with translated():
            async with self._single.connect() as connection:
                rows = (await connection.execute(oldest_first)).mappings().all()
        return [self._kinds.staff_members.of_row(row) for row in rows]

    async def staff_session(self, id: StaffSessionId, /) -> StaffSessionHolder | None:
        """Return the session with its member, if there is one."""
        if not is_storable((id,)):
            return None
        found = (
            select(*_labelled(staff_members), *_labelled(staff_sessions))
            .join_from(staff_sessions, staff_members, staff_sessions.c.member_id == staff_members.c.id)
            .where(staff_sessions.c.id == id)
        )
        with translated():
            async with self._single.connect() as connection:
                row = (await connection.execute(found)).mappings().first()
        if row is None:
            return None
        return StaffSessionHolder(
            session=self._kinds.staff_sessions.of_row(_part(row, staff_sessions)),
            member=self._kinds.staff_members.of_row(_part(row, staff_members)),
        )

    async def jobs(self, window: Window, filter: JobFilter, /, *, at: datetime) -> Slice[Job]:
        """List jobs by what they wait for at that time."""
        dead = filter.state is JobState.DEAD
        filters = [] if dead or filter.state is None else [_in_state(filter.state, at)]
        return await self._slice(self._kinds.jobs, window, filter.merchant, [_DEAD] if dead else [], filters)

    async def job(self, id: JobId, /) -> Job:
        """Return the job, or raise NotFound."""
        return await self._one(self._kinds.jobs, of_anybody(jobs), jobs.c.id == id)

    async def attempts(self, window: Window, filter: AttemptFilter, /) -> Slice[Attempt]:
        """List attempts."""
        review = filter.state is AttemptState.NEEDS_REVIEW
        filters = [] if review or filter.state is None else [_equals_state(filter.state)]
        within = [_NEEDS_REVIEW] if review else []
        return await self._slice(self._kinds.attempts, window, filter.merchant, within, filters)

    async def attempt(self, id: AttemptId, /) -> Attempt:
        """Return the attempt, or raise NotFound."""
        return await self._one(self._kinds.attempts, attempts.c.id == id)

    async def audit(self, window: Window, filter: AuditFilter, merchant: MerchantId | None, /) -> Slice[AuditEntry]:
        """List the entries of a merchant, or of everybody and nobody."""
        with translated():
            async with self._single.connect() as connection:
                return await read_slice(connection, audit_listing(self._kinds, filter, merchant), window)

    async def _slice(
        self,
        kind: Kind[T],
        window: Window,
        merchant: MerchantId | None,
        within: Sequence[ColumnElement[bool]],
        filters: Sequence[Filter],
    ) -> Slice[T]:
        columns = kind.table.c
        own = [] if merchant is None else [columns.merchant_id == merchant]
        listing = Listing(
            kind=kind,
            group=columns.merchant_id,
            key=columns.id,
            within=[*own, *within],
            filters=filters,
            newest_first=False,
        )
        with translated():
            async with self._single.connect() as connection:
                return await read_slice(connection, listing, window)

    async def _one(self, kind: Kind[T], *conditions: ColumnElement[bool]) -> T:
        found = select(kind.table).where(*conditions)
        with translated():
            async with self._single.connect() as connection:
                row = (await connection.execute(found)).mappings().first()
        if row is None:
            raise NotFound(NOTHING)
        return kind.of_row(row)


class PostgresAuditLog:
    """Appends to the log outside of units; see `payments_core.ports.AuditLog`."""

    def __init__(self, single: AsyncEngine, kinds: Kinds) -> None:
        self._single: Final = single
        self._kinds: Final = kinds

    async def append(self, entry: AuditEntry, /) -> None:
        """Write an entry at once."""
        kind = self._kinds.audit_entries
        with translated():
            async with self._single.connect() as connection:
                await connection.execute(insert(kind.table).values(kind.to_row(entry)))


def _labelled(table: Table) -> Iterable[ColumnElement[Any]]:
    """Return the columns of a table, each under a name that no other table has."""
    return (column.label(f"{table.name} {column.name}") for column in table.c)


def _part(row: RowMapping, table: Table) -> Row:
    return {column.name: row[f"{table.name} {column.name}"] for column in table.c}


def _contains(text: str) -> Filter:
    """Tell whose e-mail address or name has the text somewhere, A to Z in either case."""
    part = lower_ascii(text)

    def condition(rows: FromClause) -> ColumnElement[bool]:
        # Of the locale "C", `lower` changes A to Z alone.
        return or_(*(func.strpos(func.lower(column.collate("C")), part) > 0 for column in (rows.c.email, rows.c.name)))

    return condition


def _is_suspended(suspended: bool) -> Filter:
    return lambda rows: rows.c.suspended_at.is_not(None) if suspended else rows.c.suspended_at.is_(None)


def _in_state(state: JobState, at: datetime) -> Filter:
    """Tell what a living job waits for, as `Job.state_at` does."""

    def condition(rows: FromClause) -> ColumnElement[bool]:
        lease = rows.c.lease_expires_at
        leased, due = and_(lease.is_not(None), lease > at), rows.c.due_at <= at
        free = and_(rows.c.dead_at.is_(None), or_(lease.is_(None), lease <= at))
        match state:
            case JobState.DEAD:
                return rows.c.dead_at.is_not(None)
            case JobState.LEASED:
                return and_(rows.c.dead_at.is_(None), leased)
            case JobState.DUE:
                return and_(free, due)
            case JobState.WAITING:
                return and_(free, not_(due))

    return condition


def _equals_state(state: AttemptState) -> Filter:
    return lambda rows: rows.c.state == state.value
