"""The world of a campaign: a real Postgres and Valkey, API and workers in processes of their own, merchants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.chaos.clients import ANSWER_SECONDS
from tests.chaos.decks import Deck, Tally
from tests.chaos.fleet import Fleet
from tests.chaos.kinds import Kind
from tests.chaos.plan import LEASE_SECONDS
from tests.chaos.receivers import Book, Receiver
from tests.chaos.shops import Shop, open_shop
from tests.processes import SECRET_KEY, run

SHOPS: Final = tuple(f"shop-{number}" for number in range(1, 7))
DELIVERY_SCHEDULE: Final = ("0s", "1s", "2s", "2s", "3s", "3s", "4s", "5s", "8s", "10s")
LOOKUP_SCHEDULE: Final = ("1s", "1s", "2s", "2s", "3s", "3s", "5s", "5s", "10s", "20s")
CONNECTIONS_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that runs, and the book of what receivers got."""

    settings: Mapping[str, str]
    folder: Path
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    fleet: Fleet
    apis: Sequence[httpx.AsyncClient]
    shops: Mapping[str, Shop]
    book: Book


@asynccontextmanager
async def running_world(folder: Path, receptions: Deck[Kind], tally: Tally) -> AsyncGenerator[World]:
    """Start everything below a folder; end everything with the block, whatever happened in it."""
    async with AsyncExitStack() as opened:
        postgres = await opened.enter_async_context(EmbeddedPostgres(folder / "postgres"))
        valkey = await opened.enter_async_context(EmbeddedValkey(folder / "valkey"))
        settings = _settings(postgres.url, valkey.url)
        migrated = await asyncio.to_thread(run, "migrate", settings=settings, cwd=folder)
        assert migrated.returncode == 0, migrated.stdout + migrated.stderr
        logs = folder / "logs"
        logs.mkdir()
        fleet = Fleet(settings, logs)
        opened.push_async_callback(fleet.close)
        await fleet.start()
        apis = [await opened.enter_async_context(_client(url)) for url in fleet.urls]
        shops: dict[str, Shop] = {}
        book = Book(_telling(shops))
        for name in SHOPS:
            steady, unreliable = Receiver(book, None, tally), Receiver(book, receptions, tally)
            for receiver in (steady, unreliable):
                opened.push_async_callback(receiver.close)
                await receiver.listen()
            shops[name] = await open_shop(apis[0], name, steady=steady, unreliable=unreliable)
        yield World(
            settings=settings,
            folder=folder,
            postgres=postgres,
            valkey=valkey,
            fleet=fleet,
            apis=apis,
            shops=shops,
            book=book,
        )


def _telling(shops: Mapping[str, Shop]) -> Callable[[str, Mapping[str, Any]], None]:
    """Return what tells a webhook to the merchant of its endpoint."""

    def tell(endpoint: str, event: Mapping[str, Any]) -> None:
        for shop in shops.values():
            if endpoint in (shop.steady.endpoint, shop.unreliable.endpoint):
                shop.hear(event)

    return tell


def _client(url: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=CONNECTIONS_MAX)
    return httpx.AsyncClient(base_url=url, timeout=ANSWER_SECONDS, limits=limits)


def _settings(database_url: str, redis_url: str) -> dict[str, str]:
    return {
        "PAYMENTS_DATABASE_URL": database_url,
        "PAYMENTS_REDIS_URL": redis_url,
        "PAYMENTS_SECRET_KEY": SECRET_KEY,
        "PAYMENTS_METRICS_PORT": "0",
        "PAYMENTS_RATE_LIMITS": "off",
        "PAYMENTS_SANDBOX_LATENCY_SECONDS": "0-0.3",
        "PAYMENTS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "PAYMENTS_WEBHOOK_ALLOW_HTTP": "on",
        "PAYMENTS_WEBHOOK_SCHEDULE": ",".join(DELIVERY_SCHEDULE),
        "PAYMENTS_LOOKUP_SCHEDULE": ",".join(LOOKUP_SCHEDULE),
        "PAYMENTS_LEASE_SECONDS": str(LEASE_SECONDS),
        "PAYMENTS_LOG_FORMAT": "json",
    }
