"""What the gateway's word on a refund changes: the refund, its transaction's sums, and an event."""

from __future__ import annotations

from dataclasses import replace

from payments_core.ids import Moment
from payments_core.ports import UnitOfWork
from payments_core.refund import NOT_SENT, RETURNED, Refund, RefundStatus
from payments_core.transaction import Failure, Transaction
from payments_core.use_cases.record_event import record_refund_event
from payments_core.values import Json


def succeed_refund(
    work: UnitOfWork,
    moment: Moment,
    transaction: Transaction,
    refund: Refund,
    reference: str,
    *,
    request_id: str | None,
) -> None:
    """Record that the money of a pending refund went back."""
    settled, fact = transaction.settle_refund(refund.amount, at=moment.now)
    done = refund.succeed(at=moment.now, gateway_reference=reference)
    work.transactions.save(settled)
    work.refunds.save(done)
    record_refund_event(work, moment, fact, done, settled, request_id=request_id)


def recover_refund(
    work: UnitOfWork,
    moment: Moment,
    transaction: Transaction,
    refund: Refund,
    reference: str,
    *,
    evidence: Json,
    request_id: str | None,
) -> None:
    """Record that the money of a failed refund went back after all.

    Raises RuleBroken where not so much is left of the transaction.
    """
    detail = _correction(refund.status, RefundStatus.SUCCEEDED, evidence)
    settled, fact = transaction.recover_refund(refund.amount, at=moment.now, detail=detail)
    done = refund.recover(at=moment.now, gateway_reference=reference)
    work.transactions.save(settled)
    work.refunds.save(done)
    record_refund_event(work, moment, fact, done, settled, request_id=request_id)


def fail_refund(
    work: UnitOfWork,
    moment: Moment,
    transaction: Transaction,
    refund: Refund,
    failure: Failure,
    *,
    evidence: Json = None,
    request_id: str | None,
) -> None:
    """Record that the money of a pending refund did not go back, or that of a succeeded one came back (`returned`).

    `evidence` is for the latter, where it is not the gateway itself that says so.
    """
    if refund.status is RefundStatus.SUCCEEDED:
        failure = Failure(code=RETURNED, message=failure.message, gateway_code=failure.gateway_code)
        detail = None if evidence is None else _correction(refund.status, RefundStatus.FAILED, evidence)
        settled, fact = transaction.return_refund(refund.amount, at=moment.now, detail=detail)
    else:
        if failure.code == RETURNED:
            # The word is for money that had gone back: daily totals take that off again.
            failure = replace(failure, code=NOT_SENT)
        settled, fact = transaction.release_refund(refund.amount, at=moment.now)
    done = refund.fail(at=moment.now, failure=failure)
    work.transactions.save(settled)
    work.refunds.save(done)
    record_refund_event(work, moment, fact, done, settled, request_id=request_id)


def _correction(before: RefundStatus, after: RefundStatus, evidence: Json) -> dict[str, Json]:
    return {"from": str(before), "to": str(after), "evidence": evidence}
