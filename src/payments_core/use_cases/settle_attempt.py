"""Write down what the gateway said of an attempt, and what follows for the payment or refund."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from payments_core.attempt import Attempt, AttemptState
from payments_core.gateway import Approved, Declined, Misconfigured, NotSeen, Pending, Sighting, Unknown
from payments_core.ids import AttemptId, Moment
from payments_core.job import Job
from payments_core.ports import UnitOfWork
from payments_core.refund import RETURNED, Refund, RefundStatus
from payments_core.transaction import (
    REFUNDS_SHOWN_MAX,
    Failure,
    Status,
    StatusReason,
    Transaction,
)
from payments_core.use_cases.record_event import record_refund_event, record_transaction_event

NOT_SEEN: Final = "the gateway has no such attempt yet"


async def settle_attempt(
    work: UnitOfWork, moment: Moment, *, job: Job, attempt_id: AttemptId, sighting: Sighting
) -> None:
    """Record a sighting: close the attempt and its subject, or plan the next look; a closed one may be corrected."""
    attempt = await work.attempts.get(job.merchant, attempt_id)
    transaction = await work.transactions.get(job.merchant, job.livemode, attempt.transaction)
    refund = None if attempt.refund is None else await work.refunds.get(job.merchant, job.livemode, attempt.refund)
    settlement = _Settlement(work, moment, job, attempt, transaction, refund)
    match sighting:
        case Approved():
            await settlement.approved(sighting)
        case Declined():
            await settlement.declined(sighting)
        case Pending(reference=reference):
            settlement.still_open(AttemptState.PENDING, None, reference)
        case Unknown(why=why):
            settlement.still_open(AttemptState.UNKNOWN, why, None)
        case NotSeen():
            settlement.still_open(AttemptState.UNKNOWN, NOT_SEEN, None)
        case Misconfigured():
            raise AssertionError("a gateway that refuses us settles nothing")


class _Settlement:
    """One attempt, its transaction and refund, in the unit that settles them."""

    def __init__(
        self,
        work: UnitOfWork,
        moment: Moment,
        job: Job,
        attempt: Attempt,
        transaction: Transaction,
        refund: Refund | None,
    ) -> None:
        self._work = work
        self._moment = moment
        self._job = job
        self._attempt = attempt
        self._transaction = transaction
        self._refund = refund

    async def approved(self, approved: Approved) -> None:
        if self._attempt.state is not AttemptState.APPROVED:
            if self._refund is None:
                await self._charge_succeeded(approved)
            else:
                self._refund_succeeded(self._refund, approved)
        self._end(approved.check_again_after)

    async def declined(self, declined: Declined) -> None:
        failure = Failure(
            code=declined.code,
            message=declined.message,
            gateway_code=declined.gateway_code,
            retryable=declined.retryable,
        )
        if self._attempt.state is not AttemptState.DECLINED:
            self._work.attempts.save(self._attempt.decline(declined.code, self._moment.now))
            if self._refund is None:
                await self._charge_failed(failure)
            else:
                self._refund_failed(self._refund, failure)
        self._end(declined.check_again_after)

    def still_open(self, state: AttemptState, detail: str | None, reference: str | None) -> None:
        """Plan the next look; where the schedule has ended a person must look. A closed attempt stays closed."""
        attempt = self._attempt
        if not attempt.is_open:
            self._work.jobs.done(self._job)
            return
        looked = attempt if attempt.state is AttemptState.PREPARED else attempt.looked_up()
        wait = looked.next_lookup_after()
        reason = StatusReason.OUTCOME_UNKNOWN if wait is not None else StatusReason.NEEDS_REVIEW
        if wait is None:
            self._work.attempts.save(looked.wait(AttemptState.NEEDS_REVIEW, detail, reference, self._moment.now))
            self._work.jobs.done(self._job)
        else:
            self._work.attempts.save(looked.wait(state, detail, reference, self._moment.now))
            self._work.jobs.save(self._job.again(due_at=self._moment.now + wait))
        if state is not AttemptState.PENDING or wait is None:
            self._doubt(reason)

    def _doubt(self, reason: StatusReason) -> None:
        if self._refund is not None:
            if self._refund.status_reason is not reason:
                self._work.refunds.save(self._refund.doubt(at=self._moment.now, reason=reason))
        elif self._transaction.status_reason is not reason:
            self._work.transactions.save(self._transaction.doubt(at=self._moment.now, reason=reason))

    def _end(self, check_again_after: timedelta | None) -> None:
        if check_again_after is None:
            self._work.jobs.done(self._job)
        else:
            self._work.jobs.save(self._job.again(due_at=self._moment.now + check_again_after))

    async def _charge_succeeded(self, approved: Approved) -> None:
        work, moment = self._work, self._moment
        work.attempts.save(self._attempt.approve(approved.reference, moment.now))
        if self._transaction.status is Status.PROCESSING:
            done, fact = self._transaction.succeed(at=moment.now, gateway_reference=approved.reference)
            work.transactions.save(done)
            record_transaction_event(work, moment, fact, done, request_id=self._job.request_id)
        else:
            await self._correct(Status.SUCCEEDED, gateway_reference=approved.reference)

    async def _charge_failed(self, failure: Failure) -> None:
        work, moment = self._work, self._moment
        if self._transaction.status is Status.PROCESSING:
            done, fact = self._transaction.fail(at=moment.now, failure=failure)
            work.transactions.save(done)
            record_transaction_event(work, moment, fact, done, request_id=self._job.request_id)
        else:
            await self._correct(Status.FAILED, failure=failure)

    async def _correct(
        self, to: Status, *, gateway_reference: str | None = None, failure: Failure | None = None
    ) -> None:
        transaction, work = self._transaction, self._work
        evidence = {"source": "gateway", "gateway": self._attempt.gateway, "attempt": self._attempt.id}
        corrected, fact = transaction.correct(
            to, at=self._moment.now, evidence=evidence, gateway_reference=gateway_reference, failure=failure
        )
        refunds = await work.refunds.latest_of(transaction.merchant, transaction.id, limit=REFUNDS_SHOWN_MAX)
        work.transactions.save(corrected)
        record_transaction_event(work, self._moment, fact, corrected, refunds=refunds, request_id=self._job.request_id)

    def _refund_succeeded(self, refund: Refund, approved: Approved) -> None:
        work, moment = self._work, self._moment
        if refund.status is not RefundStatus.PENDING:
            # Failed, and the gateway now says that the money went back: a person must look, the money is not guessed.
            detail = "the gateway approved a refund that had failed"
            work.attempts.save(self._attempt.wait(AttemptState.NEEDS_REVIEW, detail, approved.reference, moment.now))
            return
        work.attempts.save(self._attempt.approve(approved.reference, moment.now))
        transaction, fact = self._transaction.settle_refund(refund.amount, at=moment.now)
        done = refund.succeed(at=moment.now, gateway_reference=approved.reference)
        work.transactions.save(transaction)
        work.refunds.save(done)
        record_refund_event(work, moment, fact, done, transaction, request_id=self._job.request_id)

    def _refund_failed(self, refund: Refund, failure: Failure) -> None:
        work, moment = self._work, self._moment
        if refund.status is RefundStatus.SUCCEEDED:
            returned = Failure(code=RETURNED, message=failure.message, gateway_code=failure.gateway_code)
            transaction, fact = self._transaction.return_refund(refund.amount, at=moment.now)
            done = refund.fail(at=moment.now, failure=returned)
        else:
            transaction, fact = self._transaction.release_refund(refund.amount, at=moment.now)
            done = refund.fail(at=moment.now, failure=failure)
        work.transactions.save(transaction)
        work.refunds.save(done)
        record_refund_event(work, moment, fact, done, transaction, request_id=self._job.request_id)
