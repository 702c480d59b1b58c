"""What a verification found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from payments_core.verification.rules import Breach, Rule

BREACHES_KEPT_MAX: Final = 10_000
"""Of each rule; the rest is counted."""


@dataclass(slots=True)
class Tally:
    """What was looked at and found so far: `looked` and `broken` count by rule.

    `unlooked` says why a rule was not looked at. `dead_jobs` and `attempts` count what waits for a person.
    """

    merchants: int = 0
    transactions: int = 0
    looked: Counter[Rule] = field(default_factory=Counter[Rule])
    broken: Counter[Rule] = field(default_factory=Counter[Rule])
    breaches: list[Breach] = field(default_factory=list[Breach])
    dead_jobs: int = 0
    attempts: int = 0
    unlooked: dict[Rule, str] = field(default_factory=dict[Rule, str])

    def add(self, breaches: Sequence[Breach]) -> None:
        """Count breaches, and keep them as far as there is room."""
        for breach in breaches:
            self.broken[breach.rule] += 1
            if self.broken[breach.rule] <= BREACHES_KEPT_MAX:
                self.breaches.append(breach)

    def report(self) -> Report:
        """Return what was found."""
        return Report(
            merchants=self.merchants,
            transactions=self.transactions,
            looked=dict(self.looked),
            broken=dict(self.broken),
            breaches=tuple(self.breaches),
            unlooked=dict(self.unlooked),
            dead_jobs=self.dead_jobs,
            attempts=self.attempts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was looked at, and what breaks a rule: the first BREACHES_KEPT_MAX rows of each; `broken` counts all.

    `unlooked` says why a rule was not looked at. `dead_jobs` and `attempts` wait for a person, which is no breach.
    """

    merchants: int
    transactions: int
    looked: Mapping[Rule, int]
    broken: Mapping[Rule, int]
    breaches: Sequence[Breach]
    unlooked: Mapping[Rule, str]
    dead_jobs: int
    attempts: int

    @property
    def holds(self) -> bool:
        """Whether every rule that was looked at holds."""
        return not self.broken
