"""What is read of a receiver's answer: how much of its body, and when it asks us to come back."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

ANSWER_BYTES_MAX: Final = 20_480
"""Read of one answer's body; the rest is left on the wire."""

RETRY_AFTER_SECONDS_MAX: Final = 48.0 * 60 * 60
"""Twice the longest step of the retry schedule; a later date is taken as this."""

_RETRY_AFTER_CHARACTERS_MAX: Final = 64
_DELAY_SECONDS: Final = re.compile(r"[0-9]+")


def retry_after_seconds(value: str | None, *, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` header asks for (RFC 9110, section 10.2.3), or None for nonsense.

    Both forms are read, a number of seconds and a date. The result is 0 to `RETRY_AFTER_SECONDS_MAX`.
    """
    if value is None or len(value) > _RETRY_AFTER_CHARACTERS_MAX:
        return None
    text = value.strip()
    if _DELAY_SECONDS.fullmatch(text):
        return min(float(text), RETRY_AFTER_SECONDS_MAX)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # OverflowError: a year or an offset beyond what a C integer holds
        return None
    if date.tzinfo is None:  # "-0000": the time is UTC, the sender's zone unknown
        date = date.replace(tzinfo=UTC)
    return min(max((date - now).total_seconds(), 0.0), RETRY_AFTER_SECONDS_MAX)
