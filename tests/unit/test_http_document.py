"""The OpenAPI document is true: to itself, to what the core describes, to what is asked and answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import msgspec
from litestar.routes import HTTPRoute

from adapters.sandbox.scripts import SCRIPTS
from entrypoints.http import response_schemas
from entrypoints.http.app import OPERATIONS, create_app
from entrypoints.http.bodies import convert
from entrypoints.http.docs.examples import example_of
from entrypoints.http.docs.openapi import make_document
from entrypoints.http.docs.quantities import in_bytes, in_time
from entrypoints.http.operations import NoBody, Operation
from entrypoints.http.problem_catalogue import KINDS
from payments_core.event import EventType
from payments_core.webhook import REPLAY_WINDOW_MAX
from tests.unit.http_shop import PASSWORD, Shop, open_api

DOCUMENT: Any = json.loads(msgspec.json.encode(make_document(OPERATIONS)))
SCHEMAS: Any = DOCUMENT["components"]["schemas"]


def parts_of(value: Any, path: str = "#") -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, dict):
        yield path, value
        for name, each in value.items():
            yield from parts_of(each, f"{path}/{name}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from parts_of(each, f"{path}/{index}")


def test_every_reference_leads_somewhere() -> None:
    references = [part["$ref"] for _, part in parts_of(DOCUMENT) if "$ref" in part]
    assert references
    for reference in references:
        target = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        assert target


def test_every_component_is_used() -> None:
    used = {part["$ref"] for _, part in parts_of(DOCUMENT) if "$ref" in part}
    for kind in ("schemas", "headers", "parameters"):
        unused = {name for name in DOCUMENT["components"][kind] if f"#/components/{kind}/{name}" not in used}
        assert unused <= {"Allow"}, kind


def test_it_has_the_shape_of_openapi() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert {"title", "version"} <= set(DOCUMENT["info"])
    seen = set()
    for path, item in DOCUMENT["paths"].items():
        assert path.startswith("/")
        for method, operation in item.items():
            assert method in ("get", "post", "patch", "delete")
            assert operation["operationId"] not in seen
            seen.add(operation["operationId"])
            assert operation["summary"]
            assert operation["responses"]
            resolved = [resolve(parameter) for parameter in operation["parameters"]]
            assert {parameter["name"] for parameter in resolved if parameter["in"] == "path"} == set(in_braces(path))
            assert len({(parameter["name"], parameter["in"]) for parameter in resolved}) == len(resolved)
            for parameter in resolved:
                assert parameter["required"] is (parameter["in"] == "path")
            for status, response in operation["responses"].items():
                assert status.isdigit()
                assert response["description"]
                assert "X-Request-Id" in response["headers"]
            for requirement in operation["security"]:
                assert set(requirement) <= set(DOCUMENT["components"]["securitySchemes"])


def resolve(part: Mapping[str, Any]) -> Any:
    return DOCUMENT["components"]["parameters"][part["$ref"].rsplit("/", 1)[-1]] if "$ref" in part else part


def in_braces(path: str) -> list[str]:
    return [step[1:-1] for step in path.split("/") if step.startswith("{")]


async def test_every_route_is_in_it_and_every_path_of_it_is_a_route() -> None:
    async with open_api() as api:
        routes = {
            (route.path.replace(":str", "").replace(":path", ""), method)
            for route in create_app(api.services).routes
            if isinstance(route, HTTPRoute) and route.path.startswith(("/api/", "/health/"))
            for method in route.methods
        }
    documented = {(path.rstrip("/"), method.upper()) for path, item in DOCUMENT["paths"].items() for method in item}
    assert documented == {(path, method) for path, method in routes if method not in ("HEAD", "OPTIONS")}


def test_requests_are_closed_and_answers_are_open() -> None:
    bodies = {operation.body.__name__ for operation in OPERATIONS if operation.body is not NoBody}
    for name, schema in SCHEMAS.items():
        for path, part in parts_of(schema):
            if name in bodies:
                closed = part.get("additionalProperties", False) is not True
                assert closed if part.get("type") == "object" else True, path
            else:
                assert part.get("additionalProperties") is not False, f"{name} {path}"
                assert "enum" not in part, f"{name} {path}"
                assert "const" not in part, f"{name} {path}"
    for name in bodies:
        assert SCHEMAS[name]["additionalProperties"] is False


def test_it_names_the_payment_methods_that_the_sandbox_has() -> None:
    described = SCHEMAS["PayBody"]["properties"]["payment_method"]["description"]
    assert re.findall(r"`(pm_\w+)`", described) == list(SCRIPTS)


def test_every_example_of_a_body_is_taken() -> None:
    for operation in OPERATIONS:
        if operation.body is not NoBody:
            example: Any = example_of({"$ref": f"#/components/schemas/{operation.body.__name__}"}, SCHEMAS)
            body = convert(example, operation.body)
            if hasattr(body, "command"):
                body.command()


def test_every_problem_of_an_operation_is_in_it() -> None:
    for operation in OPERATIONS:
        responses = of(operation)["responses"]
        for status, response in responses.items():
            if int(status) < 400:
                continue
            content = response["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            for code in content["examples"]:
                assert KINDS[code].status == int(status)
        wanted = {"400", "500", "503"} | ({"401", "403", "429"} if operation.access != "public" else set())
        wanted |= {"404"} if "{" in operation.path else set()
        wanted |= {"408", "413", "415"} if operation.command is not None else set()
        wanted |= {"409", "422"} if operation.once else set()
        assert wanted <= set(responses), operation.name


def of(operation: Operation) -> Any:
    return DOCUMENT["paths"][operation.path][operation.method.lower()]


def test_headers_are_declared_where_they_count() -> None:
    for operation in OPERATIONS:
        described = of(operation)
        names = {resolve(parameter)["name"] for parameter in described["parameters"]}
        success = described["responses"][str(operation.status)]["headers"]
        assert ("Idempotency-Key" in names) == operation.once == ("Idempotent-Replayed" in success)
        reads = operation.read is not None
        assert ("If-None-Match" in names) == reads == ("ETag" in success) == ("304" in described["responses"])
        assert ("Location" in success) == (operation.status == 201)
        assert bool(described["security"]) == (operation.access != "public")


def keys_differ(value: Any, type: Any, path: str = "") -> list[str]:
    """Return where the keys of a described value and the fields of its documented type are not the same."""
    shape = msgspec.inspect.type_info(type) if not isinstance(type, msgspec.inspect.Type) else type
    match shape:
        case msgspec.inspect.Metadata():
            return keys_differ(value, shape.type, path)
        case msgspec.inspect.UnionType():
            options = [option for option in shape.types if not isinstance(option, msgspec.inspect.NoneType)]
            return [] if value is None else keys_differ(value, options[0], path)
        case msgspec.inspect.ListType():
            return [found for each in value for found in keys_differ(each, shape.item_type, f"{path}[]")]
        case msgspec.inspect.StructType():
            fields = {field.encode_name: field.type for field in shape.fields}
            differ = [f"{path}.{name}" for name in set(fields) ^ set(value)]
            return differ + [
                found
                for name in set(fields) & set(value)
                for found in keys_differ(value[name], fields[name], f"{path}.{name}")
            ]
        case _:
            return []


async def test_every_answer_has_the_fields_that_are_documented_and_of_their_types() -> None:
    """Drift: `payments_core.describe` and the documented answers say the same, in both directions."""
    async with open_api() as api:
        seen = await _one_of_each(await api.open_shop())
    for operation in OPERATIONS:
        if operation.answer is None:
            continue
        described = seen[operation.name]
        for each in described["results"] if operation.page else [described]:
            assert keys_differ(each, operation.answer) == [], operation.name
            msgspec.convert(each, operation.answer, strict=True)
    transaction = seen["get_transaction"]
    assert transaction["refunds"][0]["failure"], "nested objects are looked at too"
    assert any(delivery["attempts"] for delivery in seen["list_deliveries"]["results"])


async def _one_of_each(shop: Shop) -> dict[str, Any]:
    """Make every call that has an answer, and return what came back by the call's name."""
    public = {"email": shop.email, "password": PASSWORD}
    webhook = await shop.add_webhook()
    declined = await shop.paid(payment_method="pm_decline_fraud")
    assert not keys_differ(declined, response_schemas.Transaction)
    done = await shop.paid(key="k", payment_method="pm_refund_fails")
    refund = await shop.post("/api/refunds/", {"transaction": done["id"]})
    await shop.api.work()
    tokens = await shop.api.client.post("/api/auth/token/", json=public)
    api_key = await shop.post("/api/auth/api_keys/")
    hook, txn = f"/api/webhooks/{webhook['id']}/", f"/api/transactions/{done['id']}/"
    delivery = (await shop.get(f"{hook}deliveries/")).json()["results"][0]
    event = (await shop.get("/api/events/")).json()["results"][0]
    register = {"email": "another@example.com", "password": PASSWORD}
    refresh = {"refresh": tokens.json()["refresh"]}
    pending = await shop.pay()
    made = {
        "register": await shop.api.client.post("/api/auth/register/", json=register),
        "log_in": await shop.api.client.post("/api/auth/login/", json=public),
        "open_session": tokens,
        "refresh_session": await shop.api.client.post("/api/auth/token/refresh/", json=refresh),
        "me": await shop.get("/api/auth/me/"),
        "get_api_key": await shop.get(f"/api/auth/api_keys/{api_key.json()['id']}/"),
        "list_api_keys": await shop.get("/api/auth/api_keys/"),
        "make_api_key": api_key,
        "rotate_api_key": await shop.post(f"/api/auth/api_keys/{api_key.json()['id']}/rotate/"),
        "get_payment_key": await shop.get(f"/api/payments/payment_key/{shop.payment_key_id}/"),
        "list_payment_keys": await shop.get("/api/payments/payment_key/"),
        "make_payment_key": await shop.post("/api/payments/payment_key/"),
        "pay": await shop.post("/api/transactions/pay", shop.payment()),
        "list_transactions": await shop.get("/api/transactions/"),
        "get_transaction": await shop.get(txn),
        "list_transaction_events": await shop.get(f"{txn}events/"),
        "cancel_transaction": await shop.post(f"/api/transactions/{pending['id']}/cancel/"),
        "refund": refund,
        "list_refunds": await shop.get("/api/refunds/"),
        "get_refund": await shop.get(f"/api/refunds/{refund.json()['id']}/"),
        "list_webhooks": await shop.get("/api/webhooks/"),
        "get_webhook": await shop.get(hook),
        "add_webhook": await shop.post("/api/webhooks/", {"url": "https://shop.example.com/2"}),
        "change_webhook": await shop.patch(hook, {"description": "orders"}),
        "rotate_webhook_secret": await shop.post(f"{hook}rotate_secret/"),
        "send_test_event": await shop.post(f"{hook}test/"),
        "list_deliveries": await shop.get(f"{hook}deliveries/"),
        "retry_delivery": await shop.post(f"{hook}deliveries/{delivery['id']}/retry/"),
        "replay": await shop.post(f"{hook}replay/", {"since": "2026-03-01T00:00:00Z"}),
        "list_events": await shop.get("/api/events/"),
        "get_event": await shop.get(f"/api/events/{event['id']}/"),
        "get_idempotency_key": await shop.get("/api/idempotency_keys/k/"),
        "list_audit_entries": await shop.get("/api/audit/"),
    }
    for name, answer in made.items():
        assert answer.status_code < 300, f"{name}: {answer.text}"
    return {name: answer.json() for name, answer in made.items()}


