"""What the entrypoints work with: the facade and the few ports that they use themselves. `wiring` makes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from entrypoints.export_places import ExportPlaces
from entrypoints.metrics import Metrics
from entrypoints.settings import Settings
from payments_core import Payments
from payments_core.ports import Begin, Books, Cache, Claims, Clock, GatewayLedger, Leftovers, RateLimits, Views

HealthCheck: TypeAlias = Callable[[], Awaitable[str | None]]
"""Look whether something works, in bounded time: None where it does, else a line that says what is wrong and its cure.
"""


class Bell(Protocol):
    """What a worker waits for."""

    def ring(self, /) -> None:
        """Wake the worker of this process. Never waits, never raises."""
        ...

    async def wait(self, timeout_seconds: float) -> bool:
        """Return True as soon as it rings or was rung, False after that many seconds of silence."""
        ...


class DatabaseSeen(Protocol):
    """What the database tells of itself."""

    @property
    def version(self) -> str:
        """Of the server."""
        ...

    @property
    def clock_skew_seconds(self) -> float:
        """How far its clock is from ours, at the least."""
        ...


class Sealed(Protocol):
    """What is sealed in one place, and what was done there."""

    @property
    def name(self) -> str:
        """What it is."""
        ...

    @property
    def rows(self) -> Mapping[bytes, int]:
        """How many rows were under each key, by the key's header."""
        ...

    @property
    def resealed(self) -> int:
        """How many of them were sealed again."""
        ...

    @property
    def unreadable(self) -> int:
        """How many no key opens."""
        ...

    @property
    def named(self) -> Sequence[Sequence[object]]:
        """The primary keys of the first of these."""
        ...


class Seals(Protocol):
    """All that is sealed in the database."""

    @property
    def headers(self) -> Sequence[bytes]:
        """How that begins which each key of the settings sealed, in their order: the first one seals."""
        ...

    async def walk(self, *, reseal: bool, told: Callable[[int], None]) -> Sequence[Sealed]:
        """Look at all of it, seal again what an older key sealed if `reseal`, and return what was found, by place.

        `told` is called with the number of rows that were looked at since. Raises Unavailable.
        """
        ...


class Cookies(Protocol):
    """What the console keeps in a browser, so that nobody else can have made it."""

    def sign(self, values: Mapping[str, str | int], /) -> str:
        """Return the text of a cookie that says this."""
        ...

    def read(self, text: str, /) -> Mapping[str, object] | None:
        """Return what a cookie says, or None where it is none of ours."""
        ...

    def form_token(self, session: str, /) -> str:
        """Return the token that a form carries which is shown to this session."""
        ...

    def is_form_token(self, session: str, token: str, /) -> bool:
        """Say whether a form that comes from this session carries its token."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that an entrypoint is given.

    `vital` are the checks without which nothing works (store, migrations, secrets); `useful` those without which it is
    slower (cache, queue). `fingerprint_key` keys the field digests of idempotency records. `bell` rings in this process
    whenever there may be work: its own, and other processes' where it was wired to hear them. `ledgers` are the
    books of those gateways that let us read them.
    """

    settings: Settings
    payments: Payments
    begin: Begin
    views: Views
    claims: Claims
    leftovers: Leftovers
    books: Books
    ledgers: Sequence[GatewayLedger]
    clock: Clock
    cache: Cache
    limits: RateLimits
    bell: Bell
    metrics: Metrics
    cookies: Cookies
    exports: ExportPlaces = field(default_factory=ExportPlaces)
    fingerprint_key: bytes = field(repr=False)
    vital: Mapping[str, HealthCheck]
    useful: Mapping[str, HealthCheck]
