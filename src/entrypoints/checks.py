"""Looks at what the service stands on, as health pages and commands ask for them: bounded, shared, in words."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from entrypoints.services import HealthCheck
from payments_core.errors import Unavailable, Unreadable

LOOK_SECONDS: Final = 2.0
FRESH_SECONDS: Final = 1.0
"""How long one answer serves all who ask: a health page that is asked a thousand times a second looks once."""
SETTLED_FRESH_SECONDS: Final = 3.0
"""The same for what seldom changes and costs more to look at; where it is wrong, it is looked at every second."""
WRONG_KEY: Final = (
    "PAYMENTS_SECRET_KEY does not open what is sealed in this database: put the key by which it was sealed behind it, "
    "PAYMENTS_SECRET_KEY=new,old (that of `payments up` is in the file secret_key of its data directory)"
)
ROLE_CURE: Final = (
    "is not set, and nothing else bounds statements behind a pooler: run `payments migrate` as this role, and have the "
    "pooler make new connections (PgBouncer: RECONNECT)"
)

now_seconds = time.monotonic
_looks: Final[set[asyncio.Future[str | None]]] = set()
"""Looks that have not ended, for the event loop alone would not keep those that were given up."""
_log = logging.getLogger(__name__)


def always_says(what: str | None) -> HealthCheck:
    """Return the check of something that is there without fail (None), or that is not there by choice."""

    async def check() -> str | None:
        return what

    return check


def answers(look: Callable[[], Awaitable[None]], otherwise: str) -> HealthCheck:
    """Return the check whose look raises Unavailable where something is wrong; `otherwise` is what to know then."""

    async def see() -> str | None:
        await look()
        return None

    return _shared(see, otherwise)


def nothing_missing(missing: Callable[[], Awaitable[Sequence[str]]]) -> HealthCheck:
    """Return the check that every migration was made."""

    async def see() -> str | None:
        names = await missing()
        return f"the database lacks {', '.join(names)}; run `payments migrate`" if names else None

    return _shared(see, "nobody knows which migrations were made", good_for_seconds=SETTLED_FRESH_SECONDS)


def nothing_unbounded(unbounded: Callable[[], Awaitable[Sequence[str]]]) -> HealthCheck:
    """Return the check that the server bounds what is asked of it, where a pooler keeps us from telling it."""

    async def see() -> str | None:
        names = await unbounded()
        return f"{', '.join(names)} of the role {ROLE_CURE}" if names else None

    return _shared(see, "nobody knows whether statements are bounded", good_for_seconds=SETTLED_FRESH_SECONDS)


def readable(open_a_secret: Callable[[], Awaitable[None]]) -> HealthCheck:
    """Return the check that the secret key is the one of this database."""

    async def see() -> str | None:
        try:
            await open_a_secret()
        except Unreadable:
            return WRONG_KEY
        return None

    return _shared(see, "nobody knows whether the secrets can be read", good_for_seconds=SETTLED_FRESH_SECONDS)


def _shared(see: HealthCheck, otherwise: str, *, good_for_seconds: float = FRESH_SECONDS) -> HealthCheck:
    """Return a check that looks once for all who ask at the same time, and for those who ask a moment later."""
    turn = asyncio.Lock()
    found: str | None = None
    fresh_until = float("-inf")

    async def check() -> str | None:
        nonlocal found, fresh_until
        # Who waits here is answered by the look under way; were that one cancelled, the next would look in its place.
        async with turn:
            if now_seconds() >= fresh_until:
                found = await _bounded(see, otherwise)
                fresh_until = now_seconds() + (good_for_seconds if found is None else FRESH_SECONDS)
            return found

    return check


async def _bounded(see: HealthCheck, otherwise: str) -> str | None:
    look = asyncio.ensure_future(see())
    _looks.add(look)
    look.add_done_callback(_ended)
    try:
        done, _ = await asyncio.wait({look}, timeout=LOOK_SECONDS)
    finally:
        look.cancel()  # its end isn't waited for: a driver that first tells a silent server takes seconds
    if not done:
        return f"no answer within {LOOK_SECONDS:g} s: {otherwise}"
    try:
        return look.result()
    except Unavailable as error:
        return f"{error.message}: {otherwise}"
    except Exception as error:  # a defect of a look is a finding too, and no reason to answer nothing
        _log.exception("a look at what this service stands on failed")
        return f"the look failed ({type(error).__name__}): {otherwise}"


def _ended(look: asyncio.Future[str | None]) -> None:
    _looks.discard(look)
    if not look.cancelled():
        look.exception()  # asyncio would log that nobody asked for it, where the look was given up
