"""Rate limits counted over all processes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final, cast

from redis.asyncio import Redis

from adapters.redis.breaker import Breaker
from payments_core.limits import Allowance, Limit
from payments_core.ports import RateLimits

PREFIX: Final = "payments:limit:"
KEY_DIGEST_BYTES: Final = 16
MICROSECONDS: Final = 1_000_000

# A list of the allowed hits, newest first, by the clock of Redis (or one that is handed in): processes' clocks don't
# enter. The loop takes out each hit once, so that a call costs O(1) on average and `amount` at most.
HIT: Final = """
local now = tonumber(ARGV[3])
if not now then
    local clock = redis.call('TIME')
    now = clock[1] * 1000000 + clock[2]
end
local amount, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local oldest = redis.call('LINDEX', KEYS[1], -1)
while oldest and tonumber(oldest) + window <= now do
    redis.call('RPOP', KEYS[1])
    oldest = redis.call('LINDEX', KEYS[1], -1)
end
local used = redis.call('LLEN', KEYS[1])
if used >= amount then
    return {0, 0, (oldest or now) + window - now}
end
redis.call('LPUSH', KEYS[1], now)
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
return {1, amount - used - 1, (oldest or now) + window - now}
"""


class RedisRateLimits:
    """Counts in Redis, exactly and in one round trip; while Redis is away `fallback` counts, never nobody.

    The package `limits` needs two round trips for an answer that says what is left (half as many a second, measured),
    takes the time from the caller's clock or lets more than `amount` into a window.
    """

    def __init__(
        self,
        client: Redis,
        *,
        breaker: Breaker,
        fallback: RateLimits,
        now_microseconds: Callable[[], int] | None = None,
    ) -> None:
        """`now_microseconds` takes the place of the clock of Redis, for tests."""
        self._client = client
        self._script = client.register_script(HIT)
        self._breaker = breaker
        self._fallback = fallback
        self._now_microseconds = now_microseconds

    async def hit(self, limit: Limit, key: str, /) -> Allowance:
        """Count one; refused hits are not counted."""
        keys, arguments = [_name(limit, key)], [limit.amount, limit.per_seconds * MICROSECONDS]
        if self._now_microseconds is not None:
            arguments.append(self._now_microseconds())
        answer = await self._breaker.call(lambda: self._script(keys, arguments))
        if answer is None:
            return await self._fallback.hit(limit, key)
        allowed, remaining, reset_after_microseconds = cast("Sequence[int]", answer)
        return Allowance(
            allowed=bool(allowed),
            limit=limit,
            remaining=remaining,
            reset_after_seconds=reset_after_microseconds / MICROSECONDS,
        )

    async def give_back(self, limit: Limit, key: str, /) -> None:
        """Count one less: the newest hit is the first of the list."""
        done = await self._breaker.call(lambda: self._pop(_name(limit, key)))
        if done is None:
            await self._fallback.give_back(limit, key)

    async def _pop(self, name: str) -> bool:
        await self._client.lpop(name)
        return True


def _name(limit: Limit, key: str) -> str:
    """Return a name of bounded length that shows no e-mail address."""
    encoded = key.encode("utf-8", "surrogatepass")
    return f"{PREFIX}{limit.name}:{hashlib.blake2b(encoded, digest_size=KEY_DIGEST_BYTES).hexdigest()}"
