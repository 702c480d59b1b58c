"""What commands print: rich where a terminal is there, plain and stable lines otherwise.

Results go to the standard output, progress to the standard error.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

    from payments_core.values import Json

DONE: Final = "✓"
FAILED: Final = "✗"


class Screen:
    """The two streams of a command. Nothing that is printed is read as markup."""

    def __init__(self) -> None:
        from rich.console import Console  # not needed for --help

        self.out: Console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self.progress: Console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True, stderr=True)

    def line(self, text: str = "", *, style: str | None = None) -> None:
        """Print a line of the result."""
        self.out.print(text, style=style)

    async def load(self, module: str, doing: str) -> None:
        """Import a module that takes seconds, say so from the first moment, and let a signal not wait for it."""
        if self.progress.is_terminal:
            with self.progress.status(f"{doing} …"):
                await asyncio.to_thread(importlib.import_module, module)
        else:
            self.progress.print(f"{doing} …")
            await asyncio.to_thread(importlib.import_module, module)

    @contextmanager
    def working(self, doing: str, done: str) -> Generator[None, None, None]:
        """Show that something is under way, then that it is done, and in what time; say nothing of a failure."""
        begun = time.perf_counter()
        if self.progress.is_terminal:
            with self.progress.status(f"{doing} …"):
                yield
        else:
            yield
        self.progress.print(f"{DONE} {done} ({time.perf_counter() - begun:.1f} s)", style="green")

    def table(self, rows: Sequence[tuple[bool | None, str, str]]) -> None:
        """Print findings: a mark (None: neither good nor bad), a name, a text."""
        if not self.out.is_terminal:
            for good, name, text in rows:
                self.line(f"{_mark(good)} {name}: {text}")
            return
        from rich.table import Table
        from rich.text import Text

        table = Table("", "What", "Finding", box=None, pad_edge=False)
        for good, name, text in rows:
            table.add_row(Text(_mark(good), style=_style(good)), Text(name), Text(text))
        self.out.print(table, soft_wrap=False)

    def columns(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows in columns. At a terminal the last one is wrapped; elsewhere each row is a line."""
        safe = [[printable(cell) for cell in row] for row in rows]
        if not self.out.is_terminal:
            widths = [max(map(len, column)) for column in zip(headings, *safe, strict=True)]
            for row in (headings, *safe):
                self.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        for heading in headings[:-1]:
            table.add_column(heading, no_wrap=True)
        table.add_column(headings[-1])
        for row in safe:
            table.add_row(*map(Text, row))
        self.out.print(table, soft_wrap=False)

    def thing(self, name: str, described: Mapping[str, Json]) -> None:
        """Print all of one thing, a line for each field."""
        self.line(name, style="bold")
        width = max(map(len, described))
        for field, value in described.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            self.line(f"  {field.ljust(width)}  {'-' if value is None else printable(text)}")


def printable(text: str) -> str:
    """Return a stranger's text without what would steer the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def printable_json(value: Json) -> str:
    """Return a stranger's value as JSON for people, with escapes for what would steer the terminal."""
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False)
    except RecursionError:
        return "(nested too deeply to be shown)"
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    """Return JSON's escape of a character: that of each of its UTF-16 units."""
    return re.sub("....", r"\\u\g<0>", character.encode("utf-16-be", "surrogatepass").hex())


def _mark(good: bool | None) -> str:
    return "-" if good is None else DONE if good else FAILED


def _style(good: bool | None) -> str:
    return "yellow" if good is None else "green" if good else "bold red"
