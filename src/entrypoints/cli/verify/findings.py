"""What a verification found, for people and for scripts."""

from __future__ import annotations

from typing import Final

from entrypoints.cli.screen import Screen, printable
from payments_core.describe import JsonObject
from payments_core.values import Json
from payments_core.verification import RULES, Breach, Report, Rule

SHOWN_MAX: Final = 20
"""Rows of each rule."""


def show(report: Report, screen: Screen) -> None:
    """Print each rule with what came of it, then the rows that break one, and what waits for a person."""
    screen.table([_row(rule, report) for rule in RULES])
    for rule in RULES:
        _show_rows(rule, report, screen)
    screen.line(
        f"Waits for a person: {report.dead_jobs:,} dead jobs, {report.attempts:,} attempts "
        "(payments jobs list, payments attempts list)."
    )
    if report.holds:
        screen.line("Every rule holds." if not report.unlooked else "Every rule that was looked at holds.")
    else:
        screen.line(f"Rules that are broken: {len(report.broken)}.", style="bold red")


def _row(rule: Rule, report: Report) -> tuple[bool | None, str, str]:
    if rule in report.unlooked:
        return None, rule.name, f"not looked at: {report.unlooked[rule]}"
    looked, broken = report.looked.get(rule, 0), report.broken.get(rule, 0)
    if broken:
        return False, rule.name, f"broken {broken:,} times, looked at {looked:,}. {rule.sentence}"
    return True, rule.name, f"holds, looked at {looked:,}"


def _show_rows(rule: Rule, report: Report, screen: Screen) -> None:
    rows = _of(rule, report)
    if not rows:
        return
    screen.line(f"\n{rule.name}:", style="bold")
    for breach in rows[:SHOWN_MAX]:
        screen.line("  " + printable(f"{breach.merchant or '-'} {breach.subject} {breach.message}"))
    more = report.broken[rule] - SHOWN_MAX
    if more > 0:
        screen.line(f"  … and {more:,} more (--json shows them)")
    screen.line()


def as_values(report: Report) -> JsonObject:
    """Return what was found as plain values; fields are only added."""
    return {
        "holds": report.holds,
        "merchants": report.merchants,
        "transactions": report.transactions,
        "rules": [_rule(rule, report) for rule in RULES],
        "waits_for_a_person": {"dead_jobs": report.dead_jobs, "attempts": report.attempts},
    }


def _rule(rule: Rule, report: Report) -> Json:
    return {
        "name": rule.name,
        "sentence": rule.sentence,
        "looked_at": report.looked.get(rule, 0),
        "not_looked_at": report.unlooked.get(rule),
        "broken": report.broken.get(rule, 0),
        "rows": [
            {"merchant": breach.merchant, "id": breach.subject, "message": breach.message}
            for breach in _of(rule, report)
        ],
    }


def _of(rule: Rule, report: Report) -> list[Breach]:
    return [breach for breach in report.breaches if breach.rule == rule]
