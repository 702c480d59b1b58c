"""A mutex for each name, inside one process: contenders wait here rather than fail against each other in the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
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
    async def hold(self, *names: str, timeout_seconds: float) -> AsyncGenerator[None, None]:
        """Hold all of these; taken in sorted order, so that no two holders wait for each other.

        Raises TimeoutError where that takes longer than `timeout_seconds`.
        """
        async with AsyncExitStack() as held:
            async with asyncio.timeout(timeout_seconds):
                for name in sorted(set(names)):
                    await held.enter_async_context(self._one(name))
            yield

    @asynccontextmanager
    async def _one(self, name: str) -> AsyncGenerator[None, None]:
        entry = self._entries.setdefault(name, _Entry())
        entry.users += 1
        try:
            async with entry.lock:
                yield
        finally:
            entry.users -= 1
            if entry.users == 0:
                del self._entries[name]
