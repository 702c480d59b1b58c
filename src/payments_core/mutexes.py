"""A mutex for each name, inside one process: contenders wait here rather than fail against each other in the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Entry:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Mutexes:
    """Mutexes by name; one that nobody uses takes no room."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    @asynccontextmanager
    async def hold(self, name: str, *, timeout_seconds: float) -> AsyncGenerator[None, None]:
        """Hold the mutex of this name; raise TimeoutError where the wait for it is longer than `timeout_seconds`."""
        entry = self._entries.setdefault(name, _Entry())
        entry.users += 1
        try:
            async with asyncio.timeout(timeout_seconds):
                await entry.lock.acquire()
            try:
                yield
            finally:
                entry.lock.release()
        finally:
            entry.users -= 1
            if entry.users == 0:
                del self._entries[name]
