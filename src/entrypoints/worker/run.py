"""A process that is a worker and nothing else."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Final

from entrypoints.logs import set_up_logs
from entrypoints.settings import Settings
from entrypoints.wiring import wire
from entrypoints.worker.sweeper import run_worker

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


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
