"""API and worker in one process, for `up` and `demo`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from entrypoints.http.app import create_app
from entrypoints.http.server import serving
from entrypoints.services import Services
from entrypoints.settings import Settings
from entrypoints.wiring import wire
from entrypoints.worker import run_worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What runs: its services, and the tasks that end by themselves only when they fail."""

    services: Services
    tasks: tuple[asyncio.Task[None], ...]

    async def until_failure(self) -> None:
        """Wait for ever; raise what a task ended with."""
        ended, _ = await asyncio.wait(self.tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            await task


@asynccontextmanager
async def running(settings: Settings, listener: socket.socket) -> AsyncGenerator[Service, None]:
    """Answer on the listener and do the work while the block runs; the store is migrated already."""
    async with wire(settings, hears_rings=True, serves_metrics=True) as services:
        stop = asyncio.Event()
        worker = asyncio.create_task(run_worker(services, stop=stop), name="worker")
        try:
            async with serving(create_app(services), listener) as api:
                try:
                    yield Service(services=services, tasks=(api, worker))
                finally:
                    stop.set()  # both drain at the same time, within the 5 s of a whole stop
        finally:
            stop.set()
            await worker
