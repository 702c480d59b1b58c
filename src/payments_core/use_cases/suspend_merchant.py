"""Suspend a merchant: its credentials stop, and what it has not been paid yet is not taken any more.

Whoever accepts a payment expects its merchant as it was while it was active, so that none is accepted behind the
suspension. What was accepted before and has not been attempted is canceled: at once by whoever suspends, and what is
left then (a crash, a store that is away) by the workers that come to it. A payment that is at the gateway goes on to
its end: the money may have moved. Refunds that were promised are paid out.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Final

from payments_core.audit import Action, Actor, Origin
from payments_core.ids import MerchantId, Moment, TransactionId
from payments_core.job import Job, JobKind
from payments_core.merchant import Merchant
from payments_core.page import Position
from payments_core.ports import Clock, JobFilter, Oversight, UnitOfWork, Window
from payments_core.transaction import Status, StatusReason, Transaction
from payments_core.units import Units, turn_at
from payments_core.use_cases.record_audit import audit_entry
from payments_core.use_cases.record_event import record_transaction_event

REASON_LENGTH_MAX: Final = 500
CANCELED_AT_ONCE_MAX: Final = 100
"""Units at once: as many as a store commits together beside others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """What became of a suspension, or of lifting one.

    `changed`: it was not so before. `canceled` counts the payments that were canceled by it just now.
    """

    merchant: Merchant
    changed: bool
    canceled: int


async def suspend_merchant(
    work: UnitOfWork, moment: Moment, *, id: MerchantId, reason: str, by: Actor, origin: Origin
) -> tuple[Merchant, bool]:
    """Return the suspended merchant, and whether it was not so before. Raises NotFound."""
    merchant = await work.merchants.get(id)
    if merchant.suspended_at is not None:
        return merchant, False
    suspended = merchant.suspend(moment.now)
    work.merchants.save(suspended)
    deed = audit_entry(
        moment, Action.MERCHANT_SUSPENDED, by, merchant=id, origin=origin, subject=id, detail={"reason": reason}
    )
    work.audit.add(deed)
    return suspended, True


async def unsuspend_merchant(
    work: UnitOfWork, moment: Moment, *, id: MerchantId, by: Actor, origin: Origin
) -> tuple[Merchant, bool]:
    """Return the merchant that is not suspended, and whether it was before. Raises NotFound."""
    merchant = await work.merchants.get(id)
    if merchant.suspended_at is None:
        return merchant, False
    active = merchant.unsuspend()
    work.merchants.save(active)
    work.audit.add(audit_entry(moment, Action.MERCHANT_UNSUSPENDED, by, merchant=id, origin=origin, subject=id))
    return active, True


async def cancel_pending_of_suspended(
    units: Units, oversight: Oversight, clock: Clock, merchant: MerchantId, *, request_id: str | None
) -> int:
    """Cancel the payments of a suspended merchant that are pending, and return how many.

    Each has its job, dead or alive; no other is added while the merchant is suspended, so that the list of jobs has an
    end. Raises Unavailable where the store is away; what was canceled until then stays so.
    """
    canceled, position = 0, None
    while True:
        window = Window(limit=CANCELED_AT_ONCE_MAX, position=position)
        page = await oversight.jobs(window, JobFilter(merchant=merchant), at=clock.now())
        canceled += await _cancel_all(units, [job for job in page.items if job.kind is JobKind.CHARGE], request_id)
        if page.after is None:
            return canceled
        position = Position(key=page.after)


async def _cancel_all(units: Units, jobs: list[Job], request_id: str | None) -> int:
    ended = await asyncio.gather(
        *(
            units.run(
                partial(_cancel_if_pending, job=job, request_id=request_id),
                on=turn_at(job.merchant, "transaction", job.subject),
            )
            for job in jobs
        ),
        return_exceptions=True,
    )
    for one in ended:
        if isinstance(one, BaseException):
            raise one
    return sum(one is True for one in ended)


async def _cancel_if_pending(work: UnitOfWork, moment: Moment, *, job: Job, request_id: str | None) -> bool:
    """Cancel what the job would charge if it is pending and its merchant suspended; the job finds nothing to do."""
    transaction = await work.transactions.get(job.merchant, job.livemode, TransactionId(job.subject))
    if transaction.status is not Status.PENDING:
        return False
    merchant = await work.merchants.get(job.merchant)
    if merchant.suspended_at is None:
        return False
    work.expect(merchant)
    cancel_of_suspended(work, moment, transaction, request_id=request_id)
    return True


def cancel_of_suspended(work: UnitOfWork, moment: Moment, transaction: Transaction, *, request_id: str | None) -> None:
    """Cancel a pending payment whose merchant is suspended, which the commit is to expect."""
    canceled, fact = transaction.cancel(at=moment.now, reason=StatusReason.SUSPENDED)
    work.transactions.save(canceled)
    record_transaction_event(work, moment, fact, canceled, request_id=request_id)
