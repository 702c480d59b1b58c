"""Transactions: pay, look, cancel."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from entrypoints.http.operations import Call, NoBody, Operation, check_command, command, read
from entrypoints.http.query import (
    CREATED_AFTER,
    CREATED_BEFORE,
    CURRENCY,
    PAGED,
    Parameter,
    Query,
    amount,
    one_of,
    text,
)
from entrypoints.http.request_schemas import PayBody
from entrypoints.http.response_schemas import Event, Transaction
from payments_core import Answer, Scope
from payments_core.checks import Faults
from payments_core.describe import JsonObject
from payments_core.errors import Fault
from payments_core.ids import PaymentKeyId, TransactionId
from payments_core.money import Currency, InvalidAmount, Money, currency
from payments_core.page import Page
from payments_core.ports import TransactionFilter
from payments_core.transaction import REFUNDS_SHOWN_MAX, Status
from payments_core.use_cases.read_lists import Seen

TAG: Final = "Transactions"
PATH: Final = "/api/transactions/"
ONE: Final = f"{PATH}{{id}}/"

STATUS: Final = one_of("status", "Only with this status.", Status)


def _payment_key_id(field: str, text: str) -> str | Fault:
    if text.startswith("pk_"):
        message = "Takes the `id` of a payment key (`key_…`), not its `key` (`pk_…`)."
        return Fault(field=field, code="malformed", message=message)
    return _ANY_ID.parse(field, text)


_ANY_ID: Final = text("payment_key", "Only through the payment key with this id (`key_…`, not `pk_…`).")
PAYMENT_KEY: Final = replace(_ANY_ID, parse=_payment_key_id)
REFERENCE: Final = text("reference", "Only the one with this reference.")
CUSTOMER_REFERENCE: Final = text("customer_reference", "Only with this reference of a customer.")
MIN_AMOUNT: Final = amount("min_amount", "Only of this amount or more; together with `currency`.")
MAX_AMOUNT: Final = amount("max_amount", "Only of this amount or less; together with `currency`.")


@command(
    "POST",
    "/api/transactions/pay",
    tag=TAG,
    summary="Take a payment",
    access=Scope.TRANSACTIONS_WRITE,
    status=201,
    body=PayBody,
    check=check_command,
    answer=Transaction,
    location=f"{PATH}{{}}/",
    problems=[
        "invalid_payment_key",
        "card_number_refused",
        "idempotency_key_required",
        "live_mode_unavailable",
        "reference_taken",
    ],
)
async def pay(call: Call, body: PayBody) -> Answer:
    """Accepted means written down: it is processed within moments. Listen to `transaction.succeeded` and `.failed`."""
    return await call.payments.pay(call.caller, body.command(), once=call.once)


@read(
    PATH,
    tag=TAG,
    summary="List transactions",
    access=Scope.TRANSACTIONS_READ,
    answer=Transaction,
    page=True,
    parameters=[
        *PAGED,
        STATUS,
        CURRENCY,
        PAYMENT_KEY,
        REFERENCE,
        CUSTOMER_REFERENCE,
        CREATED_AFTER,
        CREATED_BEFORE,
        MIN_AMOUNT,
        MAX_AMOUNT,
    ],
)
async def list_transactions(call: Call) -> Page[JsonObject]:
    """The newest first. A filter that matches rarely may give a short page with a `next`: read on."""
    return await call.payments.read.transactions(call.caller, call.query.page, filter_of(call.query))


@read(
    ONE,
    tag=TAG,
    summary="Look at a transaction",
    access=Scope.TRANSACTIONS_READ,
    answer=Transaction,
    limits=f"With its latest {REFUNDS_SHOWN_MAX} refunds.",
)
async def get_transaction(call: Call) -> Seen[JsonObject]:
    """What it is now, as its latest event said."""
    return await call.payments.read.transaction(call.caller, call.id(TransactionId))


@read(
    f"{ONE}events/",
    tag=TAG,
    summary="A transaction's history",
    access=Scope.TRANSACTIONS_READ,
    answer=Event,
    page=True,
    parameters=PAGED,
)
async def list_transaction_events(call: Call) -> Page[JsonObject]:
    """Its events and those of its refunds, the oldest first."""
    return await call.payments.read.history(call.caller, call.id(TransactionId), call.query.page)


@command(
    "POST",
    f"{ONE}cancel/",
    tag=TAG,
    summary="Cancel a pending transaction",
    access=Scope.TRANSACTIONS_WRITE,
    status=200,
    answer=Transaction,
    problems=["transaction_not_cancelable"],
)
async def cancel_transaction(call: Call, _body: NoBody) -> Answer:
    """Only while it is `pending`; afterwards it can be refunded once it has succeeded."""
    return await call.payments.cancel(call.caller, call.id(TransactionId), once=call.once)


def filter_of(query: Query) -> TransactionFilter:
    """Return the filter that a query asks for. Raises Invalid for bounds of an amount that are none."""
    payment_key, bounds = query.get(PAYMENT_KEY), _amounts(query)
    return TransactionFilter(
        status=query.get(STATUS),
        currency=query.get(CURRENCY),
        payment_key=None if payment_key is None else PaymentKeyId(payment_key),
        reference=query.get(REFERENCE),
        customer_reference=query.get(CUSTOMER_REFERENCE),
        created_after=query.get(CREATED_AFTER),
        created_before=query.get(CREATED_BEFORE),
        min_amount_minor=bounds.get("min_amount_minor"),
        max_amount_minor=bounds.get("max_amount_minor"),
    )


def _amounts(query: Query) -> dict[str, int]:
    """Return the bounds in minor units; raise Invalid where one is malformed, or has no currency to be read in."""
    code, faults, bounds = query.get(CURRENCY), Faults(), dict[str, int]()
    limits: tuple[tuple[str, Parameter[str]], ...] = (
        ("min_amount_minor", MIN_AMOUNT),
        ("max_amount_minor", MAX_AMOUNT),
    )
    for name, parameter in limits:
        given = query.get(parameter)
        if given is None:
            continue
        if code is None:
            faults.add(parameter.name, "needs_currency", "Only together with `currency`.")
        elif (minor := _bound(faults, parameter.name, given, currency(code))) is not None:
            bounds[name] = minor
    faults.raise_if_any()
    return bounds


def _bound(faults: Faults, field: str, given: str, currency: Currency) -> int | None:
    """Return the bound in minor units, or note what is wrong with it. Unlike what is paid, it may be zero."""
    try:
        return Money.parse(given, currency).amount_minor
    except InvalidAmount as error:
        if error.code == "not_positive":
            return 0
        faults.add(field, error.code, error.message)
        return None


OPERATIONS: Final[tuple[Operation, ...]] = (
    pay,
    list_transactions,
    get_transaction,
    list_transaction_events,
    cancel_transaction,
)
