"""Charts of daily totals, made here as SVG: where each bar is, and what is said of it.

A chart has no words of its own but its bars' titles: axes are text beside it, so that they are as large on a narrow
screen as on a wide one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, TypeAlias

HEIGHT: Final = 100.0
SLOT: Final = 10.0
"""The width of what belongs to one bar, its gap included."""
BAR: Final = 7.6
DAYS_EACH_MAX: Final = 92
"""Of a longer span, a bar is a week."""
WEEK: Final = 7
_STEPS: Final = (1, 2, 4, 6, 8, 10)

Rows: TypeAlias = Sequence[Sequence[int]]
"""For each bucket one number of each series."""
Write: TypeAlias = Callable[[int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The days that are one bar, both included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many they are."""
        return (self.last - self.first).days + 1

    @property
    def words(self) -> str:
        """What it is called."""
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A rectangle of a series, in the chart's own units."""

    series: str
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Bars over an axis from 0 to `top`, both as they are written; `ends` are the first and the last bucket's days."""

    width: float
    bars: Sequence[Bar]
    top: str
    middle: str
    ends: tuple[date, date]


def buckets(first: date, last: date) -> Sequence[Bucket]:
    """Part a span into days, or into weeks where there are more than DAYS_EACH_MAX."""
    days = (last - first).days + 1
    size = 1 if days <= DAYS_EACH_MAX else WEEK
    return [
        Bucket(first=first + timedelta(days=at), last=min(last, first + timedelta(days=at + size - 1)))
        for at in range(0, days, size)
    ]


def stacked(parts: Sequence[Bucket], rows: Rows, names: Sequence[str], write: Write) -> Chart:
    """Return a chart in which each bucket's numbers, one of each series, stand on each other.

    A number below zero (a correction took back more than the day brought) has no bar. `write` says an axis' number.
    """
    top = _round_up(max((sum(max(0, number) for number in row) for row in rows), default=0))

    def bars(left: float, row: Sequence[int]) -> Iterator[tuple[float, float, float, float]]:
        foot = HEIGHT
        for number in row:
            height = max(0, number) / top * HEIGHT
            foot -= height
            yield left, foot, BAR, height

    return _chart(parts, rows, names, write, top, bars)


def side_by_side(parts: Sequence[Bucket], rows: Rows, names: Sequence[str], write: Write) -> Chart:
    """Return the same with the numbers of a bucket next to each other, for those that are no parts of a whole."""
    top = _round_up(max((number for row in rows for number in row), default=0))

    def bars(left: float, row: Sequence[int]) -> Iterator[tuple[float, float, float, float]]:
        width = BAR / len(row)
        for at, number in enumerate(row):
            height = max(0, number) / top * HEIGHT
            yield left + at * width, HEIGHT - height, width, height

    return _chart(parts, rows, names, write, top, bars)


def _chart(
    parts: Sequence[Bucket],
    rows: Rows,
    names: Sequence[str],
    write: Write,
    top: int,
    bars: Callable[[float, Sequence[int]], Iterator[tuple[float, float, float, float]]],
) -> Chart:
    drawn = [
        Bar(
            series=name,
            x=round(x, 2),
            y=round(y, 2),
            width=round(width, 2),
            height=round(height, 2),
            title=f"{bucket.words}: {name} {write(number)}",
        )
        for at, (bucket, row) in enumerate(zip(parts, rows, strict=True))
        for name, number, (x, y, width, height) in zip(names, row, bars(at * SLOT + (SLOT - BAR) / 2, row), strict=True)
        if height > 0
    ]
    return Chart(
        width=len(parts) * SLOT,
        bars=drawn,
        top=write(top),
        middle=write(top // 2) if top % 2 == 0 else "",
        ends=(parts[0].first, parts[-1].last),
    )


def _round_up(number: int) -> int:
    """Return the next number that an axis can end at: 1, 2, 4, 6, 8 or 10 times a power of ten, and 2 at least."""
    power = int("1" + "0" * (len(str(max(1, number))) - 1))
    return max(2, next(step * power for step in _STEPS if step * power >= number))
