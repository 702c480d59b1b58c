"""Group commit: units that are ready while a commit runs share the next one.

One lane commits for all merchants. Each unit succeeds or fails alone there, and waits for no other that takes long. One
that needs what another process holds goes to a second lane, which waits as long as a commit of that process takes. One
that would have to wait longer, and one that moves much go aside, to a lane of their merchant alone, and later units of
that merchant follow them. A unit that comes while nothing runs is committed at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from adapters.postgres.changes import Changes
from adapters.postgres.commit import HeldElsewhere, Patience
from payments_core.errors import OutcomeUnknown, Unavailable

UNITS_MAX: Final = 200
"""In one database transaction."""
WAITING_MAX: Final = 2_000
"""Units that wait in one process; the next is told that the store is busy."""
WAIT_SECONDS: Final = 5.0
"""How long a unit waits for its commit to begin, the first and any later one."""
ASIDE_MAX: Final = 4
"""Commits at once beside the common lanes, where there are connections for so many: each may wait on its own."""
ASIDE_CONNECTIONS_LEFT: Final = 3
"""That no commit aside takes: the common lanes have one each, and another is for reads."""

BUSY: Final = "the store is busy: too many commits wait"
BROKEN_OFF: Final = "the commit was broken off"

_log = logging.getLogger(__name__)

Commit: TypeAlias = Callable[[Sequence[Changes], Patience], Awaitable[Sequence[Exception | None]]]
"""Commit units together; return for each why it is refused, or None: HeldElsewhere where the patience has ended."""


class _Unit:
    """A unit that waits: for its commit to begin, where it can still be taken back, then for how it ended."""

    __slots__ = (
        "changes",
        "deadline",
        "ended",
        "expects",
        "expiry",
        "holds",
        "is_gone",
        "is_large",
        "is_wanted",
        "merchant",
        "waits",
    )

    def __init__(self, changes: Changes, ended: asyncio.Future[None], *, deadline: float) -> None:
        terms = changes.terms
        self.changes: Final = changes
        self.deadline: Final = deadline
        self.ended: Final = ended
        self.holds: Final = terms.holds
        self.expects: Final = terms.expects
        self.is_large: Final = len(terms.counted) != 1 or terms.is_large
        self.merchant: Final = min(terms.counted or changes.touched)
        self.expiry: asyncio.TimerHandle | None = None
        self.waits = False
        self.is_wanted = True
        self.is_gone = False


class _Lane:
    """Units of any merchants, and the task that commits them while there are some."""

    __slots__ = ("queue", "task")

    def __init__(self) -> None:
        self.queue: Final[deque[_Unit]] = deque()
        self.task: asyncio.Task[None] | None = None


class GroupCommit:
    """Commits the units of one process, over no more connections at once than it may take of those that there are."""

    def __init__(self, commit: Commit, *, connections_max: int) -> None:
        aside_max = max(1, min(ASIDE_MAX, connections_max - ASIDE_CONNECTIONS_LEFT))
        self._commit: Final = commit
        self._number_waiting = 0
        self._lanes: Final = {patience: _Lane() for patience in (Patience.NONE, Patience.BRIEF)}
        self._aside: dict[str, deque[_Unit]] = {}
        self._lanes_aside: set[asyncio.Task[None]] = set()
        self._places_aside: Final = asyncio.Semaphore(aside_max)
        # What takes long leaves room for what only waits its turn.
        self._places_large: Final = asyncio.Semaphore(max(1, aside_max // 2))

    async def __call__(self, changes: Changes) -> None:
        """Commit a unit, or raise why it is refused; Unavailable, with nothing done, where too many wait or too long.

        A caller that is cancelled while the unit waits takes it back. Once its commit has begun, the caller hears of
        the cancellation when the commit has ended, one way or the other: cut short it might have been done or not, and
        nobody would be left to look.
        """
        if self._number_waiting >= WAITING_MAX:
            raise Unavailable(BUSY)
        loop = asyncio.get_running_loop()
        unit = _Unit(changes, loop.create_future(), deadline=loop.time() + WAIT_SECONDS)
        self._wait(unit)
        self._enqueue(unit)
        try:
            await asyncio.shield(unit.ended)
        except asyncio.CancelledError:
            unit.is_wanted = False
            if unit.waits:
                self._leave(unit)
            else:
                await _to_its_end(unit.ended)
            raise

    # ── waiting

    def _enqueue(self, unit: _Unit) -> None:
        if unit.is_large or unit.merchant in self._aside:
            self._set_aside(unit)
            return
        self._enter(unit, Patience.NONE)

    def _enter(self, unit: _Unit, patience: Patience) -> None:
        lane = self._lanes[patience]
        lane.queue.append(unit)
        if lane.task is None:
            # In no request's context, as it commits for all.
            lane.task = asyncio.create_task(self._run(lane, patience), context=contextvars.Context())

    def _set_aside(self, unit: _Unit) -> None:
        queue = self._aside.get(unit.merchant)
        if queue is None:
            queue = self._aside[unit.merchant] = deque()
            lane = asyncio.create_task(self._run_aside(unit.merchant, queue), context=contextvars.Context())
            self._lanes_aside.add(lane)
            lane.add_done_callback(self._lanes_aside.discard)
        queue.append(unit)

    def _wait(self, unit: _Unit) -> None:
        unit.waits = True
        unit.expiry = asyncio.get_running_loop().call_at(unit.deadline, self._expire, unit)
        self._number_waiting += 1

    def _wait_longer(self, unit: _Unit, patience: Patience) -> None:
        """Let a unit of which nothing was done wait for a more patient commit, unless its caller went meanwhile."""
        if not unit.is_wanted:
            unit.ended.set_exception(Unavailable(BUSY))
            return
        self._wait(unit)
        if patience is Patience.NONE and unit.merchant not in self._aside:
            self._enter(unit, Patience.BRIEF)
        else:
            self._set_aside(unit)

    def _expire(self, unit: _Unit) -> None:
        self._leave(unit)
        unit.ended.set_exception(Unavailable(BUSY))

    def _leave(self, unit: _Unit) -> None:
        """Let a unit go whose commit has not begun; its queue passes over it."""
        self._begin(unit)
        unit.is_gone = True

    def _begin(self, unit: _Unit) -> None:
        if unit.waits:
            assert unit.expiry is not None
            unit.expiry.cancel()
            unit.waits = False
            self._number_waiting -= 1

    # ── committing

    async def _run(self, lane: _Lane, patience: Patience) -> None:
        try:
            while lane.queue:
                self._let_followers_go(lane.queue)
                group = _next_group(lane.queue)
                if group:
                    await self._commit_and_tell(group, patience)
        finally:
            lane.task = None

    def _let_followers_go(self, queue: deque[_Unit]) -> None:
        """Set the units aside whose merchants have a lane there."""
        if not self._aside:
            return
        units = [*queue]
        queue.clear()
        for unit in units:
            if unit.merchant in self._aside:
                self._set_aside(unit)
            else:
                queue.append(unit)

    async def _run_aside(self, merchant: str, queue: deque[_Unit]) -> None:
        try:
            while queue:
                is_large = any(unit.is_large for unit in queue)
                async with self._places_large if is_large else contextlib.nullcontext(), self._places_aside:
                    group = _next_group(queue)
                    if group:
                        await self._commit_and_tell(group, Patience.FULL)
        finally:
            del self._aside[merchant]

    async def _commit_and_tell(self, group: Sequence[_Unit], patience: Patience) -> None:
        for unit in group:
            self._begin(unit)
        try:
            refusals = await self._commit([unit.changes for unit in group], patience)
        except BaseException as error:
            for unit in group:
                unit.ended.set_exception(OutcomeUnknown(BROKEN_OFF))
            if not isinstance(error, Exception):
                raise
            # A defect of ours, which those that come next are not to wait behind.
            _log.exception("a commit broke off")
            return
        for unit, refusal in zip(group, refusals, strict=True):
            if refusal is None:
                unit.ended.set_result(None)
            elif isinstance(refusal, HeldElsewhere):
                self._wait_longer(unit, patience)
            else:
                unit.ended.set_exception(refusal)


def _next_group(queue: deque[_Unit]) -> list[_Unit]:
    """Take the next units that may be committed together.

    Of units that are in each other's way the first goes, the others stay for a later commit.
    """
    group: list[_Unit] = []
    held, expected = set[object](), set[object]()
    stay: list[_Unit] = []
    while queue and len(group) < UNITS_MAX:
        unit = queue.popleft()
        if unit.is_gone:
            continue
        if unit.is_large:
            if group or stay:
                queue.appendleft(unit)
            else:
                group.append(unit)
            break
        if held.isdisjoint(unit.holds) and held.isdisjoint(unit.expects) and expected.isdisjoint(unit.holds):
            group.append(unit)
            held |= unit.holds
            expected |= unit.expects
        else:
            stay.append(unit)
    queue.extendleft(reversed(stay))
    return group


async def _to_its_end(ended: asyncio.Future[None]) -> None:
    """Wait for a commit, which its time-outs bound, through any further cancellation."""
    while not ended.done():
        try:
            await asyncio.wait([ended])
        except asyncio.CancelledError:
            continue
    # What became of it is not for the cancelled task to act on, but is no error that nobody looked at either.
    ended.exception()
