"""Leases as one worker gets them: the memory store's, with faults."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

from payments_core.errors import Unavailable
from payments_core.job import Job
from payments_core.ports import Backlog, ClaimedDelivery, Claims, Room
from payments_core.webhook import Delivery
from tests.simulation.plan import Fault
from tests.simulation.world import World

T = TypeVar("T")

REFUSED_SHARE: Final = 0.02
UNTOLD_SHARE: Final = 0.02


class SimulatedClaims:
    """The port `Claims`, for all workers: now and then it does nothing, or does it and nobody is told."""

    def __init__(self, world: World, claims: Claims) -> None:
        self._world = world
        self._claims = claims

    async def claim_jobs(self, *, at: datetime, limit: int, lease: timedelta) -> Sequence[Job]:
        return await self._perhaps(self._claims.claim_jobs(at=at, limit=limit, lease=lease), "claim of jobs")

    async def claim_deliveries(self, *, at: datetime, room: Room, lease: timedelta) -> Sequence[ClaimedDelivery]:
        claim = self._claims.claim_deliveries(at=at, room=room, lease=lease)
        return await self._perhaps(claim, "claim of deliveries")

    async def extend(self, jobs: Sequence[Job], deliveries: Sequence[Delivery], /, *, until: datetime) -> None:
        await self._perhaps(self._claims.extend(jobs, deliveries, until=until), "heartbeat")

    async def release(self, jobs: Sequence[Job], deliveries: Sequence[Delivery], /) -> None:
        await self._perhaps(self._claims.release(jobs, deliveries), "release of leases")

    async def backlog(self, *, at: datetime) -> Backlog:
        return await self._claims.backlog(at=at)

    async def _perhaps(self, act: Awaitable[T], name: str) -> T:
        if self._world.happens(Fault.STORE, REFUSED_SHARE):
            self._world.note(f"the store refuses a {name}")
            raise Unavailable("the store is away")
        done = await act
        if self._world.happens(Fault.STORE, UNTOLD_SHARE):
            self._world.note(f"a {name} happened, and nobody is told")
            raise Unavailable("the store went away")
        return done
