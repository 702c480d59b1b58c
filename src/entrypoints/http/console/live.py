"""Live update: a page asks for a part of itself again while something in it is under way, and gets it if it changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from entrypoints.http.console.visits import Visit
from entrypoints.http.etags import name_of
from entrypoints.http.responses import BARE, NO_STORE, Reply
from payments_core.values import Json, encode_json

SOON: Final = timedelta(seconds=60)
"""What is due later than that can wait for a slower look."""
SOON_SECONDS: Final = 2
LATER_SECONDS: Final = 30
SEEN: Final = "seen"
"""The field of the address in which a page says what it shows already."""


@dataclass(frozen=True, slots=True)
class Live:
    """Whether and how a part of a page asks for itself: each `seconds`, None where all in it is done."""

    seen: str
    seconds: int | None

    def is_seen_by(self, visit: Visit) -> bool:
        """Say whether a page that asks by itself shows this already: nothing of it is to be touched then."""
        return visit.live_update and visit.query.text(SEEN) == self.seen


def unchanged(visit: Visit) -> Reply:
    """Answer a page that shows all there is: htmx leaves it as it is then, so that nothing is read out twice."""
    return Reply(204, (*BARE, NO_STORE, *visit.headers))


def live(visit: Visit, shown: Json, seconds: int | None) -> Live:
    """Return how a part that shows this updates itself; for staff it does not: each look is written down."""
    pace = None if visit.looks else seconds
    return Live(name_of(encode_json([shown, pace])), pace)


def seconds_until(due: Iterable[datetime], now: datetime) -> int | None:
    """Return how long a page waits where things in it move at these times, those overdue too; None for no times."""
    next_due = min(due, default=None)
    return None if next_due is None else SOON_SECONDS if next_due - now <= SOON else LATER_SECONDS
