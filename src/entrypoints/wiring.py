"""The only module that names concrete adapters: everything over Postgres and Redis, or everything in memory."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec

from adapters.http import AddressGuard, HttpNotifier
from adapters.memory import CachedCredentials, MemoryCache, MemoryRateLimits, MemoryStore, SystemClock
from adapters.postgres import PostgresStore, create_engine, missing_migrations
from adapters.postgres import migrate as migrate_core
from adapters.redis.breaker import Breaker
from adapters.redis.cache import RedisCache
from adapters.redis.client import make_client
from adapters.redis.limits import RedisRateLimits
from adapters.sandbox import SandboxGateway
from adapters.sandbox.ledger import Ledger, MemoryLedger
from adapters.sandbox.postgres_ledger import PostgresLedger
from adapters.security.keys import SecretKeys
from adapters.security.passwords import Argon2Passwords
from adapters.security.tokens import JwtAccessTokens
from adapters.security.vault import AeadVault
from adapters.taskiq import DoorbellBroker, LocalBell, TaskiqDoorbell, listening
from entrypoints import checks
from entrypoints.counted import (
    CountedCache,
    CountedGateway,
    CountedLimits,
    CountedNotifier,
    CountedProcessor,
    NoLimits,
)
from entrypoints.metrics import Metrics
from entrypoints.services import Bell, Check, Services
from entrypoints.settings import Settings, SettingsError
from payments_core import Payments, Ports
from payments_core.ports import (
    Begin,
    Cache,
    Claims,
    Clock,
    Credentials,
    Doorbell,
    Gateway,
    Notifier,
    Passwords,
    RateLimits,
    Views,
)

ISSUER: Final = "payments-core"
AUDIENCE: Final = "payments-core"
ROOT_BYTES: Final = 32
encode: Final = msgspec.json.Encoder().encode
"""Writes what `payments_core.values.encode_json` writes, several times faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Adapters:
    """What differs between the two ways of wiring."""

    begin: Begin
    views: Views
    claims: Claims
    credentials: Credentials
    passwords: Passwords
    gateway: Gateway
    notifier: Notifier
    cache: Cache
    limits: RateLimits
    doorbell: Doorbell
    bell: Bell
    clock: Clock
    vital: Mapping[str, Check]
    useful: Mapping[str, Check]


@asynccontextmanager
async def in_memory(
    settings: Settings = Settings(),  # noqa: B008 - frozen
    *,
    clock: Clock | None = None,
    store: MemoryStore | None = None,
    notifier: Notifier | None = None,
    ledger: Ledger | None = None,
    passwords: Passwords | None = None,
    sandbox_latency_seconds: tuple[float, float] = (0.0, 0.0),
    metrics: Metrics | None = None,
) -> AsyncGenerator[Services, None]:
    """Give services that last as long as the block and touch neither disk nor network, webhooks apart.

    For tests and for a first look: passwords are hashed cheaply and the sandbox answers at once, unless something
    else is handed in.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as opened:
        store = store or MemoryStore()
        bell = LocalBell()
        adapters = _Adapters(
            begin=store.begin,
            views=store,
            claims=store.claims,
            credentials=store.credentials,
            passwords=passwords or Argon2Passwords(memory_kib=8, iterations=1),
            gateway=_sandbox(settings, ledger or MemoryLedger(), clock, latency=sandbox_latency_seconds),
            notifier=notifier if notifier is not None else await opened.enter_async_context(_http_notifier(settings)),
            cache=MemoryCache(clock=clock.now),
            limits=MemoryRateLimits(clock=clock.now),
            doorbell=bell,
            bell=bell,
            clock=clock,
            vital={"store": checks.always_there},
            useful={},
        )
        keys = _keys(settings) if settings.secret_key else SecretKeys(roots=(os.urandom(ROOT_BYTES),))
        yield _assemble(settings, adapters, keys, metrics or Metrics())


@asynccontextmanager
async def wire(
    settings: Settings, *, hears_rings: bool = False, metrics: Metrics | None = None
) -> AsyncGenerator[Services, None]:
    """Give services over Postgres, and Redis where there is one; everything is closed where the block ends.

    `hears_rings`: whether other processes' rings ring `services.bell`, which a process with a worker wants. Nothing
    is connected before it is used: servers that are away are what the checks are for. Raises SettingsError.
    """
    keys, url = _keys(settings), _database_url(settings)
    clock = SystemClock()
    async with AsyncExitStack() as opened:
        engine = create_engine(url)
        opened.push_async_callback(engine.dispose)
        store = PostgresStore(engine, vault=AeadVault(keys.derive("vault"), entropy=os.urandom))
        ledger = PostgresLedger(url)
        opened.push_async_callback(ledger.close)
        redis = await _redis(settings, clock, opened, hears_rings=hears_rings)
        adapters = _Adapters(
            begin=store.begin,
            views=store,
            claims=store.claims,
            credentials=CachedCredentials(store.credentials, clock=clock),
            passwords=Argon2Passwords(),
            gateway=_sandbox(settings, ledger, clock, latency=settings.sandbox_latency_seconds),
            notifier=await opened.enter_async_context(_http_notifier(settings)),
            cache=redis.cache,
            limits=redis.limits,
            doorbell=redis.doorbell,
            bell=redis.bell,
            clock=clock,
            vital={
                "store": checks.store_answers(engine),
                "migrations": checks.nothing_missing(lambda: missing_migrations(engine)),
            },
            useful=redis.checks,
        )
        yield _assemble(settings, adapters, keys, metrics or Metrics())


async def migrate(settings: Settings) -> None:
    """Bring the database up to date, the sandbox's schema included; safe to run at any time. Raises SettingsError."""
    url = _database_url(settings)
    await migrate_core(url)
    ledger = PostgresLedger(url)
    try:
        await ledger.prepare()
    finally:
        await ledger.close()


