"""The loop around a worker: look for work, wait for a ring or a second, look again, until told to stop."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Final

from entrypoints.services import Bell, Services
from entrypoints.worker.tidying import tidy
from payments_core.errors import Unavailable
from payments_core.job import HEARTBEATS_PER_LEASE, SWEEP_EVERY
from payments_core.worker import Worker

JITTER: Final = 0.2
REST: Final = 3.0
"""Times as long as a look took is the rest behind it: everything that ends rings, and claims are cheaper in batches. So
a busy worker spends most of its time on the work, and an idle one looks at once."""
REST_SECONDS_MIN: Final = 0.01
REST_SECONDS_MAX: Final = 0.5
PAUSE_FIRST_SECONDS: Final = 0.1
PAUSE_MAX_SECONDS: Final = 5.0
"""While the store is away."""
LAST_LOOK_SECONDS: Final = 0.5
PATIENCE: Final = timedelta(seconds=2)
"""For what is under way at the end. With the last look and the handing back (1 s) it leaves time to close the rest
within the 5 s of a stop."""

_log = logging.getLogger(__name__)


class WorkerBroke(Exception):
    """A part of a worker ended that never should; nothing more would be done, or leases would run out."""


def make_worker(services: Services, *, wake: Callable[[], None]) -> Worker:
    """Return a worker whose tries at jobs are counted."""
    return Worker(
        services.payments,
        services.claims,
        services.clock,
        wake=wake,
        job_ended=lambda job, end: services.metrics.job_ended(job.kind, end),
        lease=services.settings.lease,
    )


async def run_worker(
    services: Services,
    bell: Bell | None = None,
    stop: asyncio.Event | None = None,
    *,
    sweep_every: timedelta = SWEEP_EVERY,
    patience: timedelta = PATIENCE,
    swept: Callable[[], None] | None = None,
) -> None:
    """Do due work until `stop` is set or this task is cancelled; then claim nothing more, drain, and hand back.

    What has expired is removed meanwhile. It looks whenever `bell` (the services' own, unless given) rings and at least
    every `sweep_every` (jittered). A store that is away is said once, and asked again with growing pauses. `swept` is
    called after each look that found the store. Ends within LAST_LOOK_SECONDS, `patience` and a second of the stop.
    Raises WorkerBroke where a part of it ends by itself.
    """
    bell = bell or services.bell
    stop = stop or asyncio.Event()
    worker = make_worker(services, wake=bell.ring)
    sweeping = _start(_Sweeper(worker, bell, stop, sweep_every, swept).run(), "sweeper")
    beating = _start(_beat(worker, services.settings.lease / HEARTBEATS_PER_LEASE), "heartbeat")
    tidying = _start(tidy(services.leftovers, services.clock), "tidying")
    stopping = asyncio.create_task(stop.wait())
    parts = (sweeping, beating, tidying)
    try:
        await asyncio.wait({stopping, *parts}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            broke = next(part for part in parts if part.done())
            cause = None if broke.cancelled() else broke.exception()
            raise WorkerBroke(f"The {broke.get_name()} of the worker ended by itself.") from cause
    finally:
        stop.set()
        bell.ring()
        await asyncio.wait({sweeping}, timeout=LAST_LOOK_SECONDS)
        for task in (*parts, stopping):
            task.cancel()
        # Before the worker stops, so that nothing is claimed behind its back.
        await asyncio.wait({*parts, stopping})
        await worker.stop(patience=patience)


def _start(work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
    return asyncio.create_task(work, name=name)


async def _beat(worker: Worker, every: timedelta) -> None:
    while True:
        await asyncio.sleep(every.total_seconds())
        try:
            await worker.heartbeat()
        except Unavailable as error:
            # The sweeper says what there is to say; the next beat comes three times before a lease runs out.
            _log.debug("no heartbeat: %s", error.message)
        except Exception:
            _log.exception("the heartbeat failed")


class _Sweeper:
    """Looks for work; its `run` ends after `stop` was set and the bell was rung."""

    def __init__(
        self, worker: Worker, bell: Bell, stop: asyncio.Event, sweep_every: timedelta, swept: Callable[[], None] | None
    ) -> None:
        self._worker = worker
        self._bell = bell
        self._stop = stop
        self._swept = swept
        self._sweep_seconds = sweep_every.total_seconds()
        self._pause_seconds = 0.0
        self._rests_until = 0.0

    async def run(self) -> None:
        """Sweep until told to stop."""
        while not self._stop.is_set():
            try:
                if not await self._sweep():
                    await self._bell.wait(self._sweep_seconds * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - spreads load
                    await asyncio.sleep(max(0.0, self._rests_until - time.monotonic()))
            except Exception as error:
                await self._pause(error)

    async def _sweep(self) -> bool:
        began = time.monotonic()
        more = await self._worker.sweep()
        ended = time.monotonic()
        self._rests_until = ended + min(max(REST * (ended - began), REST_SECONDS_MIN), REST_SECONDS_MAX)
        if self._swept is not None:
            self._swept()
        if self._pause_seconds:
            _log.info("the store is back, work goes on")
            self._pause_seconds = 0.0
        return more

    async def _pause(self, error: Exception) -> None:
        if not isinstance(error, Unavailable):
            _log.exception("looking for work failed")
        elif not self._pause_seconds:
            _log.warning("the store is away, no work is done until it is back: %s", error.message)
        self._pause_seconds = min(max(self._pause_seconds * 2, PAUSE_FIRST_SECONDS), PAUSE_MAX_SECONDS)
        try:
            # Half of it is random, so that workers that lost the same store do not all come back at once.
            async with asyncio.timeout(self._pause_seconds * random.uniform(0.5, 1.0)):  # noqa: S311 - spreads load
                await self._stop.wait()
        except TimeoutError:
            pass
