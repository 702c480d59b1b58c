"""The sandbox gateway: decides by script, writes its decision down, then answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final, TypeAlias

from adapters.sandbox.chance import check_latency, draw
from adapters.sandbox.ledger import EntryStatus, Ledger, LedgerAway, LedgerEntry
from adapters.sandbox.scripts import BY_CHANCE, DECLINES, Script, script_of
from payments_core.attempt import AttemptKind
from payments_core.gateway import (
    Approved,
    Capabilities,
    Declined,
    Misconfigured,
    NotSeen,
    Outcome,
    Sighting,
    Submission,
    Unknown,
)
from payments_core.ports import Clock

LATENCY_SECONDS: Final = (0.2, 0.2)
LATE_DECISION_AFTER: Final = timedelta(seconds=2)
"""How long after its decision the gateway changes its mind, where the script says that it does."""

CAPABILITIES: Final = Capabilities(
    name="sandbox",
    livemode=False,
    key_retention=timedelta(hours=24),
    # The decision is recorded before the latency begins, and the ledger writes nothing any more before this is over.
    quiet_period=timedelta(seconds=5),
)

Sleep: TypeAlias = Callable[[float], Awaitable[object]]

_MOVED: Final = {AttemptKind.CHARGE: EntryStatus.CHARGED, AttemptKind.REFUND: EntryStatus.REFUNDED}


class SandboxGateway:
    """A gateway whose outcomes follow `adapters.sandbox.scripts`; it moves no money and refuses live mode.

    Each answer to `submit` takes `latency` (least and most seconds, at most a minute); a look-up takes none. Of the
    charges that name no script or `pm_approve`, the share `approval_rate` is approved. Both follow from `seed` and the
    attempt's id alone. Raises ValueError for numbers out of their range.

    The same id again meets the first decision, and never moves money twice. Where a script changes its mind, it does
    so when it is next asked, LATE_DECISION_AFTER or longer after the decision.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        latency: tuple[float, float] = LATENCY_SECONDS,
        approval_rate: float = 1.0,
        seed: int | None = None,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        check_latency(latency)
        if not 0 <= approval_rate <= 1:
            raise ValueError("An approval rate is between 0 and 1.")
        self._ledger = ledger
        self._latency = latency
        self._approval_rate = approval_rate
        self._seed = seed
        self._clock = clock
        self._sleep = sleep

    @property
    def capabilities(self) -> Capabilities:
        """Return the sandbox's promises."""
        return CAPABILITIES

    async def submit(self, submission: Submission, /) -> Outcome:
        """Decide or repeat the decision, and answer after the latency; Unknown where the ledger is away."""
        if submission.livemode:
            return _refuse_livemode()
        script = script_of(submission.payment_method)
        try:
            outcome = await self._decide(submission, script)
        except LedgerAway as away:
            return Unknown(why=str(away))
        await self._sleep(self._seconds(submission, script))
        return outcome

    async def lookup(self, submission: Submission, /) -> Sighting:
        """Return the decision; NotSeen where there is none (yet), Unknown where the ledger is away."""
        if submission.livemode:
            return _refuse_livemode()
        script = script_of(submission.payment_method)
        try:
            entry = await self._ledger.find(submission.id)
            return NotSeen() if entry is None else await self._answer(entry, script)
        except LedgerAway as away:
            return Unknown(why=str(away))

    async def _decide(self, submission: Submission, script: Script) -> Outcome:
        if script.first_call_dropped is not None and await self._ledger.drop_first_call(
            submission.id, at=self._clock.now()
        ):
            return Unknown(why=script.first_call_dropped)
        recorded = await self._ledger.record(self._entry(submission, script))
        if script.answer_lost is not None and recorded.is_new:
            return Unknown(why=script.answer_lost)
        return await self._answer(recorded.entry, script)

    def _entry(self, submission: Submission, script: Script) -> LedgerEntry:
        declined = script.declined.get(submission.kind) or self._declined_by_chance(submission, script)
        return LedgerEntry(
            attempt=submission.id,
            kind=submission.kind,
            amount=submission.amount,
            status=EntryStatus.DECLINED if declined else _MOVED[submission.kind],
            reference=f"sandbox_{submission.kind}_{submission.id}",
            charge_reference=submission.charge_reference,
            code=declined.code if declined else None,
            at=self._clock.now(),
        )

    def _declined_by_chance(self, submission: Submission, script: Script) -> Declined | None:
        if not script.by_chance or submission.kind is not AttemptKind.CHARGE:
            return None
        return None if draw(self._seed, submission.id, "approval") < self._approval_rate else BY_CHANCE

    async def _answer(self, entry: LedgerEntry, script: Script) -> Outcome:
        """Say what the books say, after the gateway's late change of mind where that is due."""
        later = script.later_declined.get(entry.kind)
        now = self._clock.now()
        if later is not None and entry.changed_at is None and now >= entry.at + LATE_DECISION_AFTER:
            entry = await self._ledger.revise(
                replace(entry, status=EntryStatus.DECLINED, code=later.code, changed_at=now)
            )
        if entry.code is not None:
            return DECLINES[entry.code]
        return Approved(reference=entry.reference, check_again_after=LATE_DECISION_AFTER if later else None)

    def _seconds(self, submission: Submission, script: Script) -> float:
        if script.seconds is not None:
            return script.seconds
        least, most = self._latency
        return least + (most - least) * draw(self._seed, submission.id, "latency")


def _refuse_livemode() -> Misconfigured:
    return Misconfigured(why="the sandbox moves no live money")
