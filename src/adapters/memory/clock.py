"""Clocks: the system's, and one that moves when told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return datetime.now(UTC)

    async def wait(self, seconds: float, /) -> None:
        """Return when so much time has passed."""
        await asyncio.sleep(seconds)


class HandClock:
    """A clock that stands still until it is moved: for tests and simulations."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return self._at

    def move(self, by: timedelta) -> None:
        """Let so much time pass, or go back as a real clock may."""
        self._at += by

    async def wait(self, seconds: float, /) -> None:
        """Let so much time pass at once."""
        self.move(timedelta(seconds=seconds))
        await asyncio.sleep(0)
