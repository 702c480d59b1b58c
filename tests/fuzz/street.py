"""The application in memory as generated calls meet it: a merchant with something of everything, payments that settle.

The application lives in a loop of its own, since what is generated comes from a thread that has none.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, TypeAlias
from zlib import crc32

from anyio.from_thread import BlockingPortal, start_blocking_portal
from litestar import Litestar
from schemathesis import Case
from schemathesis.core.parameters import ParameterLocation

from entrypoints.http.app import create_app
from tests.unit.http_shop import PASSWORD, Api, Shop, open_api

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

OWN_CREDENTIAL: Final = "Token of-the-merchant"
"""Stands for the credential of the merchant whose turn it is: calls are made up before there is one."""
CALLS_BETWEEN_SWEEPS: Final = 10
CASES_OF_A_MERCHANT: Final = 10
"""After so many cases another merchant comes: endpoints have a limit, and what is canceled stays so."""
LEFT_AS_GENERATED: Final = 4
"""One case in so many keeps the ids that were made up for it."""

_REAL_ID: Final = re.compile(r"[a-z]{2,4}_[0-9A-Z]{26}")
_LOG_OUT_PATH: Final = "/api/auth/logout/"
_ID_OF: Final[Mapping[str, str]] = {
    "/api/auth/api_keys/": "api_key",
    "/api/payments/payment_key/": "payment_key",
    "/api/refunds/": "refund",
    "/api/webhooks/": "webhook",
    "/api/events/": "event",
    "/api/idempotency_keys/": "idempotency_key",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Possessions:
    """A merchant, and the names of what it has."""

    shop: Shop
    ids: Mapping[str, str]
    session_key: str
    refresh_token: str


class Street:
    """An ASGI application; behind it are merchants, one after the other."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, bool, int]] = Counter()
        self._portal: BlockingPortal | None = None
        self._api: Api | None = None
        self._app: Litestar | None = None
        self._now: Possessions | None = None
        self._logged_out = False
        self._cases = self._calls = 0

    @contextmanager
    def opened(self) -> Generator[None, None, None]:
        """Answer calls while the block lasts."""
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(open_api()) as api:
            self._portal, self._api, self._app = portal, api, create_app(api.services)
            yield
            self._portal = self._api = self._app = self._now = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one call from whichever loop it comes."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        assert self._portal is not None
        request = await receive()
        for message in await asyncio.wrap_future(self._portal.start_task_soon(self._answer, scope, request)):
            await send(message)

    async def _answer(self, scope: Message, request: Message) -> list[Message]:
        assert self._app is not None
        assert self._api is not None
        sent: list[Message] = []
        scope["headers"] = [(name, await self._credential(value, scope)) for name, value in scope["headers"]]

        async def receive() -> Message:
            return request

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)  # type: ignore[arg-type]  # Litestar names its messages
        self._calls += 1
        self._api.clock.move(timedelta(milliseconds=1))
        if self._calls % CALLS_BETWEEN_SWEEPS == 0:
            self._api.clock.move(timedelta(seconds=1))
            await self._api.work()
        return sent

    async def _credential(self, value: bytes, scope: Message) -> bytes:
        """Return a header's value; a key of the merchant for OWN_CREDENTIAL, that of a session for the logout."""
        if value != OWN_CREDENTIAL.encode():
            return value
        now = self._now = self._now or await self._move_in()
        return f"Token {now.session_key if scope['path'] == _LOG_OUT_PATH else now.shop.secret}".encode()

    def another_merchant(self) -> None:
        """Let the next case be another merchant's."""
        self._now = None
        self._logged_out = False

    @property
    def now(self) -> Possessions:
        """The merchant whose turn it is."""
        if self._now is None:
            assert self._portal is not None
            self._now = self._portal.call(self._move_in)
        return self._now

    async def _move_in(self) -> Possessions:
        assert self._api is not None
        shop = await self._api.open_shop()
        webhook = await shop.add_webhook()
        done = await shop.paid(key="done")
        refund = (await shop.post("/api/refunds/", {"transaction": done["id"], "amount": "1.00"})).json()
        await self._api.work()
        hook = f"/api/webhooks/{webhook['id']}/"
        other = await shop.post("/api/auth/api_keys/")
        public = {"email": shop.email, "password": PASSWORD}
        return Possessions(
            shop=shop,
            ids={
                "api_key": other.json()["id"],
                "payment_key": shop.payment_key_id,
                "done": done["id"],
                "refund": refund["id"],
                "webhook": webhook["id"],
                "delivery": (await shop.get(f"{hook}deliveries/")).json()["results"][0]["id"],
                "event": (await shop.get("/api/events/")).json()["results"][0]["id"],
                "idempotency_key": "done",
            },
            session_key=(await self._api.client.post("/api/auth/login/", json=public)).json()["api_key"],
            refresh_token=(await self._api.client.post("/api/auth/token/", json=public)).json()["refresh"],
        )

    def next_case(self, case: Case[Any]) -> None:
        """Have the case be about things that exist, as far as its kind allows, unless it is one that shall not."""
        self._cases += 1
        if self._logged_out or self._cases % CASES_OF_A_MERCHANT == 0:
            self.another_merchant()
        self.settle(case)

    def settle(self, case: Case[Any]) -> None:
        """Put the merchant's own names where the case has made-up ones of the same type."""
        if crc32(repr((case.path_parameters, case.body)).encode()) % LEFT_AS_GENERATED == 0:
            return
        if _keeps_to_the_schema(case, ParameterLocation.PATH):
            for name, value in case.path_parameters.items():
                if not _REAL_ID.fullmatch(str(value)):
                    case.path_parameters[name] = self._id_for(case.operation.path, name)
        if isinstance(case.body, dict) and _keeps_to_the_schema(case, ParameterLocation.BODY):
            for name, value in self._own(case.operation.label).items():
                if isinstance(case.body.get(name), str) and not _REAL_ID.fullmatch(str(case.body[name])):
                    case.body[name] = value

    def _id_for(self, path: str, name: str) -> str:
        ids = self.now.ids  # moves in whoever's turn it is, which cannot be done in the loop
        if name == "delivery":
            return ids["delivery"]
        if path.startswith("/api/transactions/"):
            return self._pending() if path.endswith("/cancel/") else ids["done"]
        return ids[next(kind for start, kind in _ID_OF.items() if path.startswith(start))]

    def _pending(self) -> str:
        assert self._portal is not None
        return self._portal.call(self._pay)

    async def _pay(self) -> str:
        """Return a payment that waits; one that is settled where a chain has removed the merchant's keys."""
        shop = self.now.shop
        answer = await shop.post("/api/transactions/pay", shop.payment())
        return str(answer.json()["id"]) if answer.status_code == 201 else self.now.ids["done"]

    def _own(self, label: str) -> Mapping[str, str]:
        now = self.now
        if label == "POST /api/auth/register/":
            return {}
        return {
            "email": now.shop.email,
            "username": now.shop.email,
            "password": PASSWORD,
            "refresh": now.refresh_token,
            "payment_key": now.shop.payment_key,
            "amount": "3",
            "currency": "usd",
            "transaction": now.ids["done"],
        }

    def note(self, case: Case[Any], status: int) -> None:
        """Count an answer: by operation, by whether the call kept to the schema, by status."""
        kept = case.method == case.operation.method.upper() and (
            case.meta is None or not case.meta.generation.mode.is_negative
        )
        self.answers[case.operation.label, kept, status] += 1
        if status == 401:
            self._renew_key()
        self._logged_out = self._logged_out or (case.operation.path == _LOG_OUT_PATH and status == 204)

    def _renew_key(self) -> None:
        """Give the merchant another key: the one it has may be revoked, and what it made stays its own."""
        assert self._portal is not None
        now = self.now
        self._now = replace(now, shop=self._portal.call(now.shop.with_key))


def _keeps_to_the_schema(case: Case[Any], location: ParameterLocation) -> bool:
    """Tell whether this part of the case is made to be accepted; one that is to be refused stays as it is."""
    return case.meta is None or not case.meta.is_negative_at(location)
