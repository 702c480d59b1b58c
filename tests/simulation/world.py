"""The world of one history: its time, its chances, its processes, and what can befall them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, TypeVar

from tests.simulation.loop import DOMAIN, Domain, SimulatedLoop
from tests.simulation.plan import Fault, Plan

T = TypeVar("T")

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
CLOCK_JUMP_SECONDS_MAX: Final = 120.0
"""Longer than a lease, and less than half of the gateway's quiet period: that much clocks must agree on."""
RESTART_SECONDS_MAX: Final = 90.0
AWAY_SECONDS_MAX: Final = 3 * 24 * 3_600.0
"""A worker may be away for longer than a gateway keeps keys."""
AWAY_SHARE: Final = 0.25
STOP_SECONDS_MAX: Final = 200.0
TRACE_MAX: Final = 5_000


class ConnectionLost(Exception):
    """The client hears nothing any more: what it asked for may have been done or not."""


class Clock:
    """The port `Clock` as one process has it, whose time may jump."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.offset_seconds = 0.0

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._world.loop.seconds + self.offset_seconds)

    async def wait(self, seconds: float, /) -> None:
        await asyncio.sleep(seconds)


class Process:
    """One process of the system under test. What runs in it ends where it is killed, and stands where it is stopped."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.clock = Clock(world)
        self.domain = world.loop.new_domain(name)
        self._waiting: dict[asyncio.Future[Any], None] = {}  # in order, unlike a set

    @property
    def alive(self) -> bool:
        return self.domain.alive

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run it as a task of this process."""
        return _task_in(self.world.loop, self.domain, work)

    async def call(self, act: Callable[[], Awaitable[T]]) -> T:
        """Have it done in this process, for a client outside of it. Raises ConnectionLost where the process ends."""
        if not self.alive:
            raise ConnectionLost(f"{self.name} is not there")
        answer: asyncio.Future[T] = self.world.loop.create_future()
        self._waiting[answer] = None

        async def serve() -> None:
            try:
                result = await act()
            except Exception as error:
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(result)

        self.spawn(serve())
        try:
            return await answer
        finally:
            del self._waiting[answer]

    def kill(self) -> None:
        """End it between two steps, and the connections of its clients with it."""
        self.world.loop.kill_domain(self.domain)
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(ConnectionLost(f"{self.name} was killed"))


def _task_in(loop: SimulatedLoop, domain: Domain | None, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    context = copy_context()
    context.run(DOMAIN.set, domain)
    return loop.create_task(work, context=context)


class World:
    """Everything that a history has. `healing`: there are no faults any more."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.loop = SimulatedLoop(Random(f"order {plan.seed}"))
        self.random = Random(f"chances {plan.seed}")
        self.healing = False
        self.trace: list[str] = []
        self.processes: list[Process] = []
        self._until_fault = self._gap()
        self._starters: dict[str, Callable[[Process], None]] = {}
        self.loop.ready.before_step = self._before_step

    def note(self, text: str) -> None:
        """Write a line of the trace."""
        if len(self.trace) < TRACE_MAX:
            self.trace.append(f"{self.loop.seconds:12.3f}  {text}")

    def happens(self, fault: Fault, share: float) -> bool:
        """Say whether a fault that the plan has happens now, with this chance."""
        return fault in self.plan.faults and not self.healing and self.random.random() < share

    def outside_task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run it where no process is: at another company, on the network."""
        return _task_in(self.loop, None, work)

    def later(self, seconds: float, act: Callable[..., None], *arguments: object) -> None:
        """Do it later, where no process is."""
        self.loop.call_later(seconds, act, *arguments, context=Context())

    # ── processes

    def start(self, name: str, starter: Callable[[Process], None]) -> None:
        """Start a process, and again whenever it has ended."""
        self._starters[name] = starter
        process = Process(self, name)
        self.processes.append(process)
        starter(process)

    def running(self, kind: str) -> list[Process]:
        """Return the processes whose names begin so and that take connections."""
        return [process for process in self.processes if process.name.startswith(kind) and process.alive]

    def kill(self, process: Process) -> None:
        """Kill a process; another takes its place after a while."""
        if not process.alive:
            return
        process.kill()
        self.processes.remove(process)
        self.note(f"{process.name} is killed")
        self.later(self._while_away(process, RESTART_SECONDS_MAX), self._start_again, process.name)

    def _while_away(self, process: Process, seconds_max: float) -> float:
        is_away = process.name.startswith("worker") and self.random.random() < AWAY_SHARE
        return self.random.uniform(0, AWAY_SECONDS_MAX if is_away else seconds_max)

    def _start_again(self, name: str) -> None:
        self.note(f"{name} starts again")
        self.start(name, self._starters[name])

    def stop(self, process: Process) -> None:
        """Let a process stand still for a while."""
        if process.domain.stopped:
            return
        seconds = self._while_away(process, STOP_SECONDS_MAX)
        self.note(f"{process.name} stands still for {seconds:.0f} s")
        self.loop.stop_domain(process.domain)
        self.later(seconds, self._go_on, process)

    def _go_on(self, process: Process) -> None:
        if process.domain.stopped and process.alive:
            self.note(f"{process.name} goes on")
            self.loop.continue_domain(process.domain)

    def heal(self) -> None:
        """End all faults: what stands goes on, what is dead starts by itself, clocks are right."""
        self.note("the faults are over")
        self.healing = True
        for process in self.processes:
            process.clock.offset_seconds = 0.0
            self._go_on(process)

    # ── faults of processes, between any two steps

    def _gap(self) -> int:
        return round(self.random.expovariate(1 / self.plan.rarity)) + 1

    def _before_step(self) -> None:
        self._until_fault -= 1
        if self._until_fault > 0 or self.healing:
            return
        self._until_fault = self._gap()
        kinds = [fault for fault in (Fault.KILL, Fault.STOP, Fault.CLOCK) if fault in self.plan.faults]
        if not kinds or not self.processes:
            return
        process = self.random.choice(self.processes)
        match self.random.choice(kinds):
            case Fault.KILL:
                self.kill(process)
            case Fault.STOP:
                self.stop(process)
            case _:
                process.clock.offset_seconds = self.random.uniform(-CLOCK_JUMP_SECONDS_MAX, CLOCK_JUMP_SECONDS_MAX)
                self.note(f"the clock of {process.name} is off by {process.clock.offset_seconds:+.0f} s")
