"""What all merchants have, the newest first: transactions, refunds, payment keys, webhooks, idempotency records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from entrypoints.http.console.page import For, page
from entrypoints.http.console.staff_lists import Part, merchant_of, part_of, window_of
from entrypoints.http.console.transaction_filter import RARELY_USED, given, read_filter
from entrypoints.http.console.transactions import STATUSES
from entrypoints.http.console.visits import ROOT, STAFF_ROOT, Visit
from entrypoints.http.responses import Reply
from payments_core import NotFound, describe_staff
from payments_core.errors import Invalid
from payments_core.overall import Found, RecordFilter, ThingKind
from payments_core.page import IDS, RECORDS


@page("/staff/transactions", whose=For.STAFF, section="all_transactions")
async def all_transactions(visit: Visit) -> Reply:
    """List transactions."""

    async def read() -> Part:
        found = await visit.staff.transactions(window_of(visit), read_filter(visit), merchant_of(visit))
        return part_of(found, describe_staff.transaction)

    asked = given(visit)
    if (merchant := visit.query.get("merchant")) is not None:
        asked["merchant"] = merchant
    more_is_asked = any(name in asked for name in RARELY_USED)
    return await _list(
        visit, "staff_transactions.html", read, statuses=STATUSES, asked=asked, more_is_asked=more_is_asked
    )


@page("/staff/refunds", whose=For.STAFF, section="all_refunds")
async def all_refunds(visit: Visit) -> Reply:
    """List refunds."""

    async def read() -> Part:
        return part_of(await visit.staff.refunds(window_of(visit), merchant_of(visit)), describe_staff.refund)

    return await _list(visit, "staff_refunds.html", read)


@page("/staff/payment-keys", whose=For.STAFF, section="all_payment_keys")
async def all_payment_keys(visit: Visit) -> Reply:
    """List payment keys, which are no secrets."""

    async def read() -> Part:
        return part_of(await visit.staff.payment_keys(window_of(visit), merchant_of(visit)), describe_staff.payment_key)

    return await _list(visit, "staff_payment_keys.html", read)


@page("/staff/webhooks", whose=For.STAFF, section="all_webhooks")
async def all_webhooks(visit: Visit) -> Reply:
    """List webhook endpoints without their secrets."""

    async def read() -> Part:
        return part_of(await visit.staff.endpoints(window_of(visit), merchant_of(visit)), describe_staff.endpoint)

    return await _list(visit, "staff_webhooks.html", read)


@page("/staff/idempotency-keys", whose=For.STAFF, section="all_idempotency_keys")
async def all_idempotency_keys(visit: Visit) -> Reply:
    """List what idempotency keys did, without the answers."""

    async def read() -> Part:
        filter = RecordFilter(key=visit.query.get("key"), merchant=merchant_of(visit))
        found = await visit.staff.idempotency_records(window_of(visit, RECORDS), filter)
        return part_of(found, describe_staff.idempotency_record)

    return await _list(visit, "staff_idempotency_keys.html", read)


@page("/staff/find", whose=For.STAFF, section="merchants")
async def find(visit: Visit) -> Reply:
    """Lead to what an id is of, whosever it is."""
    id = visit.query.text("id")
    if IDS.fullmatch(id) is None:
        raise NotFound("This is no id of anything: three letters, _, and 26 digits and capital letters.")
    found = await visit.staff.find(id)
    return visit.lead(_place_of(found))


PAGES: Final = (all_transactions, all_refunds, all_payment_keys, all_webhooks, all_idempotency_keys, find)


async def _list(visit: Visit, template: str, read: Callable[[], Awaitable[Part]], **values: Any) -> Reply:
    try:
        return visit.show(template, part=await read(), **values)
    except Invalid as invalid:
        return visit.show(template, faults=invalid, part=None, **values)


def _place_of(found: Found) -> str:
    """Return the address of the page that shows it."""
    looked_at = f"{ROOT}/merchants/{found.merchant}/{'live' if found.livemode else 'test'}"
    match found.kind:
        case ThingKind.MERCHANT:
            return f"{STAFF_ROOT}/merchants/{found.merchant}"
        case ThingKind.JOB:
            return f"{STAFF_ROOT}/jobs/{found.id}"
        case ThingKind.ATTEMPT:
            return f"{STAFF_ROOT}/attempts/{found.id}"
        case ThingKind.TRANSACTION:
            return f"{looked_at}/transactions/{found.id}"
        case ThingKind.REFUND:
            return f"{looked_at}/refunds/{found.id}"
        case ThingKind.EVENT:
            return f"{looked_at}/developers/events/{found.id}"
        case ThingKind.ENDPOINT:
            return f"{looked_at}/webhooks/{found.id}"
        case ThingKind.PAYMENT_KEY:
            return f"{looked_at}/developers"
