"""The judge: holds what the service shows against what the outside knows, rule by rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos import money_rules, request_rules, run_rules, webhook_rules
from tests.chaos.evidence import Evidence
from tests.chaos.verdict import Broken

Rule = Callable[[Evidence], tuple[int, Iterable[Broken]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one rule: how many things it looked at, and each one that broke it, with why."""

    rule: str
    looked_at: int
    broken: Sequence[str]


RULES: Final[Sequence[tuple[str, Rule]]] = (
    ("An acknowledged payment is there, and has ended", money_rules.payments_end),
    ("No payment is charged twice", money_rules.charged_once),
    ("A payment's state is that of the gateway's books", money_rules.payments_agree),
    ("Nothing is charged that no client asked for", money_rules.nothing_else_is_charged),
    ("Refunds are never more than the amount", money_rules.refunds_fit),
    ("An acknowledged refund is there, and has ended", money_rules.refunds_end),
    ("A refund's state is that of the gateway's books", money_rules.refunds_agree),
    ("A canceled payment stays canceled", money_rules.canceled_stays),
    ("Every client was told in the end", request_rules.all_were_told),
    ("One effect for each idempotency key", request_rules.one_effect),
    ("The same answer for each idempotency key, byte for byte", request_rules.same_answer),
    ("No answer that the contract has no room for", request_rules.nothing_unexpected),
    ("A read never shows less than what was told before", request_rules.reads_are_fresh),
    ("A transaction's events are numbered without gaps", webhook_rules.sequences),
    ("A merchant's list of events has no gaps and no doubles", webhook_rules.positions),
    ("The last event of a payment tells its state", webhook_rules.last_event),
    ("Each event is delivered, due, or ended by the rules", webhook_rules.deliveries),
    ("What is delivered was received", webhook_rules.received),
    ("A webhook is signed, and always the same", webhook_rules.genuine),
    ("Nothing is overdue by more than 120 s after the last fault", run_rules.nothing_overdue),
    ("No job is dead", run_rules.no_dead_jobs),
    ("No process ends by itself", run_rules.nothing_ends_alone),
    ("`payments verify` finds nothing wrong", run_rules.verified),
    ("Each planned fault was committed", run_rules.all_committed),
)


def judge(evidence: Evidence) -> list[Verdict]:
    """Return the verdict on each rule."""
    verdicts: list[Verdict] = []
    for name, rule in RULES:
        looked_at, broken = rule(evidence)
        verdicts.append(Verdict(rule=name, looked_at=looked_at, broken=[f"{id}: {why}" for id, why in broken]))
    return verdicts
