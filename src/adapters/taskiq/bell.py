"""The bell inside one process."""

import asyncio
from typing import final


@final
class LocalBell:
    """A bell between the tasks of one event loop: `ring` on one side, `wait` on the other.

    A ring is remembered until a `wait` takes it, and many rings before that are one. So a ring that falls
    between a worker's look for work and its next `wait` ends that `wait` at once: no wake-up is lost.
    It is a `Doorbell` of its own where one process does everything.
    """

    def __init__(self) -> None:
        """Start silent. No event loop needs to run yet."""
        self._rung = asyncio.Event()

    def ring(self, /) -> None:
        """Wake the waiter, or make the next `wait` return at once. For the event loop's own thread only."""
        self._rung.set()

    async def wait(self, timeout_seconds: float) -> bool:
        """Return True as soon as the bell rings or was rung, False after that many seconds of silence.

        The ring is taken before this returns: look for work after it, never before.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True
