"""Rules about the run: what is left to do, what ended, and whether the campaign was what was planned."""

from __future__ import annotations

from typing import Final

from tests.chaos.evidence import Evidence
from tests.chaos.verdict import Broken, Looked

OVERDUE_SECONDS_MAX: Final = 120.0


def nothing_overdue(evidence: Evidence) -> Looked:
    """No job and no delivery has been due for so long without being taken up."""
    due: list[tuple[str, float | None]] = [(each.id, each.overdue_seconds) for each in evidence.jobs if not each.dead]
    due += [(each.id, each.overdue_seconds) for each in evidence.deliveries if each.status == "pending"]
    broken: list[Broken] = [
        (id, "it has no time" if seconds is None else f"overdue by {seconds:.0f} s")
        for id, seconds in due
        if seconds is None or seconds > OVERDUE_SECONDS_MAX
    ]
    return len(evidence.jobs) + len(evidence.deliveries), broken


def no_dead_jobs(evidence: Evidence) -> Looked:
    """No job failed so often for reasons that nobody foresaw that it was given up."""
    return len(evidence.jobs), [(each.id, f"dead, of {each.subject}") for each in evidence.jobs if each.dead]


def nothing_ends_alone(evidence: Evidence) -> Looked:
    """No process that had begun to work ended without being told to."""
    return evidence.started, [("process", end) for end in evidence.ended_alone]


def verified(evidence: Evidence) -> Looked:
    """The service's own `payments verify` finds nothing wrong either."""
    return 1, [("verify", line) for line in evidence.unverified]


def all_committed(evidence: Evidence) -> Looked:
    """The campaign was as hard as it was planned to be."""
    return evidence.planned, [("fault", left) for left in evidence.left_undone]
