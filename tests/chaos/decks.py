"""Faults that are dealt rather than timed: whoever comes next gets the next one."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from tests.chaos.kinds import Kind

T = TypeVar("T")


class Deck(Generic[T]):
    """Cards with their moments, in seconds from the beginning; None is dealt while the next one's is not there."""

    def __init__(self, cards: Iterable[tuple[float, T]], clock: Callable[[], float] = time.monotonic) -> None:
        self._cards = deque(cards)
        self._clock = clock
        self._begun = math.inf

    def begin(self) -> None:
        """Let time begin: before it does nothing is dealt."""
        self._begun = self._clock()

    def deal(self) -> T | None:
        """Return the next card whose moment has come."""
        if not self._cards or self._clock() - self._begun < self._cards[0][0]:
            return None
        return self._cards.popleft()[1]

    def throw_away(self) -> None:
        """Deal no more."""
        self._cards.clear()


class Tally:
    """How many faults of each kind were done."""

    def __init__(self) -> None:
        self.done: Counter[Kind] = Counter()

    def count(self, kind: Kind) -> None:
        """Count one that was done."""
        self.done[kind] += 1

    @property
    def total(self) -> int:
        """All kinds together."""
        return self.done.total()
