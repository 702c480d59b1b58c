"""For those who start workers by taskiq: `taskiq worker entrypoints.worker.broker:make_broker`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import AsyncExitStack

from taskiq import AsyncBroker, TaskiqEvents, TaskiqState

from entrypoints.collector import spare_what_is_loaded
from entrypoints.logs import set_up_logs
from entrypoints.services import Bell
from entrypoints.settings import Settings, needed, read_settings
from entrypoints.wiring import taskiq_broker, wire
from entrypoints.worker.sweeper import run_worker

_log = logging.getLogger(__name__)


def make_broker() -> AsyncBroker:
    """Return the broker; in a process of `taskiq worker` it runs the same worker that `payments worker` runs.

    taskiq brings the rings, the signals and the number of processes. Raises SettingsError.
    """
    settings = read_settings(os.environ)
    needed(settings, "database_url", "secret_key")
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
        """Say what weakens this installation, and begin to work."""
        set_up_logs(self._settings)
        for notice in self._settings.notices:
            _log.warning(notice)
        services = await self._opened.enter_async_context(wire(self._settings, serves_metrics=True))
        spare_what_is_loaded()
        self._working = asyncio.create_task(run_worker(services, self._bell, self._stop), name="worker")
        self._working.add_done_callback(self._ended)

    async def end(self, _state: TaskiqState) -> None:
        """Hand back what cannot be finished, and close everything."""
        self._stop.set()
        if self._working is not None:
            await asyncio.wait({self._working})
        await self._opened.aclose()

    def _ended(self, working: asyncio.Task[None]) -> None:
        """End the process of a worker that broke, which would hear rings and do nothing: taskiq starts another."""
        error = None if working.cancelled() else working.exception()
        if error is not None:
            _log.critical("the worker broke, and its process ends", exc_info=error)
            os.kill(os.getpid(), signal.SIGTERM)
