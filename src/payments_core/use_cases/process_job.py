"""Do a job: prepare the attempt in one unit, call the gateway with none open, settle in another.

The attempt is committed before the call and its id is the gateway's idempotency key, so that a crash at any point
leaves either nothing done or an attempt that the next holder of the job repeats or looks up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from payments_core.attempt import Attempt, AttemptState
from payments_core.errors import LeaseLost
from payments_core.gateway import Capabilities, Misconfigured, NotSeen, Sighting, Submission
from payments_core.ids import Moment
from payments_core.job import Job
from payments_core.ports import Clock, Gateway, UnitOfWork
from payments_core.units import Units
from payments_core.use_cases.prepare_attempt import prepare_attempt
from payments_core.use_cases.settle_attempt import settle_attempt

KEY_RETENTION_SHARE: Final = 0.5
"""A call is repeated with the same key only in this first part of the time for which the gateway keeps it."""


class GatewayMisconfigured(Exception):
    """The gateway refused us, not the payment: the job is tried again with backoff, until a person has mended it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """Does jobs. `gateways` has one for each mode that is open."""

    units: Units
    clock: Clock
    gateways: Mapping[bool, Gateway]

    async def process(self, job: Job) -> None:
        """Do what the job says, as far as it can be done now; an unforeseen error makes it due again with backoff.

        Raises LeaseLost where the claim ran out meanwhile and somebody else has it.
        """
        try:
            await self._process(job)
        except LeaseLost:
            raise
        except Exception as error:
            await self._fail(job, error)
            raise

    async def _process(self, job: Job) -> None:
        gateway = self.gateways.get(job.livemode)
        if gateway is None:
            raise GatewayMisconfigured("there is no gateway for live mode")

        async def prepare(work: UnitOfWork, moment: Moment) -> Attempt | None:
            return await prepare_attempt(work, moment, job=job, gateway=gateway.capabilities.name)

        attempt = await self.units.run(prepare, on=f"job:{job.id}")
        if attempt is None:
            return
        sighting = await self._ask(gateway, attempt)
        if isinstance(sighting, Misconfigured):
            raise GatewayMisconfigured(sighting.why)

        async def settle(work: UnitOfWork, moment: Moment) -> None:
            await settle_attempt(work, moment, job=job, attempt_id=attempt.id, sighting=sighting)

        await self.units.run(settle, on=f"transaction:{attempt.transaction}")

    async def _ask(self, gateway: Gateway, attempt: Attempt) -> Sighting:
        submission = submission_of(attempt)
        may_repeat = may_submit(attempt, gateway.capabilities, self.clock.now())
        if attempt.state is AttemptState.PREPARED and may_repeat:
            return await gateway.submit(submission)
        sighting = await gateway.lookup(submission)
        if isinstance(sighting, NotSeen) and attempt.is_open and may_repeat:
            quiet = self.clock.now() - attempt.prepared_at >= gateway.capabilities.quiet_period
            return await gateway.submit(submission) if quiet else sighting
        return sighting

    async def _fail(self, job: Job, error: Exception) -> None:
        async def act(work: UnitOfWork, moment: Moment) -> None:
            work.jobs.save(job.fail(at=moment.now, error=f"{type(error).__name__}: {error}"))

        await self.units.run(act)


def submission_of(attempt: Attempt) -> Submission:
    """Return the call that an attempt stands for: the same for each repetition."""
    return Submission(
        id=attempt.id,
        kind=attempt.kind,
        amount=attempt.amount,
        livemode=attempt.livemode,
        payment_method=attempt.payment_method,
        charge_reference=attempt.charge_reference,
    )


def may_submit(attempt: Attempt, capabilities: Capabilities, now: datetime) -> bool:
    """Say whether the gateway surely still knows the attempt's key, so that a repetition cannot charge twice."""
    return now - attempt.prepared_at < capabilities.key_retention * KEY_RETENTION_SHARE
