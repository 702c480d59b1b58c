"""Services over Postgres and Redis, or in memory: the adapters of each port, chosen and counted."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import msgspec

from adapters.http import AddressGuard, HttpNotifier, Proxy
from adapters.memory.clock import SystemClock
from adapters.memory.credentials import CachedCredentials
from adapters.memory.store import MemoryStore
from adapters.postgres import PostgresStore
from adapters.sandbox import SandboxBooks, SandboxGateway
from adapters.sandbox.ledger import Ledger, MemoryLedger
from adapters.sandbox.postgres_ledger import PostgresLedger
from adapters.security.cookies import SignedCookies
from adapters.security.keys import SecretKeys
from adapters.security.passwords import Argon2Passwords
from adapters.security.tokens import JwtAccessTokens
from adapters.security.vault import AeadVault
from entrypoints.checks import always_says
from entrypoints.metered import MeteredCache, MeteredGateway, MeteredLimits, MeteredNotifier, NoLimits
from entrypoints.metrics import Metrics
from entrypoints.metrics_server import sharing_metrics
from entrypoints.secret import Secret
from entrypoints.services import HealthCheck, Services
from entrypoints.setting_types import secret_roots
from entrypoints.settings import Settings, SettingsError, needed
from entrypoints.wiring.database import open_database
from entrypoints.wiring.shared import Shared, alone, over_redis
from payments_core import Payments, Ports
from payments_core.ports import Clock, Credentials, Notifier, Passwords, Views
from payments_core.schedules import Schedules

ISSUER: Final = "payments-core"
AUDIENCE: Final = "payments-core"
ROOT_BYTES: Final = 32
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
        store = store or MemoryStore()
        ledger = ledger or MemoryLedger()
        yield _services(
            settings,
            metrics or Metrics(),
            keys=keys_of(settings.secret_key) if settings.secret_key else SecretKeys(roots=(os.urandom(ROOT_BYTES),)),
            clock=clock,
            store=store,
            views=store,
            credentials=store.credentials,
            passwords=passwords or _argon2(opened, Argon2Passwords(memory_kib=8, iterations=1)),
            gateway=_sandbox(settings, ledger, clock, latency=sandbox_latency_seconds),
            ledger=ledger,
            notifier=notifier if notifier is not None else await opened.enter_async_context(_http_notifier(settings)),
            shared=alone(clock, {}),
            vital={"store": always_says(None)},
            useful={},
        )


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
    url, secret = needed(settings, "database_url", "secret_key")
    keys = keys_of(secret)
    clock = SystemClock()
    async with AsyncExitStack() as opened:
        measured = opened.enter_context(sharing_metrics(settings)) if serves_metrics else None
        database = open_database(settings, url.reveal(), AeadVault(keys.derive("vault"), entropy=os.urandom), opened)
        ledger = PostgresLedger(url.reveal())
        opened.push_async_callback(ledger.close)
        services = _services(
            settings,
            measured.metrics if measured else Metrics(),
            keys=keys,
            clock=clock,
            store=database.store,
            views=database.views,
            credentials=CachedCredentials(database.store.credentials, clock=clock),
            passwords=_argon2(opened, Argon2Passwords()),
            gateway=_sandbox(settings, ledger, clock, latency=settings.sandbox_latency_seconds),
            ledger=ledger,
            notifier=await opened.enter_async_context(_http_notifier(settings)),
            shared=await over_redis(settings, clock, opened, hears_rings=hears_rings),
            vital=database.vital,
            useful=database.useful,
        )
        if measured:
            await opened.enter_async_context(measured.serving(services))
        yield services


def _services(
    settings: Settings,
    metrics: Metrics,
    *,
    keys: SecretKeys,
    clock: Clock,
    store: MemoryStore | PostgresStore,
    views: Views,
    credentials: Credentials,
    passwords: Passwords,
    gateway: SandboxGateway,
    ledger: Ledger,
    notifier: Notifier,
    shared: Shared,
    vital: Mapping[str, HealthCheck],
    useful: Mapping[str, HealthCheck],
) -> Services:
    """Return the services, whose ports count what goes through them. There is no gateway for live mode yet."""
    limits = MeteredLimits(shared.limits, metrics, settings.limits) if settings.rate_limits else NoLimits()
    ports = Ports(
        begin=store.begin,
        views=views,
        oversight=store.oversight,
        audit=store.audit,
        credentials=credentials,
        passwords=passwords,
        tokens=JwtAccessTokens(keys.derive("access-token"), issuer=ISSUER, audience=AUDIENCE),
        limits=limits,
        gateways={False: MeteredGateway(gateway, metrics)},
        notifier=MeteredNotifier(notifier, metrics),
        doorbell=shared.doorbell,
        clock=clock,
        entropy=os.urandom,
        encode=encode,
        schedules=Schedules(lookups=settings.lookup_schedule, deliveries=settings.webhook_schedule),
    )
    return Services(
        settings=settings,
        payments=Payments(ports),
        begin=store.begin,
        views=views,
        claims=store.claims,
        leftovers=store.leftovers,
        books=store.books,
        ledgers=[SandboxBooks(ledger)],
        clock=clock,
        cache=MeteredCache(shared.cache, metrics),
        limits=limits,
        bell=shared.bell,
        metrics=metrics,
        cookies=SignedCookies(keys.derive("console")),
        fingerprint_key=keys.derive("fingerprint")[0],
        vital=vital,
        useful={**useful, **shared.checks},
    )


def _argon2(opened: AsyncExitStack, passwords: Argon2Passwords) -> Argon2Passwords:
    opened.callback(passwords.close)
    return passwords


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
        ),
        proxy=None if settings.webhook_proxy is None else Proxy.at(settings.webhook_proxy.reveal()),
    )


def keys_of(secret: Secret) -> SecretKeys:
    """Return the keys of the setting. Raises SettingsError."""
    try:
        return SecretKeys(roots=secret_roots(secret.reveal()))
    except ValueError as error:
        raise SettingsError(f"PAYMENTS_SECRET_KEY: {error}") from None
