"""The only module that names concrete adapters: everything over Postgres and Redis, or everything in memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from adapters.http import AddressGuard, HttpNotifier
from adapters.memory.cache import MemoryCache
from adapters.memory.clock import SystemClock
from adapters.memory.credentials import CachedCredentials
from adapters.memory.limits import MemoryRateLimits
from adapters.memory.store import MemoryStore
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
from entrypoints.assembly import Adapters, assemble
from entrypoints.checks import always_says, always_there, nothing_missing, redis_answers, store_answers
from entrypoints.metrics import Metrics
from entrypoints.metrics_port import sharing_metrics
from entrypoints.services import Bell, Check, Services
from entrypoints.settings import Settings, SettingsError
from payments_core.ports import Cache, Clock, Doorbell, Notifier, Passwords, RateLimits

ISSUER: Final = "payments-core"
AUDIENCE: Final = "payments-core"
ROOT_BYTES: Final = 32
POSTGRES: Final = "postgres"
VALKEY: Final = "valkey"
RING_AGAIN_SECONDS: Final = 0.1
encode: Final = msgspec.json.Encoder().encode
"""Writes what `payments_core.values.encode_json` writes, several times faster (no answer has a float)."""


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
        keys = _keys(settings) if settings.secret_key else SecretKeys(roots=(os.urandom(ROOT_BYTES),))
        store = store or MemoryStore()
        bell = LocalBell()
        adapters = Adapters(
            begin=store.begin,
            views=store,
            claims=store.claims,
            credentials=store.credentials,
            passwords=passwords or Argon2Passwords(memory_kib=8, iterations=1),
            tokens=_tokens(keys),
            gateway=_sandbox(settings, ledger or MemoryLedger(), clock, latency=sandbox_latency_seconds),
            notifier=notifier if notifier is not None else await opened.enter_async_context(_http_notifier(settings)),
            cache=MemoryCache(clock=clock.now),
            limits=MemoryRateLimits(clock=clock.now),
            doorbell=bell,
            bell=bell,
            clock=clock,
            entropy=os.urandom,
            encode=encode,
            fingerprint_key=keys.derive("fingerprint")[0],
            vital={"store": always_there},
            useful={},
        )
        yield assemble(settings, adapters, metrics or Metrics())


@asynccontextmanager
async def wire(
    settings: Settings, *, hears_rings: bool = False, serves_metrics: bool = False
) -> AsyncGenerator[Services, None]:
    """Give services over Postgres, and Redis where there is one; everything is closed where the block ends.

    `hears_rings`: whether other processes' rings ring `services.bell`, which a process with a worker wants.
    `serves_metrics`: whether this process is part of the service, so that its metrics join the others' and are
    served; at most once in a process. Nothing is connected before it is used: servers that are away are what the
    checks are for. Raises SettingsError.
    """
    keys, url = _keys(settings), _database_url(settings)
    clock = SystemClock()
    async with AsyncExitStack() as opened:
        shared = opened.enter_context(sharing_metrics(settings)) if serves_metrics else None
        engine = create_engine(url)
        opened.push_async_callback(engine.dispose)
        store = PostgresStore(engine, vault=AeadVault(keys.derive("vault"), entropy=os.urandom))
        ledger = PostgresLedger(url)
        opened.push_async_callback(ledger.close)
        redis = await _redis(settings, clock, opened, hears_rings=hears_rings)
        adapters = Adapters(
            begin=store.begin,
            views=store,
            claims=store.claims,
            credentials=CachedCredentials(store.credentials, clock=clock),
            passwords=Argon2Passwords(),
            tokens=_tokens(keys),
            gateway=_sandbox(settings, ledger, clock, latency=settings.sandbox_latency_seconds),
            notifier=await opened.enter_async_context(_http_notifier(settings)),
            cache=redis.cache,
            limits=redis.limits,
            doorbell=redis.doorbell,
            bell=redis.bell,
            clock=clock,
            entropy=os.urandom,
            encode=encode,
            fingerprint_key=keys.derive("fingerprint")[0],
            vital={
                "store": store_answers(engine),
                "migrations": nothing_missing(lambda: missing_migrations(engine)),
            },
            useful=redis.checks,
        )
        services = assemble(settings, adapters, shared.metrics if shared else Metrics())
        if shared:
            await opened.enter_async_context(shared.serving(services))
        yield services


def taskiq_broker(settings: Settings) -> DoorbellBroker:
    """Return a broker for taskiq's own commands, with the bell that its task rings. Raises SettingsError."""
    if settings.redis_url is None:
        raise SettingsError("PAYMENTS_REDIS_URL: is not set, and taskiq needs it; `payments worker` doesn't")
    return DoorbellBroker(settings.redis_url)


async def migrate(settings: Settings) -> None:
    """Bring the database up to date, the sandbox's schema included; safe to run at any time. Raises SettingsError."""
    url = _database_url(settings)
    await migrate_core(url)
    ledger = PostgresLedger(url)
    try:
        await ledger.prepare()
    finally:
        await ledger.close()


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
            "cache": always_says(absent + "each process caches and counts limits for itself"),
            "queue": always_says(absent + "workers in other processes find work by looking, every second"),
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
            "cache": redis_answers(client, "lists are read from Postgres, limits counted in each process"),
            "queue": redis_answers(client, "workers find work by looking, every second"),
        },
    )


def _sandbox(settings: Settings, ledger: Ledger, clock: Clock, *, latency: tuple[float, float]) -> SandboxGateway:
    return SandboxGateway(
        ledger,
        latency=latency,
        approval_rate=settings.sandbox_approval_rate,
        seed=settings.sandbox_seed,
        clock=clock,
    )


def _tokens(keys: SecretKeys) -> JwtAccessTokens:
    return JwtAccessTokens(keys.derive("access-token"), issuer=ISSUER, audience=AUDIENCE)


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


async def hears_own_ring(redis_url: str, *, within_seconds: float) -> bool:
    """Ring as one process does and say whether another one hears it; a ring may be lost, so it rings until then."""
    ears, other = DoorbellBroker(redis_url), DoorbellBroker(redis_url)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_seconds
    async with ears, listening(ears), other, TaskiqDoorbell(other) as doorbell:
        while loop.time() < deadline:
            doorbell.ring()
            if await ears.bell.wait(RING_AGAIN_SECONDS):
                return True
    return False


async def missing(settings: Settings) -> list[str]:
    """Return the migrations that the database lacks, the oldest first. Raises SettingsError, Unavailable."""
    engine = create_engine(_database_url(settings))
    try:
        return await missing_migrations(engine)
    finally:
        await engine.dispose()


@asynccontextmanager
async def embedded_postgres(directory: Path, *, durable: bool = True) -> AsyncGenerator[str, None]:
    """Run the Postgres of a data directory while the block runs, and give its URL. Raises EmbeddedServerError."""
    async with EmbeddedPostgres(directory / POSTGRES, durable=durable) as server:
        yield server.dsn


@asynccontextmanager
async def embedded_valkey(directory: Path, *, durable: bool = True) -> AsyncGenerator[str, None]:
    """Run the Valkey of a data directory while the block runs, and give its URL. Raises EmbeddedServerError."""
    async with EmbeddedValkey(directory / VALKEY, persistent=durable) as server:
        yield server.url


def embedded_urls(directory: Path) -> tuple[str, str]:
    """Return the URLs of a data directory's Postgres and Valkey, the same while they run and while they don't."""
    return EmbeddedPostgres(directory / POSTGRES).dsn, EmbeddedValkey(directory / VALKEY, persistent=True).url
