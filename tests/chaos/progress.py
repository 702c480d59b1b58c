"""How far the campaign is: a bar at a terminal, a line now and then elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tests.chaos.decks import Tally
from tests.chaos.kinds import Kind

DRAWN_EVERY_SECONDS: Final = 0.5
LINE_EVERY_SECONDS: Final = 15.0


class Progress:
    """Shows the faults done of those planned, by kind, the payments accepted, and the time."""

    def __init__(self, planned: Mapping[Kind, int], tally: Tally, accepted: Callable[[], int]) -> None:
        self.console = Console(highlight=False, soft_wrap=True, stderr=True)
        self.phase = "starting"
        self._planned = {kind: count for kind, count in planned.items() if count}
        self._tally = tally
        self._accepted = accepted
        self._begun = time.monotonic()

    async def show(self) -> None:
        """Show it until this is cancelled."""
        if not self.console.is_terminal:
            while True:
                self.console.print(self._line())
                await asyncio.sleep(LINE_EVERY_SECONDS)
        with Live(console=self.console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(self._drawn(), refresh=True)
                await asyncio.sleep(DRAWN_EVERY_SECONDS)

    def _line(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._begun), 60)
        done, planned = self._tally.total, sum(self._planned.values())
        return f"{minutes}:{seconds:02} {self.phase}: {done} of {planned} faults, {self._accepted()} payments accepted"

    def _drawn(self) -> Group:
        table = Table(box=None, pad_edge=False, show_header=False)
        for kind, planned in self._planned.items():
            done = self._tally.done[kind]
            table.add_row(kind.value, ProgressBar(planned, done, width=30), f"{done} of {planned}")
        bar = ProgressBar(max(1, sum(self._planned.values())), self._tally.total, width=60)
        return Group(table, Text(self._line()), bar)
