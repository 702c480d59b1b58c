"""A merchant against its neighbour, and a test key against live mode: what is another's is not there.

All calls are taken from the OpenAPI document. A call, a filter or a field that this file knows nothing of fails the
test, which says what to add; so no new one goes untried.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import httpx
import msgspec
import pytest
import pytest_asyncio

from entrypoints.http.app import OPERATIONS
from entrypoints.http.docs.openapi import make_document
from payments_core.ids import MerchantId
from tests.unit.http_shop import Shop, open_api, problem

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENT: Final[Any] = json.loads(msgspec.json.encode(make_document(OPERATIONS)))
ONCE: Final = "#/components/parameters/Idempotency-Key"
NEVER: Final = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
KEY: Final = "mine"

# ── what this file knows of ids ──────────────────────────────────────────────────────────────────────────────────────

THINGS: Final[Mapping[str, str]] = {
    "api_keys": "api_key",
    "payment_key": "payment_key",
    "transactions": "transaction",
    "refunds": "refund",
    "webhooks": "endpoint",
    "deliveries": "delivery",
    "events": "event",
    "idempotency_keys": "idempotency_key",
}
"""What the id is of that stands in a path behind this word."""
FILTERS: Final[Mapping[str, str]] = {
    "payment_key": "payment_key",
    "reference": "reference",
    "customer_reference": "customer_reference",
    "transaction": "transaction",
    "subject": "refund",
}
"""Query parameters that name something, and what."""
NO_FILTERS: Final = frozenset(
    {
        *("limit", "cursor", "status", "currency", "created_after", "created_before", "min_amount", "max_amount"),
        *("event_type", "type", "action"),
    }
)
FIELDS: Final[Mapping[str, str]] = {"PayBody.payment_key": "payment_key_text", "RefundBody.transaction": "transaction"}
"""Fields of bodies that name something, and what."""
NO_FIELDS: Final = frozenset(
    {
        *("ApiKeyBody.expires_at", "ApiKeyBody.livemode", "ApiKeyBody.name", "ApiKeyBody.scopes"),
        *("PasswordBody.new_password", "PasswordBody.password"),
        *("PayBody.amount", "PayBody.currency", "PayBody.customer_reference", "PayBody.description"),
        *("PayBody.metadata", "PayBody.payment_method", "PayBody.reference"),
        *("RefundBody.amount", "RefundBody.metadata", "RefundBody.reason"),
        *("ReplayBody.only_failed", "ReplayBody.since", "ReplayBody.until"),
        *("WebhookBody.description", "WebhookBody.events", "WebhookBody.url"),
        *("WebhookChanges.description", "WebhookChanges.enabled", "WebhookChanges.events", "WebhookChanges.url"),
    }
)


# ── what the document says ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call of the document that needs a credential."""

    method: str
    path: str
    operation: Mapping[str, Any] = field(repr=False)

    @property
    def parameters(self) -> Sequence[str]:
        return [parameter["name"] for parameter in self.operation["parameters"] if parameter.get("in") == "query"]

    @property
    def body(self) -> str | None:
        """The name of the body's schema."""
        content = self.operation.get("requestBody", {}).get("content", {}).get("application/json")
        return None if content is None else str(content["schema"]["$ref"].rpartition("/")[2])

    @property
    def example(self) -> dict[str, Any] | None:
        if self.body is None:
            return None
        content = self.operation["requestBody"]["content"]["application/json"]
        example: dict[str, Any] = content["examples"]["example"]["value"]
        return example

    @property
    def once(self) -> bool:
        return any(parameter.get("$ref") == ONCE for parameter in self.operation["parameters"])

    @property
    def is_list(self) -> bool:
        return "cursor" in self.parameters

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def asked() -> Iterator[Asked]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            if operation["security"]:
                yield Asked(method=method.upper(), path=path, operation=operation)


CALLS: Final = tuple(asked())
OF_ONE: Final = [pytest.param(call, id=str(call)) for call in CALLS if "{" in call.path]
READS: Final = [pytest.param(call, id=str(call)) for call in CALLS if call.method == "GET"]
LISTS: Final = [pytest.param(call, id=str(call)) for call in CALLS if call.is_list]
ONCES: Final = [pytest.param(call, id=str(call)) for call in CALLS if call.once and "{" not in call.path]


def filled(path: str, ids: Mapping[str, str]) -> str:
    """Return a path with ids in it; fail where it is not known of what."""
    parts = path.split("/")
    for place, part in enumerate(parts):
        if part.startswith("{"):
            thing = THINGS.get(parts[place - 1])
            if thing is None:
                word = parts[place - 1]
                pytest.fail(f"{path}: of what is the id behind `{word}`? Add it to THINGS, and one to the town's ids.")
            parts[place] = ids[thing]
    return "/".join(parts)


