"""What the developers' pages share: how a form that was refused says so, and where things are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from entrypoints.http.console.visits import Visit, new_once
from payments_core import Conflict, Forbidden, KeyReused, RuleBroken

SECTION: Final = "developers"
REFUSED: Final = (Conflict, Forbidden, KeyReused, RuleBroken)
"""What a form that is well filled in may still be answered with."""
Refused: TypeAlias = Conflict | Forbidden | KeyReused | RuleBroken
SENT_BEFORE: Final = (
    "This form was sent before, with other entries. These were not taken: send it again, if they count."
)
_PAGES: Final[Mapping[str, str]] = {
    "txn": "/transactions/",
    "rfn": "/refunds/",
    "whk": "/webhooks/",
    "evt": "/developers/events/",
    "apk": "/developers/api-keys/",
}


def words_of(refused: Refused) -> str:
    """Return what the form says above itself."""
    return SENT_BEFORE if isinstance(refused, KeyReused) else refused.message


def once_of(visit: Visit, refused: Refused | None = None) -> str:
    """Return the key of a form that is shown, or shown again: its own, unless that has had its effect."""
    kept = visit.form.get("once")
    return new_once() if kept is None or isinstance(refused, KeyReused) else kept


def page_of(visit: Visit, id: object) -> str | None:
    """Return where the thing with this id is shown, if there is a page for it."""
    if not isinstance(id, str):
        return None
    place = _PAGES.get(id.partition("_")[0])
    return None if place is None or not id.replace("_", "").isalnum() else f"{visit.base}{place}{id}"
