"""Each call wants a credential with a scope of its own, and live mode a gateway."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from entrypoints.http.app import OPERATIONS, create_app
from entrypoints.http.console.handlers import CONSOLE
from entrypoints.http.operations import OPERATION, Operation
from payments_core.merchant import Scope
from tests.unit.http_shop import Shop, open_api, problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """A shop, and itself in live mode."""

    owner: Shop
    live: Shop


@pytest.fixture
async def town() -> AsyncGenerator[Town, None]:
    async with open_api() as api:
        owner = await api.open_shop()
        yield Town(owner=owner, live=await owner.with_key(livemode=True))


async def test_live_mode_is_refused_while_there_is_no_gateway_for_it(town: Town) -> None:
    body = town.owner.payment(payment_method="pm_1")
    problem(await town.live.post("/api/transactions/pay", body), 400, "idempotency_key_required")
    answer = await town.live.post("/api/transactions/pay", body, headers={"idempotency-key": "k"})
    problem(answer, 400, "live_mode_unavailable")


@pytest.fixture
async def app() -> AsyncGenerator[Litestar, None]:
    async with open_api() as api:
        yield create_app(api.services)


def test_every_route_declares_a_scope_or_that_it_is_public(app: Litestar) -> None:
    undeclared = []
    for route in app.routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            operation = handler.opt.get(OPERATION)
            declared = (
                isinstance(operation, Operation)
                or handler.opt.get("public")
                # Whose each page is it says itself: `tests/attack/test_console.py` tries them.
                or handler.opt.get(CONSOLE)
                or handler.http_methods == {"OPTIONS"}
            )
            if not declared:
                undeclared.append(route.path)
    assert undeclared == []


def test_what_is_public_is_what_one_needs_to_become_known() -> None:
    assert {operation.path for operation in OPERATIONS if operation.access == "public"} == {
        "/api/auth/register/",
        "/api/auth/login/",
        "/api/auth/token/",
        "/api/auth/token/refresh/",
    }


async def test_every_call_wants_a_credential_and_its_own_scope(town: Town) -> None:
    for operation in OPERATIONS:
        if operation.access == "public":
            continue
        path = operation.path.format(id="x_1", key="k", delivery="dlv_1")
        problem(await town.owner.api.client.request(operation.method, path), 401, "authentication_required")
        weak = await town.owner.with_key(scopes=frozenset(Scope) - {operation.access})
        document = problem(await weak.call(operation.method, path), 403, "scope_missing")
        assert operation.access in document["detail"]


def test_reading_takes_a_reading_scope_and_writing_a_writing_one() -> None:
    for operation in OPERATIONS:
        if operation.access != "public":
            assert operation.access.endswith(":read" if operation.method == "GET" else ":write")
