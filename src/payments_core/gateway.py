"""What a gateway is asked and what it may answer.

The outcomes are an open union: `Authorized` and `ActionRequired` will join it. A time-out, a cut connection or a 5xx is
`Unknown`, never a failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from payments_core.attempt import AttemptKind
from payments_core.ids import AttemptId
from payments_core.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One call: `id` is the gateway's idempotency key, committed before the call.

    `charge_reference` is the gateway's name of the charge that a refund returns.
    """

    id: AttemptId
    kind: AttemptKind
    amount: Money
    livemode: bool
    payment_method: str | None
    charge_reference: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """The money moved. `check_again_after`: the gateway may still change its mind; look once more then."""

    reference: str
    check_again_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """The money did not move and will not. `retryable`: another payment may go through later."""

    code: str
    message: str
    gateway_code: str | None = None
    retryable: bool = False
    check_again_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """The gateway has it and will decide; look it up later."""

    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Nobody knows whether the money moved; look it up."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSeen:
    """The answer to a look-up only: the gateway has no such attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misconfigured:
    """The gateway refused *us* (credentials, set-up): nothing moved, and a person has to act."""

    why: str


Outcome: TypeAlias = Approved | Declined | Pending | Unknown | Misconfigured
Sighting: TypeAlias = Outcome | NotSeen


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an adapter promises of its gateway.

    `key_retention`: how long the same key surely means the same attempt (Stripe prunes after 24 h).
    `quiet_period`: how long after a call "no such attempt" still may turn out wrong.
    """

    name: str
    livemode: bool
    key_retention: timedelta
    quiet_period: timedelta
