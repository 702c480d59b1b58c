"""What a case measured, and how it stands to its target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MILLISECONDS: Final = 1000.0


class Verdict(StrEnum):
    """How a figure stands to its target."""

    MET = "met"
    NOT_MET = "not met"
    FAILED = "failed"
    NO_TARGET = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bound of a figure: at least so much, or at most so much. One of the two is set."""

    least: float | None = None
    most: float | None = None

    def is_met_by(self, value: float) -> bool:
        """Say whether a value keeps the bound; one that is no number keeps none."""
        if math.isnan(value):
            return False
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def share_of(self, value: float) -> float:
        """Return how good a value is: 1 is the target itself, 2 is twice as good, whichever way the bound runs."""
        if self.least is not None:
            return value / self.least
        assert self.most is not None, "a target bounds one side"
        return self.most / value if value > 0 else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of a case, in `unit`; `digits` are those behind the point that mean something."""

    name: str
    value: float
    unit: str
    target: Target | None = None
    digits: int = 0

    @property
    def verdict(self) -> Verdict:
        """How the number stands to its target, whatever else went wrong."""
        if self.target is None:
            return Verdict.NO_TARGET
        return Verdict.MET if self.target.is_met_by(self.value) else Verdict.NOT_MET

    @property
    def shown(self) -> str:
        """The number as people read it."""
        return shown(self.value, self.unit, self.digits)

    @property
    def target_shown(self) -> str:
        """The bound as people read it."""
        if self.target is None:
            return ""
        sign, bound = ("≥", self.target.least) if self.target.most is None else ("≤", self.target.most)
        assert bound is not None, "a target bounds one side"
        return f"{sign} {shown(bound, self.unit, 0 if bound == int(bound) else self.digits)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a case. `faults` are what must not be: with any of them the case has failed, whatever it measured.

    `notes` say under which circumstances the figures hold. The first figures are those that the targets name.
    """

    figures: Sequence[Figure]
    notes: Sequence[str] = ()
    faults: Sequence[str] = ()

    def verdict_of(self, figure: Figure) -> Verdict:
        """Return how a figure of this case stands to its target; a case that failed meets none."""
        if self.faults and figure.target is not None:
            return Verdict.FAILED
        return figure.verdict


def shown(value: float, unit: str, digits: int) -> str:
    """Return a number with its unit as people read it."""
    if math.isnan(value):
        return "not measured"
    if math.isinf(value):
        return "never"
    space = "" if unit.startswith("/") else " "
    return f"{value:,.{digits}f}{space}{unit}".rstrip()


def share(sorted_values: Sequence[float], part: float) -> float:
    """Return the value that so large a part of the values does not exceed (nearest rank); NaN where there is none."""
    if not sorted_values:
        return math.nan
    rank = max(1, math.ceil(part * len(sorted_values)))
    return sorted_values[rank - 1]


def median(values: Sequence[float]) -> float:
    """Return the middle one, the mean of the two in the middle where they are two; NaN where there is none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
