"""What keeps a dead Redis from costing every request a time-out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from redis.exceptions import RedisError

from adapters.redis.client import CONNECTIONS_MAX

Result = TypeVar("Result")

TOTAL_SECONDS: Final = 0.25
"""What one call may cost a request, connecting included."""
TURN_SECONDS: Final = 0.25
"""How long a call waits for a connection, before any time of its own runs; one that waits longer goes on without
Redis, which has done nothing wrong."""
RETRY_AFTER_SECONDS: Final = 1.0
SAID_AGAIN_AFTER_SECONDS: Final = 60.0
"""An outage that comes and goes is said no more often than this."""

_log = logging.getLogger(__name__)


class Breaker:
    """Lets calls through while Redis answers; after a failure, one in `retry_after_seconds`, until one succeeds.

    Cache and limits share one, so that either learns from the other. An outage is logged once, and so is its end.
    """

    def __init__(
        self,
        *,
        total_seconds: float = TOTAL_SECONDS,
        turn_seconds: float = TURN_SECONDS,
        retry_after_seconds: float = RETRY_AFTER_SECONDS,
        calls_max: int = CONNECTIONS_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total_seconds = total_seconds
        self._turn_seconds = turn_seconds
        self._retry_after_seconds = retry_after_seconds
        self._turns = asyncio.Semaphore(calls_max)
        self._clock = clock
        self._retry_at: float | None = None
        self._said_at: float | None = None
        self._outage_was_said = False

    @property
    def is_open(self) -> bool:
        """Whether the last that was heard of Redis is a failure."""
        return self._retry_at is not None

    @property
    def seconds_max(self) -> float:
        """How long a call may take, its wait for a turn included."""
        return self._turn_seconds + self._total_seconds

    async def call(self, command: Callable[[], Awaitable[Result]]) -> Result | None:
        """Return the command's result, or None where Redis is away or too busy; raises nothing of Redis's."""
        if self._is_refused() or not await self._gets_turn():
            return None
        try:
            if self._is_refused():  # it went away while this call waited for its turn
                return None
            if self._retry_at is not None:
                # This call is the probe; those that come while it runs go on without Redis.
                self._retry_at = self._clock() + self._retry_after_seconds
            return await self._run(command)
        finally:
            self._turns.release()

    def _is_refused(self) -> bool:
        return self._retry_at is not None and self._clock() < self._retry_at

    async def _gets_turn(self) -> bool:
        try:
            async with asyncio.timeout(self._turn_seconds):
                await self._turns.acquire()
        except TimeoutError:
            return False
        return True

    async def _run(self, command: Callable[[], Awaitable[Result]]) -> Result | None:
        try:
            async with asyncio.timeout(self._total_seconds):
                result = await command()
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            self._failed(error)
            return None
        self._succeeded()
        return result

    def _failed(self, error: Exception) -> None:
        now = self._clock()
        if self._retry_at is None and (self._said_at is None or now >= self._said_at + SAID_AGAIN_AFTER_SECONDS):
            # The name alone: an error's text may repeat what was sent.
            _log.warning("Redis is away (%s): no cache, limits are counted in each process", type(error).__name__)
            self._said_at, self._outage_was_said = now, True
        self._retry_at = now + self._retry_after_seconds

    def _succeeded(self) -> None:
        self._retry_at = None
        if self._outage_was_said:
            _log.info("Redis is back")
            self._outage_was_said = False
