"""Clocks: the system's, and one that moves when told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class SystemClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return datetime.now(UTC)


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
