"""Leases in memory."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from adapters.memory.state import State
from payments_core.ids import MerchantId
from payments_core.job import Job
from payments_core.ports import Backlog, ClaimedDelivery, Room
from payments_core.webhook import Delivery

G = TypeVar("G")


class MemoryClaims:
    """The port `Claims`."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def claim_jobs(self, *, at: datetime, limit: int, lease: timedelta) -> Sequence[Job]:
        """Lease due jobs that nobody holds, the longest due first."""
        await asyncio.sleep(0)
        claimed = [
            replace(job, lease_token=job.lease_token + 1, lease_expires_at=at + lease)
            for job in heapq.nsmallest(limit, self._due_jobs(at), key=lambda job: (_claimable_at(job), job.id))
        ]
        self._state.jobs.update((job.id, job) for job in claimed)
        return claimed

    async def claim_deliveries(self, *, at: datetime, room: Room, lease: timedelta) -> Sequence[ClaimedDelivery]:
        """Lease due deliveries that nobody holds, as many as there is room for."""
        await asyncio.sleep(0)
        chosen = self._in_turn(sorted(self._due_deliveries(at), key=_longest_due), room)
        claimed = [self._claim(delivery, at + lease) for delivery in sorted(chosen, key=_longest_due)]
        return [each for each in claimed if each is not None]

    def _in_turn(self, due: Sequence[Delivery], room: Room) -> Sequence[Delivery]:
        """Choose from what is due, the longest due first: merchants take turns, and so do endpoints of a merchant."""
        of_merchant = Counter[MerchantId]()
        for (merchant, _), number in room.under_way.items():
            of_merchant[merchant] += number
        in_endpoint = [
            (turn, delivery)
            for turn, delivery in _numbered(due, lambda one: (one.merchant, one.endpoint), Counter(room.under_way))
            if turn <= (room.limit_each_failing if self._is_failing(delivery) else room.limit_each)
        ]
        in_merchant = [
            (turn, delivery)
            for turn, delivery in _numbered(_by_turn(in_endpoint), lambda one: one.merchant, of_merchant)
            if turn <= room.limit_each_merchant
        ]
        fitting = [
            delivery
            for failing_turn, delivery in _numbered(_by_turn(in_merchant), self._is_failing, Counter())
            if failing_turn <= room.limit_failing or not self._is_failing(delivery)
        ]
        return fitting[: room.limit]

    async def extend(self, jobs: Sequence[Job], deliveries: Sequence[Delivery], /, *, until: datetime) -> None:
        """Extend leases that are still held."""
        await asyncio.sleep(0)
        self._set_leases(jobs, deliveries, until)

    async def release(self, jobs: Sequence[Job], deliveries: Sequence[Delivery], /) -> None:
        """Hand back what is still held."""
        await asyncio.sleep(0)
        self._set_leases(jobs, deliveries, None)

    async def backlog(self, *, at: datetime) -> Backlog:
        """Count what waits."""
        await asyncio.sleep(0)
        dues = [job.due_at for job in self._due_jobs(at)]
        return Backlog(
            jobs_due=len(dues),
            jobs_dead=sum(1 for job in self._state.jobs.values() if job.dead_at is not None),
            deliveries_due=sum(1 for _ in self._due_deliveries(at)),
            oldest_due_seconds=(at - min(dues)).total_seconds() if dues else 0.0,
        )

    def _due_jobs(self, at: datetime) -> Iterator[Job]:
        for job in self._state.jobs.values():
            if job.dead_at is None and job.due_at <= at and _is_free(job, at):
                yield job

    def _due_deliveries(self, at: datetime) -> Iterator[Delivery]:
        for delivery in self._state.pending_deliveries():
            if delivery.due_at is not None and delivery.due_at <= at and _is_free(delivery, at):
                yield delivery

    def _is_failing(self, delivery: Delivery) -> bool:
        endpoint = self._state.account(delivery.merchant).endpoints.get(delivery.endpoint)
        return endpoint is not None and endpoint.failing_since is not None

    def _claim(self, delivery: Delivery, until: datetime) -> ClaimedDelivery | None:
        account = self._state.writable(delivery.merchant)
        endpoint, event = account.endpoints.get(delivery.endpoint), account.events.get(delivery.event)
        if endpoint is None or event is None:
            return None
        claimed = replace(
            delivery, lease_token=delivery.lease_token + 1, lease_expires_at=until, version=delivery.version + 1
        )
        self._state.put_delivery(claimed)
        return ClaimedDelivery(delivery=claimed, endpoint=endpoint, body=event.body)

    def _set_leases(self, jobs: Sequence[Job], deliveries: Sequence[Delivery], until: datetime | None) -> None:
        for job in jobs:
            held = self._state.jobs.get(job.id)
            if held is not None and _holds(job, held):
                self._state.jobs[job.id] = replace(held, lease_expires_at=until)
        for delivery in deliveries:
            kept = self._state.delivery(delivery.merchant, delivery.endpoint, delivery.id)
            if kept is not None and _holds(delivery, kept):
                self._state.put_delivery(replace(kept, lease_expires_at=until))


def _claimable_at(job: Job) -> datetime:
    return job.due_at if job.lease_expires_at is None else max(job.due_at, job.lease_expires_at)


def _longest_due(delivery: Delivery) -> tuple[datetime, str]:
    assert delivery.due_at is not None, "only what is due is looked at"
    return delivery.due_at, delivery.id


def _numbered(
    deliveries: Sequence[Delivery], group_of: Callable[[Delivery], G], under_way: Counter[G]
) -> Iterator[tuple[int, Delivery]]:
    """Number the deliveries of each group, behind those that are under way."""
    for delivery in deliveries:
        under_way[group_of(delivery)] += 1
        yield under_way[group_of(delivery)], delivery


def _by_turn(numbered: Sequence[tuple[int, Delivery]]) -> Sequence[Delivery]:
    return [delivery for _, delivery in sorted(numbered, key=lambda one: (one[0], *_longest_due(one[1])))]


def _is_free(work: Job | Delivery, at: datetime) -> bool:
    return work.lease_expires_at is None or work.lease_expires_at <= at


def _holds(copy: Job | Delivery, now: Job | Delivery) -> bool:
    return now.lease_expires_at is not None and now.lease_token == copy.lease_token
