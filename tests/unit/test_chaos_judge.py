"""The judge of a fault campaign finds what is wrong: each rule names what breaks it, and nothing in a sound world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.evidence import (
    Action,
    Answer,
    Ask,
    Entry,
    Evidence,
    KeptDelivery,
    KeptJob,
    Received,
    ShownEvent,
    ShownRefund,
    ShownTransaction,
)
from tests.chaos.judge import RULES, judge

MERCHANT, ENDPOINT = "mer_1", "whk_1"


def told(status: int, resource: str | None, body: bytes = b"{}") -> Answer:
    return Answer(status=status, body=body, at=1.0, resource=resource)


def ask(action: Action, key: str, amount_minor: int, *answers: Answer, transaction: str | None = None) -> Ask:
    return Ask(
        key=key,
        merchant=MERCHANT,
        action=action,
        amount_minor=amount_minor,
        asked_at=0.0,
        transaction=transaction,
        answers=list(answers),
    )


def transaction(id: str, order: str, status: str, amount_minor: int, **changes: Any) -> ShownTransaction:
    return ShownTransaction(
        id=id,
        merchant=MERCHANT,
        order=order,
        status=status,
        amount_minor=amount_minor,
        **{"reason": None, "refunded_minor": 0, "pending_minor": 0, "reference": None, **changes},
    )


def charge(attempt: str, amount_minor: int, status: str = "charged") -> Entry:
    reference = f"sandbox_{attempt}"
    return Entry(
        attempt=attempt,
        kind="charge",
        amount_minor=amount_minor,
        status=status,
        reference=reference,
        charge_reference=None,
    )


def repayment(attempt: str, amount_minor: int, of: str, status: str = "refunded") -> Entry:
    return replace(charge(attempt, amount_minor, status), kind="refund", charge_reference=of)


def event(number: int, type: str, transaction: str, sequence: int, status: str) -> ShownEvent:
    return ShownEvent(
        id=f"evt_{number}", type=type, transaction=transaction, sequence=sequence, status=status, digest=b"same"
    )


def delivered(event: ShownEvent) -> KeptDelivery:
    return KeptDelivery(
        id=f"dlv_{event.id}", endpoint=ENDPOINT, event=event.id, status="delivered", tries=1, overdue_seconds=None
    )


def got(event: ShownEvent) -> Received:
    return Received(
        type=event.type,
        transaction=event.transaction,
        sequence=event.sequence,
        digest=event.digest,
        first_at=2.0,
        times=2,
        welcomed=1,
    )


EVENTS = (
    event(1, "transaction.created", "txn_1", 1, "pending"),
    event(2, "transaction.created", "txn_2", 1, "pending"),
    event(3, "transaction.created", "txn_3", 1, "pending"),
    event(4, "transaction.processing", "txn_1", 2, "processing"),
    event(5, "transaction.processing", "txn_2", 2, "processing"),
    event(6, "transaction.canceled", "txn_3", 2, "canceled"),
    event(7, "transaction.succeeded", "txn_1", 3, "succeeded"),
    event(8, "transaction.failed", "txn_2", 3, "failed"),
    event(9, "refund.created", "txn_1", 4, "pending"),
    event(10, "refund.succeeded", "txn_1", 5, "succeeded"),
)


@pytest.fixture
def sound() -> Evidence:
    """A payment that succeeded and was refunded in part, one that was declined, one that was canceled."""
    return Evidence(
        asks=[
            ask(Action.PAY, "order-1", 10_001, told(201, "txn_1"), told(201, "txn_1")),
            ask(Action.PAY, "order-2", 10_002, told(201, "txn_2")),
            ask(Action.PAY, "order-3", 10_003, told(201, "txn_3")),
            ask(Action.CANCEL, "cancel-3", 10_003, told(200, "txn_3"), transaction="txn_3"),
            ask(Action.REFUND, "refund-1", 6_000, told(201, "rfn_1"), transaction="txn_1"),
            ask(Action.REFUND, "refund-2", 6_001, told(400, None), transaction="txn_1"),
        ],
        reads=1,
        endpoints={ENDPOINT: MERCHANT},
        received={(ENDPOINT, each.id): got(each) for each in EVENTS},
        entries=[
            charge("att_1", 10_001),
            charge("att_2", 10_002, "declined"),
            repayment("att_3", 6_000, of="sandbox_att_1"),
        ],
        transactions=[
            transaction("txn_1", "order-1", "succeeded", 10_001, refunded_minor=6_000, reference="sandbox_att_1"),
            transaction("txn_2", "order-2", "failed", 10_002),
            transaction("txn_3", "order-3", "canceled", 10_003),
        ],
        refunds=[
            ShownRefund(
                id="rfn_1",
                merchant=MERCHANT,
                order="refund-1",
                transaction="txn_1",
                status="succeeded",
                reason=None,
                amount_minor=6_000,
            )
        ],
        events={MERCHANT: EVENTS},
        positions={MERCHANT: [(number, each.id) for number, each in enumerate(EVENTS, start=1)]},
        deliveries=[delivered(each) for each in EVENTS],
        jobs=[KeptJob(id="job_1", subject="txn_1", dead=False, overdue_seconds=-3.0)],
        started=5,
        planned=100,
    )


Change = Callable[[Evidence], Evidence]


def without_payment(world: Evidence) -> Evidence:
    return replace(world, transactions=world.transactions[1:])


def stuck(world: Evidence) -> Evidence:
    return replace(world, transactions=[replace(world.transactions[0], status="processing"), *world.transactions[1:]])


def another_payment(world: Evidence) -> Evidence:
    return replace(world, transactions=[replace(world.transactions[0], order="order-9"), *world.transactions[1:]])


def booked(*more: Entry) -> Change:
    return lambda world: replace(world, entries=[*world.entries, *more])


def not_booked(world: Evidence) -> Evidence:
    return replace(world, entries=world.entries[1:])


def charged_all_the_same(world: Evidence) -> Evidence:
    first, second, third = world.entries
    return replace(world, entries=[first, replace(second, status="charged"), third])


def refunded_beyond(world: Evidence) -> Evidence:
    return replace(world, entries=[*world.entries, repayment("att_9", 6_001, of="sandbox_att_1")])


def refunds_told_beyond(world: Evidence) -> Evidence:
    told_too = ask(Action.REFUND, "refund-2", 6_001, told(201, "rfn_2"), transaction="txn_1")
    return replace(world, asks=[*world.asks[:-1], told_too])


def without_refund(world: Evidence) -> Evidence:
    return replace(world, refunds=[])


def refund(status: str) -> Change:
    return lambda world: replace(world, refunds=[replace(world.refunds[0], status=status)])


def sum_of_refunds_is_wrong(world: Evidence) -> Evidence:
    first, *others = world.transactions
    return replace(world, transactions=[replace(first, refunded_minor=5_999), *others])


def charged_after_cancellation(world: Evidence) -> Evidence:
    *others, last = world.transactions
    succeeded = replace(last, status="succeeded", reference="sandbox_att_4")
    return replace(world, transactions=[*others, succeeded], entries=[*world.entries, charge("att_4", 10_003)])


def nobody_answers(world: Evidence) -> Evidence:
    return replace(world, asks=[replace(world.asks[0], answers=[]), *world.asks[1:]])


def two_effects(world: Evidence) -> Evidence:
    return replace(world, transactions=[*world.transactions, replace(world.transactions[0], id="txn_9")])


def another_body(world: Evidence) -> Evidence:
    first, *others = world.asks
    return replace(world, asks=[replace(first, answers=[*first.answers, told(201, "txn_1", b"{ }")]), *others])


def an_answer_of_500(world: Evidence) -> Evidence:
    first, *others = world.asks
    return replace(world, asks=[replace(first, unexpected=["500 internal_error"]), *others])


def a_gap_in(transaction: str) -> Change:
    def change(world: Evidence) -> Evidence:
        gone = next(each for each in EVENTS if (each.transaction, each.sequence) == (transaction, 2))
        return replace(world, events={MERCHANT: [each for each in EVENTS if each is not gone]})

    return change


def listed_twice(world: Evidence) -> Evidence:
    return replace(world, events={MERCHANT: [*EVENTS, EVENTS[-1]]})


def a_place_left_out(world: Evidence) -> Evidence:
    places = [(number + (number > 4), id) for number, id in world.positions[MERCHANT]]
    return replace(world, positions={MERCHANT: places})


def without_outcome_event(world: Evidence) -> Evidence:
    return replace(world, events={MERCHANT: [each for each in EVENTS if each.type != "transaction.failed"]})


def without_delivery(world: Evidence) -> Evidence:
    return replace(world, deliveries=world.deliveries[1:])


def delivery(**changes: Any) -> Change:
    return lambda world: replace(world, deliveries=[replace(world.deliveries[0], **changes), *world.deliveries[1:]])


def never_received(world: Evidence) -> Evidence:
    return replace(world, received={key: each for key, each in world.received.items() if key[1] != "evt_1"})


def never_welcomed(world: Evidence) -> Evidence:
    first = replace(world.received[ENDPOINT, "evt_1"], welcomed=0)
    return replace(world, received={**world.received, (ENDPOINT, "evt_1"): first})


def another_webhook_body(world: Evidence) -> Evidence:
    first = replace(world.received[ENDPOINT, "evt_1"], digest=b"other")
    return replace(world, received={**world.received, (ENDPOINT, "evt_1"): first})


def unknown_event(world: Evidence) -> Evidence:
    return replace(world, received={**world.received, (ENDPOINT, "evt_99"): world.received[ENDPOINT, "evt_1"]})


def job(**changes: Any) -> Change:
    return lambda world: replace(world, jobs=[replace(world.jobs[0], **changes)])


def having(**changes: Any) -> Change:
    return lambda world: replace(world, **changes)


CASES: list[tuple[str, Change, str]] = [
    ("An acknowledged payment is there, and has ended", without_payment, "txn_1"),
    ("An acknowledged payment is there, and has ended", stuck, "txn_1"),
    ("An acknowledged payment is there, and has ended", another_payment, "txn_1"),
    ("No payment is charged twice", booked(charge("att_9", 10_001)), "txn_1"),
    ("A payment's state is that of the gateway's books", not_booked, "txn_1"),
    ("A payment's state is that of the gateway's books", charged_all_the_same, "txn_2"),
    ("A payment's state is that of the gateway's books", booked(charge("att_9", 10_003)), "txn_3"),
    ("Nothing is charged that no client asked for", booked(charge("att_9", 99_999)), "att_9"),
    ("Refunds are never more than the amount", refunded_beyond, "txn_1"),
    ("Refunds are never more than the amount", refunds_told_beyond, "txn_1"),
    ("An acknowledged refund is there, and has ended", without_refund, "rfn_1"),
    ("An acknowledged refund is there, and has ended", refund("pending"), "rfn_1"),
    ("A refund's state is that of the gateway's books", refund("failed"), "sandbox_att_1"),
    ("A refund's state is that of the gateway's books", booked(repayment("att_9", 6_000, of="sandbox_att_1")), "_1"),
    ("A refund's state is that of the gateway's books", sum_of_refunds_is_wrong, "txn_1"),
    ("A canceled payment stays canceled", charged_after_cancellation, "txn_3"),
    ("Every client was told in the end", nobody_answers, "order-1"),
    ("One effect for each idempotency key", two_effects, "order-1"),
    ("The same answer for each idempotency key, byte for byte", another_body, "order-1"),
    ("No answer that the contract has no room for", an_answer_of_500, "order-1"),
    ("A read never shows less than what was told before", having(stale_reads=["txn_1 is not in a list"]), "txn_1"),
    ("A transaction's events are numbered without gaps", a_gap_in("txn_2"), "txn_2"),
    ("A merchant's list of events has no gaps and no doubles", listed_twice, MERCHANT),
    ("A merchant's list of events has no gaps and no doubles", a_place_left_out, MERCHANT),
    ("The last event of a payment tells its state", without_outcome_event, "txn_2"),
    ("Each event is delivered, due, or ended by the rules", without_delivery, "evt_1"),
    ("Each event is delivered, due, or ended by the rules", delivery(status="exhausted", tries=3), "dlv_evt_1"),
    ("Each event is delivered, due, or ended by the rules", delivery(status="canceled"), "dlv_evt_1"),
    ("Each event is delivered, due, or ended by the rules", delivery(status="pending"), "dlv_evt_1"),
    ("What is delivered was received", never_received, "dlv_evt_1"),
    ("What is delivered was received", never_welcomed, "dlv_evt_1"),
    ("A webhook is signed, and always the same", another_webhook_body, "evt_1"),
    ("A webhook is signed, and always the same", unknown_event, "evt_99"),
    ("A webhook is signed, and always the same", having(forged=["evt_1 at whk_1"]), "evt_1"),
    ("Nothing is overdue by more than 120 s after the last fault", job(overdue_seconds=121.0), "job_1"),
    (
        "Nothing is overdue by more than 120 s after the last fault",
        delivery(status="pending", overdue_seconds=130.0),
        "dlv_evt_1",
    ),
    ("No job is dead", job(dead=True), "job_1"),
    ("No process ends by itself", having(ended_alone=["worker-1 ended by itself"]), "worker-1"),
    ("`payments verify` finds nothing wrong", having(unverified=["✗ refunds: txn_1"]), "txn_1"),
    ("Each planned fault was committed", having(left_undone=["Redis flushed: 1 of 2"]), "Redis flushed"),
]


def test_a_sound_world_breaks_no_rule(sound: Evidence) -> None:
    verdicts = judge(sound)
    assert [verdict.rule for verdict in verdicts if verdict.broken] == []
    assert all(verdict.looked_at for verdict in verdicts)


@pytest.mark.parametrize(("rule", "change", "named"), CASES)
def test_what_is_wrong_breaks_its_rule_and_is_named(sound: Evidence, rule: str, change: Change, named: str) -> None:
    broken = {verdict.rule: verdict.broken for verdict in judge(change(sound))}
    assert any(named in each for each in broken[rule]), broken


def test_every_rule_can_be_broken() -> None:
    assert {rule for rule, _, _ in CASES} == {rule for rule, _ in RULES}


def test_a_payment_that_a_person_has_to_look_at_is_not_lost(sound: Evidence) -> None:
    first = replace(sound.transactions[0], status="processing", reason="needs_review")
    verdicts = judge(replace(sound, transactions=[first, *sound.transactions[1:]]))
    assert next(v for v in verdicts if v.rule.startswith("An acknowledged payment")).broken == []
