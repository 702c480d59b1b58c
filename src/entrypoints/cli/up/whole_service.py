"""API and worker in one process, for `up` and `demo`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from entrypoints.collector import spare_what_is_loaded
from entrypoints.http.app import create_app
from entrypoints.http.connections import Connections
from entrypoints.http.server import serving
from entrypoints.services import Services
from entrypoints.settings import Settings
from entrypoints.wiring import wire
from entrypoints.worker import run_worker

REQUESTS_SECONDS: Final = 1
"""For requests that are under way at the end: with the servers' own ends it stays within the 5 s of a whole stop."""
WORK_PATIENCE: Final = timedelta(seconds=0.5)
"""For jobs and deliveries that are under way at the end; then they are handed back to the next start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What runs: its services, and the tasks that end by themselves only when they fail."""

    services: Services
    parts: tuple[asyncio.Task[None], ...]


@asynccontextmanager
async def running(settings: Settings, listener: socket.socket) -> AsyncGenerator[Service, None]:
    """Answer on the listener and do the work while the block runs; the store is migrated already."""
    async with wire(settings, hears_rings=True, serves_metrics=True) as services:
        stop = asyncio.Event()
        places = Connections(settings.http_connections, settings.trusted_proxies)
        worker = asyncio.create_task(run_worker(services, stop=stop, patience=WORK_PATIENCE), name="worker")
        try:
            async with serving(create_app(services), listener, grace_seconds=REQUESTS_SECONDS, places=places) as api:
                spare_what_is_loaded()
                try:
                    yield Service(services=services, parts=(api, worker))
                finally:
                    stop.set()  # both drain at the same time
        finally:
            stop.set()
            await worker
