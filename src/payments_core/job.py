"""Work that was promised: a row written in the same commit as its cause, claimed by a worker under a lease."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from payments_core.errors import Conflict
from payments_core.ids import JobId, MerchantId

CLAIM_BATCH_MAX: Final = 100
LEASE: Final = timedelta(seconds=60)
HEARTBEATS_PER_LEASE: Final = 4
"""So often a worker extends the leases of what is under way: three may be missed."""
SWEEP_EVERY: Final = timedelta(seconds=1)
FAILURES_MAX: Final = 12
BACKOFF_BASE: Final = timedelta(seconds=1)
BACKOFF_MAX: Final = timedelta(minutes=15)
PUT_OFF: Final = timedelta(minutes=5)
"""How long a job waits for a person to mend what keeps it from being done."""
ERROR_LENGTH_MAX: Final = 500


class JobKind(StrEnum):
    """What is to be done with the subject."""

    CHARGE = "charge"
    REFUND = "refund"


class JobState(StrEnum):
    """What a job waits for: a worker, the worker that holds it, its time, or a person."""

    DUE = "due"
    LEASED = "leased"
    WAITING = "waiting"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`kind` is to be done with `subject` (the id of a transaction or a refund) at `due_at` or later.

    `failures` counts unforeseen errors in a row; a dead job is kept for a person. A claim raises `lease_token`, the
    fencing token: a write by the holder of an older one is refused with LeaseLost.
    """

    id: JobId
    merchant: MerchantId
    livemode: bool
    kind: JobKind
    subject: str
    due_at: datetime
    created_at: datetime
    failures: int = 0
    last_error: str | None = None
    dead_at: datetime | None = None
    lease_token: int = 0
    lease_expires_at: datetime | None = None
    request_id: str | None = None

    def state_at(self, at: datetime) -> JobState:
        """Return what the job waits for at that time."""
        if self.dead_at is not None:
            return JobState.DEAD
        if self.lease_expires_at is not None and self.lease_expires_at > at:
            return JobState.LEASED
        return JobState.DUE if self.due_at <= at else JobState.WAITING

    def revive(self, *, at: datetime) -> Job:
        """Return the dead job, due now with all its tries before it; what it died of is kept until it goes well.

        Raises Conflict (`job_not_dead`).
        """
        if self.dead_at is None:
            raise Conflict("job_not_dead", f"The job is {self.state_at(at)}: only a dead one can be revived.")
        return replace(self, due_at=at, failures=0, dead_at=None, lease_expires_at=None)

    def again(self, *, due_at: datetime) -> Job:
        """Return the job, handed back and due later: it went well, and there is more to do."""
        return replace(self, due_at=due_at, failures=0, last_error=None, lease_expires_at=None)

    def put_off(self, *, at: datetime, error: str) -> Job:
        """Return the job that cannot be done until a person has mended something: due again, not counted a failure."""
        return replace(self, due_at=at + PUT_OFF, last_error=error[:ERROR_LENGTH_MAX], lease_expires_at=None)

    def fail(self, *, at: datetime, error: str) -> Job:
        """Return the job after an unforeseen error: due again with backoff, or dead after FAILURES_MAX."""
        failures = self.failures + 1
        wait = min(BACKOFF_BASE * 2 ** (failures - 1), BACKOFF_MAX)
        return replace(
            self,
            failures=failures,
            last_error=error[:ERROR_LENGTH_MAX],
            due_at=at + wait,
            dead_at=at if failures >= FAILURES_MAX else None,
            lease_expires_at=None,
        )
