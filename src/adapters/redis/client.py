"""The one place that makes a Redis client."""

from __future__ import annotations

from typing import Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

CONNECTIONS_MAX: Final = 32
CONNECT_SECONDS: Final = 0.25
ANSWER_SECONDS: Final = 0.25
POOL_WAIT_SECONDS: Final = 0.25
HEALTH_CHECK_SECONDS: Final = 30


def make_client(url: str, *, connections_max: int = CONNECTIONS_MAX) -> Redis:
    """Return a client for `redis://`, `rediss://` or `unix://`, or raise ValueError; it connects when first used.

    It fails fast and never retries: whoever calls goes on without Redis. For short commands only; a subscriber waits
    longer than `ANSWER_SECONDS` and needs a client of its own. Its owner closes it (`aclose`).
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections_max,
        timeout=POOL_WAIT_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        health_check_interval=HEALTH_CHECK_SECONDS,
        retry=Retry(NoBackoff(), 0),
        # With these on, the pool hands out connections that the server has closed without looking at them first.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return Redis.from_pool(pool)
