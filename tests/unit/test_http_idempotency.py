"""The table of idempotency: one effect for each key, and the same answer each time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import pytest

from adapters.memory import MemoryStore
from payments_core import Scope, units
from payments_core.ports import UnitOfWork
from tests.unit.http_shop import Shop, open_api, problem

PAY: Final = "/api/transactions/pay"
KEY: Final = {"idempotency-key": "order-7"}


@pytest.fixture
async def shop() -> AsyncGenerator[Shop, None]:
    async with open_api() as api:
        yield await api.open_shop()


async def paid_count(shop: Shop) -> int:
    return len((await shop.get("/api/transactions/?limit=100")).json()["results"])


async def test_without_a_key_each_request_is_executed(shop: Shop) -> None:
    assert (await shop.pay())["id"] != (await shop.pay())["id"]


async def test_the_same_again_gets_the_same_answer_byte_for_byte(shop: Shop) -> None:
    first = await shop.post(PAY, shop.payment(), headers=KEY)
    assert "idempotent-replayed" not in first.headers
    await shop.api.work()
    body = dict(reversed(list(shop.payment().items())))
    for path, key in ((PAY, "order-7"), (f"{PAY}/", '"order-7"'), (PAY, " order-7 ")):
        again = await shop.post(path, body, headers={"idempotency-key": key})
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["location"] == first.headers["location"]
        assert again.headers["idempotent-replayed"] == "true"
    assert await paid_count(shop) == 1


async def test_twins_at_the_same_moment_have_one_effect(shop: Shop) -> None:
    answers = await asyncio.gather(*(shop.post(PAY, shop.payment(), headers=KEY) for _ in range(100)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert await paid_count(shop) == 1


async def test_the_same_key_for_another_request_is_refused_without_its_values(shop: Shop) -> None:
    await shop.post(PAY, shop.payment(description="a secret plan"), headers=KEY)
    answer = await shop.post(PAY, shop.payment(amount="7.77", metadata={"a": "b"}), headers=KEY)
    detail = problem(answer, 422, "idempotency_key_reused")["detail"]
    assert "amount, description, metadata" in detail
    assert "7.77" not in answer.text
    assert "plan" not in answer.text
    other = await shop.post("/api/payments/payment_key/", headers=KEY)
    assert PAY in problem(other, 422, "idempotency_key_reused")["detail"]


async def test_the_id_in_the_path_is_part_of_the_request(shop: Shop) -> None:
    first, second = await shop.pay(), await shop.pay()
    assert (await shop.post(f"/api/transactions/{first['id']}/cancel/", headers=KEY)).status_code == 200
    assert (await shop.post(f"/api/transactions/{first['id']}/cancel", headers=KEY)).status_code == 200
    other = await shop.post(f"/api/transactions/{second['id']}/cancel/", headers=KEY)
    problem(other, 422, "idempotency_key_reused")


async def test_a_replay_comes_before_every_business_rule(shop: Shop) -> None:
    done = await shop.paid()
    refund = {"transaction": done["id"]}
    first = await shop.post("/api/refunds/", refund, headers=KEY)
    assert first.status_code == 201
    assert (await shop.post("/api/refunds/", refund, headers=KEY)).content == first.content
    problem(await shop.post("/api/refunds/", refund), 400, "already_refunded")


async def test_what_was_refused_leaves_the_key_free(shop: Shop) -> None:
    problem(await shop.post(PAY, shop.payment(amount="0"), headers=KEY), 400, "invalid_request")
    problem(await shop.post(PAY, shop.payment(payment_key="pk_"), headers=KEY), 400, "invalid_payment_key")
    problem(await shop.api.client.post(PAY, json=shop.payment(), headers=KEY), 401, "authentication_required")
    assert (await shop.post(PAY, shop.payment(), headers=KEY)).status_code == 201


async def test_each_kind_of_post_is_replayed_with_its_own_status(shop: Shop) -> None:
    done = await shop.paid()
    webhook = await shop.add_webhook()
    path = f"/api/webhooks/{webhook['id']}"
    api_key = (await shop.post("/api/auth/api_keys/")).json()
    calls: list[tuple[str, object, int]] = [
        ("/api/auth/api_keys/", {"name": "a"}, 201),
        (f"/api/auth/api_keys/{api_key['id']}/rotate/", None, 201),
        ("/api/payments/payment_key/", None, 201),
        ("/api/refunds/", {"transaction": done["id"], "amount": "1"}, 201),
        ("/api/webhooks/", {"url": "https://shop.example.com/2"}, 201),
        (f"{path}/rotate_secret/", None, 200),
        (f"{path}/test/", None, 202),
        (f"{path}/replay/", {"since": "2026-03-01T00:00:00Z", "until": "2026-03-02T00:00:00Z"}, 202),
    ]
    for number, (call, body, status) in enumerate(calls):
        key = {"idempotency-key": f"key-{number}"}
        first, again = await shop.post(call, body, headers=key), await shop.post(call, body, headers=key)
        assert (first.status_code, again.status_code) == (status, status), first.text
        assert first.content == again.content
        assert again.headers["idempotent-replayed"] == "true"


async def test_a_key_is_free_again_after_72_hours(shop: Shop) -> None:
    first = await shop.post(PAY, shop.payment(), headers=KEY)
    shop.api.clock.move(timedelta(hours=72))
    second = await shop.post(PAY, shop.payment(), headers=KEY)
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


class SlowStore(MemoryStore):
    """A store that commits while `open` is set, and says by `reached` that a commit waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.reached = asyncio.Event(), asyncio.Event()
        self.open.set()

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[UnitOfWork, None]:
        async with super().begin() as work:
            yield work
            if not self.open.is_set():
                self.reached.set()
                await self.open.wait()


async def test_a_twin_that_waits_too_long_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "TURN_WAIT_SECONDS", 0.01)
    store = SlowStore()
    async with open_api(store=store) as api:
        shop = await api.open_shop()
        store.open.clear()
        first = asyncio.create_task(shop.post(PAY, shop.payment(), headers=KEY))
        await store.reached.wait()
        twin = await shop.post(PAY, shop.payment(), headers=KEY)
        assert problem(twin, 409, "idempotency_key_in_use")["retryable"]
        assert twin.headers["retry-after"] == "1"
        store.open.set()
        assert (await first).status_code == 201
        again = await shop.post(PAY, shop.payment(), headers=KEY)
        assert (again.status_code, again.content) == (201, (await first).content)
        assert await paid_count(shop) == 1


async def test_a_weaker_credential_is_not_given_the_answer_of_a_stronger_one(shop: Shop) -> None:
    weaker = await shop.with_key(scopes=frozenset({Scope.API_KEYS_WRITE}))
    made = await shop.post("/api/auth/api_keys/", {"name": "k"}, headers=KEY)
    assert made.status_code == 201
    answer = await weaker.post("/api/auth/api_keys/", {"name": "k"}, headers=KEY)
    assert "the credential's scopes" in problem(answer, 422, "idempotency_key_reused")["detail"]
    assert made.json()["api_key"] not in answer.text
