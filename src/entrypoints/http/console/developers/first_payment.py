"""A first payment in the sandbox: choose how it ends, and watch it."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import Final

import msgspec

from entrypoints.http.console.developers.calls import ApiCall, as_curl
from entrypoints.http.console.developers.outcomes import OUTCOMES
from entrypoints.http.console.developers.own import (
    active_payment_key,
    api_key_placeholder,
    payment_key_placeholder,
)
from entrypoints.http.console.developers.section import SECTION
from entrypoints.http.console.fields import Fields
from entrypoints.http.console.page import form, page
from entrypoints.http.console.sent_forms import REFUSED, Refused, once_of, words_of
from entrypoints.http.console.visits import Visit, says
from entrypoints.http.responses import Reply
from payments_core import Once, Pay
from payments_core.errors import Fault, Forbidden, Invalid
from payments_core.iso4217 import ACTIVE_MONEY

AMOUNT: Final = "25.00"
CURRENCY: Final = "USD"
DESCRIPTION: Final = "My first payment"
USUAL: Final = ("USD", "EUR", "GBP", "JPY")
"""The currencies that are listed before the others."""
_SCRIPTS: Final = frozenset(outcome.script for outcome in OUTCOMES)
_ORDER_BYTES: Final = 3
_FIELDS: Final = ("amount", "currency", "outcome", "description")

says(first_payment="The payment is accepted. What becomes of it is shown here.")


@page("/developers/first-payment", section=SECTION, for_staff=False)
async def first_payment(visit: Visit) -> Reply:
    """Ask what is to be paid, and how it is to end; the address may say it already."""
    if visit.caller.livemode:
        return visit.show("developers/test_mode_only.html")
    asked = any(visit.query.get(name) is not None for name in _FIELDS)
    command = _read(visit.query, default=AMOUNT if not asked else "", description="" if asked else DESCRIPTION)
    try:
        if asked:
            _check(visit, command)
    except Invalid as invalid:
        # What the page asks for by itself, while somebody types, is not told to be wrong yet.
        return await _form(visit, command, faults=None if visit.live_update else invalid)
    return await _form(visit, command)


@form("/developers/first-payment", section=SECTION)
async def make_first_payment(visit: Visit) -> Reply:
    """Pay, through a payment key that is made where there is none, and lead to the payment."""
    if visit.caller.livemode:
        raise Forbidden("First payments are for test mode: no money moves there.")
    command = _read(visit.form)
    try:
        _check(visit, command)
        fields = {name: visit.form.get(name) for name in _FIELDS}
        once = visit.once("first_payment", fields)
        command = replace(command, payment_key=await active_payment_key(visit) or await _new_key(visit, once))
        answer = await visit.payments.pay(visit.caller, command, once=once)
    except Invalid as invalid:
        return await _form(visit, command, faults=invalid)
    except REFUSED as refused:
        return await _form(visit, command, refused=refused)
    return visit.lead(f"/transactions/{answer.resource}", said="first_payment")


PAGES: Final = (first_payment, make_first_payment)


def _read(given: Fields, *, default: str = "", description: str = "") -> Pay:
    """Return the payment that is asked for; its payment key is still missing."""
    return Pay(
        payment_key="",
        amount=given.get("amount") or default,
        currency=given.get("currency") or CURRENCY,
        description=given.get("description") or description or None,
        payment_method=given.get("outcome") or OUTCOMES[0].script,
    )


def _check(visit: Visit, command: Pay) -> None:
    """Raise Invalid with what is wrong, by the fields of the form, before a key is made for it."""
    faults: list[Fault] = []
    try:
        visit.payments.check(command)
    except Invalid as invalid:
        faults += invalid.faults
    if command.payment_method not in _SCRIPTS:
        faults.append(Fault(field="outcome", code="unknown_value", message="Choose one of the outcomes."))
    if faults:
        raise Invalid(faults)


async def _new_key(visit: Visit, once: Once) -> str:
    """Make a payment key: one, however often the form is sent."""
    own = visit.once("first_payment_key", {})
    answer = await visit.payments.make_payment_key(visit.caller, once=replace(own, key=f"{once.key}-key"))
    made = msgspec.json.decode(answer.body)
    return str(made["key"])


async def _form(visit: Visit, command: Pay, *, faults: Invalid | None = None, refused: Refused | None = None) -> Reply:
    payment_key, api_key = await asyncio.gather(active_payment_key(visit), api_key_placeholder(visit))
    shown = payment_key or payment_key_placeholder(visit)
    return visit.show(
        "developers/first_payment.html",
        faults=faults,
        error=words_of(refused),
        command=command,
        outcomes=OUTCOMES,
        currencies=[(code, code) for code in (*USUAL, *sorted(ACTIVE_MONEY.keys() - USUAL))],
        curl=as_curl(_as_call(visit, command, shown, api_key)),
        has_payment_key=payment_key is not None,
        once=once_of(visit, refused),
    )


def _as_call(visit: Visit, command: Pay, payment_key: str, api_key: str) -> ApiCall:
    given = {
        "payment_key": payment_key,
        "amount": command.amount,
        "currency": command.currency,
        "description": command.description,
        "payment_method": command.payment_method,
    }
    body = {name: text for name, text in given.items() if text is not None}
    return ApiCall(
        method="POST",
        url=f"{visit.server}/api/transactions/pay",
        api_key=api_key,
        body=body,
        # New each time: what is copied and run after a change is another payment.
        once=f"first-payment-{secrets.token_hex(_ORDER_BYTES)}",
    )
