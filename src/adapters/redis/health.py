"""Whether Redis answers."""

from __future__ import annotations

from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from payments_core.errors import Unavailable

PROBE: Final = "payments:probe"
"""A key that is never set; unlike PING, whose type the driver leaves open, GET is what the cache does."""


async def ping(client: Redis) -> None:
    """Return if Redis answers, or raise Unavailable; not bounded in time."""
    try:
        await client.get(PROBE)
    except (RedisError, OSError) as error:
        raise Unavailable(f"Redis does not answer ({type(error).__name__})") from None
