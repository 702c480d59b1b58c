"""What became of a transaction, in words: what its status means, what happened to it, and whether more is about to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from entrypoints.http.console.live import SOON_SECONDS
from payments_core.describe import JsonObject
from payments_core.money import Money, currency

IN_DOUBT_SECONDS: Final = 15
"""Where the gateway gave no clear answer: that takes minutes, or days."""

_MEANINGS: Final[Mapping[tuple[str, str | None], str]] = {
    ("pending", None): "Accepted and written down. A worker is about to send it to the gateway.",
    ("processing", None): "The gateway was asked to charge it, and its answer is awaited.",
    ("processing", "outcome_unknown"): (
        "The gateway gave no clear answer. It is asked again what became of this payment, which is never charged twice."
    ),
    ("processing", "needs_review"): (
        "The gateway could not say what became of it for days. A person has to find out; no timer decides."
    ),
    ("succeeded", None): "The money moved.",
    ("failed", None): "The money did not move.",
    ("canceled", "requested"): "You canceled it before it was sent to the gateway: no money moved.",
    ("canceled", "suspended"): "The account was suspended before it was sent to the gateway: no money moved.",
    ("canceled", "expired"): "It was not sent to the gateway in time: no money moved.",
}
_HAPPENED: Final[Mapping[str, str]] = {
    "transaction.created": "Payment accepted",
    "transaction.processing": "Sent to the gateway",
    "transaction.succeeded": "Payment succeeded",
    "transaction.failed": "Payment failed",
    "transaction.canceled": "Payment canceled",
    "transaction.corrected": "Outcome corrected",
    "refund.created": "Refund promised",
    "refund.succeeded": "Refund succeeded",
    "refund.failed": "Refund failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened, as a page shows it. `refund` is whose story it is part of."""

    event: str
    type: str
    at: str
    words: str
    amount: str
    currency: str
    refund: str | None
    note: str | None


def meaning_of(one: JsonObject) -> str | None:
    """Return what the status of a transaction means, for people; None for one that these words don't know."""
    status, reason = cast("str", one["status"]), cast("str | None", one["status_reason"])
    return _MEANINGS.get((status, reason)) or _MEANINGS.get((status, None))


def timeline(event: JsonObject) -> Entry:
    """Return an event of a transaction or of one of its refunds as what happened."""
    type, data = str(event["type"]), cast("JsonObject", event["data"])
    return Entry(
        event=str(event["id"]),
        type=type,
        at=str(event["timestamp"]),
        words=_HAPPENED.get(type, type),
        amount=str(data["amount"]),
        currency=str(data["currency"]),
        refund=str(data["id"]) if type.startswith("refund.") else None,
        note=_note(data),
    )


def _note(data: JsonObject) -> str | None:
    """Return what else is to be said: why it failed, or from what to what it was corrected."""
    notes: list[str] = []
    if "from" in data and "to" in data:
        notes.append(f"From {data['from']} to {data['to']}.")
    if isinstance(failure := data.get("failure"), dict):
        notes.append(str(failure["message"]))
    return " ".join(notes) or None


def can_be_refunded(one: JsonObject) -> bool:
    """Say whether anything of a payment is left to refund."""
    of = currency(str(one["currency"]))
    return one["amount_refundable"] != Money.zero(of).format()


def is_under_way(one: JsonObject) -> bool:
    """Say whether a transaction or a refund is about to change by itself; what waits for a person is not."""
    return one["status"] in ("pending", "processing") and one["status_reason"] != "needs_review"


def pace_of(
    one: JsonObject,
    refunds: Sequence[JsonObject] = (),
    deliveries: Sequence[JsonObject] = (),
) -> int | None:
    """Return how many seconds a page waits until it looks again; None where nothing is about to change.

    Deliveries count until their first attempt: the next ones may be hours apart.
    """
    under_way = filter(is_under_way, (one, *refunds))
    paces = [SOON_SECONDS if each["status_reason"] is None else IN_DOUBT_SECONDS for each in under_way]
    if any(delivery["status"] == "pending" and not delivery["attempts"] for delivery in deliveries):
        paces.append(SOON_SECONDS)
    return min(paces, default=None)


def pace_of_list(of: Sequence[JsonObject]) -> int | None:
    """Return the same for a list of transactions, or of refunds."""
    return min((pace for each in of if (pace := pace_of(each)) is not None), default=None)