async def test_problems_and_health_have_the_documented_fields() -> None:
    async with open_api() as api:
        shop = await api.open_shop()
        faults = (await shop.post("/api/transactions/pay", {})).json()
        assert keys_differ(faults, response_schemas.Problem) == []
        plain = (await shop.get("/api/transactions/txn_0/")).json()
        assert keys_differ(plain, response_schemas.Problem) == [".errors"]
        assert keys_differ((await shop.get("/health/ready")).json(), response_schemas.Health) == []
        page = (await shop.get("/api/transactions/")).json()
        assert set(page) == set(SCHEMAS["TransactionPage"]["required"]) == set(SCHEMAS["TransactionPage"]["properties"])


def test_limits_are_told_in_words_that_people_use() -> None:
    lengths = (timedelta(minutes=5), timedelta(hours=1), timedelta(hours=72), timedelta(days=30), timedelta(seconds=90))
    assert [in_time(length) for length in lengths] == ["5 minutes", "1 hour", "72 hours", "30 days", "90 seconds"]
    assert in_bytes(65_536) == "64 KiB"
    description = of(next(operation for operation in OPERATIONS if operation.name == "replay"))["description"]
    assert f"{REPLAY_WINDOW_MAX.days} days" in description


def test_every_event_type_is_a_documented_webhook() -> None:
    assert set(DOCUMENT["webhooks"]) == set(EventType)
