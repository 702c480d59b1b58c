"""Rate limits counted inside one process."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import datetime
from typing import Final

from payments_core.limits import Allowance, Limit

KEYS_MAX: Final = 10_000


class MemoryRateLimits:
    """Remembers the time of each allowed hit until it leaves the window: exact, never more than the limit.

    At most `keys_max` keys are counted; beyond that the one hit longest ago is forgotten.
    """

    def __init__(self, *, clock: Callable[[], datetime], keys_max: int = KEYS_MAX) -> None:
        self._clock = clock
        self._keys_max = keys_max
        self._hits: OrderedDict[tuple[str, str], deque[datetime]] = OrderedDict()

    async def hit(self, limit: Limit, key: str, /) -> Allowance:
        """Count one; refused hits are not counted."""
        now = self._clock()
        hits = self._hits_of(limit, key)
        while hits and (now - hits[0]).total_seconds() >= limit.per_seconds:
            hits.popleft()
        allowed = len(hits) < limit.amount
        if allowed:
            hits.append(now)
        oldest = hits[0] if hits else now
        return Allowance(
            allowed=allowed,
            limit=limit,
            remaining=max(limit.amount - len(hits), 0),
            reset_after_seconds=limit.per_seconds - (now - oldest).total_seconds(),
        )

    async def give_back(self, limit: Limit, key: str, /) -> None:
        """Count one less."""
        hits = self._hits.get((limit.name, key))
        if hits:
            hits.pop()

    def _hits_of(self, limit: Limit, key: str) -> deque[datetime]:
        hits = self._hits.setdefault((limit.name, key), deque())
        self._hits.move_to_end((limit.name, key))
        while len(self._hits) > self._keys_max:
            self._hits.popitem(last=False)
        return hits