async def test_every_filter_and_every_field_is_known_to_name_something_or_nothing() -> None:
    for call in CALLS:
        for name in call.parameters:
            assert (name in FILTERS) != (name in NO_FILTERS), (
                f"{call}: does the query parameter `{name}` name something? Add it to FILTERS, or to NO_FILTERS."
            )
        if call.body is not None:
            for name in DOCUMENT["components"]["schemas"][call.body]["properties"]:
                place = f"{call.body}.{name}"
                assert (place in FIELDS) != (place in NO_FIELDS), (
                    f"{call}: does the field `{place}` name something? Add it to FIELDS, or to NO_FIELDS."
                )


async def test_a_route_of_which_nothing_is_known_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"behind `parcels`\? Add it to THINGS"):
        filled("/api/parcels/{id}/", {})


# ── a town ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """A shop that has two of everything, its neighbour, and itself in live mode."""

    owner: Shop
    neighbour: Shop
    live: Shop
    ids: Mapping[str, str]

    @property
    def others(self) -> Sequence[Shop]:
        return (self.neighbour, self.live)

    def revision(self) -> int:
        return self.owner.api.store._state.account(MerchantId(self.owner.id)).revision


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town() -> AsyncGenerator[Town, None]:
    async with open_api() as api:
        owner, neighbour = await api.open_shop(), await api.open_shop()
        live = await owner.with_key(livemode=True)
        named = {"reference": "owners-reference", "customer_reference": "owners-customer"}
        ids: dict[str, str] = {**named, "idempotency_key": KEY, "payment_key_text": owner.payment_key}
        for which in range(2):
            endpoint = await owner.add_webhook()
            more = named if which else {}
            done = await owner.paid(key=KEY if which else None, **more)
            body = {"transaction": done["id"], "amount": "1.00"}
            refunds = [(await owner.post("/api/refunds/", body)).json() for _ in range(2)]
            key = (await owner.post("/api/auth/api_keys/")).json()
            channel = (await owner.post("/api/payments/payment_key/")).json()
            ids |= {"transaction": done["id"], "refund": refunds[-1]["id"], "endpoint": endpoint["id"]}
            ids |= {"api_key": key["id"], "payment_key": channel["id"]}
        await api.work()
        deliveries = (await owner.get(f"/api/webhooks/{ids['endpoint']}/deliveries/")).json()["results"]
        ids |= {"delivery": deliveries[-1]["id"], "event": deliveries[-1]["event"]}
        # Once paid through the key whose id the filter is given.
        ids["payment_key"] = owner.payment_key_id
        yield Town(owner=owner, neighbour=neighbour, live=live, ids=ids)


def never(ids: Mapping[str, str]) -> dict[str, str]:
    """Return ids of the same form that nothing ever had."""
    form = re.compile(r"_[0-9A-Z]{26}$")
    return {thing: form.sub(f"_{NEVER}", id) if form.search(id) else f"{id}-not" for thing, id in ids.items()}


def told(answer: httpx.Response) -> tuple[int, Mapping[str, str], Any]:
    """Return all that an answer tells, its id and what is left of the caller's own limit apart."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "content-length")}
    document = answer.json()
    document.pop("request_id", None)
    return answer.status_code, headers, document


def shows(answer: httpx.Response, town: Town, other: Shop) -> list[str]:
    """Return what of the owner's an answer to somebody else shows."""
    things = [id for thing, id in town.ids.items() if thing != "idempotency_key"]
    own = things if other.id == town.owner.id else [*things, town.owner.id, town.owner.email]
    return [id for id in own if id in answer.text]


# ── single things ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("call", OF_ONE)
async def test_what_is_anothers_is_told_from_nothing_that_never_was(town: Town, call: Asked) -> None:
    path = filled(call.path, town.ids)
    nowhere = filled(call.path, never(town.ids))
    named = "*"
    if call.method == "GET":
        own = await town.owner.get(path)
        assert own.status_code == 200, "it is the owner's, and in the cache now"
        named = own.headers["etag"]
    revision = town.revision()
    for other in town.others:
        for headers in ({}, {"if-none-match": named}, {"if-none-match": f'*, "x", {named}'}, {"idempotency-key": KEY}):
            sent: Any = {} if call.example is None else {"json": call.example}
            answer = await other.call(call.method, path, headers=headers, **sent)
            problem(answer, 404, "not_found")
            assert told(answer) == told(await other.call(call.method, nowhere, headers=headers, **sent))
            assert shows(answer, town, other) == []
    assert town.revision() == revision, "nothing of the owner's was touched"


