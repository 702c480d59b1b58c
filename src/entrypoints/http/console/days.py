"""Days that somebody chooses in a form, as they are where the viewer is."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from entrypoints.http.console.fields import Fields
from entrypoints.http.query import TIMES
from payments_core.checks import Faults

FROM: Final = "from"
TO: Final = "to"
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_ONE_DAY: Final = timedelta(days=1)
_LEAST: Final = timedelta(microseconds=1)


def read_span(query: Fields, zone: ZoneInfo, faults: Faults) -> tuple[datetime | None, datetime | None]:
    """Return the times between which the days `from` to `to` lie, both days included; None where there is no end.

    The times themselves are outside, as bounds of lists are exclusive. What is wrong is noted in `faults`.
    """
    first, last = read_day(query, FROM, faults), read_day(query, TO, faults)
    if first is not None and last is not None and first > last:
        faults.add(TO, "out_of_order", "Is before the first day.")
        return None, None
    after = None if first is None else day_begins(first, zone) - _LEAST
    before = None if last is None else day_ends(last, zone)
    return after, before


def read_day(given: Fields, name: str, faults: Faults) -> date | None:
    """Return the day of a field, None where it says none; what is wrong with it is noted in `faults`."""
    text = given.get(name)
    if text is None:
        return None
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) is not None else None
    except ValueError:
        day = None
    # Times are reckoned with up to a day beyond, in whatever zone.
    if day is not None and TIMES[0].date() < day < TIMES[1].date():
        return day
    faults.add(name, "malformed", "Must be a day, such as 2026-03-01.")
    return None


def day_begins(day: date, zone: ZoneInfo) -> datetime:
    """Return when a day begins in a zone, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def day_ends(day: date, zone: ZoneInfo) -> datetime:
    """Return when the day after it begins."""
    return day_begins(day + _ONE_DAY, zone)
