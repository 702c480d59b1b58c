"""What Redis does for all processes together, or each process for itself."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from adapters.memory.cache import MemoryCache
from adapters.memory.limits import MemoryRateLimits
from adapters.redis.breaker import Breaker
from adapters.redis.cache import RedisCache
from adapters.redis.client import make_client
from adapters.redis.health import ping
from adapters.redis.limits import RedisRateLimits
from adapters.taskiq import DoorbellBroker, LocalBell, TaskiqDoorbell, listening, look
from entrypoints.checks import always_says, answers
from entrypoints.services import Bell, HealthCheck
from entrypoints.settings import Settings, SettingsError
from payments_core.ports import Cache, Clock, Doorbell, RateLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The ports that processes may share; `checks` are those of the connection, by what is slower without it."""

    cache: Cache
    limits: RateLimits
    doorbell: Doorbell
    bell: Bell
    checks: Mapping[str, HealthCheck]


def alone(clock: Clock, checks: Mapping[str, HealthCheck]) -> Shared:
    """Return what a process without Redis does for itself."""
    bell = LocalBell()
    limits = MemoryRateLimits(clock=clock.now)
    return Shared(cache=MemoryCache(clock=clock.now), limits=limits, doorbell=bell, bell=bell, checks=checks)


async def over_redis(settings: Settings, clock: Clock, opened: AsyncExitStack, *, hears_rings: bool) -> Shared:
    """Return what the Redis of the settings does, or else `alone` and checks that say so; `opened` closes it.

    Raises SettingsError.
    """
    if settings.redis_url is None:
        absent = "PAYMENTS_REDIS_URL is not set: "
        said = {
            "cache": always_says(absent + "each process caches and counts limits for itself"),
            "queue": always_says(absent + "workers in other processes find work by looking, every second"),
        }
        return alone(clock, said)
    try:
        client = make_client(settings.redis_url.reveal())
    except ValueError as error:
        raise SettingsError(f"PAYMENTS_REDIS_URL: {error}") from None
    broker = DoorbellBroker(settings.redis_url.reveal())
    opened.push_async_callback(client.aclose)
    await opened.enter_async_context(broker)
    doorbell = await opened.enter_async_context(TaskiqDoorbell(broker))
    ears = await opened.enter_async_context(listening(broker)) if hears_rings else None
    breaker = Breaker()
    return Shared(
        cache=RedisCache(client, breaker=breaker),
        limits=RedisRateLimits(client, breaker=breaker, fallback=MemoryRateLimits(clock=clock.now)),
        doorbell=doorbell,
        bell=broker.bell,
        checks={
            "cache": answers(partial(ping, client), "lists are read from Postgres, limits counted in each process"),
            "queue": answers(partial(look, broker, doorbell, ears), "workers find work by looking, every second"),
        },
    )


def taskiq_broker(settings: Settings) -> DoorbellBroker:
    """Return a broker for taskiq's own commands, with the bell that its task rings. Raises SettingsError."""
    if settings.redis_url is None:
        raise SettingsError("PAYMENTS_REDIS_URL is not set, and taskiq needs it; `payments worker` doesn't.")
    return DoorbellBroker(settings.redis_url.reveal())
