"""What examples are filled in with: the merchant's own keys and payments, as far as there are some."""

from __future__ import annotations

from typing import Final

from entrypoints.http.console.developers.api_keys import ACTIVE, shown_key
from entrypoints.http.console.developers.scopes import EVERYTHING
from entrypoints.http.console.visits import Visit
from payments_core.describe import JsonObject
from payments_core.page import LIMIT_MAX
from payments_core.ports import TransactionFilter
from payments_core.transaction import Status
from payments_core.use_cases.read_lists import ListQuery

PAGES_LOOKED_AT_MAX: Final = 5
"""Of payment keys, for one that is active: beyond that many inactive ones it is made anew."""
PAYMENTS_LOOKED_AT_MAX: Final = 20


async def active_payment_key(visit: Visit) -> str | None:
    """Return the text of the latest payment key that is active, if there is one."""
    query = ListQuery(limit=LIMIT_MAX)
    for _ in range(PAGES_LOOKED_AT_MAX):
        found = await visit.payments.read.payment_keys(visit.caller, query)
        for key in found.items:
            if key["is_active"]:
                return str(key["key"])
        if found.next is None:
            return None
        query = ListQuery(limit=LIMIT_MAX, cursor=found.next)
    return None


async def api_key_placeholder(visit: Visit) -> str:
    """Return what stands for an API key, whose secret nobody knows but its holder: its beginning and its end.

    The key is the latest that may do everything, else the latest. What stands for it is ASCII, so that a call in which
    it was not replaced is refused as unknown, and does not fail in the client.
    """
    found = await visit.payments.read.api_keys(visit.caller, ListQuery(limit=LIMIT_MAX))
    now = visit.services.clock.now()
    usable = [key for each in found.items if (key := shown_key(each, now))["is_of_server"] and key["status"] == ACTIVE]
    usable.sort(key=lambda key: key["may"] != EVERYTHING)
    return f"sk_{_mode(visit)}_...{usable[0]['last_four'] if usable else ''}"


def payment_key_placeholder(visit: Visit) -> str:
    """Return what stands for a payment key where there is none yet."""
    return f"pk_{_mode(visit)}_..."


async def refundable(visit: Visit) -> JsonObject | None:
    """Return the latest payment that succeeded and of which something is left, if there is one among the latest."""
    done = TransactionFilter(status=Status.SUCCEEDED)
    found = await visit.payments.read.transactions(visit.caller, ListQuery(limit=PAYMENTS_LOOKED_AT_MAX), done)
    return next((paid for paid in found.items if str(paid["amount_refundable"]).strip("0.")), None)


def _mode(visit: Visit) -> str:
    return "live" if visit.caller.livemode else "test"
