"""Transactions: the list, one with its whole story, and the end of one that has not begun."""

from __future__ import annotations

from typing import Final

from entrypoints.http.console.live import live, unchanged
from entrypoints.http.console.page import form, page
from entrypoints.http.console.sent_forms import once_of
from entrypoints.http.console.transaction_filter import RARELY_USED, given, read_filter
from entrypoints.http.console.transaction_story import (
    can_be_refunded,
    is_under_way,
    meaning_of,
    pace_of,
    pace_of_list,
    timeline,
)
from entrypoints.http.console.visits import Visit, says
from entrypoints.http.responses import Reply
from payments_core import Conflict
from payments_core.describe import JsonObject
from payments_core.errors import Invalid
from payments_core.ids import TransactionId, made_at
from payments_core.page import LIMIT_MAX, Page
from payments_core.transaction import Status
from payments_core.use_cases.read_lists import ListQuery
from payments_core.values import Json

SECTION: Final = "transactions"
ROWS: Final = 25
STATUSES: Final = (("", "Any"), *((status, status.capitalize()) for status in Status))

says(canceled="The payment is canceled: it will not be attempted.")


@page("/transactions", section=SECTION)
async def transactions(visit: Visit) -> Reply:
    """List what was paid, the newest first, as far as it passes the filter."""
    try:
        asked = read_filter(visit)
        query = ListQuery(limit=ROWS, cursor=visit.query.get("cursor"))
        found = await visit.payments.read.transactions(visit.caller, query, asked)
    except Invalid as invalid:
        return show_no_transactions(visit, faults=invalid)
    return _show_list(visit, found=found)


def show_no_transactions(
    visit: Visit, *, faults: Invalid | None = None, error: str | None = None, status: int = 200
) -> Reply:
    """Show the form of the list again, with what is wrong with what it asks for."""
    return _show_list(visit, found=None, faults=faults, error=error, status=status)


def _show_list(
    visit: Visit,
    *,
    found: Page[JsonObject] | None,
    faults: Invalid | None = None,
    error: str | None = None,
    status: int = 200,
) -> Reply:
    asked, items = given(visit), found.items if found else ()
    updates = live(visit, items, pace_of_list(items))
    if updates.is_seen_by(visit):
        return unchanged(visit)
    at_fault = {fault.field for fault in faults.faults} if faults else set[str]()
    return visit.show(
        "transactions.html",
        status=status,
        faults=faults,
        error=error,
        found=found,
        looked_to=made_at(found.stopped_at) if found and found.stopped_at else None,
        statuses=STATUSES,
        asked=asked,
        more_is_asked=any(name in asked or name in at_fault for name in RARELY_USED),
        updates=updates,
        under_way=sum(map(is_under_way, items)),
        cursor=visit.query.get("cursor"),
    )


@page("/transactions/{id}", section=SECTION)
async def transaction(visit: Visit) -> Reply:
    """Show one transaction, and all that happened to it."""
    return await _show_one(visit)


@form("/transactions/{id}/cancel", section=SECTION)
async def cancel(visit: Visit) -> Reply:
    """Cancel a payment that is still pending."""
    id = TransactionId(visit.ids["id"])
    try:
        await visit.payments.cancel(visit.caller, id, once=visit.once("cancel", {"transaction": id}))
    except (Conflict, Invalid) as refused:
        return await _show_one(visit, error=refused.message, status=409)
    return visit.lead(f"/transactions/{id}", said="canceled")


async def _show_one(visit: Visit, *, error: str | None = None, status: int = 200) -> Reply:
    id, read, caller = TransactionId(visit.ids["id"]), visit.payments.read, visit.caller
    one = (await read.transaction(caller, id)).value
    events = ListQuery(limit=LIMIT_MAX, cursor=visit.query.get("cursor"))
    try:
        history = await read.history(caller, id, events)
    except Invalid as invalid:
        error = error or invalid.faults[0].message
        history = await read.history(caller, id, ListQuery(limit=LIMIT_MAX))
    refunds = (await read.refunds(caller, ListQuery(limit=LIMIT_MAX), id)).items
    attempts = (await read.attempts(caller, id)).value
    deliveries = (await read.deliveries_of(caller, id)).value
    shown: list[Json] = [one, history.items, refunds, attempts, deliveries]
    updates = live(visit, shown, pace_of(one, refunds, deliveries))
    if updates.is_seen_by(visit):
        return unchanged(visit)
    return visit.show(
        "transaction.html",
        status=status,
        error=error,
        one=one,
        meaning=meaning_of(one),
        can_be_refunded=can_be_refunded(one),
        entries=[timeline(event) for event in history.items],
        history=history,
        refunds=refunds,
        attempts=attempts,
        deliveries=deliveries,
        updates=updates,
        once=once_of(visit),
    )


PAGES: Final = (transactions, transaction, cancel)
