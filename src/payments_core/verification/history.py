"""Rules about a transaction's events: they are played again, and end where the transaction is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from payments_core.books import Dossier
from payments_core.event import Event, EventType
from payments_core.refund import REFUND_ALLOWED, RefundStatus
from payments_core.transaction import ALLOWED, CLOSED, Status
from payments_core.values import Json
from payments_core.verification.rules import Found

_STEPS: Final[Mapping[EventType, Status]] = {
    EventType.TRANSACTION_PROCESSING: Status.PROCESSING,
    EventType.TRANSACTION_SUCCEEDED: Status.SUCCEEDED,
    EventType.TRANSACTION_FAILED: Status.FAILED,
    EventType.TRANSACTION_CANCELED: Status.CANCELED,
}
_REFUND_STEPS: Final[Mapping[EventType, RefundStatus]] = {
    EventType.REFUND_SUCCEEDED: RefundStatus.SUCCEEDED,
    EventType.REFUND_FAILED: RefundStatus.FAILED,
}


def miscounted(dossier: Dossier) -> Iterator[Found]:
    """Find a transaction whose events are not numbered from 1 to `facts`."""
    facts = dossier.transaction.facts
    numbers = [event.sequence for event in dossier.events]
    if numbers != list(range(1, facts + 1)):
        missing = sorted(set(range(1, facts + 1)).difference(number for number in numbers if number is not None))
        lacking = f", without {', '.join(map(str, missing[:5]))}" if missing else ""
        yield dossier.transaction.id, f"counts {facts} events and has {len(numbers)}{lacking}"


def misled(dossier: Dossier) -> Iterator[Found]:
    """Find the first event that could not follow the ones before it, and whatever is elsewhere than they lead."""
    past = _Past()
    for event in dossier.events:
        wrong = past.follow(event)
        if wrong is not None:
            yield dossier.transaction.id, f"event {event.id} ({event.type}): {wrong}"
            return
    if past.status is not dossier.transaction.status:
        yield dossier.transaction.id, f"is {dossier.transaction.status}, and its events lead to {past.status}"
    for refund in dossier.refunds:
        told = past.refunds.pop(refund.id, None)
        if told is not refund.status:
            yield refund.id, f"is {refund.status}, and its events lead to {told}"
    for id in past.refunds:
        yield id, "has events and isn't there"


@dataclass(slots=True)
class _Past:
    """Where the events so far lead: None where there was none."""

    status: Status | None = None
    refunds: dict[str, RefundStatus] = field(default_factory=dict[str, RefundStatus])

    def follow(self, event: Event) -> str | None:
        """Take the step that an event tells of; return why it could not be taken."""
        match event.type:
            case EventType.TRANSACTION_CREATED:
                if self.status is not None:
                    return f"a second beginning, when it was {self.status}"
                self.status = Status.PENDING
            case EventType.TRANSACTION_CORRECTED:
                return self._correct(_data(event))
            case EventType.REFUND_CREATED | EventType.REFUND_SUCCEEDED | EventType.REFUND_FAILED:
                return self._refund(event.type, _data(event))
            case type if type in _STEPS:
                if self.status is None or _STEPS[type] not in ALLOWED[self.status]:
                    return f"it was {self.status}"
                self.status = _STEPS[type]
            case _:
                pass
        return None

    def _correct(self, data: Mapping[str, Json]) -> str | None:
        before, after = data.get("from"), data.get("to")
        # A body that was tampered with may hold anything, which a set of statuses cannot be asked for.
        told = next((status for status in CLOSED if status == after), None)
        if self.status not in CLOSED or before != self.status or told is None or told is self.status:
            return f"a correction from {before} to {after}, when it was {self.status}"
        self.status = told
        return None

    def _refund(self, type: EventType, data: Mapping[str, Json]) -> str | None:
        id = data.get("id")
        if not isinstance(id, str):
            return "it names no refund"
        before = self.refunds.get(id)
        if type is EventType.REFUND_CREATED:
            if before is not None or self.status is not Status.SUCCEEDED:
                return f"when the payment was {self.status} and the refund {before}"
            self.refunds[id] = RefundStatus.PENDING
            return None
        after = _REFUND_STEPS[type]
        corrected = (data.get("from"), data.get("to")) == (before, after) and "evidence" in data
        if before is None or (after not in REFUND_ALLOWED[before] and not corrected):
            return f"the refund was {before}"
        self.refunds[id] = after
        return None


def _data(event: Event) -> Mapping[str, Json]:
    try:
        body: Json = json.loads(event.body)
    except ValueError:
        return {}
    data = body.get("data") if isinstance(body, Mapping) else None
    return data if isinstance(data, Mapping) else {}
