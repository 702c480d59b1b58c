"""The Transaction: one payment of one merchant, its states and its money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from payments_core.errors import Conflict, RuleBroken
from payments_core.event import EventType, Fact
from payments_core.ids import MerchantId, PaymentKeyId, TransactionId
from payments_core.money import Money
from payments_core.values import Json

DESCRIPTION_LENGTH_MAX: Final = 500
REFERENCE_LENGTH_MAX: Final = 128
PAYMENT_METHOD_LENGTH_MAX: Final = 255
REFUNDS_MAX: Final = 100
REFUNDS_SHOWN_MAX: Final = 10


class Status(StrEnum):
    """The states of a transaction; `requires_action` and `authorized` are kept free for what comes."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


CLOSED: Final = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED})

ALLOWED: Final[Mapping[Status, frozenset[Status]]] = {
    Status.PENDING: frozenset({Status.PROCESSING, Status.CANCELED}),
    Status.PROCESSING: frozenset({Status.SUCCEEDED, Status.FAILED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELED: frozenset(),
}
"""What may follow what. Out of a closed state only a correction leads, to another closed one."""


class StatusReason(StrEnum):
    """Why a transaction is where it is."""

    OUTCOME_UNKNOWN = "outcome_unknown"
    NEEDS_REVIEW = "needs_review"
    REQUESTED = "requested"
    SUSPENDED = "suspended"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why money did not move: our code, a sentence, the gateway's own code, and whether another try may succeed."""

    code: str
    message: str
    gateway_code: str | None = None
    retryable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One payment. Amounts are minor units of `amount.currency`; `facts` counts its events, its refunds' included."""

    id: TransactionId
    merchant: MerchantId
    livemode: bool
    payment_key: PaymentKeyId
    amount: Money
    status: Status
    created_at: datetime
    updated_at: datetime
    gateway: str
    status_reason: StatusReason | None = None
    description: str | None = None
    reference: str | None = None
    customer_reference: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    payment_method: str | None = None
    gateway_reference: str | None = None
    failure: Failure | None = None
    refunded_minor: int = 0
    refund_pending_minor: int = 0
    refunds_count: int = 0
    completed_at: datetime | None = None
    facts: int = 0
    version: int = 0

    @property
    def refundable_minor(self) -> int:
        """What could be refunded now, in minor units."""
        if self.status is not Status.SUCCEEDED:
            return 0
        return self.amount.amount_minor - self.refunded_minor - self.refund_pending_minor

    def created(self) -> Fact:
        """Return the fact that this new transaction was accepted: its first, which it counts already."""
        # Not by a copy that counts it, as after other facts: every payment would pay for copying all fields.
        assert self.facts == 1
        return Fact(type=EventType.TRANSACTION_CREATED, transaction=self.id, sequence=self.facts, at=self.created_at)

    def process(self, *, at: datetime) -> tuple[Transaction, Fact]:
        """Return the transaction whose attempt is about to be made."""
        return self._to(Status.PROCESSING, at)._with_fact(EventType.TRANSACTION_PROCESSING, at)

    def succeed(self, *, at: datetime, gateway_reference: str) -> tuple[Transaction, Fact]:
        """Return the transaction whose money moved."""
        done = replace(self._to(Status.SUCCEEDED, at), gateway_reference=gateway_reference)
        return done._with_fact(EventType.TRANSACTION_SUCCEEDED, at)

    def fail(self, *, at: datetime, failure: Failure) -> tuple[Transaction, Fact]:
        """Return the transaction whose money did not move."""
        return replace(self._to(Status.FAILED, at), failure=failure)._with_fact(EventType.TRANSACTION_FAILED, at)

    def cancel(self, *, at: datetime, reason: StatusReason) -> tuple[Transaction, Fact]:
        """Return the transaction that will not be attempted; raise Conflict where an attempt may have been made."""
        if Status.CANCELED not in ALLOWED[self.status]:
            raise Conflict(
                "transaction_not_cancelable",
                f"The transaction is {self.status}: only a pending one can be canceled.",
            )
        done = replace(self._to(Status.CANCELED, at), status_reason=reason)
        return done._with_fact(EventType.TRANSACTION_CANCELED, at)

    def doubt(self, *, at: datetime, reason: StatusReason | None) -> Transaction:
        """Return the transaction in processing whose outcome nobody knows (yet), or knows to be under way (None)."""
        assert self.status is Status.PROCESSING
        return replace(self, status_reason=reason, updated_at=at)

    def correct(
        self,
        to: Status,
        *,
        at: datetime,
        evidence: Mapping[str, Json],
        gateway_reference: str | None = None,
        failure: Failure | None = None,
    ) -> tuple[Transaction, Fact]:
        """Return the closed transaction in the closed state that the evidence shows; `evidence` is made public."""
        assert self.status in CLOSED
        assert to in CLOSED
        assert to is not self.status
        done = replace(
            self,
            status=to,
            status_reason=None,
            failure=failure,
            gateway_reference=gateway_reference or self.gateway_reference,
            updated_at=at,
        )
        detail: dict[str, Json] = {"from": str(self.status), "to": str(to), "evidence": evidence}
        return done._with_fact(EventType.TRANSACTION_CORRECTED, at, detail)

    def reserve_refund(self, amount: Money, *, at: datetime) -> tuple[Transaction, Fact]:
        """Return the transaction with so much set aside for a refund, or raise RuleBroken."""
        if self.status is not Status.SUCCEEDED:
            raise RuleBroken(
                "transaction_not_refundable",
                f"The transaction is {self.status}: only a succeeded one can be refunded.",
            )
        left = Money(amount_minor=self.refundable_minor, currency=self.amount.currency)
        if left.amount_minor == 0:
            raise RuleBroken(
                "already_refunded", "Nothing is left to refund: all of the amount is refunded or about to be."
            )
        if self.refunds_count >= REFUNDS_MAX:
            raise RuleBroken("too_many_refunds", f"A transaction can have at most {REFUNDS_MAX} refunds.")
        if amount.amount_minor > left.amount_minor:
            raise RuleBroken(
                "refund_exceeds_amount",
                f"The refund of {amount.format()} {amount.currency.code} cannot exceed what is left: "
                f"{left.format()} {left.currency.code}.",
            )
        pending = self.refund_pending_minor + amount.amount_minor
        reserved = replace(self, refund_pending_minor=pending, refunds_count=self.refunds_count + 1, updated_at=at)
        return reserved._with_fact(EventType.REFUND_CREATED, at)

    def settle_refund(self, amount: Money, *, at: datetime) -> tuple[Transaction, Fact]:
        """Return the transaction of which so much was given back."""
        pending = self.refund_pending_minor - amount.amount_minor
        refunded = self.refunded_minor + amount.amount_minor
        settled = replace(self, refund_pending_minor=pending, refunded_minor=refunded, updated_at=at)
        return settled._with_fact(EventType.REFUND_SUCCEEDED, at)

    def release_refund(self, amount: Money, *, at: datetime) -> tuple[Transaction, Fact]:
        """Return the transaction whose pending refund failed: the amount can be refunded again."""
        pending = self.refund_pending_minor - amount.amount_minor
        return replace(self, refund_pending_minor=pending, updated_at=at)._with_fact(EventType.REFUND_FAILED, at)

    def return_refund(
        self, amount: Money, *, at: datetime, detail: Mapping[str, Json] | None = None
    ) -> tuple[Transaction, Fact]:
        """Return the transaction whose refund had succeeded and came back; `detail` is made public."""
        refunded = self.refunded_minor - amount.amount_minor
        return replace(self, refunded_minor=refunded, updated_at=at)._with_fact(EventType.REFUND_FAILED, at, detail)

    def recover_refund(
        self, amount: Money, *, at: datetime, detail: Mapping[str, Json] | None = None
    ) -> tuple[Transaction, Fact]:
        """Return the transaction of which so much was given back by a refund that had failed; `detail` is made public.

        Raises RuleBroken where not so much is left: the sum of refunds never exceeds the amount.
        """
        if self.status is not Status.SUCCEEDED:
            raise RuleBroken(
                "transaction_not_refundable", f"The transaction is {self.status}: nothing of it can have been refunded."
            )
        if amount.amount_minor > self.refundable_minor:
            left = Money(amount_minor=self.refundable_minor, currency=self.amount.currency)
            raise RuleBroken(
                "refund_exceeds_amount",
                f"The refund is of {amount.format()} {amount.currency.code}, and {left.format()} are left of the "
                "transaction: other refunds took the rest after this one had failed.",
            )
        refunded = self.refunded_minor + amount.amount_minor
        return replace(self, refunded_minor=refunded, updated_at=at)._with_fact(EventType.REFUND_SUCCEEDED, at, detail)

    def _to(self, status: Status, at: datetime) -> Transaction:
        if status not in ALLOWED[self.status]:
            raise Conflict("transaction_state", f"A {self.status} transaction cannot become {status}.")
        completed_at = at if status in CLOSED else None
        return replace(self, status=status, status_reason=None, updated_at=at, completed_at=completed_at)

    def _with_fact(
        self, type: EventType, at: datetime, detail: Mapping[str, Json] | None = None
    ) -> tuple[Transaction, Fact]:
        counted = replace(self, facts=self.facts + 1)
        return counted, Fact(type=type, transaction=self.id, sequence=counted.facts, at=at, detail=detail or {})
