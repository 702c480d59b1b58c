"""Refund a transaction, in part or what is left of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from payments_core import describe
from payments_core.audit import Action
from payments_core.checks import Faults
from payments_core.ids import JobId, Moment, RefundId, TransactionId
from payments_core.job import Job, JobKind
from payments_core.merchant import Caller
from payments_core.money import Money
from payments_core.ports import UnitOfWork
from payments_core.refund import REASON_LENGTH_MAX, Refund, RefundStatus
from payments_core.transaction import Transaction
from payments_core.units import Made
from payments_core.use_cases.record_audit import record_deed
from payments_core.use_cases.record_event import record_refund_event
from payments_core.use_cases.require_active import require_active


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundTransaction:
    """What a merchant sends in order to give money back; no `amount` means all that is left."""

    transaction: TransactionId
    amount: str | None = None
    reason: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


def check_refund(command: RefundTransaction) -> None:
    """Raise Invalid with all that is wrong with a command, as far as the command alone tells."""
    faults = Faults()
    faults.amount_form("amount", command.amount)
    faults.free_text("reason", command.reason, longest=REASON_LENGTH_MAX)
    faults.metadata(command.metadata)
    faults.raise_if_any()


async def refund_transaction(work: UnitOfWork, moment: Moment, *, caller: Caller, command: RefundTransaction) -> Made:
    """Set the amount aside and promise its way back, in one commit.

    Raises NotFound, Invalid (the amount), RuleBroken (`transaction_not_refundable`, `refund_exceeds_amount`,
    `already_refunded`, `too_many_refunds`), Forbidden (`suspended`).
    """
    await require_active(work, caller.merchant)
    transaction = await work.transactions.get(caller.merchant, caller.livemode, command.transaction)
    amount = _amount(command, transaction)
    reserved, fact = transaction.reserve_refund(amount, at=moment.now)
    refund = Refund(
        id=RefundId(moment.id("rfn")),
        merchant=caller.merchant,
        livemode=caller.livemode,
        transaction=transaction.id,
        amount=amount,
        status=RefundStatus.PENDING,
        created_at=moment.now,
        updated_at=moment.now,
        reason=command.reason,
        metadata=command.metadata,
    )
    work.transactions.save(reserved)
    work.refunds.add(refund)
    record_refund_event(work, moment, fact, refund, reserved, request_id=caller.request_id)
    work.jobs.add(
        Job(
            id=JobId(moment.id("job")),
            merchant=caller.merchant,
            livemode=caller.livemode,
            kind=JobKind.REFUND,
            subject=refund.id,
            due_at=moment.now,
            created_at=moment.now,
            request_id=caller.request_id,
        )
    )
    detail = {"transaction": transaction.id, "amount": amount.format(), "currency": amount.currency.code}
    record_deed(work, moment, Action.REFUND_MADE, caller, subject=refund.id, detail=detail)
    return Made(answer=describe.refund(refund), resource=refund.id)


def _amount(command: RefundTransaction, transaction: Transaction) -> Money:
    if command.amount is None:
        return Money(amount_minor=transaction.refundable_minor, currency=transaction.amount.currency)
    faults = Faults()
    amount = faults.amount("amount", command.amount, transaction.amount.currency)
    faults.raise_if_any()
    assert amount is not None
    return amount
