"""Looks at what the service stands on: each answers in bounded time with None, or with what is wrong and the cure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from entrypoints.services import Check
from payments_core.errors import Unavailable

CHECK_SECONDS: Final = 2.0
PROBE: Final = "payments:probe"
"""A key that is never set; unlike PING, whose type the driver leaves open, GET is what the cache does."""


async def always_there() -> str | None:
    """Say that nothing is wrong."""
    return None


def always_says(what: str) -> Check:
    """Return the check of something that is not there by choice."""

    async def check() -> str | None:
        return what

    return check


def store_answers(engine: AsyncEngine) -> Check:
    """Return the check that Postgres answers."""

    async def check() -> str | None:
        try:
            async with asyncio.timeout(CHECK_SECONDS), engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except (SQLAlchemyError, OSError) as error:  # TimeoutError is an OSError
            return f"Postgres does not answer ({type(error).__name__}): is it up, and PAYMENTS_DATABASE_URL right?"
        return None

    return check


def nothing_missing(missing: Callable[[], Awaitable[Sequence[str]]]) -> Check:
    """Return the check that every migration was made; once they were, it doesn't look again."""
    complete = False

    async def check() -> str | None:
        nonlocal complete
        if complete:
            return None
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                names = await missing()
        except (SQLAlchemyError, OSError, Unavailable) as error:
            return f"nobody knows which migrations were made ({type(error).__name__}): Postgres does not answer"
        complete = not names
        return None if complete else f"missing: {', '.join(names)}; run `payments migrate`"

    return check


def redis_answers(client: Redis, meanwhile: str) -> Check:
    """Return the check that Redis answers; `meanwhile` says what happens without it."""

    async def check() -> str | None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await client.get(PROBE)
        except (RedisError, OSError) as error:
            return f"Redis does not answer ({type(error).__name__}); {meanwhile}"
        return None

    return check
