"""One try to move money at the gateway: written down before the call, so that no crash can forget it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from payments_core.ids import AttemptId, MerchantId, RefundId, TransactionId
from payments_core.money import Money

LOOKUP_SCHEDULE: Final[Sequence[timedelta]] = (
    timedelta(seconds=1),
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=5),
    timedelta(hours=1),
    *([timedelta(days=1)] * 5),
)
"""When an unknown outcome is looked up, each counted from the look-up before; then a person must look."""

SAID_BY: Final = "said by "
"""What `Attempt.detail` has before the name of the person who closed it in the gateway's place."""


class AttemptKind(StrEnum):
    """What is asked of the gateway; captures and voids will join."""

    CHARGE = "charge"
    REFUND = "refund"


class AttemptState(StrEnum):
    """What is known of the attempt."""

    PREPARED = "prepared"
    PENDING = "pending"
    UNKNOWN = "unknown"
    APPROVED = "approved"
    DECLINED = "declined"
    NEEDS_REVIEW = "needs_review"


OPEN_STATES: Final = frozenset({AttemptState.PREPARED, AttemptState.PENDING, AttemptState.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt to charge or to refund; `refund` is set where `kind` is REFUND.

    `prepared_at` is when it was first written down, `called_at` when the gateway was last about to be called.
    `lookups` counts the look-ups that gave no answer since it was made, or since it was closed.
    """

    id: AttemptId
    merchant: MerchantId
    livemode: bool
    kind: AttemptKind
    transaction: TransactionId
    refund: RefundId | None
    amount: Money
    gateway: str
    payment_method: str | None
    charge_reference: str | None
    prepared_at: datetime
    called_at: datetime
    state: AttemptState = AttemptState.PREPARED
    reference: str | None = None
    detail: str | None = None
    lookups: int = 0
    updated_at: datetime
    request_id: str | None = None
    version: int = 0

    @property
    def is_open(self) -> bool:
        """Say whether the gateway's word is still out."""
        return self.state in OPEN_STATES

    def call(self, at: datetime) -> Attempt:
        """Return the attempt whose call is about to be made again; write it down first."""
        return replace(self, called_at=at, updated_at=at)

    def approve(self, reference: str, at: datetime, *, detail: str | None = None) -> Attempt:
        """Return the attempt that moved money; `detail` says who said so where the gateway didn't."""
        return replace(self, state=AttemptState.APPROVED, reference=reference, detail=detail, lookups=0, updated_at=at)

    def decline(self, detail: str, at: datetime) -> Attempt:
        """Return the attempt that moved none; `detail` is the gateway's code, or what somebody said in its place."""
        return replace(self, state=AttemptState.DECLINED, detail=detail, lookups=0, updated_at=at)

    def wait(self, state: AttemptState, detail: str | None, reference: str | None, at: datetime) -> Attempt:
        """Return the attempt whose outcome is still open, after one more look or the first call."""
        return replace(self, state=state, detail=detail, reference=reference or self.reference, updated_at=at)

    def looked_up(self) -> Attempt:
        """Return the attempt with one look-up more."""
        return replace(self, lookups=self.lookups + 1)

    def next_lookup_after(self, schedule: Sequence[timedelta]) -> timedelta | None:
        """Return how long to wait for the next look-up, or None where the schedule has ended."""
        return schedule[self.lookups] if self.lookups < len(schedule) else None
