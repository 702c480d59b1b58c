"""Rules about requests: what clients were told."""

from __future__ import annotations

from collections import Counter

from tests.chaos.evidence import Evidence
from tests.chaos.verdict import Broken, Looked


def all_were_told(evidence: Evidence) -> Looked:
    """Each client that asked again and again got an answer that says what happened."""
    return len(evidence.asks), [(ask.key, f"{ask.doubts} tries") for ask in evidence.asks if not ask.answers]


def one_effect(evidence: Evidence) -> Looked:
    """For each key there is what its client was told of, and nothing else."""
    told = {ask.key: ask.made for ask in evidence.asks}
    shown = [(each.order, each.id) for each in evidence.transactions]
    shown += [(each.order, each.id) for each in evidence.refunds]
    times = Counter(order for order, _ in shown)
    broken: list[Broken] = [(order, f"{count} effects") for order, count in times.items() if count > 1]
    broken += [(id, f"its client was told of {told.get(order)}") for order, id in shown if told.get(order) != id]
    return len(told), broken


def same_answer(evidence: Evidence) -> Looked:
    """All answers to one key have the same status and the same bytes."""
    several = [ask for ask in evidence.asks if len(ask.answers) > 1]
    return len(several), [
        (ask.key, f"{len(ask.answers)} answers, not all alike")
        for ask in several
        if len({(answer.status, answer.body) for answer in ask.answers}) > 1
    ]


def nothing_unexpected(evidence: Evidence) -> Looked:
    """Answers are what was asked for, a refusal by the rules, 503 `unavailable` or 500 `outcome_unknown`."""
    answers = sum(len(ask.answers) + ask.doubts for ask in evidence.asks)
    return answers, [(ask.key, answer) for ask in evidence.asks for answer in ask.unexpected]


def reads_are_fresh(evidence: Evidence) -> Looked:
    """Each read showed what its merchant had been told of before."""
    return evidence.reads, [("read", stale) for stale in evidence.stale_reads]
