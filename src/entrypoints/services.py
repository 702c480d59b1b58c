"""What the entrypoints work with: the facade and the few ports that they use themselves. `wiring` makes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from entrypoints.settings import Settings
from payments_core import Payments
from payments_core.ports import Cache, Claims, Clock, RateLimits, Views

Check: TypeAlias = Callable[[], Awaitable[str | None]]
"""Look whether something works, in bounded time: None where it does, else one line that says what is wrong and the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that an entrypoint is given.

    `vital` are the checks without which nothing works (store, migrations); `useful` those without which it is slower
    (cache, queue). `fingerprint_key` keys the field digests of idempotency records.
    """

    settings: Settings
    payments: Payments
    views: Views
    claims: Claims
    clock: Clock
    cache: Cache
    limits: RateLimits
    fingerprint_key: bytes
    vital: Mapping[str, Check]
    useful: Mapping[str, Check]
