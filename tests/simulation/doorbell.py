"""The doorbell between processes: it rings sometimes late, twice, or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from payments_core.job import SWEEP_EVERY
from tests.simulation.plan import Fault
from tests.simulation.world import Process, World

LOST_RING_SHARE: Final = 0.3
DOUBLED_RING_SHARE: Final = 0.1
RING_SECONDS_MAX: Final = 2.0


@dataclass
class Bell:
    """What wakes one worker: rings, and its next look, which it takes by itself."""

    rung: asyncio.Event = field(default_factory=asyncio.Event)
    next_look: float = -1.0


@dataclass
class Doorbell:
    """The port `Doorbell` of all processes, and the bell of each worker."""

    world: World
    bells: dict[Process, Bell] = field(default_factory=dict)

    def ring(self, /) -> None:
        """Have every worker hear of it, sometimes late, twice, or not at all."""
        for bell in self._living():
            if self.world.happens(Fault.RING, LOST_RING_SHARE):
                continue
            rings = 2 if self.world.happens(Fault.RING, DOUBLED_RING_SHARE) else 1
            for _ in range(rings):
                late = self.world.happens(Fault.RING, 0.5)
                self.world.later(self.world.random.uniform(0, RING_SECONDS_MAX) if late else 0.0, bell.rung.set)

    def look(self) -> None:
        """Have every worker look within a second, as it does by itself: looks that would find nothing are left out."""
        now = self.world.loop.time()
        for bell in self._living():
            if now >= bell.next_look:
                bell.next_look = now + SWEEP_EVERY.total_seconds()
                self.world.later(SWEEP_EVERY.total_seconds(), bell.rung.set)

    def _living(self) -> list[Bell]:
        self.bells = {process: bell for process, bell in self.bells.items() if process.alive}
        return list(self.bells.values())
