"""Write down what the gateway said of an attempt, and plan the next look where it said nothing final."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from payments_core.attempt import Attempt, AttemptState
from payments_core.gateway import Approved, Declined, Misconfigured, NotSeen, Pending, Sighting, Unknown
from payments_core.ids import AttemptId, Moment
from payments_core.job import Job
from payments_core.ports import UnitOfWork
from payments_core.refund import Refund, RefundStatus
from payments_core.transaction import Failure, StatusReason, Transaction
from payments_core.use_cases.settle_charge import Source, fail_charge, succeed_charge
from payments_core.use_cases.settle_refund import fail_refund, succeed_refund

NOT_SEEN: Final = "the gateway has no such attempt yet"
LATE_APPROVAL: Final = "the gateway approved a refund that had failed"


async def settle_attempt(
    work: UnitOfWork,
    moment: Moment,
    *,
    job: Job,
    attempt_id: AttemptId,
    sighting: Sighting,
    lookups: Sequence[timedelta],
) -> None:
    """Record a sighting: close the attempt and its subject, correct what was closed otherwise, or look again later.

    `lookups` is the schedule of look-ups.
    """
    attempt = await work.attempts.get(job.merchant, attempt_id)
    transaction = await work.transactions.get(job.merchant, job.livemode, attempt.transaction)
    refund = None if attempt.refund is None else await work.refunds.get(job.merchant, job.livemode, attempt.refund)
    match sighting:
        case Approved(reference=reference, check_again_after=again):
            if attempt.state is not AttemptState.APPROVED:
                await _approve(work, moment, attempt, transaction, refund, reference)
            _end(work, moment, job, again)
        case Declined(check_again_after=again):
            if attempt.state is not AttemptState.DECLINED:
                await _decline(work, moment, attempt, transaction, refund, sighting)
            _end(work, moment, job, again)
        case Pending() | Unknown() | NotSeen():
            _look_again(work, moment, job, attempt, transaction, refund, sighting, lookups)
        case Misconfigured():
            raise AssertionError("a gateway that refuses us settles nothing")


async def _approve(
    work: UnitOfWork, moment: Moment, attempt: Attempt, transaction: Transaction, refund: Refund | None, reference: str
) -> None:
    if refund is None:
        work.attempts.save(attempt.approve(reference, moment.now))
        await succeed_charge(work, moment, attempt, transaction, reference, source=Source.GATEWAY)
    elif refund.status is RefundStatus.PENDING:
        work.attempts.save(attempt.approve(reference, moment.now))
        succeed_refund(work, moment, transaction, refund, reference, request_id=attempt.request_id)
    else:
        # Its amount may have been given back again meanwhile: a person must look, the money is not guessed.
        work.attempts.save(attempt.wait(AttemptState.NEEDS_REVIEW, LATE_APPROVAL, reference, moment.now))


async def _decline(
    work: UnitOfWork,
    moment: Moment,
    attempt: Attempt,
    transaction: Transaction,
    refund: Refund | None,
    declined: Declined,
) -> None:
    failure = failure_of(declined)
    work.attempts.save(attempt.decline(declined.code, moment.now))
    if refund is None:
        await fail_charge(work, moment, attempt, transaction, failure, source=Source.GATEWAY)
    else:
        fail_refund(work, moment, transaction, refund, failure, request_id=attempt.request_id)


def failure_of(declined: Declined) -> Failure:
    """Return what a payment or refund that was declined shows."""
    return Failure(
        code=declined.code,
        message=declined.message,
        gateway_code=declined.gateway_code,
        retryable=declined.retryable,
    )


def _end(work: UnitOfWork, moment: Moment, job: Job, check_again_after: timedelta | None) -> None:
    if check_again_after is None:
        work.jobs.done(job)
    else:
        work.jobs.save(job.again(due_at=moment.now + check_again_after))


def _look_again(
    work: UnitOfWork,
    moment: Moment,
    job: Job,
    attempt: Attempt,
    transaction: Transaction,
    refund: Refund | None,
    sighting: Pending | Unknown | NotSeen,
    lookups: Sequence[timedelta],
) -> None:
    """Plan the next look by the schedule. At its end a closed attempt stays as it was; an open one needs a person."""
    # The call itself, which may have been the first, is not a look-up.
    looked = attempt if attempt.state is AttemptState.PREPARED else attempt.looked_up()
    wait = looked.next_lookup_after(lookups)
    if attempt.is_open:
        state, reason, detail, reference = _still_open(sighting)
        if wait is None:
            state, reason = AttemptState.NEEDS_REVIEW, StatusReason.NEEDS_REVIEW
        looked = looked.wait(state, detail, reference, moment.now)
        _say_why(work, moment, transaction, refund, reason)
    work.attempts.save(looked)
    _end(work, moment, job, wait)


def _still_open(
    sighting: Pending | Unknown | NotSeen,
) -> tuple[AttemptState, StatusReason | None, str | None, str | None]:
    """Return the attempt's state, the payment's reason, a detail and the gateway's reference."""
    match sighting:
        case Pending(reference=reference):
            return AttemptState.PENDING, None, None, reference
        case Unknown(why=why):
            return AttemptState.UNKNOWN, StatusReason.OUTCOME_UNKNOWN, why, None
        case NotSeen():
            return AttemptState.UNKNOWN, StatusReason.OUTCOME_UNKNOWN, NOT_SEEN, None


def _say_why(
    work: UnitOfWork, moment: Moment, transaction: Transaction, refund: Refund | None, reason: StatusReason | None
) -> None:
    """Say on the payment or the refund why its outcome is not there yet."""
    if refund is None and transaction.status_reason is not reason:
        work.transactions.save(transaction.doubt(at=moment.now, reason=reason))
    elif refund is not None and refund.status_reason is not reason:
        work.refunds.save(refund.doubt(at=moment.now, reason=reason))