def _assemble(settings: Settings, adapters: _Adapters, keys: SecretKeys, metrics: Metrics) -> Services:
    limits = _limits(settings, adapters.limits, metrics)
    gateways = {False: CountedGateway(adapters.gateway, metrics)}
    payments = Payments(
        Ports(
            begin=adapters.begin,
            views=adapters.views,
            credentials=adapters.credentials,
            passwords=adapters.passwords,
            tokens=JwtAccessTokens(keys.derive("access-token"), issuer=ISSUER, audience=AUDIENCE),
            limits=limits,
            gateways=gateways,
            notifier=CountedNotifier(adapters.notifier, metrics),
            doorbell=adapters.doorbell,
            clock=adapters.clock,
            entropy=os.urandom,
            encode=encode,
        )
    )
    payments.processor = CountedProcessor(
        units=payments.processor.units, clock=adapters.clock, gateways=gateways, metrics=metrics
    )
    return Services(
        settings=settings,
        payments=payments,
        begin=adapters.begin,
        views=adapters.views,
        claims=adapters.claims,
        clock=adapters.clock,
        cache=CountedCache(adapters.cache, metrics),
        limits=limits,
        bell=adapters.bell,
        metrics=metrics,
        fingerprint_key=keys.derive("fingerprint")[0],
        vital=adapters.vital,
        useful=adapters.useful,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Redis:
    """What Redis does for us, or what each process does for itself where there is none."""

    cache: Cache
    limits: RateLimits
    doorbell: Doorbell
    bell: Bell
    checks: Mapping[str, Check]


async def _redis(settings: Settings, clock: Clock, opened: AsyncExitStack, *, hears_rings: bool) -> _Redis:
    own_limits = MemoryRateLimits(clock=clock.now)
    if settings.redis_url is None:
        bell = LocalBell()
        absent = "PAYMENTS_REDIS_URL is not set: "
        missing: dict[str, Check] = {
            "cache": checks.always_says(absent + "each process caches and counts limits for itself"),
            "queue": checks.always_says(absent + "workers in other processes find work by looking, every second"),
        }
        cache = MemoryCache(clock=clock.now)
        return _Redis(cache=cache, limits=own_limits, doorbell=bell, bell=bell, checks=missing)
    client = make_client(settings.redis_url)
    opened.push_async_callback(client.aclose)
    breaker = Breaker()
    broker = DoorbellBroker(settings.redis_url)
    await opened.enter_async_context(broker)
    doorbell = await opened.enter_async_context(TaskiqDoorbell(broker))
    if hears_rings:
        await opened.enter_async_context(listening(broker))
    return _Redis(
        cache=RedisCache(client, breaker=breaker),
        limits=RedisRateLimits(client, breaker=breaker, fallback=own_limits),
        doorbell=doorbell,
        bell=broker.bell,
        checks={
            "cache": checks.redis_answers(client, "lists are read from Postgres, limits counted in each process"),
            "queue": checks.redis_answers(client, "workers find work by looking, every second"),
        },
    )


def _limits(settings: Settings, limits: RateLimits, metrics: Metrics) -> RateLimits:
    if not settings.rate_limits:
        return NoLimits()
    chosen = (
        settings.limit_login_account,
        settings.limit_login_address,
        settings.limit_registration,
        settings.limit_api,
    )
    return CountedLimits(limits, metrics, numbers={limit.name: limit for limit in chosen})


def _sandbox(settings: Settings, ledger: Ledger, clock: Clock, *, latency: tuple[float, float]) -> SandboxGateway:
    return SandboxGateway(
        ledger,
        latency=latency,
        approval_rate=settings.sandbox_approval_rate,
        seed=settings.sandbox_seed,
        clock=clock,
    )


def _http_notifier(settings: Settings) -> HttpNotifier:
    return HttpNotifier(
        AddressGuard(
            allowed_networks=settings.webhook_allowed_networks,
            allow_http=settings.webhook_allow_http,
            ports=settings.webhook_ports,
        )
    )


def _keys(settings: Settings) -> SecretKeys:
    if settings.secret_key is None:
        raise SettingsError("PAYMENTS_SECRET_KEY: is not set; make one with `openssl rand -base64 32`")
    try:
        return SecretKeys.parse(settings.secret_key)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _database_url(settings: Settings) -> str:
    if settings.database_url is None:
        raise SettingsError("PAYMENTS_DATABASE_URL: is not set; `payments up` brings a Postgres of its own")
    return settings.database_url
