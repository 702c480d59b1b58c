"""A cache that all processes share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from redis.asyncio import Redis

from adapters.redis.breaker import Breaker
from payments_core.gathered import Gathered

PREFIX: Final = "payments:cache:"
VALUE_BYTES_MAX: Final = 512 * 1024
KEYS_MAX: Final = 8
"""Of one look, which has the time of one call: its answer is 4 MiB at most, and mostly some KiB."""


class RedisCache:
    """Keeps values in Redis; while Redis is away there are none, and nobody waits or fails for that."""

    def __init__(self, client: Redis, *, breaker: Breaker, value_bytes_max: int = VALUE_BYTES_MAX) -> None:
        self._client = client
        self._breaker = breaker
        self._value_bytes_max = value_bytes_max
        self._gathered = Gathered(self._look, keys_max=KEYS_MAX)

    async def get(self, key: str, /) -> bytes | None:
        """Return the value, or None where there is none, its time is over, or Redis is away or too busy."""
        try:
            # One who waits for others' looks waits no longer than for a turn of one's own.
            async with asyncio.timeout(self._breaker.seconds_max):
                # A call of the driver costs more than a page does: those who ask at once share one.
                return await self._gathered.get(key)
        except TimeoutError:
            return None

    async def _look(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        values = await self._breaker.call(lambda: self._client.mget([PREFIX + key for key in keys]))
        found = zip(keys, values or (), strict=False)
        return {key: value for key, value in found if isinstance(value, bytes)}

    async def put(self, key: str, value: bytes, /, *, ttl_seconds: int) -> None:
        """Keep the value that long, in place of an older one; a value too large to keep leaves nothing behind."""
        if len(value) > self._value_bytes_max or ttl_seconds <= 0:
            await self._breaker.call(lambda: self._client.delete(PREFIX + key))
        else:
            await self._breaker.call(lambda: self._client.set(PREFIX + key, value, ex=ttl_seconds))
