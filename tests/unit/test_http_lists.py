"""Lists go by pages, answers are named by the merchant's revision, and nothing in them is ever stale."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from adapters.memory import MemoryCache
from entrypoints.http.app import create_app
from payments_core.ids import MerchantId, lowest_id
from payments_core.ports import Views
from tests.unit.http_shop import START, Shop, open_api, problem


class Forgetful:
    """A cache that is away."""

    async def get(self, key: str, /) -> bytes | None:
        return None

    async def put(self, key: str, value: bytes, /, *, ttl_seconds: int) -> None:
        return None


class Watched:
    """A cache that shows what is in it and how often it helped."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.hits = 0
        self._cache = MemoryCache(clock=lambda: START)

    async def get(self, key: str, /) -> bytes | None:
        value = await self._cache.get(key)
        self.hits += value is not None
        return value

    async def put(self, key: str, value: bytes, /, *, ttl_seconds: int) -> None:
        self.kept[key] = value
        await self._cache.put(key, value, ttl_seconds=ttl_seconds)


@pytest.fixture
def cache() -> Watched:
    return Watched()


@pytest.fixture
async def shop(cache: Watched) -> AsyncGenerator[Shop, None]:
    async with open_api(cache=cache) as api:
        yield await api.open_shop()


async def pages(shop: Shop, path: str) -> list[httpx.Response]:
    """Return the page and all that follow it."""
    found = []
    following: str | None = path
    while following is not None:
        found.append(await shop.get(following))
        assert found[-1].status_code == 200, found[-1].text
        following = found[-1].json()["next"]
    return found


def ids(answer: httpx.Response) -> list[str]:
    return [each["id"] for each in answer.json()["results"]]


async def test_pages_follow_one_another_and_lead_back(shop: Shop) -> None:
    made = [(await shop.pay(customer_reference="a & b"))["id"] for _ in range(5)]
    await shop.pay()
    found = await pages(shop, "/api/transactions?limit=2&customer_reference=a%20%26%20b")
    assert [ids(page) for page in found] == [made[:2:-1], made[2:0:-1], made[:1]]
    second = found[1].json()
    assert second["next"].startswith("/api/transactions/?limit=2&customer_reference=a+%26+b&cursor=")
    assert ids(await shop.get(second["previous"])) == ids(found[0])
    assert found[0].json()["previous"] is None


async def test_what_is_made_meanwhile_neither_hides_nor_doubles_anything(shop: Shop) -> None:
    made = [(await shop.pay())["id"] for _ in range(4)]
    first = await shop.get("/api/transactions/?limit=2")
    await shop.pay()
    second = await shop.get(first.json()["next"])
    assert [*ids(first), *ids(second)] == made[::-1]


async def test_every_list_has_pages(shop: Shop) -> None:
    webhook = await shop.add_webhook()
    await shop.add_webhook("https://shop.example.com/2")
    done = await shop.paid()
    for _ in range(2):
        await shop.post("/api/refunds/", {"transaction": done["id"], "amount": "1.00"})
        await shop.post("/api/auth/api_keys/")
        await shop.post("/api/payments/payment_key/")
    for path in (
        "/api/auth/api_keys/",
        "/api/payments/payment_key/",
        f"/api/transactions/{done['id']}/events/",
        "/api/refunds/",
        "/api/webhooks/",
        f"/api/webhooks/{webhook['id']}/deliveries/",
        "/api/events/",
    ):
        whole = await shop.get(f"{path}?limit=100")
        found = await pages(shop, f"{path}?limit=1")
        assert len(found) > 1, path
        assert [id for page in found for id in ids(page)] == ids(whole), path


async def test_a_cursor_belongs_to_its_list_and_filters(shop: Shop) -> None:
    for _ in range(2):
        await shop.pay()
    cursor = (await shop.get("/api/transactions/?limit=1")).json()["next"].rpartition("cursor=")[2]
    for path in ("/api/transactions/?status=pending&", "/api/refunds/?", "/api/events/?"):
        problem(await shop.get(f"{path}cursor={cursor}"), 400, "invalid_request")
    assert (await shop.get(f"/api/transactions/?limit=5&cursor={cursor}")).status_code == 200


async def test_times_at_the_ends_of_the_calendar_bound_as_they_should(shop: Shop) -> None:
    made = [(await shop.pay())["id"]]
    for path in ("/api/transactions/", "/api/events/"):
        everything = len((await shop.get(path)).json()["results"])
        for query, found in (
            ("created_after=0001-01-01T00:00:00Z", everything),
            ("created_before=0001-01-01T00:00:00Z", 0),
            ("created_after=9999-12-31T23:59:59.999999Z", 0),
            ("created_before=9999-12-31T23:59:59.999999Z", everything),
        ):
            assert len(ids(await shop.get(f"{path}?{query}"))) == found, query
    assert lowest_id("txn", datetime.max.replace(tzinfo=UTC)) > made[0]


async def test_links_and_answers_don_t_depend_on_the_host(shop: Shop) -> None:
    for _ in range(2):
        await shop.pay()
    plain = await shop.get("/api/transactions/?limit=1")
    other = await shop.get("/api/transactions/?limit=1", headers={"host": "evil.example"})
    assert other.content == plain.content
    assert other.headers["etag"] == plain.headers["etag"]
    assert "shop.test" not in plain.text
    assert plain.json()["next"].startswith("/api/transactions/?")


