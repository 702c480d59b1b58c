"""Rules about events and webhooks: what receivers got, against what the API lists."""

from __future__ import annotations

from collections import defaultdict

from tests.chaos.evidence import Evidence, KeptDelivery, ShownEvent
from tests.chaos.verdict import Broken, Looked


def sequences(evidence: Evidence) -> Looked:
    """The events of a transaction are numbered from 1 on, in the order of the list; the first tells of its making."""
    broken: list[Broken] = []
    histories = _histories(evidence)
    for transaction, history in histories.items():
        numbers = [event.sequence for event in history]
        if numbers != list(range(1, len(numbers) + 1)):
            broken.append((transaction, f"its events are numbered {numbers}"))
        elif history[0].type != "transaction.created":
            broken.append((transaction, f"its first event is {history[0].type}"))
    silent = {each.id for each in evidence.transactions} - histories.keys()
    return len(histories) + len(silent), broken + [(id, "it has no events") for id in silent]


def positions(evidence: Evidence) -> Looked:
    """A merchant's events have the places 1, 2, 3 …; the API lists them in this order, each once."""
    broken: list[Broken] = []
    for merchant in evidence.positions.keys() | evidence.events.keys():
        places = evidence.positions.get(merchant, ())
        listed = [event.id for event in evidence.events.get(merchant, ())]
        if [place for place, _ in places] != list(range(1, len(places) + 1)):
            broken.append((merchant, "the places of its events have gaps or doubles"))
        if listed != [id for _, id in places]:
            broken.append((merchant, f"{len(places)} events are kept, {len(listed)} listed, or in another order"))
    return sum(map(len, evidence.positions.values())), broken


def last_event(evidence: Evidence) -> Looked:
    """The last event that a transaction has of its own shows the state that it is in."""
    histories = _histories(evidence)
    broken: list[Broken] = []
    for each in evidence.transactions:
        own = [event.status for event in histories.get(each.id, ()) if event.type.startswith("transaction.")]
        if own[-1:] != [each.status]:
            broken.append((each.id, f"it is {each.status}, its last event says {own[-1:]}"))
    return len(evidence.transactions), broken


def deliveries(evidence: Evidence) -> Looked:
    """Each event has one delivery to each endpoint of its merchant: delivered, due, exhausted after all tries."""
    kept: defaultdict[tuple[str, str], list[KeptDelivery]] = defaultdict(list)
    for delivery in evidence.deliveries:
        kept[delivery.endpoint, delivery.event].append(delivery)
    wanted = [
        (endpoint, event.id) for endpoint, merchant in evidence.endpoints.items() for event in evidence.events[merchant]
    ]
    broken: list[Broken] = []
    for endpoint, event in wanted:
        found = kept[endpoint, event]
        if len(found) != 1:
            broken.append((event, f"it has {len(found)} deliveries to {endpoint}"))
        elif why := _at_fault(found[0], evidence.tries_max):
            broken.append((found[0].id, why))
    return len(wanted), broken


def _at_fault(delivery: KeptDelivery, tries_max: int) -> str | None:
    match delivery.status:
        case "delivered":
            return None
        case "pending" if delivery.overdue_seconds is not None:
            return None
        case "exhausted" if delivery.tries >= tries_max:
            return None
        case _:
            # No endpoint was removed or answered 410, so that none is canceled.
            return f"it is {delivery.status} after {delivery.tries} tries, due {delivery.overdue_seconds}"


def received(evidence: Evidence) -> Looked:
    """What is marked delivered came to its receiver, which answered 2xx."""
    delivered = [each for each in evidence.deliveries if each.status == "delivered"]
    broken: list[Broken] = []
    for each in delivered:
        got = evidence.received.get((each.endpoint, each.event))
        if got is None or not got.welcomed:
            broken.append((each.id, f"{each.event} never came to {each.endpoint}, or was never welcomed there"))
    return len(delivered), broken


def genuine(evidence: Evidence) -> Looked:
    """Each webhook that came had a signature that holds, and the body of the event that the API lists."""
    broken: list[Broken] = [("signature", forged) for forged in evidence.forged]
    broken += [("body", differing) for differing in evidence.differing]
    listed = {event.id: event for events in evidence.events.values() for event in events}
    for (endpoint, id), got in evidence.received.items():
        event = listed.get(id)
        if event is None:
            broken.append((id, f"{endpoint} got an event that is not listed"))
        elif event.digest != got.digest:
            broken.append((id, f"{endpoint} got another body than what is listed"))
    return sum(got.times for got in evidence.received.values()), broken


def _histories(evidence: Evidence) -> dict[str, list[ShownEvent]]:
    histories: defaultdict[str, list[ShownEvent]] = defaultdict(list)
    for events in evidence.events.values():
        for event in events:
            if event.transaction is not None:
                histories[event.transaction].append(event)
    return histories
