"""What each `payment_method` makes the sandbox do.

| payment_method                  | charge                               | refund of that charge                |
|---------------------------------|--------------------------------------|--------------------------------------|
| none, `pm_approve`              | approved at the approval rate        | approved                             |
| `pm_decline_insufficient_funds` | declined, retryable                  | the same                             |
| `pm_decline_expired`            | declined                             | the same                             |
| `pm_decline_fraud`              | declined                             | the same                             |
| `pm_timeout_charged`            | money moves, the answer is lost      | the same                             |
| `pm_timeout_not_charged`        | first call lost, repeat approved     | the same                             |
| `pm_error_once`                 | first call a 503, repeat approved    | the same                             |
| `pm_slow`                       | approved, answered after 10 s        | the same                             |
| `pm_refund_fails`               | approved                             | declined: `refund_refused`           |
| `pm_refund_returned_late`       | approved                             | approved, later declined: `returned` |
| `pm_corrected_late`             | approved, later declined: `reversed` | approved                             |
| anything else                   | declined: `unknown_payment_method`   | the same                             |

Anything else is declined rather than approved, so that a misspelt script does not look like a success.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from payments_core.attempt import AttemptKind
from payments_core.gateway import Declined
from payments_core.refund import RETURNED

SLOW_SECONDS: Final = 10.0

# The gateway codes are ISO 8583's, as card networks give them.
BY_CHANCE: Final = Declined(
    code="declined",
    message="The bank declined the charge and gave no reason.",
    gateway_code="05",
    retryable=True,
)
INSUFFICIENT_FUNDS: Final = Declined(
    code="insufficient_funds",
    message="The account does not hold enough money.",
    gateway_code="51",
    retryable=True,
)
EXPIRED: Final = Declined(code="expired_card", message="The card has expired.", gateway_code="54")
FRAUD: Final = Declined(
    code="suspected_fraud", message="The charge was refused on suspicion of fraud.", gateway_code="59"
)
REFUND_REFUSED: Final = Declined(code="refund_refused", message="The bank does not take the refund.", gateway_code="57")
REFUND_RETURNED: Final = Declined(code=RETURNED, message="The bank sent the refund back after it had been approved.")
CHARGE_REVERSED: Final = Declined(code="reversed", message="The bank took the charge back after it had been approved.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Approve, except for what is set.

    `declined` and `later_declined` are by kind of attempt; `by_chance` lets the approval rate decide about charges.
    `answer_lost` and `first_call_dropped` are the `why` of the outcome Unknown that the first call then meets: after
    the decision, and in place of it. `seconds` takes the place of the usual latency.
    """

    declined: Mapping[AttemptKind, Declined] = field(default_factory=dict[AttemptKind, Declined])
    later_declined: Mapping[AttemptKind, Declined] = field(default_factory=dict[AttemptKind, Declined])
    by_chance: bool = False
    answer_lost: str | None = None
    first_call_dropped: str | None = None
    seconds: float | None = None


def _declining(declined: Declined) -> Script:
    return Script(declined=dict.fromkeys(AttemptKind, declined))


APPROVE: Final = Script(by_chance=True)

SCRIPTS: Final[Mapping[str, Script]] = {
    "pm_approve": APPROVE,
    "pm_decline_insufficient_funds": _declining(INSUFFICIENT_FUNDS),
    "pm_decline_expired": _declining(EXPIRED),
    "pm_decline_fraud": _declining(FRAUD),
    "pm_timeout_charged": Script(answer_lost="the sandbox did not answer in time"),
    "pm_timeout_not_charged": Script(first_call_dropped="the sandbox did not answer in time"),
    "pm_error_once": Script(first_call_dropped="the sandbox answered 503"),
    "pm_slow": Script(seconds=SLOW_SECONDS),
    "pm_refund_fails": Script(declined={AttemptKind.REFUND: REFUND_REFUSED}),
    "pm_refund_returned_late": Script(later_declined={AttemptKind.REFUND: REFUND_RETURNED}),
    "pm_corrected_late": Script(later_declined={AttemptKind.CHARGE: CHARGE_REVERSED}),
}

UNKNOWN_PAYMENT_METHOD: Final = Declined(
    code="unknown_payment_method",
    message=f"The sandbox has no script of this name; it has {', '.join(SCRIPTS)}.",
    gateway_code="14",
)
NO_SCRIPT: Final = _declining(UNKNOWN_PAYMENT_METHOD)

DECLINES: Final[Mapping[str, Declined]] = {
    declined.code: declined
    for declined in (
        BY_CHANCE,
        INSUFFICIENT_FUNDS,
        EXPIRED,
        FRAUD,
        UNKNOWN_PAYMENT_METHOD,
        REFUND_REFUSED,
        REFUND_RETURNED,
        CHARGE_REVERSED,
    )
}
"""By code, which is what the ledger keeps: none may be removed while a ledger names it."""


def script_of(payment_method: str | None) -> Script:
    """Return the script that a submission's payment method names."""
    return APPROVE if payment_method is None else SCRIPTS.get(payment_method, NO_SCRIPT)
