"""The servers that `up` and `demo` bring along where the settings name no others."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from entrypoints.cli.screen import Screen
from entrypoints.settings import Settings
from entrypoints.wiring import embedded_postgres, embedded_valkey

SERVICE: Final = "entrypoints.cli.up.whole_service"


@asynccontextmanager
async def own_servers(
    settings: Settings, directory: Path, screen: Screen, *, durable: bool = True
) -> AsyncGenerator[Settings, None]:
    """Run those servers while the block runs, and give the settings with their URLs; both end at the same time.

    What the service imports is loaded meanwhile, in a thread: it takes as long as the servers do.
    """
    loading = asyncio.create_task(asyncio.to_thread(importlib.import_module, SERVICE), name="imports")
    postgres, valkey = AsyncExitStack(), AsyncExitStack()
    try:
        if settings.database_url is None:
            with screen.working("Starting Postgres", "Postgres started"):
                url = await postgres.enter_async_context(embedded_postgres(directory, durable=durable))
            settings = replace(settings, database_url=url)
        if settings.redis_url is None:
            with screen.working("Starting Valkey", "Valkey started"):
                url = await valkey.enter_async_context(embedded_valkey(directory, durable=durable))
            settings = replace(settings, redis_url=url)
        await loading
        yield settings
    finally:
        await _end(postgres, valkey)


async def _end(*servers: AsyncExitStack) -> None:
    """End the servers, whatever else is broken off meanwhile: a process that was left behind would hold its data."""
    ends = {asyncio.create_task(server.aclose()) for server in servers}
    while not all(end.done() for end in ends):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(ends)
    for end in ends:
        await end
