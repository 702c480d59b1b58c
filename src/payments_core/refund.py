"""The Refund: money given back, its states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from payments_core.errors import Conflict
from payments_core.ids import MerchantId, RefundId, TransactionId
from payments_core.money import Money
from payments_core.transaction import Failure, StatusReason

REASON_LENGTH_MAX: Final = 255
RETURNED: Final = "returned"
"""The failure code of a refund that had succeeded and came back."""
NOT_SENT: Final = "not_sent"
"""That of a refund which never went, where a gateway calls it RETURNED."""


class RefundStatus(StrEnum):
    """The states of a refund."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


REFUND_ALLOWED: Final[Mapping[RefundStatus, frozenset[RefundStatus]]] = {
    RefundStatus.PENDING: frozenset({RefundStatus.SUCCEEDED, RefundStatus.FAILED}),
    RefundStatus.SUCCEEDED: frozenset({RefundStatus.FAILED}),
    RefundStatus.FAILED: frozenset(),
}
"""What may follow what; succeeded to failed is a refund that came back (`returned`).

Out of failed only a correction leads (`Refund.recover`).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Part or all of a transaction's amount, given back. The transaction keeps the sums and counts the events."""

    id: RefundId
    merchant: MerchantId
    livemode: bool
    transaction: TransactionId
    amount: Money
    status: RefundStatus
    created_at: datetime
    updated_at: datetime
    status_reason: StatusReason | None = None
    reason: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    gateway_reference: str | None = None
    failure: Failure | None = None
    version: int = 0

    def succeed(self, *, at: datetime, gateway_reference: str) -> Refund:
        """Return the refund whose money went back."""
        return replace(self._to(RefundStatus.SUCCEEDED, at), gateway_reference=gateway_reference)

    def fail(self, *, at: datetime, failure: Failure) -> Refund:
        """Return the refund whose money did not go back, or came back."""
        return replace(self._to(RefundStatus.FAILED, at), failure=failure)

    def recover(self, *, at: datetime, gateway_reference: str) -> Refund:
        """Return the failed refund whose money went back after all: a correction, which needs evidence."""
        assert self.status is RefundStatus.FAILED
        return replace(
            self,
            status=RefundStatus.SUCCEEDED,
            status_reason=None,
            failure=None,
            gateway_reference=gateway_reference,
            updated_at=at,
        )

    def doubt(self, *, at: datetime, reason: StatusReason | None) -> Refund:
        """Return the pending refund whose outcome nobody knows (yet), or knows to be under way (None)."""
        assert self.status is RefundStatus.PENDING
        return replace(self, status_reason=reason, updated_at=at)

    def _to(self, status: RefundStatus, at: datetime) -> Refund:
        if status not in REFUND_ALLOWED[self.status]:
            raise Conflict("refund_state", f"A {self.status} refund cannot become {status}.")
        return replace(self, status=status, status_reason=None, updated_at=at)
