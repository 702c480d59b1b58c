"""An event loop whose order and time a seed decides: any task that could run next may be the one that does.

Time stands still while anything can run, and then jumps to the next timer. A process of the simulated system is a
context variable: its steps can be held back (a stopped process) or dropped for ever (a killed one), between any two
awaits.
"""

from __future__ import annotations

import asyncio
from asyncio.events import Handle
from collections.abc import Callable
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

STEPS_MAX: Final = 1_000_000
"""Of one history, which usually has some thousands."""


class Stuck(Exception):
    """Nothing can run and no timer is set, or there is no end: what is awaited never happens."""


@dataclass(eq=False, slots=True)
class Domain:
    """What lives and dies together: the tasks of one process."""

    name: str
    alive: bool = True
    stopped: bool = False
    held_back: list[Handle] = field(default_factory=list[Handle])


DOMAIN: ContextVar[Domain | None] = ContextVar("DOMAIN", default=None)


class _Ready:
    """The loop's queue of what can run: the seed picks, `before_step` may stop or kill first."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._handles: list[Handle] = []
        self._nothing: Handle | None = None
        self.before_step: Callable[[], None] | None = None
        self.steps = 0

    def __len__(self) -> int:
        return len(self._handles)

    def append(self, handle: Handle) -> None:
        domain = _domain_of(handle)
        if domain is None or (domain.alive and not domain.stopped):
            self._handles.append(handle)
        else:
            domain.held_back.append(handle)

    def popleft(self) -> Handle:
        self.steps += 1
        if self.before_step is not None:
            self.before_step()
        if not self._handles:
            return self._noop()
        chosen = self._random.randrange(len(self._handles))
        last = self._handles.pop()
        if chosen == len(self._handles):
            return last
        handle, self._handles[chosen] = self._handles[chosen], last
        return handle

    def clear(self) -> None:
        self._handles.clear()

    def hold_back(self, domain: Domain) -> None:
        domain.held_back += [handle for handle in self._handles if _domain_of(handle) is domain]
        self._handles = [handle for handle in self._handles if _domain_of(handle) is not domain]

    def _noop(self) -> Handle:
        """Return what the loop passes over: it has counted on a handle that was just held back."""
        if self._nothing is None:
            self._nothing = Handle(_do_nothing, (), asyncio.get_running_loop())
        return self._nothing


def _do_nothing() -> None:
    return


def _domain_of(handle: Handle) -> Domain | None:
    context: Context = handle._context  # type: ignore[attr-defined]  # the loop's own field, in no stub
    return context.get(DOMAIN)


class _Timers:
    """What the loop takes for its selector: it waits by moving the clock."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise Stuck("nothing can run, and no timer is set")
        if self._loop.ready.steps > STEPS_MAX:
            raise Stuck(f"no end after {STEPS_MAX} steps")
        if timeout > 0:
            self._loop.seconds += timeout
        return []


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop without a clock, a network or an order of its own. `seconds` is its time, from 0."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.seconds = 0.0
        self.ready = _Ready(random)
        self._ready = self.ready
        self.domains: list[Domain] = []
        self._selector = _Timers(self)
        # A killed process leaves tasks that never end and futures that nobody looks at: that is what was asked for.
        self.set_exception_handler(lambda _loop, _context: None)

    def time(self) -> float:
        return self.seconds

    def _process_events(self, events: list[Any]) -> None:
        """Nothing comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""

    def new_domain(self, name: str) -> Domain:
        """Return a domain of this loop."""
        domain = Domain(name)
        self.domains.append(domain)
        return domain

    def stop_domain(self, domain: Domain) -> None:
        """Let none of its steps run, until it goes on."""
        domain.stopped = True
        self.ready.hold_back(domain)

    def continue_domain(self, domain: Domain) -> None:
        """Let its steps run again."""
        domain.stopped = False
        if domain.alive:
            held_back, domain.held_back = domain.held_back, []
            for handle in held_back:
                self.ready.append(handle)

    def kill_domain(self, domain: Domain) -> None:
        """Let none of its steps ever run again: no `finally`, no `except`, nothing."""
        domain.alive = False
        self.ready.hold_back(domain)

    def bury(self) -> None:
        """Unwind, at the very end, what was killed and what still waits, so that no coroutine is left half run."""
        self.ready.before_step = None
        self.ready.steps = 0
        for domain in self.domains:
            domain.alive = True
            self.continue_domain(domain)
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.wait(tasks))
