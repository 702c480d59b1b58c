"""The results: a table for people, JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.benchmark.case import Case
from tests.benchmark.figures import Figure, Outcome, Verdict
from tests.benchmark.machine import Machine
from tests.benchmark.options import Options

STYLES = {Verdict.MET: "green", Verdict.NOT_MET: "yellow", Verdict.FAILED: "bold red", Verdict.NO_TARGET: ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A case with what came of it, and how long it took."""

    case: Case
    outcome: Outcome
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All that a run found."""

    machine: Machine
    options: Options
    measured: Sequence[Measured]

    @property
    def figures(self) -> Iterable[tuple[Measured, Figure]]:
        """Each figure with its case."""
        return ((each, figure) for each in self.measured for figure in each.outcome.figures)


def show(run: Run, console: Console) -> None:
    """Print the results."""
    table = Table(title=f"{run.options.form.name.capitalize()} form, {run.machine.date}, commit {run.machine.commit}")
    for column in ("case", "what", "measured", "target", ""):
        table.add_column(column, justify="right" if column in ("measured", "target") else "left")
    for each in run.measured:
        for number, figure in enumerate(each.outcome.figures):
            verdict = each.outcome.verdict_of(figure)
            name = each.case.name if number == 0 else ""
            table.add_row(name, figure.name, figure.shown, figure.target_shown, Text(verdict, STYLES[verdict]))
        if not each.outcome.figures:
            table.add_row(each.case.name, "", "", "", Text(Verdict.FAILED, STYLES[Verdict.FAILED]))
        table.add_section()
    console.print(table)
    for each in run.measured:
        for note in each.outcome.notes:
            console.print(f"{each.case.name}: {note}")
    for each in run.measured:
        for fault in each.outcome.faults:
            console.print(f"✗ {each.case.name}: {fault}", style="bold red")


def as_json(run: Run) -> str:
    """Return all that was found, as JSON."""
    found: dict[str, Any] = {
        "command": run.options.command,
        "form": asdict(run.options.form),
        "machine": asdict(run.machine),
        "cases": [_as_values(each) for each in run.measured],
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _as_values(each: Measured) -> dict[str, Any]:
    return {
        "case": each.case.name,
        "what": each.case.what,
        "command": each.case.command,
        "seconds": round(each.seconds, 1),
        "figures": [
            {
                "name": figure.name,
                "value": figure.value if math.isfinite(figure.value) else None,
                "unit": figure.unit,
                "target": None if figure.target is None else asdict(figure.target),
                "verdict": each.outcome.verdict_of(figure) or None,
            }
            for figure in each.outcome.figures
        ],
        "notes": list(each.outcome.notes),
        "faults": list(each.outcome.faults),
    }