async def paths_of_everything(shop: Shop) -> list[str]:
    webhook = await shop.add_webhook()
    done = await shop.paid()
    refund = (await shop.post("/api/refunds/", {"transaction": done["id"]})).json()
    await shop.api.work()
    event = (await shop.get("/api/events/")).json()["results"][0]
    return [
        "/api/payments/payment_key/",
        "/api/transactions/",
        f"/api/transactions/{done['id']}/",
        f"/api/transactions/{done['id']}/events/",
        "/api/refunds/",
        f"/api/refunds/{refund['id']}/",
        "/api/webhooks/",
        f"/api/webhooks/{webhook['id']}/",
        f"/api/webhooks/{webhook['id']}/deliveries/",
        "/api/events/",
        f"/api/events/{event['id']}/",
    ]


async def test_an_unchanged_answer_is_not_sent_again(shop: Shop, cache: Watched) -> None:
    for path in await paths_of_everything(shop):
        first = await shop.get(path)
        etag = first.headers["etag"]
        assert etag.startswith('"')
        assert first.headers["cache-control"] == "private, no-cache"
        assert first.headers["vary"] == "authorization"
        hits = cache.hits
        for given in (etag, f"W/{etag}", f'"x", {etag} ,"y"', "*"):
            again = await shop.get(path, headers={"if-none-match": given})
            assert (again.status_code, again.content) == (304, b""), (path, given)
            assert again.headers["etag"] == etag
            assert "content-length" not in again.headers
        assert cache.hits == hits + 1, "only `*` needs a look"
        for given in ('"other"', etag.strip('"'), "", "x" * 5_000):
            again = await shop.get(path, headers={"if-none-match": given})
            assert (again.status_code, again.content) == (200, first.content)
        assert cache.hits == hits + 5, "the rest comes from the cache"


async def test_whatever_is_written_gives_another_answer_at_once(shop: Shop) -> None:
    first = await shop.get("/api/transactions/")
    made = await shop.pay()
    second = await shop.get("/api/transactions/", headers={"if-none-match": first.headers["etag"]})
    assert ids(second) == [made["id"]]
    await shop.api.work()
    third = await shop.get("/api/transactions/", headers={"if-none-match": second.headers["etag"]})
    assert third.json()["results"][0]["status"] == "succeeded"
    await shop.post("/api/refunds/", {"transaction": made["id"]})
    fourth = await shop.get("/api/transactions/", headers={"if-none-match": third.headers["etag"]})
    assert fourth.json()["results"][0]["amount_refund_pending"] == "100.00"


async def test_the_name_of_an_answer_depends_on_all_that_it_answers(shop: Shop) -> None:
    await shop.pay()
    live = await shop.with_key(livemode=True)
    neighbour = await shop.api.open_shop()
    answers = [
        await shop.get("/api/transactions/"),
        await shop.get("/api/transactions/?limit=5"),
        await shop.get("/api/refunds/"),
        await live.get("/api/transactions/"),
        await neighbour.get("/api/transactions/"),
    ]
    assert len({answer.headers["etag"] for answer in answers}) == len(answers)
    one, two = "/api/transactions/?limit=5&status=pending", "/api/transactions?status=pending&limit=5"
    assert (await shop.get(one)).headers["etag"] == (await shop.get(two)).headers["etag"]


class Hasty:
    """Views of a merchant who pays between the look at the revision and the look at the page."""

    def __init__(self, views: Views, pay: Callable[[], Awaitable[object]]) -> None:
        self.view = views.view
        self._views = views
        self._pay = pay

    async def revision(self, merchant: MerchantId, /) -> int:
        revision = await self._views.revision(merchant)
        await self._pay()
        return revision


async def test_a_page_is_kept_under_the_revision_at_which_it_was_read(shop: Shop) -> None:
    services = shop.api.services
    hasty = create_app(replace(services, views=Hasty(services.views, shop.pay)))
    transport = httpx.ASGITransport(hasty)  # type: ignore[arg-type]  # Litestar names its messages
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        answer = await client.get("/api/transactions/", headers={"authorization": f"Token {shop.secret}"})
    assert len(ids(answer)) == 1
    fresh = await shop.get("/api/transactions/")
    assert (fresh.headers["etag"], fresh.content) == (answer.headers["etag"], answer.content)


async def test_what_is_not_there_is_not_kept(shop: Shop, cache: Watched) -> None:
    problem(await shop.get("/api/transactions/txn_0/", headers={"if-none-match": "*"}), 404, "not_found")
    assert not cache.kept


async def test_secrets_and_what_moves_without_a_revision_are_not_kept(shop: Shop, cache: Watched) -> None:
    await shop.pay(key="k")
    for path in ("/api/auth/me/", "/api/auth/api_keys/", "/api/idempotency_keys/k/"):
        answer = await shop.get(path)
        assert answer.headers["cache-control"] == "no-store"
        named = {"if-none-match": answer.headers["etag"]}
        if "api_keys" not in path:  # where this very call moved the last use
            assert (await shop.get(path, headers=named)).status_code == 304
    assert not cache.kept


async def test_without_a_cache_all_is_the_same() -> None:
    async with open_api(cache=Forgetful()) as api:
        shop = await api.open_shop()
        made = await shop.pay()
        first, second = await shop.get("/api/transactions/"), await shop.get("/api/transactions/")
        assert ids(first) == ids(second) == [made["id"]]
        assert first.headers["etag"] == second.headers["etag"]
