"""Merchants, as staff see and treat them: find, look, suspend, let go on."""

from __future__ import annotations

from typing import Final

from entrypoints.http.console.page import For, form, page
from entrypoints.http.console.staff_lists import part_of, window_of
from entrypoints.http.console.visits import STAFF_ROOT, Visit, says
from entrypoints.http.responses import Reply
from payments_core import describe_staff
from payments_core.errors import Invalid
from payments_core.ids import MerchantId
from payments_core.ports import MerchantFilter
from payments_core.use_cases.suspend_merchant import REASON_LENGTH_MAX

SECTION: Final = "merchants"
STATES: Final = {"suspended": True, "active": False}

says(
    suspended="The merchant is suspended: its credentials have stopped, and what was pending is canceled.",
    unsuspended="The merchant can go on: its credentials work again.",
)


@page("/staff", whose=For.STAFF, section=SECTION)
async def merchants(visit: Visit) -> Reply:
    """List merchants, the newest first."""
    state = visit.query.text("state")
    filter = MerchantFilter(text=visit.query.get("text"), suspended=STATES.get(state))
    try:
        found = await visit.staff.merchants(window_of(visit), filter)
    except Invalid as invalid:
        return visit.show("staff_merchants.html", faults=invalid, part=None, state=state)
    return visit.show("staff_merchants.html", part=part_of(found, describe_staff.merchant), state=state)


@page("/staff/merchants/{id}", whose=For.STAFF, section=SECTION)
async def merchant(visit: Visit) -> Reply:
    """Show a merchant, and what can be done about it."""
    return await _merchant(visit)


@form("/staff/merchants/{id}/suspend", whose=For.STAFF, section=SECTION)
async def suspend(visit: Visit) -> Reply:
    """Stop a merchant: first ask once more, then do it."""
    id = MerchantId(visit.ids["id"])
    if visit.form.get("sure") is None:
        return await _merchant(visit, asks=True)
    try:
        await visit.staff.suspend(id, visit.form.text("reason"))
    except Invalid as invalid:
        return await _merchant(visit, faults=invalid)
    return visit.lead(f"{STAFF_ROOT}/merchants/{id}", said="suspended")


@form("/staff/merchants/{id}/unsuspend", whose=For.STAFF, section=SECTION)
async def unsuspend(visit: Visit) -> Reply:
    """Let a merchant go on."""
    id = MerchantId(visit.ids["id"])
    await visit.staff.unsuspend(id)
    return visit.lead(f"{STAFF_ROOT}/merchants/{id}", said="unsuspended")


PAGES: Final = (merchants, merchant, suspend, unsuspend)


async def _merchant(visit: Visit, *, faults: Invalid | None = None, asks: bool = False) -> Reply:
    found = await visit.staff.merchant(MerchantId(visit.ids["id"]))
    return visit.show(
        "staff_merchant.html",
        faults=faults,
        merchant=describe_staff.merchant(found),
        asks=asks,
        reason_length_max=REASON_LENGTH_MAX,
    )
