"""A shop over memory whose webhooks leave by the real notifier."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from adapters.http.notifier import HttpNotifier
from adapters.memory import HandClock, MemoryNotifier, MemoryStore
from entrypoints.settings import Settings
from entrypoints.wiring import in_memory
from tests.unit.http_shop import START, UNLIMITED, Api, Shop, application


@asynccontextmanager
async def shop_over(settings: Settings = UNLIMITED, *, notifier: HttpNotifier | None = None) -> AsyncIterator[Shop]:
    """Give a shop with this notifier, else with the one of the settings."""
    clock, store = HandClock(START), MemoryStore()
    async with in_memory(settings, clock=clock, store=store, notifier=notifier) as services:
        with application(services) as app:
            transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar names its messages
            async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
                api = Api(client=client, services=services, clock=clock, store=store, notifier=MemoryNotifier())
                yield await api.open_shop()


async def attempted(shop: Shop, endpoint: str) -> Any:
    """Send a test to the endpoint, and return what the merchant sees of the attempt, its time apart."""
    answer = await shop.post(f"/api/webhooks/{endpoint}/test/")
    assert answer.status_code == 202, answer.text
    await shop.api.work()
    [delivery] = (await shop.get(f"/api/webhooks/{endpoint}/deliveries/")).json()["results"]
    return {name: value for name, value in delivery["attempts"][0].items() if name != "at"}
