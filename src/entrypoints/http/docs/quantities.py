"""Limits in words: prose takes its numbers from the constants by which requests are answered."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

_UNITS: Final = (
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
    (timedelta(seconds=1), "second"),
)
_WHOLE_DAYS_FROM: Final = timedelta(days=5)
"""Below that, hours say it better: 72 hours are not three calendar days."""
_KIBIBYTE: Final = 1024


def in_time(length: timedelta) -> str:
    """Return a length of time in the largest unit that has it whole: `30 days`, `72 hours`, `5 minutes`."""
    for unit, name in _UNITS:
        if not length % unit and (name != "day" or length >= _WHOLE_DAYS_FROM):
            count = length // unit
            return f"{count} {name}" if count == 1 else f"{count} {name}s"
    raise AssertionError("limits are whole seconds")


def in_bytes(size: int) -> str:
    """Return a size in KiB, of which it must be a whole number."""
    assert size % _KIBIBYTE == 0
    return f"{size // _KIBIBYTE} KiB"
