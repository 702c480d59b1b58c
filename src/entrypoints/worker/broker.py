"""For those who start workers by taskiq: `taskiq worker entrypoints.worker.broker:make_broker`."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack

from taskiq import AsyncBroker, TaskiqEvents, TaskiqState

from entrypoints.services import Bell
from entrypoints.settings import Settings, read_settings
from entrypoints.wiring import taskiq_broker, wire
from entrypoints.worker.sweeper import run_worker


def make_broker() -> AsyncBroker:
    """Return the broker; in a process of `taskiq worker` it runs the same worker that `payments worker` runs.

    taskiq brings the rings, the signals and the number of processes. Raises SettingsError.
    """
    settings = read_settings(os.environ)
    broker = taskiq_broker(settings)
    worker = _TaskiqWorker(settings, broker.bell)
    broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, worker.start)
    broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, worker.end)
    return broker


class _TaskiqWorker:
    """A worker between taskiq's events."""

    def __init__(self, settings: Settings, bell: Bell) -> None:
        self._settings = settings
        self._bell = bell
        self._opened = AsyncExitStack()
        self._stop = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    async def start(self, _state: TaskiqState) -> None:
        services = await self._opened.enter_async_context(wire(self._settings, serves_metrics=True))
        self._working = asyncio.create_task(run_worker(services, self._bell, self._stop), name="worker")

    async def end(self, _state: TaskiqState) -> None:
        self._stop.set()
        if self._working is not None:
            await self._working
        await self._opened.aclose()
