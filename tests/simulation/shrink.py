"""A broken history made small: what it takes to break the same rule, and the trace of that."""

from __future__ import annotations

from typing import Final

from tests.simulation.history import Result, run_history
from tests.simulation.plan import Plan

TRIES_MAX: Final = 400
TRACE_LINES_MAX: Final = 60


def shrink(result: Result) -> Result:
    """Return the smallest history found that breaks the rule that this one breaks first."""
    rule, tries = result.breaches[0].rule, 0
    smallest, found = result, True
    while found:
        found = False
        for plan in smallest.plan.smaller():
            tries += 1
            if tries > TRIES_MAX:
                return smallest
            smaller = run_history(plan)
            if any(breach.rule == rule for breach in smaller.breaches):
                smallest, found = smaller, True
                break
    return smallest


def told(result: Result) -> str:
    """Return what a person needs to see of a broken history."""
    small = shrink(result)
    lines = small.trace[-TRACE_LINES_MAX:]
    return "\n".join(
        [
            f"seed {result.plan.seed} breaks a rule; again: nox -s simulation -- --seed {result.plan.seed}",
            *(f"  {breach.rule}: {breach.what}" for breach in result.breaches),
            f"The smallest history that breaks {result.breaches[0].rule}:",
            *_described(small.plan),
            *(f"  {breach.rule}: {breach.what}" for breach in small.breaches),
            f"Its trace (seconds; the last {len(lines)} of {len(small.trace)} lines):",
            *lines,
        ]
    )


def _described(plan: Plan) -> list[str]:
    faults = ", ".join(sorted(plan.faults)) or "none"
    return [
        f"  {plan.apis} API processes, {plan.workers} workers, {plan.endpoints} endpoints; faults: {faults}",
        *(
            f"  at {one.at:.3f}: {one.act} {one.of}" + (f", {one.amount_minor} minor units" if one.amount_minor else "")
            for one in plan.operations
        ),
    ]
