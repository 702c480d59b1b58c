"""The services, assembled from ports: the same over Postgres and in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from entrypoints.counted import (
    CountedCache,
    CountedGateway,
    CountedLimits,
    CountedNotifier,
    NoLimits,
)
from entrypoints.metrics import Metrics
from entrypoints.services import Bell, Check, Services
from entrypoints.settings import Settings
from payments_core import Payments, Ports
from payments_core.ports import (
    AccessTokens,
    Begin,
    Cache,
    Claims,
    Clock,
    Credentials,
    Doorbell,
    Entropy,
    Gateway,
    Notifier,
    Passwords,
    RateLimits,
    Views,
)
from payments_core.values import Encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """One of each. `gateway` is for test mode: there is none for live mode yet."""

    begin: Begin
    views: Views
    claims: Claims
    credentials: Credentials
    passwords: Passwords
    tokens: AccessTokens
    gateway: Gateway
    notifier: Notifier
    cache: Cache
    limits: RateLimits
    doorbell: Doorbell
    bell: Bell
    clock: Clock
    entropy: Entropy
    encode: Encode
    fingerprint_key: bytes
    vital: Mapping[str, Check]
    useful: Mapping[str, Check]


def assemble(settings: Settings, adapters: Adapters, metrics: Metrics) -> Services:
    """Return the services, whose ports count what goes through them."""
    limits = _limits(settings, adapters.limits, metrics)
    gateways = {False: CountedGateway(adapters.gateway, metrics)}
    payments = Payments(
        Ports(
            begin=adapters.begin,
            views=adapters.views,
            credentials=adapters.credentials,
            passwords=adapters.passwords,
            tokens=adapters.tokens,
            limits=limits,
            gateways=gateways,
            notifier=CountedNotifier(adapters.notifier, metrics),
            doorbell=adapters.doorbell,
            clock=adapters.clock,
            entropy=adapters.entropy,
            encode=adapters.encode,
        )
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
        fingerprint_key=adapters.fingerprint_key,
        vital=adapters.vital,
        useful=adapters.useful,
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
