"""The servers that `up` and `demo` bring along where the settings name no others."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from entrypoints.cli.screen import Screen
from entrypoints.secret import Secret
from entrypoints.settings import Settings
from entrypoints.wiring import embedded_postgres, embedded_valkey

SERVICE: Final = "entrypoints.cli.up.whole_service"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnServers:
    """Those that run: the settings with their URLs, and tasks that each end where a server ends by itself."""

    settings: Settings
    watches: tuple[asyncio.Task[str], ...]


@asynccontextmanager
async def own_servers(
    settings: Settings, directory: Path, screen: Screen, *, durable: bool = True
) -> AsyncGenerator[OwnServers, None]:
    """Run those servers while the block runs; both end at the same time.

    What the service imports is loaded meanwhile, in a thread: it takes as long as the servers do.
    """
    loading = asyncio.create_task(asyncio.to_thread(importlib.import_module, SERVICE), name="imports")
    postgres, valkey = AsyncExitStack(), AsyncExitStack()
    watches: list[asyncio.Task[str]] = []
    try:
        if settings.database_url is None:
            with screen.working("Starting Postgres", "Postgres started"):
                database = await postgres.enter_async_context(embedded_postgres(directory, durable=durable))
            watches.append(_watch(database.ended, postgres))
            settings = replace(settings, database_url=Secret(database.url))
        if settings.redis_url is None:
            with screen.working("Starting Valkey", "Valkey started"):
                doorbell = await valkey.enter_async_context(embedded_valkey(directory))
            watches.append(_watch(doorbell.ended, valkey))
            settings = replace(settings, redis_url=Secret(doorbell.url))
        await loading
        yield OwnServers(settings=settings, watches=tuple(watches))
    finally:
        await _end(postgres, valkey)


def _watch(ended: Callable[[], Awaitable[str]], server: AsyncExitStack) -> asyncio.Task[str]:
    """Wait for the server's end until its stack ends it, and say then what to do."""

    async def watch() -> str:
        return f"{await ended()}: start `payments up` again, the data is there."

    task = asyncio.create_task(watch())
    server.callback(task.cancel)
    return task


async def _end(*servers: AsyncExitStack) -> None:
    """End the servers, whatever else is broken off meanwhile: a process that was left behind would hold its data."""
    ends = {asyncio.create_task(server.aclose()) for server in servers}
    while not all(end.done() for end in ends):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(ends)
    for end in ends:
        await end