@pytest.mark.parametrize("call", OF_ONE)
async def test_a_part_of_anothers_is_not_reached_through_ones_own(town: Town, call: Asked) -> None:
    if call.path.count("{") < 2:
        return
    endpoint = await town.neighbour.add_webhook()
    mixed = {**town.ids, "endpoint": endpoint["id"]}
    problem(await town.neighbour.call(call.method, filled(call.path, mixed)), 404, "not_found")
    assert (await town.neighbour.delete(f"/api/webhooks/{endpoint['id']}/")).status_code == 204


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("call", LISTS)
async def test_a_list_shows_ones_own_only_and_no_filter_or_cursor_leads_further(town: Town, call: Asked) -> None:
    path = filled(call.path, town.ids)
    first = await town.owner.get(f"{path}?limit=1")
    following = first.json()["next"]
    assert following is not None, f"{call}: make two of them for the owner, so that there is a cursor"
    for other in town.others:
        status = 404 if "{" in call.path else 200
        for query in ("", "?limit=100"):
            answer = await other.get(path + query, headers={"if-none-match": first.headers["etag"]})
            assert answer.status_code == status, "never 304"
            assert shows(answer, town, other) == []
        problem(await other.get(following), 400, "invalid_request")
    for name in call.parameters:
        if name in FILTERS:
            query = f"{path}?{name}={town.ids[FILTERS[name]]}"
            own = await town.owner.get(query)
            assert own.json()["results"], f"{call}: nothing of the owner's meets the filter `{name}`"
            for other in town.others:
                answer = await other.get(query, headers={"if-none-match": own.headers["etag"]})
                assert (answer.status_code, answer.json()["results"]) == (200, [])


async def test_the_account_that_is_shown_is_the_callers(town: Town) -> None:
    assert (await town.owner.get("/api/auth/me/")).json()["id"] == town.owner.id
    assert (await town.neighbour.get("/api/auth/me/")).json()["id"] == town.neighbour.id


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("call", "name"),
    [
        pytest.param(call, place.partition(".")[2], id=f"{call} {place}")
        for call in CALLS
        for place in FIELDS
        if place.partition(".")[0] == call.body
    ],
)
async def test_what_is_anothers_is_of_no_use_in_a_body(town: Town, call: Asked, name: str) -> None:
    thing, unknown = FIELDS[f"{call.body}.{name}"], never(town.ids)
    unknown["payment_key_text"] = "pk_test_" + "A" * 49
    revision = town.revision()
    for other in town.others:
        headers = {"idempotency-key": f"{call.body}"}
        body = {**(call.example or {}), "payment_method": "pm_approve"} if call.body == "PayBody" else call.example
        answer = await other.post(call.path, {**(body or {}), name: town.ids[thing]}, headers=headers)
        nobodys = await other.post(call.path, {**(body or {}), name: unknown[thing]}, headers=headers)
        assert answer.status_code in (400, 404), answer.text
        assert told(answer) == told(nobodys)
        assert shows(answer, town, other) == []
    assert town.revision() == revision


# ── the cache ────────────────────────────────────────────────────────────────────────────────────────────────────────


def percent(text: str) -> str:
    return "".join(f"%{ord(character):02x}" for character in text)


def spellings(path: str) -> Iterator[str]:
    """Give other ways to write a path and its query, right and wrong ones."""
    bare = path.rstrip("/")
    last = bare.rpartition("/")[2]
    yield from (path, bare, f"{bare}/", f"{bare}//", f"/{path}", bare.replace("/api/", "/api//"))
    yield from (f"/api/.{path[4:]}", f"/x/..{path}", f"/x/%2e%2e{path}", f"/%2e{path}", f"{bare}/.", f"{bare}/..")
    yield from (bare.replace("/", "%2f"), f"{bare}%2f", f"{bare}%00", f"{bare}%0a", f"{bare}%20", f"{bare}%c0%af")
    yield from (bare.upper(), bare.replace("api", "API"), bare.replace("api", "%61pi"), f"{bare};a=1", f"{bare};.json")
    yield from (bare.replace(last, each) for each in (last.lower(), last.upper(), percent(last)))
    yield from (f"{path}?", f"{path}?&", f"{path}#x", f"{path}%23", f"{path}%3flimit=1", f"{bare}.json", f"{bare}.css")
    queries = (
        "limit=20",
        "limit=20&limit=20",
        "limit=20&limit=1",
        "LIMIT=20",
        "%6cimit=20",
        "limit=%32%30",
        "limit=+20",
    )
    yield from (f"{path}?{query}" for query in queries)
    others = ("limit=20&", "&limit=20", "x=1", "_=1", "limit=20;limit=1", "limit[]=20", "callback=f", "limit=+20")
    yield from (f"{path}?{query}" for query in others)


