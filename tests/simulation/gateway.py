"""The gateway: another company's system, which charges and refunds whatever becomes of us, and keeps its own books."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final

from payments_core.attempt import AttemptKind
from payments_core.books import GatewayEntry
from payments_core.gateway import (
    Approved,
    Capabilities,
    Declined,
    Misconfigured,
    NotSeen,
    Outcome,
    Pending,
    Sighting,
    Submission,
    Unknown,
)
from payments_core.ids import AttemptId
from tests.simulation.plan import Fault
from tests.simulation.world import World

QUIET_SECONDS: Final = 600.0
LATE_SECONDS_MAX: Final = 60.0
"""How long a call is under way at the most, and so long again nobody may see it: with all that clocks may be apart,
once when it is made and once when it is looked up, less than the quiet period."""
RETENTION_SECONDS: Final = 24 * 3600.0
CHANGES_AFTER_SECONDS: Final = (100.0, 300.0, 3_600.0, 2 * 24 * 3_600.0)
"""Within one of these the gateway changes its mind where it does: also between two answers to one question."""
SLOW_SECONDS_MAX: Final = 40.0
"""On top of that, for an answer: together longer than the core waits."""
FAULTS_EACH_MAX: Final = 8
"""For one attempt, of all its calls and look-ups: fewer than it takes for a job to die."""
FAULT_SHARE: Final = 0.4

CAPABILITIES: Final = Capabilities(
    name="simulated",
    livemode=False,
    key_retention=timedelta(seconds=RETENTION_SECONDS),
    quiet_period=timedelta(seconds=QUIET_SECONDS),
)


@dataclass(slots=True)
class Entry:
    """One movement of money, or a refusal to move it: what the books say of it until `changes_at`, and from then on."""

    submission: Submission
    at: float
    approved: bool
    changes_at: float | None = None

    def is_approved(self, now: float) -> bool:
        """Say whether the money is moved, as of now."""
        return self.approved is not (self.changes_at is not None and now >= self.changes_at)


class SimulatedGateway:
    """The port `Gateway`, for all processes: `books` is what the company did, an entry for each that it did."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.books: list[Entry] = []
        self._known: dict[AttemptId, Entry] = {}
        self._faults: dict[AttemptId, int] = {}

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    async def submit(self, submission: Submission, /) -> Outcome:
        """Move the money, or not, or later; say so, or not."""
        world = self._world
        fault = self._fault(submission, ("lost call", "lost answer", "late", "slow", "pending", "raises", "refused"))
        world.note(f"gateway: {submission.kind} {submission.id}" + (f": {fault}" if fault else ""))
        match fault:
            case "refused":
                return Misconfigured(why="the credentials are wrong")
            case "lost call":
                return Unknown(why="the call was lost")
            case "raises":
                if world.random.random() < 0.5:
                    self._arrives(submission)
                raise RuntimeError("an adapter with a defect")
            case "late":
                world.outside_task(self._arrives_later(submission))
                return Unknown(why="no answer in time")
            case "slow":
                # In a task of its own: the call arrives though whoever made it ends meanwhile.
                await world.outside_task(self._arrives_later(submission))
                await asyncio.sleep(world.random.uniform(0, SLOW_SECONDS_MAX))
            case _:
                self._arrives(submission)
        await asyncio.sleep(0)
        if fault == "lost answer":
            return Unknown(why="the answer was lost")
        return Pending(reference="pending") if fault == "pending" else self._answer(submission)

    async def lookup(self, submission: Submission, /) -> Sighting:
        """Say what the books say; within the quiet period that may be nothing yet."""
        world = self._world
        fault = self._fault(submission, ("lost answer", "pending", "lagging", "raises"))
        world.note(f"gateway: look-up {submission.id}" + (f": {fault}" if fault else ""))
        await asyncio.sleep(0)
        entry = self._known.get(submission.id)
        match fault:
            case "lost answer":
                return Unknown(why="the answer was lost")
            case "raises":
                raise RuntimeError("an adapter with a defect")
            case "lagging" if entry is not None and world.loop.seconds - entry.at < LATE_SECONDS_MAX:
                return NotSeen()
            case "pending" if entry is not None:
                return Pending(reference="pending")
            case _:
                return NotSeen() if entry is None else self._answer(submission)

    # ── the books, as `payments verify` reads them (the port `GatewayLedger`)

    @property
    def gateway(self) -> str:
        return CAPABILITIES.name

    async def entries_of(self, attempts: Sequence[AttemptId], /) -> Mapping[AttemptId, GatewayEntry]:
        return {id: self._shown(self._known[id]) for id in attempts if id in self._known}

    async def entries(self, *, after: str, limit: int) -> Sequence[GatewayEntry]:
        return [self._shown(self._known[id]) for id in sorted(self._known) if id > after][:limit]

    def _shown(self, entry: Entry) -> GatewayEntry:
        asked = entry.submission
        moved = entry.is_approved(self._world.loop.seconds)
        return GatewayEntry(attempt=asked.id, kind=asked.kind, amount=asked.amount, moved=moved)

    def _fault(self, submission: Submission, kinds: tuple[str, ...]) -> str | None:
        met = self._faults.get(submission.id, 0)
        if met >= FAULTS_EACH_MAX or not self._world.happens(Fault.GATEWAY, FAULT_SHARE):
            return None
        self._faults[submission.id] = met + 1
        return self._world.random.choice(kinds)

    async def _arrives_later(self, submission: Submission) -> None:
        await asyncio.sleep(self._world.random.uniform(0, LATE_SECONDS_MAX))
        self._arrives(submission)

    def _arrives(self, submission: Submission) -> None:
        """Move the money, unless this key was seen in the time for which keys are kept."""
        now = self._world.loop.seconds
        known = self._known.get(submission.id)
        if known is not None and now - known.at < RETENTION_SECONDS:
            return
        entry = self._decided(submission, now)
        self._known[submission.id] = entry
        self.books.append(entry)
        self._world.note(f"gateway: the books have {submission.kind} {submission.id}, approved: {entry.approved}")

    def _decided(self, submission: Submission, now: float) -> Entry:
        method = submission.payment_method
        if submission.kind is AttemptKind.REFUND:
            method = Random(submission.id).choice(("approved", "approved", "declined", "reversed", "approved late"))
        changes_at = now + self._world.random.uniform(1, self._world.random.choice(CHANGES_AFTER_SECONDS))
        return Entry(
            submission=submission,
            at=now,
            approved=method in ("approved", "reversed"),
            changes_at=changes_at if method in ("reversed", "approved late") else None,
        )

    def _answer(self, submission: Submission) -> Outcome:
        entry, now = self._known[submission.id], self._world.loop.seconds
        again = None
        if entry.changes_at is not None and now < entry.changes_at:
            again = timedelta(seconds=entry.changes_at - now + 1)
        if entry.is_approved(now):
            return Approved(reference=f"ref_{submission.id}", check_again_after=again)
        return Declined(code="declined", message="The bank declined.", check_again_after=again)
