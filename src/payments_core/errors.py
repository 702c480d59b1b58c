"""Every refusal of the core, in one tree.

PaymentsError                 `code` is contract, `message` prose; `retryable`: the same call may work later
├── Refused                   the request was understood and is refused; nothing was changed
│   ├── Invalid               one or more fields are at fault; `faults` names them all
│   ├── RuleBroken            a rule of money or state forbids it (`refund_exceeds_amount`, `invalid_payment_key`, …)
│   ├── InvalidCredentials    nobody that we know, or no longer
│   ├── Forbidden             known, but not allowed
│   ├── NotFound              not there, another merchant's, or the other mode's: never told apart
│   ├── Conflict              it clashes with what is there now (`email_taken`, `transaction_not_cancelable`, …)
│   ├── KeyReused             an idempotency key that was used before for another request
│   └── TooMany               a rate limit; carries what is left and when
├── Retried                   only inside a unit of work: the loop around it runs it again, callers never see it
│   ├── StaleWrite            an aggregate moved between its read and the commit
│   └── Duplicate             a unique value is taken; `constraint` says which
├── LeaseLost                 a worker's claim ran out and somebody else has it; its write is refused, for good
├── Unavailable               the store is away or too busy; nothing was done
├── OutcomeUnknown            the connection broke during a commit and the truth could not be read back
└── Unreadable                sealed bytes that no key of ours opens
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from payments_core.limits import Allowance


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One field that is at fault: its path (`amount`, `metadata.note`), a code for programs, a sentence for people."""

    field: str
    code: str
    message: str


class PaymentsError(Exception):
    """The root of what this library raises on purpose."""

    code = "error"
    retryable = False

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class Refused(PaymentsError):
    """The request was understood and is refused; nothing was changed."""

    code = "refused"


class Invalid(Refused):
    """One or more fields are at fault; `faults` names all of them."""

    code = "invalid_request"

    def __init__(self, faults: Sequence[Fault], *, code: str | None = None, message: str | None = None) -> None:
        super().__init__(message or "; ".join(f"{fault.field}: {fault.message}" for fault in faults), code=code)
        self.faults = tuple(faults)

    @classmethod
    def field(cls, field: str, code: str, message: str) -> Invalid:
        """Return the error for a single field."""
        return cls([Fault(field=field, code=code, message=message)])


class RuleBroken(Refused):
    """A rule of money or state forbids it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, code=code)


class InvalidCredentials(Refused):
    """Nobody that we know, or no longer: unknown, malformed, expired and revoked are not told apart."""

    code = "invalid_credentials"


class Forbidden(Refused):
    """Known, but not allowed."""

    code = "forbidden"


class NotFound(Refused):
    """Not there, another merchant's, or the other mode's: never told apart."""

    code = "not_found"


class Conflict(Refused):
    """It clashes with what is there now."""

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message, code=code)
        self.retryable = retryable


class KeyReused(Refused):
    """An idempotency key that was used before for another request."""

    code = "idempotency_key_reused"


class TooMany(Refused):
    """A rate limit was reached; `allowance` says which and when there is room again, and so does the message."""

    code = "rate_limited"
    retryable = True

    def __init__(self, allowance: Allowance) -> None:
        limit = allowance.limit
        super().__init__(
            f"The limit is {limit.amount} in {limit.per_seconds} s; there is room again in "
            f"{math.ceil(allowance.reset_after_seconds)} s."
        )
        self.allowance = allowance


class Retried(PaymentsError):
    """Raised by a commit for the loop around the unit of work; callers of the facade never see it."""

    code = "retried"


class StaleWrite(Retried):
    """An aggregate moved between its read and the commit; nothing of the unit was written."""

    code = "stale_write"


class Duplicate(Retried):
    """A unique value is taken; nothing of the unit was written. `constraint` is one of `payments_core.ports.Unique`."""

    code = "duplicate"

    def __init__(self, constraint: str) -> None:
        super().__init__(f"a value of {constraint} is taken")
        self.constraint = constraint


class LeaseLost(PaymentsError):
    """The claim on a job or delivery is no longer the caller's; nothing of the unit was written. Not to be retried."""

    code = "lease_lost"


class Unavailable(PaymentsError):
    """The store is away or too busy; nothing was done, so that the same call may be made again freely."""

    code = "unavailable"
    retryable = True


class OutcomeUnknown(PaymentsError):
    """The connection broke during a commit and the truth could not be read back.

    Make the call again with the same idempotency key, and only so.
    """

    code = "outcome_unknown"
    retryable = True


class Unreadable(PaymentsError):
    """Sealed bytes that no key of ours opens: a key is missing, or they were tampered with."""

    code = "unreadable"