@pytest.mark.parametrize("call", READS)
async def test_no_spelling_of_a_path_or_query_shows_another_the_page(town: Town, call: Asked) -> None:
    path = filled(call.path, town.ids)
    whole = await town.owner.get(path)
    for spelt in spellings(path):
        own = await town.owner.get(spelt)
        assert own.status_code in (200, 400, 404), spelt
        if own.headers["content-type"].startswith("text/html"):
            continue  # a page for everybody
        named = own.headers.get("etag", whole.headers["etag"])
        for other in town.others:
            answer = await other.get(spelt, headers={"if-none-match": f"{named}, {whole.headers['etag']}"})
            if call.path == "/api/auth/me/" and other.id == town.owner.id:
                continue
            assert answer.status_code in (200, 400, 404), f"{spelt}: {answer.status_code}"
            assert shows(answer, town, other) == [], spelt
        again = await town.owner.get(path)
        assert again.content == whole.content or not call.path.startswith(("/api/transactions", "/api/refunds")), spelt


async def test_two_merchants_at_one_revision_share_no_page() -> None:
    async with open_api() as api:
        shops = [await api.open_shop() for _ in range(4)]
        revisions = {api.store._state.account(MerchantId(shop.id)).revision for shop in shops}
        assert len(revisions) == 1, "whatever they did, they did as much"
        for call in CALLS:
            if call.is_list and "{" not in call.path:
                pages = [await shop.get(call.path) for shop in shops]
                cached = [page for page in pages if page.headers["cache-control"] != "no-store"]
                assert len({page.headers["etag"] for page in cached}) == len(cached)
                for shop, page in zip(shops[1:], pages, strict=False):
                    answer = await shop.get(call.path, headers={"if-none-match": page.headers["etag"]})
                    # What is not stored is named by what it says: an empty list is everybody's.
                    assert answer.status_code == 200 or (page.json()["results"] == [] and not cached)


@pytest.mark.parametrize("call", READS)
async def test_nobody_between_keeps_an_answer_for_another(town: Town, call: Asked) -> None:
    path = filled(call.path, town.ids)
    own = await town.owner.get(path)
    unchanged = await town.owner.get(path, headers={"if-none-match": own.headers["etag"]})
    for answer in (own, unchanged, await town.owner.call("HEAD", path)):
        kept = answer.headers["cache-control"]
        assert kept in ("no-store", "private, no-cache")
        assert kept == "no-store" or answer.headers["vary"] == "authorization"
    for answer in (await town.neighbour.get(f"{path}?x=1"), await town.owner.api.client.get(path)):
        assert answer.status_code in (400, 401)
        assert "public" not in answer.headers.get("cache-control", "")
        assert "etag" not in answer.headers


# ── idempotency keys ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("call", ONCES)
async def test_an_idempotency_key_gives_nobody_the_answer_of_another(town: Town, call: Asked) -> None:
    def body_of(shop: Shop) -> dict[str, Any] | None:
        if call.body is None:
            return None
        body = dict(call.example or {})
        body |= {"payment_key": shop.payment_key} if "payment_key" in body else {}
        body |= {"transaction": town.ids["transaction"], "amount": "1.00"} if "transaction" in body else {}
        return body

    headers = {"idempotency-key": f"the same for all: {call.body}"}
    answers = await asyncio.gather(
        *(
            shop.post(call.path, body_of(shop), headers=headers)
            for shop in (town.owner, town.neighbour, town.owner, town.live, town.neighbour)
        )
    )
    owners = [answer for answer in (answers[0], answers[2]) if answer.status_code < 300]
    assert len(owners) == 2, answers[0].text
    assert owners[0].content == owners[1].content
    others = [answers[1], answers[3], answers[4]]
    made = owners[0].json()["id"]
    for answer in others:
        assert made not in answer.text
        if answer.status_code < 300:
            secrets = [owners[0].json().get(name) for name in ("api_key", "secret", "key")]
            assert not [secret for secret in secrets if secret and secret in answer.text]


async def test_what_a_key_of_another_did_is_not_told(town: Town) -> None:
    town.owner.api.clock.move(timedelta(seconds=1))
    for other in town.others:
        problem(await other.get(f"/api/idempotency_keys/{KEY}/"), 404, "not_found")
    assert (await town.owner.get(f"/api/idempotency_keys/{KEY}/")).status_code == 200
