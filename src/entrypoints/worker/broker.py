"""For those who start workers by taskiq: `taskiq worker entrypoints.worker.broker:make_broker`."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack

from taskiq import TaskiqEvents, TaskiqState

from adapters.taskiq import DoorbellBroker
from entrypoints.settings import Settings, SettingsError, read_settings
from entrypoints.wiring import wire
from entrypoints.worker.sweeper import run_worker


def make_broker() -> DoorbellBroker:
    """Return the broker; in a process of `taskiq worker` it runs the same worker that `payments worker` runs.

    taskiq brings the rings, the signals and the number of processes. Raises SettingsError.
    """
    settings = read_settings(os.environ)
    if settings.redis_url is None:
        raise SettingsError("PAYMENTS_REDIS_URL: is not set, and taskiq workers need it; `payments worker` doesn't")
    broker = DoorbellBroker(settings.redis_url)
    worker = _TaskiqWorker(settings, broker)
    broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, worker.start)
    broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, worker.end)
    return broker


class _TaskiqWorker:
    """A worker between taskiq's events."""

    def __init__(self, settings: Settings, broker: DoorbellBroker) -> None:
        self._settings = settings
        self._broker = broker
        self._opened = AsyncExitStack()
        self._stop = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    async def start(self, _state: TaskiqState) -> None:
        services = await self._opened.enter_async_context(wire(self._settings, serves_metrics=True))
        self._working = asyncio.create_task(run_worker(services, self._broker.bell, self._stop), name="worker")

    async def end(self, _state: TaskiqState) -> None:
        self._stop.set()
        if self._working is not None:
            await self._working
        await self._opened.aclose()
