"""Have a dead job done again."""

from __future__ import annotations

from payments_core.audit import Action, Actor, Origin
from payments_core.ids import JobId, MerchantId, Moment
from payments_core.job import Job
from payments_core.ports import UnitOfWork
from payments_core.use_cases.record_audit import audit_entry


async def revive_job(
    work: UnitOfWork, moment: Moment, *, merchant: MerchantId, id: JobId, by: Actor, origin: Origin
) -> Job:
    """Make a dead job due now with all its tries before it, and return it.

    Raises NotFound, Conflict (`job_not_dead`). The commit raises LeaseLost where the job was revived and claimed since
    it was read: whoever holds it is not disturbed.
    """
    revived = (await work.jobs.get(merchant, id)).revive(at=moment.now)
    work.jobs.save(revived)
    deed = audit_entry(
        moment, Action.JOB_REVIVED, by, merchant=merchant, livemode=revived.livemode, origin=origin, subject=id
    )
    work.audit.add(deed)
    return revived
