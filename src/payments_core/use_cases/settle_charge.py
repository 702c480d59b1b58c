"""What the gateway's word on a charge changes: the transaction, and an event."""

from __future__ import annotations

from payments_core.attempt import Attempt
from payments_core.ids import Moment
from payments_core.ports import UnitOfWork
from payments_core.transaction import REFUNDS_SHOWN_MAX, Failure, Status, Transaction
from payments_core.use_cases.record_event import record_transaction_event
from payments_core.values import Json


async def succeed_charge(
    work: UnitOfWork, moment: Moment, attempt: Attempt, transaction: Transaction, reference: str
) -> None:
    """Record that the money moved; for a transaction that is closed already that is a correction."""
    if transaction.status is Status.PROCESSING:
        done, fact = transaction.succeed(at=moment.now, gateway_reference=reference)
        work.transactions.save(done)
        record_transaction_event(work, moment, fact, done, request_id=attempt.request_id)
    else:
        await _correct(work, moment, attempt, transaction, Status.SUCCEEDED, reference=reference)


async def fail_charge(
    work: UnitOfWork, moment: Moment, attempt: Attempt, transaction: Transaction, failure: Failure
) -> None:
    """Record that the money did not move; for a transaction that is closed already that is a correction."""
    if transaction.status is Status.PROCESSING:
        done, fact = transaction.fail(at=moment.now, failure=failure)
        work.transactions.save(done)
        record_transaction_event(work, moment, fact, done, request_id=attempt.request_id)
    else:
        await _correct(work, moment, attempt, transaction, Status.FAILED, failure=failure)


async def _correct(
    work: UnitOfWork,
    moment: Moment,
    attempt: Attempt,
    transaction: Transaction,
    to: Status,
    *,
    reference: str | None = None,
    failure: Failure | None = None,
) -> None:
    if transaction.status is to:
        return
    evidence: dict[str, Json] = {"source": "gateway", "gateway": attempt.gateway, "attempt": attempt.id}
    corrected, fact = transaction.correct(
        to, at=moment.now, evidence=evidence, gateway_reference=reference, failure=failure
    )
    refunds = await work.refunds.latest_of(transaction.merchant, transaction.id, limit=REFUNDS_SHOWN_MAX)
    work.transactions.save(corrected)
    record_transaction_event(work, moment, fact, corrected, refunds=refunds, request_id=attempt.request_id)
