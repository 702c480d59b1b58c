"""What the developers' pages share: where things are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from entrypoints.http.console.visits import Visit

SECTION: Final = "developers"
_PAGES: Final[Mapping[str, str]] = {
    "txn": "/transactions/",
    "rfn": "/refunds/",
    "whk": "/webhooks/",
    "evt": "/developers/events/",
    "apk": "/developers/api-keys/",
}


def page_of(visit: Visit, id: object) -> str | None:
    """Return where the thing with this id is shown, if there is a page for it."""
    if not isinstance(id, str):
        return None
    place = _PAGES.get(id.partition("_")[0])
    return None if place is None or not id.replace("_", "").isalnum() else f"{visit.base}{place}{id}"
