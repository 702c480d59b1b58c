"""Leases in memory."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from adapters.memory.state import State
from payments_core.ids import EndpointId
from payments_core.job import Job
from payments_core.ports import Backlog, ClaimedDelivery
from payments_core.webhook import Delivery


class MemoryClaims:
    """The port `Claims`."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def claim_jobs(self, *, at: datetime, limit: int, lease: timedelta) -> Sequence[Job]:
        """Lease due jobs that nobody holds, the longest due first."""
        await asyncio.sleep(0)
        claimed = [
            replace(job, lease_token=job.lease_token + 1, lease_expires_at=at + lease)
            for job in heapq.nsmallest(limit, self._due_jobs(at), key=lambda job: (job.due_at, job.id))
        ]
        self._state.jobs.update((job.id, job) for job in claimed)
        return claimed

    async def claim_deliveries(
        self,
        *,
        at: datetime,
        limit: int,
        lease: timedelta,
        limits_each: Mapping[EndpointId, int],
        limit_each: int,
    ) -> Sequence[ClaimedDelivery]:
        """Lease due deliveries that nobody holds, the longest due first, so many for each endpoint."""
        await asyncio.sleep(0)
        taken = Counter[EndpointId]()
        chosen: list[Delivery] = []
        for delivery in sorted(self._due_deliveries(at), key=lambda one: (one.due_at, one.id)):
            if len(chosen) >= limit:
                break
            if taken[delivery.endpoint] < limits_each.get(delivery.endpoint, limit_each):
                taken[delivery.endpoint] += 1
                chosen.append(delivery)
        return [claimed for delivery in chosen if (claimed := self._claim(delivery, at + lease)) is not None]

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


def _is_free(work: Job | Delivery, at: datetime) -> bool:
    return work.lease_expires_at is None or work.lease_expires_at <= at


def _holds(copy: Job | Delivery, now: Job | Delivery) -> bool:
    return now.lease_expires_at is not None and now.lease_token == copy.lease_token
