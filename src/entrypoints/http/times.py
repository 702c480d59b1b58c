"""Times that people send: RFC 3339 with a zone, nothing looser."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from payments_core.errors import Fault

_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_ZONE_LOST: Final = re.compile(r".*[0-9] [0-9]{2}:[0-9]{2}")
TIME_LENGTH_MAX: Final = 40


def parse_time(field: str, text: str) -> datetime | Fault:
    """Return the time in UTC, or what is wrong with it."""
    if len(text) <= TIME_LENGTH_MAX and _TIME.fullmatch(text) is not None:
        try:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            return Fault(field=field, code="malformed", message="There is no such time.")
    message = 'Must be a time with its zone as in RFC 3339, such as "2026-03-01T09:30:00Z".'
    if len(text) <= TIME_LENGTH_MAX and _ZONE_LOST.fullmatch(text) is not None:
        message += " In a query, `+` means a blank: write `%2B`, or use `Z`."
    return Fault(field=field, code="malformed", message=message)
