"""A gateway that approves what it is asked, once for each attempt."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from payments_core.gateway import Approved, Capabilities, Declined, NotSeen, Outcome, Sighting, Submission
from payments_core.ids import AttemptId

CAPABILITIES: Final = Capabilities(
    name="memory", livemode=False, key_retention=timedelta(days=36_500), quiet_period=timedelta(0)
)


class MemoryGateway:
    """Approves charges and refunds, but for the payment methods that it `declines`; `seen` has each attempt once.

    For a gateway that times out and changes its mind take `adapters.sandbox`.
    """

    def __init__(self, *, declines: Collection[str] = ()) -> None:
        self.seen: dict[AttemptId, Submission] = {}
        self._declines = frozenset(declines)

    @property
    def capabilities(self) -> Capabilities:
        """A gateway that forgets nothing."""
        return CAPABILITIES

    async def submit(self, submission: Submission, /) -> Outcome:
        """Approve, or decline."""
        return self._outcome(self.seen.setdefault(submission.id, submission))

    async def lookup(self, submission: Submission, /) -> Sighting:
        """Say what became of it, or that it was never seen."""
        seen = self.seen.get(submission.id)
        return NotSeen() if seen is None else self._outcome(seen)

    def _outcome(self, submission: Submission) -> Outcome:
        if submission.payment_method in self._declines:
            return Declined(code="declined", message="The payment was declined.")
        return Approved(reference=f"memory_{submission.id}")
