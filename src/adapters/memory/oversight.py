"""What staff see in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import TypeVar

from adapters.memory.overall import MemoryOverall
from adapters.memory.slices import cut
from adapters.memory.state import State, Table
from adapters.memory.views import entry_passes, newest_first
from payments_core.attempt import Attempt
from payments_core.audit import AuditEntry
from payments_core.errors import Duplicate, NotFound
from payments_core.ids import AttemptId, JobId, MerchantId, StaffSessionId
from payments_core.job import Job
from payments_core.merchant import Merchant
from payments_core.page import Slice
from payments_core.ports import (
    AttemptFilter,
    AuditFilter,
    JobFilter,
    MerchantFilter,
    StaffSessionHolder,
    Unique,
    Window,
)
from payments_core.staff_member import StaffMember
from payments_core.values import lower_ascii

T = TypeVar("T", Job, Attempt)


class MemoryOversight(MemoryOverall):
    """The port `Oversight`."""

    async def merchants(self, window: Window, filter: MerchantFilter, /) -> Slice[Merchant]:
        """List merchants."""
        await asyncio.sleep(0)
        found = Table[Merchant]()
        for account in self._state.accounts.values():
            found.put(account.merchant.id, account.merchant)
        return newest_first(found, window, lambda one: _passes(one, filter), lambda one: one.id)

    async def merchant(self, id: MerchantId, /) -> Merchant:
        """Return the merchant, or raise NotFound."""
        await asyncio.sleep(0)
        return self._state.account(id).merchant

    async def staff_members(self, *, limit: int) -> Sequence[StaffMember]:
        """Return up to `limit` of the staff."""
        await asyncio.sleep(0)
        return list(islice(self._state.staff_members.oldest_first(), limit))

    async def staff_session(self, id: StaffSessionId, /) -> StaffSessionHolder | None:
        """Return the session with its member, if there is one."""
        await asyncio.sleep(0)
        session = self._state.staff_sessions.get(id)
        member = None if session is None else self._state.staff_members.get(session.member)
        return None if session is None or member is None else StaffSessionHolder(session=session, member=member)

    async def jobs(self, window: Window, filter: JobFilter, /, *, at: datetime) -> Slice[Job]:
        """List jobs by what they wait for at that time."""
        await asyncio.sleep(0)
        jobs = (
            job
            for job in self._state.jobs.values()
            if filter.merchant in (None, job.merchant) and filter.state in (None, job.state_at(at))
        )
        return _slice(jobs, window)

    async def job(self, id: JobId, /) -> Job:
        """Return the job, or raise NotFound."""
        await asyncio.sleep(0)
        found = self._state.jobs.get(id)
        if found is None:
            raise NotFound("There is nothing with this id.")
        return found

    async def attempts(self, window: Window, filter: AttemptFilter, /) -> Slice[Attempt]:
        """List attempts."""
        await asyncio.sleep(0)
        attempts = (
            attempt
            for merchant, account in self._state.accounts.items()
            if filter.merchant in (None, merchant)
            for attempt in account.attempts.oldest_first()
            if filter.state in (None, attempt.state)
        )
        return _slice(attempts, window)

    async def attempt(self, id: AttemptId, /) -> Attempt:
        """Return the attempt, or raise NotFound."""
        await asyncio.sleep(0)
        for account in self._state.accounts.values():
            found = account.attempts.get(id)
            if found is not None:
                return found
        raise NotFound("There is nothing with this id.")

    async def audit(self, window: Window, filter: AuditFilter, merchant: MerchantId | None, /) -> Slice[AuditEntry]:
        """List the entries of a merchant, or of everybody and nobody."""
        await asyncio.sleep(0)

        def wanted(one: AuditEntry) -> bool:
            return merchant in (None, one.merchant) and entry_passes(one, filter)

        return newest_first(self._state.audit, window, wanted, lambda one: one.id)


class MemoryAuditLog:
    """The port `AuditLog`."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def append(self, entry: AuditEntry, /) -> None:
        """Write an entry at once."""
        await asyncio.sleep(0)
        if self._state.audit.get(entry.id) is not None:
            raise Duplicate(Unique.ID)
        self._state.append(entry)


def _passes(merchant: Merchant, filter: MerchantFilter) -> bool:
    if filter.suspended not in (None, merchant.suspended_at is not None):
        return False
    if filter.text is None or filter.id is not None:
        return filter.id in (None, merchant.id)
    part = lower_ascii(filter.text)
    return part in lower_ascii(merchant.email) or part in lower_ascii(merchant.name or "")


def _slice(things: Iterable[T], window: Window) -> Slice[T]:
    position = window.position
    backwards = position is not None and position.backwards
    ordered = sorted(things, key=_key, reverse=backwards)
    if position is not None:
        ordered = [one for one in ordered if (_key(one) < position.key if backwards else _key(one) > position.key)]
    return cut(ordered, window, _key)


def _key(thing: Job | Attempt) -> str:
    return f"{thing.merchant}/{thing.id}"
