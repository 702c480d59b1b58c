"""A merchant sees its own, in its own mode, with its own scopes; what belongs to others is not there."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from entrypoints.http.app import OPERATIONS, create_app
from entrypoints.http.operations import OPERATION, Operation
from payments_core.merchant import Scope
from tests.unit.http_shop import Shop, open_api, problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """A shop that has one of everything, its neighbour, and itself in live mode."""

    owner: Shop
    neighbour: Shop
    live: Shop
    ids: dict[str, str]


@pytest.fixture
async def town() -> AsyncGenerator[Town, None]:
    async with open_api() as api:
        owner, neighbour = await api.open_shop(), await api.open_shop()
        endpoint = await owner.add_webhook()
        done = await owner.paid(key="mine")
        refund = (await owner.post("/api/refunds/", {"transaction": done["id"], "amount": "1.00"})).json()
        (delivery, *_) = (await owner.get(f"/api/webhooks/{endpoint['id']}/deliveries/")).json()["results"]
        key = (await owner.get("/api/auth/api_keys/")).json()["results"][0]
        ids = {
            "transaction": done["id"],
            "refund": refund["id"],
            "endpoint": endpoint["id"],
            "delivery": delivery["id"],
            "event": delivery["event"],
            "api_key": key["id"],
            "payment_key": owner.payment_key_id,
        }
        yield Town(owner=owner, neighbour=neighbour, live=await owner.with_key(livemode=True), ids=ids)


READS = (
    "/api/transactions/{transaction}/",
    "/api/transactions/{transaction}/events/",
    "/api/refunds/{refund}/",
    "/api/webhooks/{endpoint}/",
    "/api/webhooks/{endpoint}/deliveries/",
    "/api/events/{event}/",
    "/api/idempotency_keys/mine/",
)
WRITES = (
    ("POST", "/api/transactions/{transaction}/cancel/"),
    ("DELETE", "/api/auth/api_keys/{api_key}/"),
    ("POST", "/api/auth/api_keys/{api_key}/rotate/"),
    ("DELETE", "/api/payments/payment_key/{payment_key}/"),
    ("PATCH", "/api/webhooks/{endpoint}/"),
    ("DELETE", "/api/webhooks/{endpoint}/"),
    ("POST", "/api/webhooks/{endpoint}/rotate_secret/"),
    ("POST", "/api/webhooks/{endpoint}/test/"),
    ("POST", "/api/webhooks/{endpoint}/deliveries/{delivery}/retry/"),
)
LISTS = (
    "/api/transactions/",
    "/api/refunds/",
    "/api/webhooks/",
    "/api/events/",
    "/api/events/?transaction={transaction}",
    "/api/refunds/?transaction={transaction}",
    "/api/transactions/?reference=mine",
)


async def test_a_neighbour_and_the_other_mode_find_nothing(town: Town) -> None:
    for path in READS:
        own = await town.owner.get(path.format(**town.ids))
        assert own.status_code == 200, "the page is in the cache now"
        for other in (town.neighbour, town.live):
            headers = {"if-none-match": own.headers.get("etag", "*")}
            problem(await other.get(path.format(**town.ids), headers=headers), 404, "not_found")


async def test_a_neighbour_and_the_other_mode_change_nothing(town: Town) -> None:
    for method, path in WRITES:
        for other in (town.neighbour, town.live):
            problem(await other.call(method, path.format(**town.ids)), 404, "not_found")
    replay = {"since": "2026-03-01T00:00:00Z"}
    for other in (town.neighbour, town.live):
        answer = await other.post(f"/api/webhooks/{town.ids['endpoint']}/replay/", replay)
        problem(answer, 404, "not_found")
        refund = {"transaction": town.ids["transaction"]}
        key = {"idempotency-key": "a"}
        problem(await other.post("/api/refunds/", refund, headers=key), 404, "not_found")
    for path in READS:
        assert (await town.owner.get(path.format(**town.ids))).status_code == 200


async def test_lists_show_ones_own_only(town: Town) -> None:
    for path in LISTS:
        first = (await town.owner.get(path.format(**town.ids))).headers["etag"]
        for other in (town.neighbour, town.live):
            answer = await other.get(path.format(**town.ids), headers={"if-none-match": first})
            assert (answer.status_code, answer.json()["results"]) == (200, [])
    for path, own in (
        ("/api/auth/api_keys/", town.ids["api_key"]),
        ("/api/payments/payment_key/", town.ids["payment_key"]),
    ):
        for other in (town.neighbour, town.live):
            shown = (await other.get(path)).json()["results"]
            assert own not in [each["id"] for each in shown]


async def test_nothing_is_paid_through_a_neighbours_key_or_one_of_the_other_mode(town: Town) -> None:
    answer = await town.neighbour.post("/api/transactions/pay", town.owner.payment())
    problem(answer, 400, "invalid_payment_key")


async def test_live_mode_is_refused_while_there_is_no_gateway_for_it(town: Town) -> None:
    body = town.owner.payment(payment_method="pm_1")
    problem(await town.live.post("/api/transactions/pay", body), 400, "idempotency_key_required")
    answer = await town.live.post("/api/transactions/pay", body, headers={"idempotency-key": "k"})
    problem(answer, 400, "live_mode_unavailable")


async def test_a_cursor_of_another_merchant_is_none(town: Town) -> None:
    await town.owner.pay()
    path = (await town.owner.get("/api/transactions/?limit=1")).json()["next"]
    problem(await town.neighbour.get(path), 400, "invalid_request")
    problem(await town.live.get(path), 400, "invalid_request")


async def test_an_idempotency_key_is_ones_own(town: Town) -> None:
    assert (await town.neighbour.pay(key="mine"))["id"] != town.ids["transaction"]


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
                isinstance(operation, Operation) or handler.opt.get("public") or handler.http_methods == {"OPTIONS"}
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
