"""The results in `docs/`: a page with a table between two marks, the plot, and the figures as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tests.benchmark.loading import ROOT
from tests.benchmark.plot import Bar, plot
from tests.benchmark.report import Run, as_json

DOCS: Final = ROOT / "docs"
PAGE: Final = "performance.md"
JSON: Final = "performance.json"
SVG: Final = "performance.svg"
BEGIN: Final = "<!-- results: written by `nox -s bench -- --publish` -->"
END: Final = "<!-- end of results -->"


def write(run: Run) -> list[Path]:
    """Write the results to the directory of the options, and to the documents where that was asked for."""
    folders = [run.options.out, *([DOCS] if run.options.publish else [])]
    written: list[Path] = []
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in ((JSON, as_json(run)), (SVG, as_plot(run))):
            (folder / name).write_text(text)
            written.append(folder / name)
    if run.options.publish:
        page = DOCS / PAGE
        page.write_text(replaced(page.read_text(), as_page(run)))
        written.append(page)
    return written


def as_plot(run: Run) -> str:
    """Return the figures that have a target as bars."""
    bars = [
        Bar(
            name=figure.name.replace("`", ""),
            shown=figure.shown + (", failed" if each.outcome.faults else ""),
            target=figure.target_shown,
            share=figure.target.share_of(figure.value),
            verdict=each.outcome.verdict_of(figure),
        )
        for each, figure in run.figures
        if figure.target is not None
    ]
    return plot(bars, f"Measured against the targets, {run.machine.date}, commit {run.machine.commit}")


def as_page(run: Run) -> str:
    """Return the results in Markdown: on what they were measured, each figure with its target and its command."""
    machine = run.machine
    memory = "" if machine.memory_gigabytes is None else f", {machine.memory_gigabytes:g} GiB"
    about = (
        ("date", machine.date),
        ("commit", f"`{machine.commit}`"),
        ("machine", f"{machine.cores} cores ({machine.processor}){memory}, all of it on this one"),
        ("busy before", f"{machine.busy:g} processes of others on average"),
        ("kernel", machine.kernel),
        ("Python", machine.python),
        ("Postgres", f"{machine.postgres} (embedded, fsync on)"),
        ("Valkey", f"{machine.valkey} (embedded)"),
        ("whole run", f"`{run.options.command}`"),
    )
    parts = [
        table(("", ""), about),
        f"![How each figure stands to its target]({SVG})",
        table(("what", "measured", "target", "", "command"), _rows(run)),
        "\n".join(f"- `{each.case.name}`: {note}." for each in run.measured for note in each.outcome.notes),
        "\n".join(f"- **`{each.case.name}` failed:** {f}" for each in run.measured for f in each.outcome.faults),
    ]
    return "\n\n".join(part for part in parts if part)


def _rows(run: Run) -> Iterable[Sequence[str]]:
    for each in run.measured:
        for figure in each.outcome.figures:
            verdict = each.outcome.verdict_of(figure)
            yield figure.name, figure.shown, figure.target_shown, verdict, f"`{each.case.command}`"
        if not each.outcome.figures:
            yield each.case.what, "not measured", "", "failed", f"`{each.case.command}`"


def replaced(page: str, results: str) -> str:
    """Return the page with these results between the marks; raise ValueError where the page has no marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has lost the marks {BEGIN} and {END}")
    return f"{before}{begin}\n\n{results}\n\n{end}{after}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
