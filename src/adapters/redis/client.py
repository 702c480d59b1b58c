"""The one place that makes a Redis client."""

from __future__ import annotations

from typing import Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

CONNECTIONS_MAX: Final = 32
WAIT_SECONDS: Final = 0.25
HEALTH_CHECK_SECONDS: Final = 30


def make_client(url: str, *, connections_max: int = CONNECTIONS_MAX, wait_seconds: float = WAIT_SECONDS) -> Redis:
    """Return a client for `redis://`, `rediss://` or `unix://`; it connects when first used.

    `wait_seconds` bounds the making of a connection, and the wait for one of the pool's.
    Raises a ValueError that shows nothing of the URL. The client never retries, and no call of it is bounded but in
    connecting: whoever calls bounds the whole (`Breaker`). Its owner closes it (`aclose`).
    """
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=connections_max,
            timeout=wait_seconds,
            socket_connect_timeout=wait_seconds,
            health_check_interval=HEALTH_CHECK_SECONDS,
            retry=Retry(NoBackoff(), 0),
            # With these on, the pool hands out connections that the server has closed without looking at them first.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        # The driver bounds each write by `asyncio.wait_for`, which on Python 3.11 may swallow a cancellation. What
        # the URL says goes before what is said above, so it is taken out here.
        pool.connection_kwargs["socket_timeout"] = None
        pool.connection_class(**pool.connection_kwargs)  # an option that it doesn't know fails here, not in a request
    except (TypeError, ValueError):
        # Without the error itself: it may show a part of a password.
        raise ValueError("the URL is none that redis-py reads: its scheme, its host, its port or an option") from None
    return Redis.from_pool(pool)
