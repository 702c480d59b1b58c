"""The outcomes that the sandbox has a script for, in the words of those who try them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a `payment_method` makes of a payment in test mode. `script` is that text."""

    script: str
    title: str
    words: str


OUTCOMES: Final = (
    Outcome(
        script="pm_approve",
        title="It succeeds",
        words="Approved at the installation's approval rate, which is 100% unless it was set otherwise.",
    ),
    Outcome(
        script="pm_decline_insufficient_funds",
        title="Declined: not enough money",
        words="It fails with insufficient_funds; the same customer may succeed later.",
    ),
    Outcome(
        script="pm_decline_expired",
        title="Declined: the card has expired",
        words="It fails with expired_card, and would again.",
    ),
    Outcome(
        script="pm_decline_fraud",
        title="Declined: suspected fraud",
        words="It fails with suspected_fraud, and would again.",
    ),
    Outcome(
        script="pm_timeout_charged",
        title="The gateway's answer is lost; the money moved",
        words="It stays in processing while nobody knows, is looked up, and succeeds: it is charged once.",
    ),
    Outcome(
        script="pm_timeout_not_charged",
        title="The call to the gateway is lost; no money moved",
        words="It stays in processing while nobody knows, is sent again with the same key, and succeeds.",
    ),
    Outcome(
        script="pm_error_once",
        title="The gateway fails once",
        words="The first call gets a 503; the repeat is approved.",
    ),
    Outcome(
        script="pm_slow",
        title="The gateway is slow",
        words="It is approved after ten seconds: time to watch it.",
    ),
    Outcome(
        script="pm_refund_fails",
        title="It succeeds; a refund fails",
        words="Refund it, and the bank refuses with refund_refused: the amount can be refunded again.",
    ),
    Outcome(
        script="pm_refund_returned_late",
        title="It succeeds; a refund is returned later",
        words="Refund it: the refund succeeds, and fails later with returned.",
    ),
    Outcome(
        script="pm_corrected_late",
        title="It succeeds, and is reversed later",
        words="The bank takes the charge back: the payment is corrected to failed, with an event of its own.",
    ),
)
