"""Whether the process lives, and whether it can work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec
from litestar.handlers import HTTPRouteHandler, route

from entrypoints.http.query import take_no_query
from entrypoints.http.responses import JSON, NO_STORE, Reply
from entrypoints.services import HealthCheck, Services

LIVE_PATH: Final = "/health/live"
READY_PATH: Final = "/health/ready"
FINE: Final = "ok"
"""What is said of a thing with which nothing is wrong."""
PUBLIC: Final = {"public": True}


def health_handlers(services: Services) -> list[HTTPRouteHandler]:
    """Return the handlers of both pages."""

    @route(LIVE_PATH, http_method=["GET", "HEAD"], opt=PUBLIC, before_request=take_no_query)
    async def live() -> Reply:
        return _reply(200, FINE, {})

    @route(READY_PATH, http_method=["GET", "HEAD"], opt=PUBLIC, before_request=take_no_query)
    async def ready() -> Reply:
        vital, useful = await asyncio.gather(_look(services.vital), _look(services.useful))
        checks = {**vital, **useful}
        if any(vital.values()):
            return _reply(503, "unavailable", checks)
        return _reply(200, "degraded" if any(useful.values()) else FINE, checks)

    return [live, ready]


async def _look(checks: Mapping[str, HealthCheck]) -> dict[str, str | None]:
    found = await asyncio.gather(*(check() for check in checks.values()))
    return dict(zip(checks, found, strict=True))


def _reply(status: int, word: str, checks: Mapping[str, str | None]) -> Reply:
    told = {name: wrong or FINE for name, wrong in checks.items()}
    reply = Reply(status, (*JSON, NO_STORE), msgspec.json.encode({"status": word, "checks": told}))
    if status == 503:
        reply.headers.append((b"retry-after", b"1"))
    return reply
