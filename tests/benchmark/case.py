"""A case: one row or more of the targets, measured for itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.benchmark.figures import Outcome
from tests.benchmark.options import Options
from tests.benchmark.world import World

Tell = Callable[[str], None]
"""Says what is being done now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is measured, by which function, and what its figures stand for."""

    name: str
    what: str
    measure: Callable[[World, Options, Tell], Awaitable[Outcome]]
    in_short: bool = True
    """Whether the short form has it."""

    @property
    def command(self) -> str:
        """How to measure it alone."""
        return f"uv run nox -s bench -- --only {self.name}"
