"""Payment keys and API keys, side by side; payment keys are made and deactivated here."""

from __future__ import annotations

import asyncio
from typing import Final

from entrypoints.http.console.developers.api_keys import shown_key
from entrypoints.http.console.developers.section import SECTION
from entrypoints.http.console.page import form, page
from entrypoints.http.console.sent_forms import REFUSED, Refused, once_of, words_of
from entrypoints.http.console.visits import Visit, says
from entrypoints.http.responses import Reply
from payments_core.errors import Invalid
from payments_core.ids import PaymentKeyId
from payments_core.use_cases.read_lists import ListQuery

KEYS_SHOWN: Final = 10
"""Of each kind on the first page; a page of its own has all of them."""
ALL_KEYS_SHOWN: Final = 50

says(
    payment_key_made="The payment key is made: payments may come through it now.",
    payment_key_deactivated="The payment key is deactivated: no payment comes through it any more.",
)


@page("/developers", section=SECTION)
async def developers(visit: Visit) -> Reply:
    """Show the latest keys of both kinds."""
    return await _both(visit)


@page("/developers/payment-keys", section=SECTION)
async def payment_keys(visit: Visit) -> Reply:
    """Show all payment keys, inactive ones too."""
    return await _payment_keys(visit)


@form("/developers/payment-keys", section=SECTION)
async def make_payment_key(visit: Visit) -> Reply:
    """Open a channel for payments."""
    try:
        await visit.payments.make_payment_key(visit.caller, once=visit.once("payment_key", {}))
    except Invalid as invalid:
        return await _payment_keys(visit, faults=invalid)
    except REFUSED as refused:
        return await _payment_keys(visit, refused=refused)
    return visit.lead("/developers", said="payment_key_made")


@page("/developers/payment-keys/{id}/deactivate", section=SECTION, for_staff=False)
async def ask_to_deactivate(visit: Visit) -> Reply:
    """Ask whether a payment key is really to be deactivated: it cannot be undone."""
    seen = await visit.payments.read.payment_key(visit.caller, PaymentKeyId(visit.ids["id"]))
    return visit.show("developers/deactivate.html", key=seen.value)


@form("/developers/payment-keys/{id}/deactivate", section=SECTION)
async def deactivate_payment_key(visit: Visit) -> Reply:
    """Close a channel."""
    await visit.payments.deactivate_payment_key(visit.caller, PaymentKeyId(visit.ids["id"]))
    return visit.lead("/developers", said="payment_key_deactivated")


PAGES: Final = (
    developers,
    payment_keys,
    make_payment_key,
    ask_to_deactivate,
    deactivate_payment_key,
)


async def _both(visit: Visit) -> Reply:
    first = ListQuery(limit=KEYS_SHOWN)
    payment_keys, api_keys = await asyncio.gather(
        visit.payments.read.payment_keys(visit.caller, first),
        visit.payments.read.api_keys(visit.caller, first),
    )
    now = visit.services.clock.now()
    return visit.show(
        "developers/keys.html",
        payment_keys=payment_keys,
        api_keys=[shown_key(key, now) for key in api_keys.items],
        more_api_keys=api_keys.next is not None,
        once=once_of(visit),
    )


async def _payment_keys(visit: Visit, *, faults: Invalid | None = None, refused: Refused | None = None) -> Reply:
    query = ListQuery(limit=ALL_KEYS_SHOWN, cursor=visit.query.get("cursor"))
    found = await visit.payments.read.payment_keys(visit.caller, query)
    return visit.show(
        "developers/payment_keys.html",
        faults=faults,
        error=words_of(refused),
        payment_keys=found,
        once=once_of(visit, refused),
    )
