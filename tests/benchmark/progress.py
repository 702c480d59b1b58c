"""What is being measured: a line that moves at a terminal, a line for each step elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class Shown:
    """Shows the case and its step, of how many, and the time."""

    def __init__(self, cases: int) -> None:
        self.console = Console(highlight=False, soft_wrap=True, stderr=True)
        self._begun = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed} of {task.total}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=cases)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def tell(self, what: str) -> None:
        """Say what is being done now."""
        self._bar.update(self._task, description=what)
        if not self.console.is_terminal:
            minutes, seconds = divmod(int(time.monotonic() - self._begun), 60)
            self.console.print(f"{minutes}:{seconds:02} {what}", markup=False)

    def done(self) -> None:
        """Say that a case is done."""
        self._bar.advance(self._task)
