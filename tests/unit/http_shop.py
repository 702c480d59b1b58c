"""The HTTP application over memory, and merchants that use it: no sockets, a clock that moves when told."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

import httpx
from litestar import Litestar

from adapters.memory import HandClock, MemoryNotifier, MemoryStore
from entrypoints.http.app import create_app
from entrypoints.services import Services
from entrypoints.settings import Settings
from entrypoints.wiring import in_memory
from payments_core import keys
from payments_core.ids import MerchantId
from payments_core.merchant import ALL_SCOPES, Scope
from payments_core.testing.builders import an_api_key
from payments_core.worker import Worker

PASSWORD: Final = "correct horse battery staple"
START: Final = datetime(2026, 3, 1, 9, 30, 15, 123_457, tzinfo=UTC)
UNLIMITED: Final = Settings(rate_limits=False)
_NO_BODY: Final[Mapping[str, Any]] = {}
_shops = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The application, and the hands that tests need around it."""

    client: httpx.AsyncClient
    services: Services
    clock: HandClock
    store: MemoryStore
    notifier: MemoryNotifier

    async def open_shop(self, email: str | None = None) -> Shop:
        """Register a merchant over HTTP and give it a payment key."""
        email = email or f"shop-{next(_shops)}@example.com"
        answer = await self.client.post("/api/auth/register/", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        shop = Shop(api=self, email=email, id=answer.json()["id"], secret=answer.json()["api_key"])
        made = await shop.post("/api/payments/payment_key/")
        assert made.status_code == 201, made.text
        return replace(shop, payment_key=made.json()["key"], payment_key_id=made.json()["id"])

    async def work(self) -> None:
        """Do all that is due now, as a worker does."""
        worker = Worker(self.services.payments, self.services.claims, self.clock, wake=lambda: None)
        await worker.sweep_until_idle()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A merchant with an API key of all scopes, in test mode."""

    api: Api
    email: str
    id: str
    secret: str
    payment_key: str = ""
    payment_key_id: str = ""

    async def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **rest: Any
    ) -> httpx.Response:
        """Send a request with this merchant's credential; it takes a millisecond, so that ids sort as they are made."""
        own = {"authorization": f"Token {self.secret}", **(headers or {})}
        answer = await self.api.client.request(method, path, headers=own, **rest)
        self.api.clock.move(timedelta(milliseconds=1))
        return answer

    async def get(self, path: str, **rest: Any) -> httpx.Response:
        return await self.call("GET", path, **rest)

    async def post(self, path: str, json: object = None, **rest: Any) -> httpx.Response:
        return await self.call("POST", path, **rest, **(_NO_BODY if json is None else {"json": json}))

    async def patch(self, path: str, json: object) -> httpx.Response:
        return await self.call("PATCH", path, json=json)

    async def delete(self, path: str) -> httpx.Response:
        return await self.call("DELETE", path)

    def payment(self, **more: object) -> dict[str, object]:
        """Return the body of a payment of 100.00 USD."""
        return {"payment_key": self.payment_key, "amount": "100.00", "currency": "USD", **more}

    async def pay(self, *, key: str | None = None, **more: object) -> Any:
        """Pay, and return the transaction as it was answered."""
        headers = {} if key is None else {"idempotency-key": key}
        answer = await self.post("/api/transactions/pay", self.payment(**more), headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def paid(self, **more: Any) -> Any:
        """Pay, have it processed, and return the transaction as it is then."""
        made = await self.pay(**more)
        await self.api.work()
        return (await self.get(f"/api/transactions/{made['id']}/")).json()

    async def add_webhook(self, url: str = "https://shop.example.com/webhooks") -> Any:
        """Add an endpoint, and return it with its secret."""
        answer = await self.post("/api/webhooks/", {"url": url})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def with_key(self, *, livemode: bool = False, scopes: frozenset[Scope] = ALL_SCOPES) -> Shop:
        """Return the same merchant with another key, put into the store as no call would make it."""
        async with self.api.store.begin() as work:
            merchant = await work.merchants.get(MerchantId(self.id))
            made = an_api_key(merchant, livemode=livemode)
            secret = keys.make_api_key(made.id.encode(), livemode=livemode)
            work.api_keys.add(replace(made, digest=keys.digest(secret), scopes=scopes))
        return replace(self, secret=secret)


class ServicesOfNow:
    """Services that another test may exchange: an application costs 25 ms to make, a look through here nothing."""

    def __init__(self) -> None:
        self.now: Services | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.now, name)


_idle: list[tuple[ServicesOfNow, Litestar]] = []


@contextmanager
def application(services: Services) -> Generator[Litestar, None, None]:
    """Give an application over the services, one that no other test uses now."""
    of_now, app = _idle.pop() if _idle else _made()
    of_now.now = services
    yield app
    _idle.append((of_now, app))


def _made() -> tuple[ServicesOfNow, Litestar]:
    of_now = ServicesOfNow()
    return of_now, create_app(of_now)  # type: ignore[arg-type]  # stands in for Services


@asynccontextmanager
async def open_api(
    settings: Settings = UNLIMITED, *, store: MemoryStore | None = None, **services: Any
) -> AsyncGenerator[Api, None]:
    """Give the application over an empty store; `services` replaces fields of its Services."""
    clock, store, notifier = HandClock(START), store or MemoryStore(), MemoryNotifier()
    async with in_memory(settings, clock=clock, store=store, notifier=notifier) as wired:
        wired = replace(wired, **services)
        with application(wired) as app:
            transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar names its messages
            async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
                yield Api(client=client, services=wired, clock=clock, store=store, notifier=notifier)


def problem(answer: httpx.Response, status: int, code: str) -> Any:
    """Return the answer's problem document, which must be one of this status and code."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["code"] == code, document
    assert document["status"] == status
    assert document["type"] == f"/problems/{code}"
    assert document["request_id"] == answer.headers["x-request-id"]
    assert document["title"]
    assert document["detail"]
    return document


def at_fault(answer: httpx.Response) -> set[tuple[str, str]]:
    """Return field and code of each fault that the answer names."""
    return {(error["field"], error["code"]) for error in answer.json().get("errors", [])}
