"""What the service promises, over two API processes and a worker on real servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import httpx
import psycopg
import pytest
import redis

from adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.patience import PATIENCE_SECONDS, until_seen
from tests.processes import PASSWORD, SECRET_KEY, free_port, run, running, wait_until_ready
from tests.servers import Server

REPEATS_MAX: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Two API processes and a worker."""

    one: str
    other: str


@pytest.fixture(scope="module")
def service(
    running_postgres: EmbeddedPostgres, running_valkey: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Service, None, None]:
    """Started once: what a test does to the servers under it, the processes have to survive."""
    tmp_path = tmp_path_factory.mktemp("service")
    with psycopg.connect(running_postgres.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE promises")
    settings = {
        "PAYMENTS_DATABASE_URL": running_postgres.url.replace("/postgres?", "/promises?"),
        "PAYMENTS_REDIS_URL": running_valkey.url,
        "PAYMENTS_SECRET_KEY": SECRET_KEY,
        "PAYMENTS_METRICS_PORT": "0",
        "PAYMENTS_RATE_LIMITS": "off",
        "PAYMENTS_SANDBOX_LATENCY_SECONDS": "0",
        "PAYMENTS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "PAYMENTS_WEBHOOK_ALLOW_HTTP": "on",
    }
    migrated = run("migrate", settings=settings, cwd=tmp_path)
    assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    ports = free_port(), free_port()
    with ExitStack() as stack:
        started = [
            stack.enter_context(running("serve", "--port", str(port), settings=settings, cwd=tmp_path))
            for port in ports
        ]
        stack.enter_context(running("worker", settings=settings, cwd=tmp_path))
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        for url, process in zip(urls, started, strict=True):
            wait_until_ready(url, process)
        yield Service(one=urls[0], other=urls[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A merchant with a payment key, who calls over either process."""

    one: httpx.AsyncClient
    other: httpx.AsyncClient
    channel: str

    async def pay(self, over: httpx.AsyncClient, amount: str = "100.00", key: str | None = None) -> httpx.Response:
        body = {"payment_key": self.channel, "amount": amount, "currency": "USD"}
        headers = {} if key is None else {"Idempotency-Key": key}
        return await over.post("/api/transactions/pay", json=body, headers=headers)

    async def refund(self, over: httpx.AsyncClient, transaction: str, amount: str, key: str) -> httpx.Response:
        body = {"transaction": transaction, "amount": amount}
        return await over.post("/api/refunds/", json=body, headers={"Idempotency-Key": key})

    async def paid(self, amount: str = "100.00") -> str:
        """Pay, and return the transaction's id when it has succeeded."""
        answer = await self.pay(self.one, amount)
        assert answer.status_code == 201, answer.text
        id = str(answer.json()["id"])
        await until_seen(lambda: self.status_of(id), "succeeded")
        return id

    async def status_of(self, id: str) -> str:
        return str((await self.other.get(f"/api/transactions/{id}/")).json().get("status"))


async def answered(send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Send again while the answer is that the service is too busy to tell, as a client does."""
    answer = await send()
    for _ in range(REPEATS_MAX):
        if not answer.is_error or not answer.json()["retryable"]:
            break
        await asyncio.sleep(int(answer.headers["Retry-After"]))
        answer = await send()
    return answer


@pytest.fixture
async def open_shop(service: Service) -> AsyncGenerator[Callable[[str], Any], None]:
    clients: list[httpx.AsyncClient] = []

    async def open_one(email: str) -> Shop:
        async with httpx.AsyncClient(base_url=service.one, timeout=PATIENCE_SECONDS) as stranger:
            account = await stranger.post("/api/auth/register/", json={"email": email, "password": PASSWORD})
        assert account.status_code == 201, account.text
        headers = {"Authorization": f"Token {account.json()['api_key']}"}
        one, other = (
            httpx.AsyncClient(
                base_url=url, headers=headers, timeout=PATIENCE_SECONDS, limits=httpx.Limits(max_connections=32)
            )
            for url in (service.one, service.other)
        )
        clients.extend((one, other))
        channel = await one.post("/api/payments/payment_key/")
        return Shop(one=one, other=other, channel=channel.json()["key"])

    yield open_one
    for client in clients:
        await client.aclose()


OpenShop = Callable[[str], Any]


async def test_a_hundred_payments_with_one_idempotency_key_are_one_payment_with_one_answer(open_shop: OpenShop) -> None:
    shop: Shop = await open_shop("shop1@example.com")

    async def pay(number: int) -> httpx.Response:
        return await answered(lambda: shop.pay(shop.one if number % 2 else shop.other, key="order-1"))

    answers = await asyncio.gather(*map(pay, range(100)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    listed = await shop.other.get("/api/transactions/")
    assert [each["id"] for each in listed.json()["results"]] == [answers[0].json()["id"]]


async def test_of_fifty_refunds_at_once_as_many_succeed_as_the_amount_has_room_for(open_shop: OpenShop) -> None:
    shop: Shop = await open_shop("shop2@example.com")
    id = await shop.paid("100.00")

    async def refund(number: int) -> httpx.Response:
        over = shop.one if number % 2 else shop.other
        return await answered(lambda: shop.refund(over, id, "3.00", f"refund-{number}"))

    answers = await asyncio.gather(*map(refund, range(50)))
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(201), statuses.count(400)) == (33, 17)
    assert {answer.json()["code"] for answer in answers if answer.status_code == 400} == {"refund_exceeds_amount"}

    async def refunded() -> str:
        return str((await shop.one.get(f"/api/transactions/{id}/")).json()["amount_refunded"])

    await until_seen(refunded, "99.00")


async def test_two_merchants_at_once_see_nothing_of_each_other_cached_pages_included(open_shop: OpenShop) -> None:
    shops: list[Shop] = [await open_shop(f"neighbour{number}@example.com") for number in range(2)]
    ids = await asyncio.gather(*(shop.paid(f"1{number}.00") for number, shop in enumerate(shops)))
    for shop, own, foreign in ((shops[0], ids[0], ids[1]), (shops[1], ids[1], ids[0])):
        for client in (shop.one, shop.other) * 2:
            listed = (await client.get("/api/transactions/")).json()["results"]
            assert [each["id"] for each in listed] == [own]
            events = (await client.get("/api/events/")).json()["results"]
            assert {each["data"]["id"] for each in events} == {own}
            assert (await client.get(f"/api/transactions/{own}/")).status_code == 200
            assert (await client.get(f"/api/transactions/{foreign}/")).status_code == 404
            assert (await client.post("/api/refunds/", json={"transaction": foreign})).status_code == 404


async def test_what_a_webhook_tells_is_what_the_lists_show_at_that_moment(open_shop: OpenShop) -> None:
    shop: Shop = await open_shop("shop3@example.com")
    told: asyncio.Queue[tuple[str, list[str]]] = asyncio.Queue()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line)
        event = json.loads(await reader.readexactly(length))
        seen = []
        for client in (shop.one, shop.other):
            id = event["data"]["id"]
            listed = {each["id"]: each for each in (await client.get("/api/transactions/")).json()["results"]}
            single = (await client.get(f"/api/transactions/{id}/")).json()
            seen += [listed[id]["status"], single["status"]]
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        told.put_nowait((event["type"], seen))

    async with await asyncio.start_server(receive, "127.0.0.1", 0) as receiver:
        port = receiver.sockets[0].getsockname()[1]
        made = await shop.one.post("/api/webhooks/", json={"url": f"http://127.0.0.1:{port}/"})
        assert made.status_code == 201, made.text
        for _ in range(5):
            await shop.paid()
        async with asyncio.timeout(PATIENCE_SECONDS):
            heard = [await told.get() for _ in range(15)]
    for type, seen in heard:
        if type == "transaction.succeeded":
            assert set(seen) == {"succeeded"}
    assert sum(type == "transaction.succeeded" for type, _ in heard) == 5


async def _newest_is_seen_everywhere(shop: Shop) -> None:
    """Look at the lists over the other process, change something over the one, look again at once."""
    paid = await shop.paid("50.00")
    for path in ("/api/transactions/", "/api/refunds/", "/api/webhooks/", "/api/events/"):
        assert (await shop.other.get(path)).status_code == 200
    answer = await shop.pay(shop.one)
    assert answer.status_code == 201, answer.text
    listed = (await shop.other.get("/api/transactions/")).json()["results"]
    assert listed[0]["id"] == answer.json()["id"]
    refund = await shop.one.post("/api/refunds/", json={"transaction": paid, "amount": "1.00"})
    assert refund.status_code == 201, refund.text
    assert (await shop.other.get("/api/refunds/")).json()["results"][0]["id"] == refund.json()["id"]
    shown = (await shop.other.get(f"/api/transactions/{paid}/")).json()
    assert shown["refunds"][0]["id"] == refund.json()["id"]
    endpoint = await shop.one.post("/api/webhooks/", json={"url": "http://127.0.0.1:9/"})
    assert endpoint.status_code == 201, endpoint.text
    assert (await shop.other.get("/api/webhooks/")).json()["results"][0]["id"] == endpoint.json()["id"]
    assert (await shop.one.delete(f"/api/webhooks/{endpoint.json()['id']}/")).status_code == 204
    assert endpoint.json()["id"] not in (await shop.other.get("/api/webhooks/")).text


async def test_a_list_shows_what_was_just_done_whatever_happens_to_valkey(
    open_shop: OpenShop, valkey_server: Server
) -> None:
    shop: Shop = await open_shop("shop4@example.com")
    await _newest_is_seen_everywhere(shop)
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    await _newest_is_seen_everywhere(shop)
    await valkey_server.stop()
    await _newest_is_seen_everywhere(shop)

    async def ready() -> tuple[int, str]:
        answer = await shop.one.get("/health/ready")
        return answer.status_code, answer.json()["status"]

    await until_seen(ready, (200, "degraded"))
    await valkey_server.start()
    await _newest_is_seen_everywhere(shop)
    await until_seen(ready, (200, "ok"))


async def test_without_postgres_calls_are_answered_503_and_everything_recovers_by_itself(
    open_shop: OpenShop, postgres_server: Server
) -> None:
    shop: Shop = await open_shop("shop5@example.com")
    before = await shop.paid("10.00")
    await postgres_server.stop()
    for answer in (
        await shop.pay(shop.one, key="while-away"),
        await shop.one.get("/api/transactions/"),
        await shop.other.get(f"/api/transactions/{before}/"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), answer.text
        assert int(answer.headers["Retry-After"]) >= 1

    async def ready() -> int:
        return (await shop.one.get("/health/ready")).status_code

    await until_seen(ready, 503)
    assert (await shop.one.get("/health/live")).status_code == 200
    await postgres_server.start()
    await until_seen(ready, 200)
    assert (await shop.pay(shop.one, key="while-away")).status_code == 201
    await shop.paid("20.00")
