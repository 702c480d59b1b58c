"""What keeps a dead Redis from costing every request a time-out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from redis.exceptions import RedisError

Result = TypeVar("Result")

TOTAL_SECONDS: Final = 0.25
"""What one call may cost a request, connecting included."""
RETRY_AFTER_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Breaker:
    """Lets calls through while Redis answers; after a failure, one in `retry_after_seconds`, until one succeeds.

    Cache and limits share one, so that either learns from the other. An outage is logged once, and so is its end.
    """

    def __init__(
        self,
        *,
        total_seconds: float = TOTAL_SECONDS,
        retry_after_seconds: float = RETRY_AFTER_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total_seconds = total_seconds
        self._retry_after_seconds = retry_after_seconds
        self._clock = clock
        self._retry_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the last that was heard of Redis is a failure."""
        return self._retry_at is not None

    async def call(self, command: Callable[[], Awaitable[Result]]) -> Result | None:
        """Return the command's result, or None where Redis is away; raises nothing of Redis's."""
        if self._retry_at is not None:
            now = self._clock()
            if now < self._retry_at:
                return None
            # This call is the probe; those that come while it runs go on without Redis.
            self._retry_at = now + self._retry_after_seconds
        try:
            async with asyncio.timeout(self._total_seconds):
                result = await command()
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            self._failed(error)
            return None
        self._succeeded()
        return result

    def _failed(self, error: Exception) -> None:
        if self._retry_at is None:
            # The name alone: an error's text may repeat what was sent.
            _log.warning("Redis is away (%s): no cache, limits are counted in each process", type(error).__name__)
        self._retry_at = self._clock() + self._retry_after_seconds

    def _succeeded(self) -> None:
        if self._retry_at is not None:
            _log.info("Redis is back")
            self._retry_at = None
