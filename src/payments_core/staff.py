"""Staff: what the people who run the service see and do, over all merchants. `payments.staff` is one.

Whoever calls this is trusted with every merchant's payments: commands on the machine itself, and the console.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from payments_core.attempt import Attempt
from payments_core.audit import Action, AuditEntry
from payments_core.errors import Conflict, LeaseLost, NotFound
from payments_core.ids import AttemptId, JobId, MerchantId, Moment, RefundId, TransactionId
from payments_core.job import Job, JobKind
from payments_core.merchant import PaymentKey
from payments_core.overall import EndpointSeen, Found, RecordFilter, RecordSeen
from payments_core.page import Slice
from payments_core.ports import (
    AttemptFilter,
    AuditFilter,
    JobFilter,
    TransactionFilter,
    UnitOfWork,
    Window,
)
from payments_core.refund import Refund
from payments_core.search import check_search
from payments_core.staff_accounts import StaffAccounts
from payments_core.staff_merchants import StaffMerchants
from payments_core.transaction import Transaction
from payments_core.units import turn_at
from payments_core.use_cases.resolve_attempt import Resolve, Resolved, check_resolution, resolve_attempt
from payments_core.use_cases.revive_job import revive_job

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """What a job or an attempt is about, as far as it is there: `refund` where it is one, of `transaction`."""

    transaction: Transaction | None
    refund: Refund | None
    attempt: Attempt | None


class Staff(StaffAccounts, StaffMerchants):
    """Looks after merchants, jobs, attempts and accounts, in the name of one of the staff, which the audit log keeps.

    Lists are those of `payments_core.ports.Oversight`.
    """

    __slots__ = ()

    async def jobs(self, window: Window, filter: JobFilter) -> Slice[Job]:
        """List jobs by what they wait for now."""
        await self._note_list(Action.JOBS_LISTED, filter.merchant)
        return await self.oversight.jobs(window, filter, at=self.clock.now())

    async def job(self, id: JobId) -> tuple[Job, Matter]:
        """Return a job and what it is about. Raises NotFound."""
        job = await self.oversight.job(id)
        await self._note(Action.JOB_SEEN, job.merchant, id, livemode=job.livemode)
        if job.kind is JobKind.REFUND:
            return job, await self._matter(job.merchant, job.livemode, None, RefundId(job.subject))
        return job, await self._matter(job.merchant, job.livemode, TransactionId(job.subject), None)

    async def attempts(self, window: Window, filter: AttemptFilter) -> Slice[Attempt]:
        """List attempts."""
        await self._note_list(Action.ATTEMPTS_LISTED, filter.merchant)
        return await self.oversight.attempts(window, filter)

    async def attempt(self, id: AttemptId) -> tuple[Attempt, Matter]:
        """Return an attempt and what it is about. Raises NotFound."""
        attempt = await self.oversight.attempt(id)
        await self._note(Action.ATTEMPT_SEEN, attempt.merchant, id, livemode=attempt.livemode)
        return attempt, await self._matter(attempt.merchant, attempt.livemode, attempt.transaction, attempt.refund)

    # ── what merchants have, of all of them and of both modes: what is seen is kept, as is whose it was

    async def transactions(
        self, window: Window, filter: TransactionFilter, merchant: MerchantId | None = None
    ) -> Slice[Transaction]:
        """List transactions, newest first. Raises Invalid for what nobody can look for."""
        check_search(filter.text, filter.metadata)
        await self._note_look("transactions", merchant)
        return await self.oversight.transactions(window, filter, merchant)

    async def refunds(self, window: Window, merchant: MerchantId | None = None) -> Slice[Refund]:
        """List refunds, newest first."""
        await self._note_look("refunds", merchant)
        return await self.oversight.refunds(window, merchant)

    async def payment_keys(self, window: Window, merchant: MerchantId | None = None) -> Slice[PaymentKey]:
        """List payment keys, newest first."""
        await self._note_look("payment_keys", merchant)
        return await self.oversight.payment_keys(window, merchant)

    async def endpoints(self, window: Window, merchant: MerchantId | None = None) -> Slice[EndpointSeen]:
        """List webhook endpoints without their secrets, removed ones included, newest first."""
        await self._note_look("endpoints", merchant)
        return await self.oversight.endpoints(window, merchant)

    async def idempotency_records(self, window: Window, filter: RecordFilter) -> Slice[RecordSeen]:
        """List what idempotency keys did, without the answers, newest first."""
        await self._note_look("idempotency_records", filter.merchant)
        return await self.oversight.idempotency_records(window, filter)

    async def find(self, id: str) -> Found:
        """Say whose an id is, of any merchant. Raises NotFound."""
        found = await self.oversight.find(id)
        await self._append(
            Action.LIST_SEEN,
            merchant=found.merchant,
            subject=found.id,
            livemode=found.livemode,
            detail={"list": "ids"},
        )
        return found

    async def _note_look(self, name: str, merchant: MerchantId | None) -> None:
        """Keep that a page of what merchants have was looked at: each, as nobody has to begin with the first."""
        await self._append(Action.LIST_SEEN, merchant=merchant, detail={"list": name})

    # ── what waits for a person

    async def revive(self, id: JobId) -> Job:
        """Make a dead job due now with all its tries before it, and return it.

        Raises NotFound, Conflict (`job_not_dead`).
        """
        job = await self.oversight.job(id)
        act = partial(revive_job, merchant=job.merchant, id=id, by=self.who, origin=self.origin)
        try:
            revived = await self.units.run(act, on=turn_at(job.merchant, "job", id))
        except LeaseLost:
            raise Conflict("job_not_dead", "The job was revived by somebody else and is at work.") from None
        self.doorbell.ring()
        _log.info("job %s was revived", id)
        return revived

    async def resolve(self, id: AttemptId, command: Resolve) -> Resolved:
        """Take a person's word on an attempt that needs review, or as a correction on one that is closed.

        Raises Invalid, NotFound, Conflict (`attempt_open`, `attempt_closed`), RuleBroken (`refund_exceeds_amount`,
        `transaction_not_refundable`).
        """
        check_resolution(command)
        attempt = await self.oversight.attempt(id)
        act = partial(
            resolve_attempt, merchant=attempt.merchant, id=id, command=command, who=self.who, origin=self.origin
        )
        resolved = await self.units.run(act, on=turn_at(attempt.merchant, "transaction", attempt.transaction))
        if resolved.changed:
            self.doorbell.ring()
            _log.info("attempt %s is %s: %s", id, resolved.attempt.state, resolved.attempt.detail)
        return resolved

    async def log(self, window: Window, filter: AuditFilter, merchant: MerchantId | None = None) -> Slice[AuditEntry]:
        """List the audit log, of a merchant or of everybody and nobody, the newest first."""
        found = await self.oversight.audit(window, filter, merchant)
        # Behind the look, which would show nothing but itself first.
        await self._note_list(Action.AUDIT_LISTED, merchant)
        return found

    async def _matter(
        self, merchant: MerchantId, livemode: bool, transaction_id: TransactionId | None, refund_id: RefundId | None
    ) -> Matter:
        """Return what is there of it: that something is missing may be what a job died of."""

        async def act(work: UnitOfWork, _moment: Moment) -> Matter:
            subject = refund_id or transaction_id
            attempt = None if subject is None else await work.attempts.of(merchant, subject)
            refund = None if refund_id is None else await _found(work.refunds.get(merchant, livemode, refund_id))
            of = transaction_id or (refund.transaction if refund else None)
            transaction = None if of is None else await _found(work.transactions.get(merchant, livemode, of))
            return Matter(transaction=transaction, refund=refund, attempt=attempt)

        return await self.units.run(act)


async def _found(read: Awaitable[T]) -> T | None:
    try:
        return await read
    except NotFound:
        return None
