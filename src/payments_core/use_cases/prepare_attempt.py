"""Write the attempt down before the gateway hears of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from payments_core.attempt import Attempt, AttemptKind, AttemptState
from payments_core.errors import LeaseLost
from payments_core.ids import AttemptId, Moment, RefundId, TransactionId
from payments_core.job import Job, JobKind
from payments_core.ports import UnitOfWork
from payments_core.recent import Recent
from payments_core.refund import RefundStatus
from payments_core.transaction import Failure, Status
from payments_core.use_cases.record_event import record_transaction_event
from payments_core.use_cases.require_active import is_suspended
from payments_core.use_cases.settle_refund import fail_refund
from payments_core.use_cases.suspend_merchant import cancel_of_suspended

CHARGE_GONE: Final = Failure(
    code="transaction_not_refundable", message="The transaction turned out not to have succeeded."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An attempt to make or to look up.

    `is_new`: the gateway was never called for it. `charge_gone`: it is to refund what turned out not to have been
    charged.
    """

    attempt: Attempt
    is_new: bool = False
    charge_gone: bool = False


async def prepare_attempt(work: UnitOfWork, moment: Moment, *, job: Job, recent: Recent) -> Prepared | None:
    """Return the attempt to make or to look up, or None where nothing is left to do (the job is done then).

    It is made at the gateway for which the payment was accepted; where its merchant is suspended, the payment is
    canceled instead. Raises LeaseLost where the job is another's.
    """
    subject = TransactionId(job.subject) if job.kind is JobKind.CHARGE else RefundId(job.subject)
    work.jobs.expect(job)
    attempt = await work.attempts.of(job.merchant, subject)
    if attempt is not None:
        if attempt.state is AttemptState.NEEDS_REVIEW:
            work.jobs.done(job)
            return None
        return Prepared(attempt=attempt, charge_gone=await _charge_is_gone(work, job, attempt))
    if job.kind is JobKind.CHARGE:
        return await _prepare_charge(work, moment, job, recent)
    return await _prepare_refund(work, moment, job)


async def note_call(work: UnitOfWork, moment: Moment, *, job: Job, attempt: Attempt) -> Attempt:
    """Write down that the gateway is about to be called once more; return the attempt that says so.

    Raises LeaseLost where the job is another's, or the attempt has moved.
    """
    work.jobs.expect(job)
    stored = await work.attempts.get(attempt.merchant, attempt.id)
    if (stored.state, stored.called_at) != (attempt.state, attempt.called_at):
        raise LeaseLost("somebody else has gone on with this attempt")
    noted = stored.call(moment.now)
    work.attempts.save(noted)
    return noted


async def _charge_is_gone(work: UnitOfWork, job: Job, attempt: Attempt) -> bool:
    if attempt.refund is None or not attempt.is_open:
        return False
    transaction = await work.transactions.get(job.merchant, job.livemode, attempt.transaction)
    return transaction.status is not Status.SUCCEEDED


async def _prepare_charge(work: UnitOfWork, moment: Moment, job: Job, recent: Recent) -> Prepared | None:
    transaction = await work.transactions.get(job.merchant, job.livemode, TransactionId(job.subject))
    if transaction.status is not Status.PENDING:
        work.jobs.done(job)
        return None
    if await is_suspended(work, moment, job.merchant, recent):
        cancel_of_suspended(work, moment, transaction, request_id=job.request_id)
        work.jobs.done(job)
        return None
    processing, fact = transaction.process(at=moment.now)
    attempt = Attempt(
        id=AttemptId(moment.id("att")),
        merchant=job.merchant,
        livemode=job.livemode,
        kind=AttemptKind.CHARGE,
        transaction=transaction.id,
        refund=None,
        amount=transaction.amount,
        gateway=transaction.gateway,
        payment_method=transaction.payment_method,
        charge_reference=None,
        prepared_at=moment.now,
        called_at=moment.now,
        updated_at=moment.now,
        request_id=job.request_id,
    )
    work.transactions.save(processing)
    work.attempts.add(attempt)
    record_transaction_event(work, moment, fact, processing, request_id=job.request_id)
    return Prepared(attempt=attempt, is_new=True)


async def _prepare_refund(work: UnitOfWork, moment: Moment, job: Job) -> Prepared | None:
    refund = await work.refunds.get(job.merchant, job.livemode, RefundId(job.subject))
    if refund.status is not RefundStatus.PENDING:
        work.jobs.done(job)
        return None
    transaction = await work.transactions.get(job.merchant, job.livemode, refund.transaction)
    if transaction.status is not Status.SUCCEEDED:
        # Corrected since the refund was promised: there is no charge to give back.
        fail_refund(work, moment, transaction, refund, CHARGE_GONE, request_id=job.request_id)
        work.jobs.done(job)
        return None
    work.expect(transaction)
    attempt = Attempt(
        id=AttemptId(moment.id("att")),
        merchant=job.merchant,
        livemode=job.livemode,
        kind=AttemptKind.REFUND,
        transaction=transaction.id,
        refund=refund.id,
        amount=refund.amount,
        gateway=transaction.gateway,
        payment_method=transaction.payment_method,
        charge_reference=transaction.gateway_reference,
        prepared_at=moment.now,
        called_at=moment.now,
        updated_at=moment.now,
        request_id=job.request_id,
    )
    work.attempts.add(attempt)
    return Prepared(attempt=attempt, is_new=True)
