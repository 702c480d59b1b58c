"""The servers that `up` and `demo` bring along where the settings name no others."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from entrypoints.cli.screen import Screen
from entrypoints.settings import Settings
from entrypoints.wiring import embedded_postgres, embedded_valkey

SERVICE: str = "entrypoints.cli.service"


@asynccontextmanager
async def own_servers(
    settings: Settings, directory: Path, screen: Screen, *, durable: bool = True
) -> AsyncGenerator[Settings, None]:
    """Run those servers while the block runs, and give the settings with their URLs.

    What the service imports is loaded meanwhile, in a thread: it takes as long as the servers do.
    """
    loading = asyncio.create_task(asyncio.to_thread(importlib.import_module, SERVICE), name="imports")
    async with contextlib.AsyncExitStack() as stack:
        if settings.database_url is None:
            with screen.working("Starting Postgres", "Postgres started"):
                url = await stack.enter_async_context(embedded_postgres(directory, durable=durable))
            settings = replace(settings, database_url=url)
        if settings.redis_url is None:
            with screen.working("Starting Valkey", "Valkey started"):
                url = await stack.enter_async_context(embedded_valkey(directory, durable=durable))
            settings = replace(settings, redis_url=url)
        await loading
        yield settings
