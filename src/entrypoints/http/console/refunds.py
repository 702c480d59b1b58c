"""Refunds: the list, one, and the way to a new one, which asks once more before money goes back."""

from __future__ import annotations

from typing import Final

from entrypoints.http.console.live import live, unchanged
from entrypoints.http.console.page import form, page
from entrypoints.http.console.sent_forms import once_of
from entrypoints.http.console.transaction_story import can_be_refunded, is_under_way, pace_of, pace_of_list
from entrypoints.http.console.transactions import ROWS, SECTION
from entrypoints.http.console.visits import Visit, new_once, says
from entrypoints.http.query import text
from entrypoints.http.responses import Reply
from payments_core import Conflict, Forbidden, KeyReused, RuleBroken
from payments_core.checks import Faults
from payments_core.describe import JsonObject
from payments_core.errors import Fault, Invalid
from payments_core.ids import RefundId, TransactionId
from payments_core.money import Money, currency
from payments_core.use_cases.read_lists import ListQuery
from payments_core.use_cases.refund_transaction import RefundTransaction

EXCEEDS: Final = "refund_exceeds_amount"
_TRANSACTION: Final = text("transaction", "Only of the transaction with this id.")
SENT_BEFORE: Final = (
    "A refund was made from this form before, of another amount or for another reason. Look at the refunds of the "
    "payment; to make one more, send the form again."
)

says(
    refund_made="The refund is promised: a worker sends it to the gateway now.",
    refund_made_before="This refund was made already. Nothing more was refunded.",
)


@page("/refunds", section=SECTION)
async def refunds(visit: Visit) -> Reply:
    """List refunds, the newest first: all, or those of one payment."""
    asked = visit.query.get("transaction")
    try:
        if asked is not None and isinstance(fault := _TRANSACTION.parse("transaction", asked), Fault):
            raise Invalid([fault])
        of = None if asked is None else TransactionId(asked)
        query = ListQuery(limit=ROWS, cursor=visit.query.get("cursor"))
        found = await visit.payments.read.refunds(visit.caller, query, of)
    except Invalid as invalid:
        return visit.show("refunds.html", faults=invalid, found=None)
    updates = live(visit, found.items, pace_of_list(found.items))
    if updates.is_seen_by(visit):
        return unchanged(visit)
    return visit.show("refunds.html", found=found, updates=updates, under_way=sum(map(is_under_way, found.items)))


@page("/refunds/{id}", section=SECTION)
async def refund(visit: Visit) -> Reply:
    """Show one refund."""
    one = (await visit.payments.read.refund(visit.caller, RefundId(visit.ids["id"]))).value
    updates = live(visit, one, pace_of(one))
    if updates.is_seen_by(visit):
        return unchanged(visit)
    return visit.show("refund.html", one=one, updates=updates)


@page("/transactions/{id}/refund", section=SECTION, for_staff=False)
async def refund_form(visit: Visit) -> Reply:
    """Ask how much of a payment is to go back, and why."""
    return _ask(visit, await _transaction(visit))


@form("/transactions/{id}/refund", section=SECTION)
async def confirm_refund(visit: Visit) -> Reply:
    """Show what would be refunded, and ask once more; nothing is done."""
    one = await _transaction(visit)
    command = _command(visit)
    try:
        visit.payments.check(command)
        amount = _within_what_is_left(command, one)
    except Invalid as invalid:
        return _ask(visit, one, faults=invalid)
    left = Money.parse(str(one["amount_refundable"]), amount.currency)
    return visit.show(
        "refund_confirm.html",
        one=one,
        amount=amount.format(),
        left=(left - amount).format(),
        reason=command.reason,
        once=once_of(visit),
    )


@form("/transactions/{id}/refund/send", section=SECTION)
async def send_refund(visit: Visit) -> Reply:
    """Refund: once, however often this form is sent."""
    command = _command(visit)
    said = {"transaction": command.transaction, "amount": command.amount, "reason": command.reason}
    try:
        if command.amount is None:
            # To the core that means all that is left, which nobody confirmed.
            raise Invalid.field("amount", "required", "Say how much.")
        answer = await visit.payments.refund(visit.caller, command, once=visit.once("refund", said))
    except Invalid as invalid:
        return _ask(visit, await _transaction(visit), faults=invalid)
    except KeyReused:
        return _ask(visit, await _transaction(visit), error=SENT_BEFORE, once=new_once())
    except RuleBroken as broken:
        one = await _transaction(visit)
        if broken.code == EXCEEDS:
            return _ask(visit, one, faults=Invalid.field("amount", broken.code, broken.message))
        return _ask(visit, one, error=broken.message)
    except (Conflict, Forbidden) as refused:
        return _ask(visit, await _transaction(visit), error=refused.message)
    done = "refund_made_before" if answer.replayed else "refund_made"
    return visit.lead(f"/transactions/{command.transaction}", said=done)


async def _transaction(visit: Visit) -> JsonObject:
    return (await visit.payments.read.transaction(visit.caller, TransactionId(visit.ids["id"]))).value


def _command(visit: Visit) -> RefundTransaction:
    return RefundTransaction(
        transaction=TransactionId(visit.ids["id"]),
        amount=visit.form.get("amount"),
        reason=visit.form.get("reason"),
    )


def _within_what_is_left(command: RefundTransaction, one: JsonObject) -> Money:
    """Return the amount, if so much is left now; whether it still is then, the core judges. Raises Invalid."""
    faults, of = Faults(), currency(one["currency"])
    if command.amount is None:
        raise Invalid.field("amount", "required", "Say how much.")
    amount = faults.amount("amount", command.amount, of)
    faults.raise_if_any()
    assert amount is not None
    if not can_be_refunded(one):
        raise Invalid.field("amount", EXCEEDS, "Nothing is left to refund.")
    if amount > Money.parse(one["amount_refundable"], of):
        raise Invalid.field("amount", EXCEEDS, f"Cannot exceed what is left: {one['amount_refundable']} {of.code}.")
    return amount


def _ask(
    visit: Visit,
    one: JsonObject,
    *,
    faults: Invalid | None = None,
    error: str | None = None,
    once: str | None = None,
) -> Reply:
    return visit.show(
        "refund_form.html",
        faults=faults,
        error=error,
        one=one,
        can_be_refunded=can_be_refunded(one),
        amount=visit.form.get("amount") or one["amount_refundable"],
        reason=visit.form.text("reason"),
        once=once or once_of(visit),
    )


PAGES: Final = (refunds, refund, refund_form, confirm_refund, send_refund)
