"""A cache that all processes share."""

from __future__ import annotations

from typing import Final

from redis.asyncio import Redis

from adapters.redis.breaker import Breaker

PREFIX: Final = "payments:cache:"
VALUE_BYTES_MAX: Final = 512 * 1024


class RedisCache:
    """Keeps values in Redis; while Redis is away there are none, and nobody waits or fails for that."""

    def __init__(self, client: Redis, *, breaker: Breaker, value_bytes_max: int = VALUE_BYTES_MAX) -> None:
        self._client = client
        self._breaker = breaker
        self._value_bytes_max = value_bytes_max

    async def get(self, key: str, /) -> bytes | None:
        """Return the value, or None where there is none, its time is over, or Redis is away."""
        value = await self._breaker.call(lambda: self._client.get(PREFIX + key))
        return value if isinstance(value, bytes) else None

    async def put(self, key: str, value: bytes, /, *, ttl_seconds: int) -> None:
        """Keep the value that long, in place of an older one; a value too large to keep leaves nothing behind."""
        if len(value) > self._value_bytes_max or ttl_seconds <= 0:
            await self._breaker.call(lambda: self._client.delete(PREFIX + key))
        else:
            await self._breaker.call(lambda: self._client.set(PREFIX + key, value, ex=ttl_seconds))
