"""A gateway that approves whatever it is asked, once for each attempt."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from payments_core.gateway import Approved, Capabilities, NotSeen, Outcome, Sighting, Submission
from payments_core.ids import AttemptId


CAPABILITIES: Final = Capabilities(
    name="memory", livemode=False, key_retention=timedelta(days=36_500), quiet_period=timedelta(0)
)


class MemoryGateway:
    """Approves charges and refunds, and remembers them: `seen` has each attempt once, however often it was sent.

    For a gateway that declines, times out and changes its mind take `adapters.sandbox`.
    """

    def __init__(self) -> None:
        self.seen: dict[AttemptId, Submission] = {}

    @property
    def capabilities(self) -> Capabilities:
        """A gateway that forgets nothing."""
        return CAPABILITIES

    async def submit(self, submission: Submission, /) -> Outcome:
        """Approve."""
        self.seen.setdefault(submission.id, submission)
        return _approved(submission)

    async def lookup(self, submission: Submission, /) -> Sighting:
        """Say whether it was approved or never seen."""
        return _approved(submission) if submission.id in self.seen else NotSeen()


def _approved(submission: Submission) -> Approved:
    return Approved(reference=f"memory_{submission.id}")
