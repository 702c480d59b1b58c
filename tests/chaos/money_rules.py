"""Rules about money: what clients were told and what the API shows, against the gateway's books."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from tests.chaos.evidence import Action, Ask, Entry, Evidence
from tests.chaos.verdict import Broken, Looked

CLOSED = ("succeeded", "failed", "canceled")
ENTRY_OF = {"succeeded": "charged", "failed": "declined", "canceled": None}
"""What the gateway's books say of a payment in each closed state."""


def payments_end(evidence: Evidence) -> Looked:
    """Each payment that a client was told to be accepted is listed, closed or in a person's hands."""
    shown = {each.id: each for each in evidence.transactions}
    broken: list[Broken] = []
    paid = _made(evidence, Action.PAY)
    for id, ask in paid.items():
        each = shown.get(id)
        if each is None:
            broken.append((id, "it is not there"))
        elif (each.order, each.amount_minor) != (ask.key, ask.amount_minor):
            broken.append((id, f"it is another one: {each.order}, {each.amount_minor}"))
        elif each.status not in CLOSED and each.reason != "needs_review":
            broken.append((id, f"it is still {each.status}"))
    return len(paid), broken


def charged_once(evidence: Evidence) -> Looked:
    """For each amount, which is one payment's alone, the books have one attempt to charge at most."""
    charges = Counter(entry.amount_minor for entry in evidence.entries if entry.kind == "charge")
    times = {ask.amount_minor: charges[ask.amount_minor] for ask in evidence.asks if ask.action is Action.PAY}
    orders = {ask.amount_minor: ask for ask in evidence.asks if ask.action is Action.PAY}
    twice = [amount for amount, count in times.items() if count > 1]
    return len(times), [
        (orders[amount].made or orders[amount].key, f"{times[amount]} attempts to charge it") for amount in twice
    ]


def payments_agree(evidence: Evidence) -> Looked:
    """A succeeded payment is charged, a failed one declined, a canceled one unknown to the gateway."""
    charges = {entry.amount_minor: entry for entry in evidence.entries if entry.kind == "charge"}
    closed = [each for each in evidence.transactions if each.status in CLOSED]
    broken: list[Broken] = []
    for each in closed:
        entry = charges.get(each.amount_minor)
        booked = None if entry is None else entry.status
        if booked != ENTRY_OF[each.status]:
            broken.append((each.id, f"it is {each.status}, and the gateway's books say {booked}"))
        elif entry is not None and each.status == "succeeded" and each.reference != entry.reference:
            broken.append((each.id, f"its reference is {each.reference}, the gateway's {entry.reference}"))
    return len(closed), broken


def nothing_else_is_charged(evidence: Evidence) -> Looked:
    """Each charge in the books is for a payment that a client was told of."""
    told = {ask.amount_minor for ask in _made(evidence, Action.PAY).values()}
    charges = [entry for entry in evidence.entries if entry.kind == "charge"]
    return len(charges), [(entry.attempt, "nobody was told") for entry in charges if entry.amount_minor not in told]


def refunds_fit(evidence: Evidence) -> Looked:
    """What the gateway gave back, and what clients were told to be given back, is within the amount."""
    booked = Counter[str | None]()
    for entry in _refunded(evidence.entries):
        booked[entry.charge_reference] += entry.amount_minor
    failed = {each.id for each in evidence.refunds if each.status == "failed"}
    told = Counter[str | None]()
    for id, ask in _made(evidence, Action.REFUND).items():
        told[ask.transaction] += 0 if id in failed else ask.amount_minor
    broken: list[Broken] = []
    for each in evidence.transactions:
        sums = booked[each.reference] if each.reference else 0, told[each.id], each.refunded_minor + each.pending_minor
        if max(sums) > each.amount_minor:
            broken.append((each.id, f"of {each.amount_minor} are refunded: booked {sums[0]}, told {sums[1]}"))
    return len(evidence.transactions), broken


def refunds_end(evidence: Evidence) -> Looked:
    """Each refund that a client was told to be accepted is listed, closed or in a person's hands."""
    shown = {each.id: each for each in evidence.refunds}
    broken: list[Broken] = []
    made = _made(evidence, Action.REFUND)
    for id, ask in made.items():
        each = shown.get(id)
        if each is None:
            broken.append((id, "it is not there"))
        elif (each.order, each.transaction, each.amount_minor) != (ask.key, ask.transaction, ask.amount_minor):
            broken.append((id, f"it is another one: {each.order}, {each.transaction}, {each.amount_minor}"))
        elif each.status == "pending" and each.reason != "needs_review":
            broken.append((id, "it is still pending"))
    return len(made), broken


def refunds_agree(evidence: Evidence) -> Looked:
    """The gateway gave back what is shown as refunded and nothing else; the transaction's sum says so too."""
    owners = {each.id: each for each in evidence.transactions}
    booked: defaultdict[tuple[str | None, int], int] = defaultdict(int)
    for entry in _refunded(evidence.entries):
        booked[entry.charge_reference, entry.amount_minor] += 1
    shown, sums = Counter[tuple[str | None, int]](), Counter[str]()
    broken: list[Broken] = []
    for each in evidence.refunds:
        owner = owners.get(each.transaction)
        if each.status == "succeeded" and owner is not None:
            shown[owner.reference, each.amount_minor] += 1
            sums[owner.id] += each.amount_minor
    for reference, amount in booked.keys() | shown.keys():
        times = booked[reference, amount], shown[reference, amount]
        if times[0] != times[1]:
            broken.append((str(reference), f"{amount} refunded {times[0]} times by the books, {times[1]} as shown"))
    broken += [
        (owner.id, f"{owner.refunded_minor} shown as refunded, {sums[owner.id]} by its refunds")
        for owner in owners.values()
        if owner.refunded_minor != sums[owner.id]
    ]
    return len(evidence.refunds), broken


def canceled_stays(evidence: Evidence) -> Looked:
    """A payment whose client was told that it is canceled is canceled."""
    shown = {each.id: each.status for each in evidence.transactions}
    told = [ask for ask in evidence.asks if ask.action is Action.CANCEL and ask.made is not None]
    return len(told), [
        (str(ask.made), f"it is {shown.get(str(ask.made))}") for ask in told if shown.get(str(ask.made)) != "canceled"
    ]


def _made(evidence: Evidence, action: Action) -> dict[str, Ask]:
    return {ask.made: ask for ask in evidence.asks if ask.action is action and ask.made is not None}


def _refunded(entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.kind == "refund" and entry.status == "refunded"]
