"""The first page: how the business goes, and whether anything needs a hand."""

from __future__ import annotations

from typing import Final

from entrypoints.http.console.page import page
from entrypoints.http.console.visits import Visit
from entrypoints.http.responses import Reply
from payments_core.ports import TransactionFilter
from payments_core.use_cases.read_lists import ListQuery

SECTION: Final = "overview"
LATEST: Final = 10


@page("", section=SECTION)
async def overview(visit: Visit) -> Reply:
    """Show the latest payments."""
    latest = await visit.payments.read.transactions(visit.caller, ListQuery(limit=LATEST), TransactionFilter())
    return visit.show("overview.html", latest=latest.items)


PAGES: Final = (overview,)
