"""Workers as the commands start them: beside other things in one process, or as a process of their own."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

from entrypoints.logs import set_up_logs
from entrypoints.services import Services
from entrypoints.settings import Settings
from entrypoints.wiring import wire
from entrypoints.worker.sweeper import run_worker

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@asynccontextmanager
async def working(services: Services) -> AsyncGenerator[asyncio.Task[None], None]:
    """Do due work while the block runs. Gives the worker's task, which ends by itself only when it fails."""
    stop = asyncio.Event()
    task = asyncio.create_task(run_worker(services, stop=stop), name="worker")
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait({task})


def worker_process(settings: Settings) -> None:
    """Be a worker until SIGTERM or SIGINT; then end within 5 s. Raises SettingsError."""
    set_up_logs(settings)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_until_told(settings))


async def _until_told(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.set)
    async with wire(settings, hears_rings=True, serves_metrics=True) as services:
        await run_worker(services, stop=stop)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # not on Windows
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop
