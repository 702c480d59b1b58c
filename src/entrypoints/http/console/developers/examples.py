"""Examples of calls, filled in with what the merchant has."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Final

from entrypoints.http.console.developers.calls import LANGUAGES, ApiCall, Body
from entrypoints.http.console.developers.own import (
    active_payment_key,
    api_key_placeholder,
    payment_key_placeholder,
    refundable,
)
from entrypoints.http.console.developers.section import SECTION
from entrypoints.http.console.page import page
from entrypoints.http.console.visits import Visit
from entrypoints.http.responses import Reply
from payments_core.describe import JsonObject
from payments_core.errors import Invalid
from payments_core.event import EventType

NO_TRANSACTION: Final = "txn_..."
_ORDER_BYTES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A call with its title and what there is to know about it."""

    code: str
    title: str
    words: str
    call: ApiCall


@page("/developers/examples", section=SECTION)
async def examples(visit: Visit) -> Reply:
    """Show the calls that everybody needs first, in one language."""
    language, faults = visit.query.get("language") or "curl", None
    if language not in LANGUAGES:
        faults = Invalid.field("language", "unknown_value", f"There are examples in {', '.join(LANGUAGES)}.")
        language = "curl"
    payment_key, paid, api_key = await asyncio.gather(
        active_payment_key(visit), refundable(visit), api_key_placeholder(visit)
    )
    calls = _examples(visit.server, api_key, payment_key or payment_key_placeholder(visit), paid)
    _, needs, write = LANGUAGES[language]
    return visit.show(
        "developers/examples.html",
        faults=faults,
        languages=[(code, name) for code, (name, _, _) in LANGUAGES.items()],
        language=language,
        needs=needs,
        examples=[(example, write(example.call)) for example in calls],
        api_key=api_key,
        has_payment_key=payment_key is not None,
        has_paid=paid is not None,
    )


PAGES: Final = (examples,)


def _examples(server: str, api_key: str, payment_key: str, paid: JsonObject | None) -> list[Example]:
    transaction, left = (
        (NO_TRANSACTION, "100.00") if paid is None else (str(paid["id"]), str(paid["amount_refundable"]))
    )
    # A key that is new each time: a copy of the example that is run later has an effect of its own.
    order = secrets.token_hex(_ORDER_BYTES)

    def get(path: str) -> ApiCall:
        return ApiCall(method="GET", url=f"{server}{path}", api_key=api_key)

    def post(path: str, body: Body, once: str | None = None) -> ApiCall:
        return ApiCall(method="POST", url=f"{server}{path}", api_key=api_key, body=body, once=once)

    pay = {"payment_key": payment_key, "amount": "100.00", "currency": "USD", "description": f"Order {order}"}
    refund = {"transaction": transaction, "amount": left, "reason": "Returned"}
    webhook = {"url": "https://shop.example.com/webhooks", "events": [EventType.TRANSACTION_SUCCEEDED]}
    return [
        Example(
            code="pay",
            title="Take a payment",
            words="It is accepted at once, and pending; a webhook says how it ended. Sent again with the same "
            "Idempotency-Key, it is the same payment.",
            call=post("/api/transactions/pay", pay, f"order-{order}"),
        ),
        Example(
            code="look",
            title="Look at a payment",
            words="With its status, what was refunded of it, and what is left.",
            call=get(f"/api/transactions/{transaction}/"),
        ),
        Example(
            code="list",
            title="List payments",
            words="The newest first; next is the address of the page behind.",
            call=get("/api/transactions/?status=succeeded&limit=20"),
        ),
        Example(
            code="refund",
            title="Refund a payment",
            words="All that is left of it, or a part: amount says how much.",
            call=post("/api/refunds/", refund, f"refund-{order}"),
        ),
        Example(
            code="webhook",
            title="Be told what happens",
            words="The answer has the secret by which you verify what arrives, this once.",
            call=post("/api/webhooks/", webhook),
        ),
    ]
