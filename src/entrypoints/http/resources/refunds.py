"""Refunds: promise, look."""

from __future__ import annotations

from typing import Final

from entrypoints.http.operations import Call, Operation, check_command, command, read
from entrypoints.http.query import PAGED, text
from entrypoints.http.request_schemas import RefundBody
from entrypoints.http.response_schemas import Refund
from payments_core import Answer, Scope
from payments_core.describe import JsonObject
from payments_core.ids import RefundId, TransactionId
from payments_core.page import Page
from payments_core.transaction import REFUNDS_MAX
from payments_core.use_cases.read_lists import Seen

TAG: Final = "Refunds"
PATH: Final = "/api/refunds/"

TRANSACTION: Final = text("transaction", "Only of the transaction with this id.")


@command(
    "POST",
    PATH,
    tag=TAG,
    summary="Refund a transaction",
    access=Scope.REFUNDS_WRITE,
    status=201,
    body=RefundBody,
    check=check_command,
    answer=Refund,
    location=f"{PATH}{{}}/",
    problems=[
        "not_found",
        "transaction_not_refundable",
        "refund_exceeds_amount",
        "already_refunded",
        "too_many_refunds",
        "card_number_refused",
        "idempotency_key_required",
    ],
    limits=f"Up to {REFUNDS_MAX} for a transaction.",
)
async def refund(call: Call, body: RefundBody) -> Answer:
    """In part, or all that is left. Pending and succeeded refunds together are never more than the amount."""
    return await call.payments.refund(call.caller, body.command(), once=call.once)


@read(
    PATH,
    tag=TAG,
    summary="List refunds",
    access=Scope.REFUNDS_READ,
    answer=Refund,
    page=True,
    parameters=[*PAGED, TRANSACTION],
)
async def list_refunds(call: Call) -> Page[JsonObject]:
    """The newest first."""
    transaction = call.query.get(TRANSACTION)
    of = None if transaction is None else TransactionId(transaction)
    return await call.payments.read.refunds(call.caller, call.query.page, of)


@read(f"{PATH}{{id}}/", tag=TAG, summary="Look at a refund", access=Scope.REFUNDS_READ, answer=Refund)
async def get_refund(call: Call) -> Seen[JsonObject]:
    """A failed one's amount can be refunded again."""
    return await call.payments.read.refund(call.caller, call.id(RefundId))


OPERATIONS: Final[tuple[Operation, ...]] = (refund, list_refunds, get_refund)
