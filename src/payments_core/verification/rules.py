"""The rules by name, and what breaks one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias

from payments_core.ids import MerchantId
from payments_core.webhook import RETRY_SCHEDULE

OVERDUE_AFTER: Final = timedelta(seconds=120)
SUBSCRIPTION_MARGIN: Final = timedelta(seconds=60)
"""By how much clocks of processes, and the time from a decision to its commit, may differ where an event and a
subscription of nearly the same time are compared."""

Found: TypeAlias = tuple[str, str]
"""The id of what breaks a rule, and how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Something that holds at every moment; its name stays the same over versions."""

    name: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A rule that doesn't hold: `subject` is the id of the row, `merchant` whose it is, where that is known."""

    rule: Rule
    merchant: MerchantId | None
    subject: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What may be waited for.

    `overdue_after`: how long work may be due and held by nobody. `delivery_tries`: of the whole schedule of retries.
    """

    overdue_after: timedelta = OVERDUE_AFTER
    subscription_margin: timedelta = SUBSCRIPTION_MARGIN
    delivery_tries: int = len(RETRY_SCHEDULE)


PAYMENTS_END: Final = Rule(
    name="payments-end",
    sentence="A payment or refund that is not closed has a job that will end it, or waits for a person.",
)
WORK_IN_TIME: Final = Rule(
    name="work-in-time",
    sentence="No job has long been due without a worker that holds it, and no delivery without one at its endpoint.",
)
ATTEMPTED_ONCE: Final = Rule(
    name="attempted-once", sentence="A payment is charged, and a refund paid out, by one attempt of the same amount."
)
STATUS_AGREES: Final = Rule(
    name="status-agrees", sentence="A payment or refund is where its attempt, or a later correction, has brought it."
)
GATEWAY_AGREES: Final = Rule(
    name="gateway-agrees", sentence="The gateway's ledger says of every closed attempt what we say."
)
GATEWAY_ADDS_NOTHING: Final = Rule(
    name="gateway-adds-nothing", sentence="The gateway's ledger has no entry without an attempt of ours."
)
REFUNDS_ADD_UP: Final = Rule(
    name="refunds-add-up", sentence="A payment's refunds are as many and as much as it says, and not above its amount."
)
CLOSED_STAYS_CLOSED: Final = Rule(
    name="closed-stays-closed",
    sentence="A payment's events follow one another as allowed, out of a closed state by a correction only, and end "
    "where it is.",
)
FACTS_ARE_COUNTED: Final = Rule(
    name="facts-are-counted", sentence="A payment's events are numbered from 1 without a gap, as many as it counts."
)
NOTHING_IS_LOST: Final = Rule(name="nothing-is-lost", sentence="A payment that an event tells of is there.")
POSITIONS_HAVE_NO_GAP: Final = Rule(
    name="positions-have-no-gap", sentence="A merchant's events are numbered from 1 without a gap, up to its counter."
)
EVENTS_ARE_SENT: Final = Rule(
    name="events-are-sent", sentence="Every event has a delivery to each endpoint that listens to it."
)
DELIVERIES_END: Final = Rule(
    name="deliveries-end",
    sentence="A delivery is due, or arrived, or has used the whole schedule, or its endpoint was closed.",
)
ONE_EFFECT_EACH: Final = Rule(
    name="one-effect-each", sentence="What an idempotency key made is there, and was made by no other key."
)

RULES: Final = (
    PAYMENTS_END,
    WORK_IN_TIME,
    ATTEMPTED_ONCE,
    STATUS_AGREES,
    GATEWAY_AGREES,
    GATEWAY_ADDS_NOTHING,
    REFUNDS_ADD_UP,
    CLOSED_STAYS_CLOSED,
    FACTS_ARE_COUNTED,
    NOTHING_IS_LOST,
    POSITIONS_HAVE_NO_GAP,
    EVENTS_ARE_SENT,
    DELIVERIES_END,
    ONE_EFFECT_EACH,
)
