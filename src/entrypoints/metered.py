"""Ports that count what goes through them, and limits as an installation sets them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from entrypoints.metrics import Metrics
from payments_core.gateway import Capabilities, Outcome, Sighting, Submission
from payments_core.limits import Allowance, Limit
from payments_core.ports import Answered, Cache, Gateway, Notification, Notifier, RateLimits, Unreached


@final
class MeteredCache:
    """Counts hits and misses."""

    def __init__(self, cache: Cache, metrics: Metrics) -> None:
        self._cache = cache
        self._metrics = metrics

    async def get(self, key: str, /) -> bytes | None:
        """Return the bytes, or None."""
        value = await self._cache.get(key)
        self._metrics.cache_read(hit=value is not None)
        return value

    async def put(self, key: str, value: bytes, /, *, ttl_seconds: int) -> None:
        """Remember the bytes for a while."""
        await self._cache.put(key, value, ttl_seconds=ttl_seconds)


@final
class MeteredLimits:
    """Puts the installation's numbers in place of the defaults, by the limits' names, and counts refusals."""

    def __init__(self, limits: RateLimits, metrics: Metrics, numbers: Mapping[str, Limit], /) -> None:
        self._limits = limits
        self._metrics = metrics
        self._numbers = numbers

    async def hit(self, limit: Limit, key: str, /) -> Allowance:
        """Count one."""
        allowance = await self._limits.hit(self._numbers.get(limit.name, limit), key)
        if not allowance.allowed:
            self._metrics.rate_limited(limit.name)
        return allowance

    async def give_back(self, limit: Limit, key: str, /) -> None:
        """Count one less."""
        await self._limits.give_back(self._numbers.get(limit.name, limit), key)


@final
class NoLimits:
    """Allows everything: `PAYMENTS_RATE_LIMITS=off`.

    It is here and not among the adapters because it breaks their contract: no technology of counting, but the choice
    of an installation that measures something else.
    """

    async def hit(self, limit: Limit, _key: str, /) -> Allowance:
        """Allow it."""
        return Allowance(allowed=True, limit=limit, remaining=limit.amount, reset_after_seconds=0.0)

    async def give_back(self, _limit: Limit, _key: str, /) -> None:
        """Nothing is counted."""


@final
class MeteredNotifier:
    """Counts attempts by what came back."""

    def __init__(self, notifier: Notifier, metrics: Metrics) -> None:
        self._notifier = notifier
        self._metrics = metrics

    def refuses(self, url: str, /) -> str | None:
        """Return why an endpoint cannot have this URL, or None."""
        return self._notifier.refuses(url)

    async def send(self, notification: Notification, /) -> Answered | Unreached:
        """Post it."""
        reply = await self._notifier.send(notification)
        match reply:
            case Answered(status_code=status):
                self._metrics.delivery_attempted("delivered" if 200 <= status < 300 else "refused")
            case Unreached(code=code):
                self._metrics.delivery_attempted(code)
        return reply


@final
class MeteredGateway:
    """Counts a gateway's answers."""

    def __init__(self, gateway: Gateway, metrics: Metrics) -> None:
        self._gateway = gateway
        self._metrics = metrics

    @property
    def capabilities(self) -> Capabilities:
        """The gateway's promises."""
        return self._gateway.capabilities

    async def submit(self, submission: Submission, /) -> Outcome:
        """Ask for the money to move."""
        outcome = await self._gateway.submit(submission)
        self._metrics.gateway_answered(self.capabilities.name, type(outcome).__name__.lower())
        return outcome

    async def lookup(self, submission: Submission, /) -> Sighting:
        """Ask what became of a submission."""
        sighting = await self._gateway.lookup(submission)
        self._metrics.gateway_answered(self.capabilities.name, type(sighting).__name__.lower())
        return sighting
