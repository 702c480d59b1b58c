"""A worker: claims due work under leases, does it with bounded concurrency, and hands back what it cannot finish."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import Final, TypeAlias

from payments_core.errors import LeaseLost, Unavailable
from payments_core.ids import DeliveryId, EndpointId, JobId, MerchantId
from payments_core.job import CLAIM_BATCH_MAX, FAILURES_MAX, LEASE, Job
from payments_core.payments import Payments
from payments_core.ports import ClaimedDelivery, Claims, Clock, Room
from payments_core.use_cases.process_job import GatewayMisconfigured
from payments_core.webhook import Delivery

JOBS_IN_FLIGHT_MAX: Final = 4000
"""A gateway that takes 4 s gets up to a thousand calls a second."""
DELIVERIES_IN_FLIGHT_MAX: Final = 400
DELIVERIES_IN_FLIGHT_EACH_MAX: Final = 10
"""For one endpoint, in one worker."""
DELIVERIES_IN_FLIGHT_EACH_FAILING_MAX: Final = 2
"""For one endpoint that only fails: enough to find out that it is well again. All of one merchant's, ENDPOINTS_MAX in
each mode, leave places to its others."""
DELIVERIES_IN_FLIGHT_EACH_MERCHANT_MAX: Final = DELIVERIES_IN_FLIGHT_MAX // 4
DELIVERIES_IN_FLIGHT_FAILING_MAX: Final = DELIVERIES_IN_FLIGHT_MAX // 4
"""For all endpoints that only fail. Those that begin to hang may take more places, once, until they are known for it:
for as long as one attempt may take."""
BREAK_OFF_SECONDS: Final = 1.0
"""For work that is broken off to end: a commit under way does so first."""
HAND_BACK_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 1.0
"""Before work that met a store too busy or away is handed back, to be claimed again before its lease runs out."""
HAND_BACKS_MAX: Final = 20
"""Tries to hand back one piece of work to a store that is busy or away: as long as its lease may last."""

_log = logging.getLogger(__name__)


class End(StrEnum):
    """How one try at a job ended."""

    DONE = "done"
    FAILED = "failed"
    DEAD = "dead"
    PUT_OFF = "put_off"
    LOST = "lost"
    STORE_AWAY = "store_away"


JobEnded: TypeAlias = Callable[[Job, End], None]


def _nobody_counts(_job: Job, _end: End) -> None:
    """Let a try at a job pass uncounted."""


class Worker:
    """Does due jobs and deliveries.

    `sweep` claims and starts what there is room for; `heartbeat` keeps the leases of what is under way; `stop` ends.
    `wake` is called when something was finished, because that may have made more work or more room; `job_ended` hears
    of every try at a job. What is claimed is held for `lease` from the claim or the last heartbeat on.
    """

    def __init__(
        self,
        payments: Payments,
        claims: Claims,
        clock: Clock,
        *,
        wake: Callable[[], None],
        job_ended: JobEnded = _nobody_counts,
        lease: timedelta = LEASE,
    ) -> None:
        self._payments = payments
        self._claims = claims
        self._clock = clock
        self._wake = wake
        self._tell = job_ended
        self._lease = lease
        # By claim, not by id: this worker itself may claim again what it lost by a pause longer than the lease.
        self._jobs: dict[tuple[JobId, int], tuple[Job, asyncio.Task[End]]] = {}
        self._deliveries: dict[tuple[DeliveryId, int], tuple[ClaimedDelivery, asyncio.Task[End]]] = {}
        self._under_way: Counter[tuple[MerchantId, EndpointId]] = Counter()
        self._stopping = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """How many jobs and deliveries are under way."""
        return len(self._jobs) + len(self._deliveries)

    async def sweep(self) -> bool:
        """Claim and start due work; say whether more may be due that there is room for. Raises Unavailable."""
        jobs = await self._sweep_jobs()
        deliveries = await self._sweep_deliveries()
        return jobs or deliveries

    async def sweep_until_idle(self) -> None:
        """Do all that is due now, and what follows from it that is due at once."""
        while True:
            more = await self.sweep()
            under_way = [task for _, task in (*self._jobs.values(), *self._deliveries.values())]
            if under_way:
                await asyncio.wait(under_way)
            elif not more:
                return

    async def heartbeat(self) -> None:
        """Extend the leases of what is under way. Raises Unavailable."""
        if self.in_flight:
            jobs = [job for job, _ in self._jobs.values()]
            deliveries = [claimed.delivery for claimed, _ in self._deliveries.values()]
            await self._claims.extend(jobs, deliveries, until=self._clock.now() + self._lease)

    async def stop(self, *, patience: timedelta) -> None:
        """Let what is under way end for so long, then break it off and hand it back: somebody else does it again."""
        self._stopping.set()
        under_way = [task for _, task in (*self._jobs.values(), *self._deliveries.values())]
        if not under_way:
            return
        _, late = await asyncio.wait(under_way, timeout=patience.total_seconds())
        if not late:
            return
        jobs = [job for job, task in self._jobs.values() if task in late]
        deliveries = [claimed.delivery for claimed, task in self._deliveries.values() if task in late]
        for task in late:
            task.cancel()
        await asyncio.wait(late, timeout=BREAK_OFF_SECONDS)
        _say_kept(len(jobs) + len(deliveries), await self._hand_back(jobs, deliveries))

    async def _sweep_jobs(self) -> bool:
        limit = min(CLAIM_BATCH_MAX, JOBS_IN_FLIGHT_MAX - len(self._jobs))
        if limit <= 0:
            return False
        claimed = await self._claims.claim_jobs(at=self._clock.now(), limit=limit, lease=self._lease)
        for job in claimed:
            work = _guarded(self._payments.processor.process(job), f"job {job.id}")
            task = asyncio.create_task(self._or_handed_back(work, job))
            self._jobs[job.id, job.lease_token] = job, task
            task.add_done_callback(partial(self._job_ended, job))
        return len(claimed) == limit

    async def _sweep_deliveries(self) -> bool:
        limit = min(CLAIM_BATCH_MAX, DELIVERIES_IN_FLIGHT_MAX - len(self._deliveries))
        if limit <= 0:
            return False
        claimed = await self._claims.claim_deliveries(at=self._clock.now(), room=self._room(limit), lease=self._lease)
        for each in claimed:
            task = asyncio.create_task(_guarded(self._payments.deliver(each), f"delivery {each.delivery.id}"))
            self._deliveries[each.delivery.id, each.delivery.lease_token] = each, task
            self._under_way[_place_of(each)] += 1
            task.add_done_callback(partial(self._delivery_ended, each))
        return len(claimed) == limit

    def _room(self, limit: int) -> Room:
        failing = sum(claimed.endpoint.failing_since is not None for claimed, _ in self._deliveries.values())
        return Room(
            limit=limit,
            limit_failing=max(0, DELIVERIES_IN_FLIGHT_FAILING_MAX - failing),
            limit_each=DELIVERIES_IN_FLIGHT_EACH_MAX,
            limit_each_failing=DELIVERIES_IN_FLIGHT_EACH_FAILING_MAX,
            limit_each_merchant=DELIVERIES_IN_FLIGHT_EACH_MERCHANT_MAX,
            under_way=dict(self._under_way),
        )

    async def _or_handed_back(self, work: Awaitable[End], job: Job) -> End:
        """Do a job; where the store was too busy, hand it back before its lease runs out.

        Not so a delivery: it was posted already, and would be again before the store is well.
        """
        end = await work
        if end is End.STORE_AWAY:
            refused: Exception | None = None
            for _ in range(HAND_BACKS_MAX):
                # Spread by the id, so that all that met the same outage don't come back at once.
                await self._pause(PAUSE_SECONDS * (1 + zlib.crc32(job.id.encode()) / 2**32))
                refused = await self._hand_back([job], [])
                if refused is None or self._stopping.is_set():
                    break
            _say_kept(1, refused)
        return end

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until the worker is to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _hand_back(self, jobs: Sequence[Job], deliveries: Sequence[Delivery]) -> Exception | None:
        """Hand leases back; return what kept the store from taking them."""
        try:
            async with asyncio.timeout(HAND_BACK_SECONDS):
                await self._claims.release(jobs, deliveries)
        except Exception as error:
            return error
        return None

    def _job_ended(self, job: Job, task: asyncio.Task[End]) -> None:
        del self._jobs[job.id, job.lease_token]
        if not task.cancelled():
            end = task.result()
            self._tell(job, End.DEAD if end is End.FAILED and job.failures + 1 >= FAILURES_MAX else end)
        self._wake()

    def _delivery_ended(self, claimed: ClaimedDelivery, _task: asyncio.Task[End]) -> None:
        del self._deliveries[claimed.delivery.id, claimed.delivery.lease_token]
        place = _place_of(claimed)
        self._under_way[place] -= 1
        if not self._under_way[place]:
            del self._under_way[place]
        self._wake()


def _place_of(claimed: ClaimedDelivery) -> tuple[MerchantId, EndpointId]:
    return claimed.delivery.merchant, claimed.endpoint.id


def _say_kept(count: int, refused: Exception | None) -> None:
    if refused is not None:
        _log.warning("could not hand back %d leases, which run out by themselves: %r", count, refused)


async def _guarded(work: Awaitable[None], name: str) -> End:
    """Say how it ended: nothing that one piece of work does ends the worker; its lease or its record brings it back."""
    try:
        await work
    except LeaseLost:
        _log.warning("%s: its lease ran out and somebody else has it", name)
        return End.LOST
    except Unavailable as error:
        _log.warning("%s: %s; it is tried again", name, error.message)
        return End.STORE_AWAY
    except GatewayMisconfigured as error:
        _log.error("%s waits for somebody to mend the gateway: %s", name, error.message)
        return End.PUT_OFF
    except Exception:
        _log.exception("%s failed", name)
        return End.FAILED
    return End.DONE
