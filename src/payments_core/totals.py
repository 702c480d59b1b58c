"""Daily totals: what happened to one merchant's payments and refunds, by day in UTC and currency."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date
from typing import Final, TypeAlias, cast

from payments_core.event import Event, EventType
from payments_core.refund import RETURNED
from payments_core.transaction import Status
from payments_core.values import Json

SPAN_DAYS_MAX: Final = 366

Data: TypeAlias = Mapping[str, Json]
"""What an event's body tells of its payment or refund."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTotals:
    """The totals of one day in one currency, amounts in minor units.

    A fact counts on the day on which it happened (`Event.at`), so that closed days never change. What a later fact
    takes back it takes from its own day: a refund that came back from `refunds`, a correction from the state that was
    left. So a total can be below zero. A day on which nothing counted has none.
    """

    day: date
    currency: str
    accepted: int = 0
    succeeded: int = 0
    succeeded_minor: int = 0
    failed: int = 0
    canceled: int = 0
    refunds: int = 0
    refunded_minor: int = 0

    def plus(self, other: DayTotals) -> DayTotals:
        """Return both together, which are of one day and currency."""
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in COUNTED})


COUNTED: Final = tuple(field.name for field in fields(DayTotals) if field.name not in ("day", "currency"))
"""The names of what is added up."""

_ENTERED: Final = {
    EventType.TRANSACTION_SUCCEEDED: Status.SUCCEEDED,
    EventType.TRANSACTION_FAILED: Status.FAILED,
    EventType.TRANSACTION_CANCELED: Status.CANCELED,
}


def daily_totals(events: Iterable[Event]) -> Sequence[DayTotals]:
    """Add up the events of one merchant and mode, in any order; return them by day and currency."""
    totals: dict[tuple[date, str], DayTotals] = {}
    for event in events:
        counted = _counted(event)
        if counted is not None:
            key = (counted.day, counted.currency)
            totals[key] = totals[key].plus(counted) if key in totals else counted
    return [totals[key] for key in sorted(totals)]


def _counted(event: Event) -> DayTotals | None:
    """Return what a single event adds, or None for one that does not count."""
    data = cast(Data, json.loads(event.body).get("data") or {})
    if not isinstance(data.get("currency"), str):
        return None
    one = DayTotals(day=event.at.astimezone(UTC).date(), currency=str(data["currency"]))
    match event.type:
        case EventType.TRANSACTION_CREATED:
            return replace(one, accepted=1)
        case EventType.TRANSACTION_SUCCEEDED | EventType.TRANSACTION_FAILED | EventType.TRANSACTION_CANCELED:
            return _in_state(one, _ENTERED[event.type], data, 1)
        case EventType.TRANSACTION_CORRECTED:
            left = _in_state(one, Status(str(data["from"])), data, -1)
            return left.plus(_in_state(one, Status(str(data["to"])), data, 1))
        case EventType.REFUND_SUCCEEDED:
            return replace(one, refunds=1, refunded_minor=_minor(data))
        case EventType.REFUND_FAILED if _is_returned(data):
            return replace(one, refunds=-1, refunded_minor=-_minor(data))
        case _:
            return None


def _in_state(one: DayTotals, status: Status, data: Data, sign: int) -> DayTotals:
    """Return a payment that entered a closed state, or left it (`sign` is -1)."""
    match status:
        case Status.SUCCEEDED:
            return replace(one, succeeded=sign, succeeded_minor=sign * _minor(data))
        case Status.FAILED:
            return replace(one, failed=sign)
        case Status.CANCELED:
            return replace(one, canceled=sign)
        case _:
            return one


def _minor(data: Data) -> int:
    """Return the amount in minor units: it is written with exactly the currency's decimals."""
    return int(str(data["amount"]).replace(".", ""))


def _is_returned(data: Data) -> bool:
    failure = data.get("failure")
    return isinstance(failure, dict) and failure.get("code") == RETURNED
