"""A mutex for each name, inside one process: contenders wait here rather than fail against each other in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final


@dataclass(slots=True)
class _Entry:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Mutexes:
    """Mutexes by name; one that nobody uses takes no room."""

    def __init__(self) -> None:
        self._entries: Final[dict[str, _Entry]] = {}

    def hold(self, name: str, *, timeout_seconds: float, too_late: Callable[[], Exception] = TimeoutError) -> Held:
        """Hold the mutex of this name for a block; entering it raises `too_late()` where the wait for it is longer."""
        return Held(self._entries, name, timeout_seconds, too_late)


class Held:
    """A mutex that is held for a block."""

    __slots__ = ("_entries", "_name", "_timeout_seconds", "_too_late")

    def __init__(
        self, entries: dict[str, _Entry], name: str, timeout_seconds: float, too_late: Callable[[], Exception]
    ) -> None:
        self._entries = entries
        self._name = name
        self._timeout_seconds = timeout_seconds
        self._too_late = too_late

    async def __aenter__(self) -> None:
        entry = self._entries.setdefault(self._name, _Entry())
        entry.users += 1
        try:
            if entry.users > 1:
                async with asyncio.timeout(self._timeout_seconds):
                    await entry.lock.acquire()
            else:
                # Nobody else is here, and to bound a wait costs more than the mutex.
                await entry.lock.acquire()
        except TimeoutError:
            self._leave(entry)
            raise self._too_late() from None
        except BaseException:
            self._leave(entry)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entry = self._entries[self._name]
        entry.lock.release()
        self._leave(entry)

    def _leave(self, entry: _Entry) -> None:
        entry.users -= 1
        if entry.users == 0:
            del self._entries[self._name]
