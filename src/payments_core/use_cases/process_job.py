"""Do a job: prepare the attempt in one unit, call the gateway with none open, settle in another.

The attempt is committed before the call and its id is the gateway's idempotency key, so that a crash at any point
leaves either nothing done or an attempt that the next holder of the job repeats or looks up. A repeated call is
committed before it is made, too: from the last one on the gateway's quiet period counts. A process that stood still
between the two asks first whether the job is still its own: somebody else may have found out meanwhile that the call
was never made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from payments_core.attempt import Attempt, AttemptState
from payments_core.errors import LeaseLost, PaymentsError, Unavailable
from payments_core.gateway import Capabilities, Declined, Misconfigured, NotSeen, Sighting, Submission, Unknown
from payments_core.ids import Moment
from payments_core.job import Job
from payments_core.ports import Clock, Gateway, UnitOfWork
from payments_core.recent import Recent
from payments_core.units import Behind, Units, turn_at
from payments_core.use_cases.prepare_attempt import CHARGE_GONE, Prepared, note_call, prepare_attempt
from payments_core.use_cases.settle_attempt import settle_attempt

KEY_RETENTION_SHARE: Final = 0.5
"""A call is repeated with the same key only in this first part of the time for which the gateway keeps it."""
CALL_WITHIN: Final = timedelta(seconds=5)
"""Of a call's being written down it is made, or written down again. Before so much more than the gateway's quiet period
has passed, nobody says that it never arrived; to make it again with the same key does no harm before."""
CALL_NOTES_MAX: Final = 5
NOT_MADE: Final = "the call was not made, as it was too late for it"
GATEWAY_SECONDS_MAX: Final = 60.0
"""For one call. Adapters have shorter bounds of their own; this one is for those that fail to."""


class GatewayMisconfigured(PaymentsError):
    """The gateway refused us, not the payment: nothing moved, and a person has to mend it."""

    code = "gateway_misconfigured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """Does jobs. `gateways` has one for each mode that is open; `lookups` is the schedule of look-ups.

    `recent` spares it reading merchants that are active.
    """

    units: Units
    clock: Clock
    gateways: Mapping[bool, Gateway]
    lookups: Sequence[timedelta]
    recent: Recent

    async def process(self, job: Job) -> None:
        """Do what the job says, as far as it can be done now; an unforeseen error makes it due again with backoff.

        Raises that error, when it has been written down; LeaseLost where the claim ran out meanwhile and somebody else
        has it; Unavailable where the store is away or too busy: hand the job back.
        """
        try:
            await self._process(job)
        except (LeaseLost, Unavailable):
            raise
        except GatewayMisconfigured as error:
            await self._save(partial(job.put_off, error=f"{error.code}: {error.message}"))
            raise
        except Exception as error:
            # The text of other people's errors may hold anything, secrets included.
            text = f"{error.code}: {error.message}" if isinstance(error, PaymentsError) else type(error).__name__
            await self._save(partial(job.fail, error=text))
            raise

    async def _process(self, job: Job) -> None:
        gateway = self.gateways.get(job.livemode)
        if gateway is None:
            raise GatewayMisconfigured("there is no gateway for live mode")
        prepare = partial(prepare_attempt, job=job, recent=self.recent)
        prepared = await self.units.run_behind(prepare, of=Behind.JOBS, on=turn_at(job.merchant, "job", job.id))
        if prepared is None:
            return
        attempt = prepared.attempt
        if attempt.gateway != gateway.capabilities.name:
            raise GatewayMisconfigured(f"the gateway of this payment, {attempt.gateway}, is not there any more")
        sighting = await self._submit_or_look_up(gateway, job, prepared)
        if isinstance(sighting, Misconfigured):
            raise GatewayMisconfigured(sighting.why)
        settle = partial(settle_attempt, job=job, attempt_id=attempt.id, sighting=sighting, lookups=self.lookups)
        await self.units.run_behind(
            settle, of=Behind.JOBS, on=turn_at(job.merchant, "transaction", attempt.transaction)
        )

    async def _submit_or_look_up(self, gateway: Gateway, job: Job, prepared: Prepared) -> Sighting:
        attempt = prepared.attempt
        if prepared.is_new:
            return await self._submit(gateway, job, attempt)
        now = self.clock.now()
        may_repeat = may_submit(attempt, gateway.capabilities, now) and not prepared.charge_gone
        if attempt.state is not AttemptState.PREPARED or not may_repeat:
            sighting = await _bounded(gateway.lookup(submission_of(attempt)))
            quiet_for = now - attempt.called_at - gateway.capabilities.quiet_period
            if not isinstance(sighting, NotSeen) or not attempt.is_open or quiet_for < timedelta(0):
                return sighting
            if prepared.charge_gone and quiet_for >= CALL_WITHIN:
                # It never arrived, and is not to be sent any more.
                return Declined(code=CHARGE_GONE.code, message=CHARGE_GONE.message)
            if not may_repeat:
                return sighting
        return await self._submit(gateway, job, await self._note(job, attempt))

    async def _submit(self, gateway: Gateway, job: Job, attempt: Attempt) -> Sighting:
        """Make the call that was written down just now, unless it has become too old meanwhile to be made at all.

        This process may have stood still at any await, for a day even, and found nobody else at its job.
        """
        for _ in range(CALL_NOTES_MAX):
            now = self.clock.now()
            if not may_submit(attempt, gateway.capabilities, now):
                break
            if abs(now - attempt.called_at) < CALL_WITHIN:
                return await _bounded(gateway.submit(submission_of(attempt)))
            attempt = await self._note(job, attempt)
        return Unknown(why=NOT_MADE)

    async def _note(self, job: Job, attempt: Attempt) -> Attempt:
        note = partial(note_call, job=job, attempt=attempt)
        return await self.units.run_behind(note, of=Behind.JOBS, on=turn_at(job.merchant, "job", job.id))

    async def _save(self, changed: partial[Job]) -> None:
        async def act(work: UnitOfWork, moment: Moment) -> None:
            work.jobs.save(changed(at=moment.now))

        await self.units.run_behind(act, of=Behind.JOBS)


async def _bounded(answer: Awaitable[Sighting]) -> Sighting:
    try:
        async with asyncio.timeout(GATEWAY_SECONDS_MAX):
            return await answer
    except TimeoutError:
        return Unknown(why=f"the gateway took longer than {GATEWAY_SECONDS_MAX:.0f} s")


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
