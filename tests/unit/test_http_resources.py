"""Each call of the API does what it says, and shows what it did."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from urllib.parse import quote

import pytest

from adapters.sandbox.scripts import SCRIPTS
from entrypoints.settings import Settings
from payments_core.merchant import Scope
from payments_core.webhook import verify
from tests.unit.http_shop import PASSWORD, START, Api, Shop, open_api, problem


@pytest.fixture
async def api() -> AsyncGenerator[Api, None]:
    async with open_api() as api:
        yield api


@pytest.fixture
async def shop(api: Api) -> Shop:
    return await api.open_shop()


async def test_registration_gives_an_account_and_its_first_key(api: Api) -> None:
    answer = await api.client.post(
        "/api/auth/register/", json={"email": " Shop@Example.com", "password": PASSWORD, "name": "Corner Shop"}
    )
    assert answer.status_code == 201
    made = answer.json()
    assert made["email"] == "shop@example.com"
    assert made["name"] == "Corner Shop"
    assert made["created_at"] == "2026-03-01T09:30:15.123457Z"
    assert answer.headers["location"] == "/api/auth/me/"
    assert answer.headers["cache-control"] == "no-store"
    me = await api.client.get("/api/auth/me/", headers={"authorization": f"bearer {made.pop('api_key')}"})
    assert me.json() == made


async def test_registration_can_be_closed() -> None:
    async with open_api(Settings(registration="closed")) as api:
        body = {"email": "shop@example.com", "password": PASSWORD}
        problem(await api.client.post("/api/auth/register/", json=body), 403, "registration_closed")


async def test_a_login_gives_a_key_that_logs_out(shop: Shop) -> None:
    body = {"email": shop.email, "password": PASSWORD}
    answer = await shop.api.client.post("/api/auth/login/", json=body)
    assert answer.status_code == 200
    assert answer.json()["merchant"]["id"] == shop.id
    headers = {"authorization": f"Token {answer.json()['api_key']}"}
    assert (await shop.api.client.get("/api/auth/me/", headers=headers)).status_code == 200
    gone = await shop.api.client.post("/api/auth/logout/", headers=headers)
    assert (gone.status_code, gone.content) == (204, b"")
    problem(await shop.api.client.get("/api/auth/me/", headers=headers), 401, "invalid_credentials")


@pytest.mark.parametrize("name", ["email", "username"])
async def test_tokens_are_refreshed_once(shop: Shop, name: str) -> None:
    client = shop.api.client
    pair = (await client.post("/api/auth/token/", json={name: shop.email, "password": PASSWORD})).json()
    assert (pair["token_type"], pair["expires_in"]) == ("Bearer", 300)

    async def me(token: str) -> int:
        return (await client.get("/api/auth/me/", headers={"authorization": f"Bearer {token}"})).status_code

    assert await me(pair["access"]) == 200
    second = (await client.post("/api/auth/token/refresh/", json={"refresh": pair["refresh"]})).json()
    assert await me(second["access"]) == 200
    again = await client.post("/api/auth/token/refresh/", json={"refresh": pair["refresh"]})
    problem(again, 401, "invalid_credentials")
    assert await me(second["access"]) == 401, "the whole family is revoked"


async def test_a_changed_password_ends_the_sessions(shop: Shop) -> None:
    client = shop.api.client
    pair = (await client.post("/api/auth/token/", json={"email": shop.email, "password": PASSWORD})).json()
    changed = await shop.post("/api/auth/password/", {"password": PASSWORD, "new_password": "another good one"})
    assert changed.status_code == 204
    headers = {"authorization": f"Bearer {pair['access']}"}
    assert (await client.get("/api/auth/me/", headers=headers)).status_code == 401
    login = await client.post("/api/auth/login/", json={"email": shop.email, "password": "another good one"})
    assert login.status_code == 200


async def test_api_keys_are_made_listed_rotated_and_revoked(shop: Shop) -> None:
    body = {"name": "reader", "scopes": ["transactions:read"], "expires_at": "2027-01-01T00:00:00+01:00"}
    answer = await shop.post("/api/auth/api_keys/", body)
    assert answer.status_code == 201
    made = answer.json()
    assert made["expires_at"] == "2026-12-31T23:00:00.000000Z"
    assert answer.headers["location"] == f"/api/auth/api_keys/{made['id']}/"
    secret = made.pop("api_key")
    assert secret.startswith(made["prefix"])
    assert secret.endswith(made["last_four"])
    listed = (await shop.get("/api/auth/api_keys/")).json()["results"]
    assert made in listed
    assert all("api_key" not in key for key in listed)

    rotated = await shop.post(f"/api/auth/api_keys/{made['id']}/rotate/")
    assert rotated.status_code == 201
    assert rotated.json()["scopes"] == ["transactions:read"]
    gone = await shop.delete(f"/api/auth/api_keys/{rotated.json()['id']}/")
    assert (gone.status_code, gone.content) == (204, b"")
    headers = {"authorization": f"Token {rotated.json()['api_key']}"}
    problem(await shop.api.client.get("/api/transactions/", headers=headers), 401, "invalid_credentials")


async def test_an_api_key_can_be_made_without_a_body(shop: Shop) -> None:
    assert (await shop.post("/api/auth/api_keys/")).json()["scopes"] == sorted(Scope)


async def test_no_key_makes_one_with_more_scopes(shop: Shop) -> None:
    weak = await shop.with_key(scopes=frozenset({Scope.API_KEYS_WRITE}))
    problem(await weak.post("/api/auth/api_keys/", {"scopes": ["refunds:write"]}), 403, "scope_missing")
    problem(await weak.get("/api/auth/api_keys/"), 403, "scope_missing")


async def test_nothing_is_paid_through_a_deactivated_payment_key(shop: Shop) -> None:
    listed = (await shop.get("/api/payments/payment_key/")).json()["results"]
    assert [key["id"] for key in listed] == [shop.payment_key_id]
    assert (await shop.delete(f"/api/payments/payment_key/{shop.payment_key_id}/")).status_code == 204
    problem(await shop.post("/api/transactions/pay", shop.payment()), 400, "invalid_payment_key")
    assert not (await shop.get("/api/payments/payment_key/")).json()["results"][0]["is_active"]


async def test_a_payment_goes_from_accepted_to_succeeded(shop: Shop) -> None:
    answer = await shop.post("/api/transactions/pay", shop.payment(currency="usd", metadata={"order": "7"}))
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/api/transactions/{made['id']}/"
    assert (made["status"], made["amount"], made["currency"]) == ("pending", "100.00", "USD")
    assert made["payment_key"] == shop.payment_key_id
    assert (await shop.get(answer.headers["location"])).json() == made
    await shop.api.work()
    done = (await shop.get(answer.headers["location"])).json()
    assert (done["status"], done["amount_refundable"]) == ("succeeded", "100.00")
    history = (await shop.get(f"/api/transactions/{made['id']}/events/")).json()["results"]
    assert [(event["type"], event["sequence"]) for event in history] == [
        ("transaction.created", 1),
        ("transaction.processing", 2),
        ("transaction.succeeded", 3),
    ]


async def test_a_declined_payment_says_why(shop: Shop) -> None:
    done = await shop.paid(payment_method="pm_decline_insufficient_funds")
    assert done["status"] == "failed"
    assert done["failure"]["code"] == "insufficient_funds"


async def test_a_pending_payment_can_be_canceled_and_a_done_one_not(shop: Shop) -> None:
    made = await shop.pay()
    canceled = await shop.post(f"/api/transactions/{made['id']}/cancel/")
    assert canceled.status_code == 200
    assert (canceled.json()["status"], canceled.json()["status_reason"]) == ("canceled", "requested")
    problem(await shop.post(f"/api/transactions/{made['id']}/cancel"), 409, "transaction_not_cancelable")


async def test_a_reference_is_used_once(shop: Shop) -> None:
    await shop.pay(reference="order-1")
    problem(await shop.post("/api/transactions/pay", shop.payment(reference="order-1")), 409, "reference_taken")


async def test_refunds_are_never_more_than_the_amount(shop: Shop) -> None:
    problem(
        await shop.post("/api/refunds/", {"transaction": (await shop.pay())["id"]}), 400, "transaction_not_refundable"
    )
    done = await shop.paid()
    answer = await shop.post("/api/refunds/", {"transaction": done["id"], "amount": "30.00", "reason": "returned"})
    assert answer.status_code == 201
    refund = answer.json()
    assert (refund["status"], refund["amount"], refund["currency"]) == ("pending", "30.00", "USD")
    assert answer.headers["location"] == f"/api/refunds/{refund['id']}/"
    too_much = await shop.post("/api/refunds/", {"transaction": done["id"], "amount": "70.01"})
    detail = problem(too_much, 400, "refund_exceeds_amount")["detail"]
    assert "cannot exceed" in detail
    assert "70.00 USD" in detail
    await shop.api.work()
    assert (await shop.get(answer.headers["location"])).json()["status"] == "succeeded"
    rest = await shop.post("/api/refunds/", {"transaction": done["id"]})
    assert rest.json()["amount"] == "70.00"
    problem(await shop.post("/api/refunds/", {"transaction": done["id"]}), 400, "already_refunded")
    shown = (await shop.get(f"/api/transactions/{done['id']}/")).json()
    assert [each["id"] for each in shown["refunds"]] == [rest.json()["id"], refund["id"]]
    assert (shown["amount_refunded"], shown["amount_refund_pending"]) == ("30.00", "70.00")
    listed = (await shop.get("/api/refunds/", params={"transaction": done["id"]})).json()["results"]
    assert [each["id"] for each in listed] == [rest.json()["id"], refund["id"]]
    assert (await shop.get("/api/refunds/?transaction=txn_0")).json()["results"] == []


async def test_an_endpoint_is_added_changed_rotated_and_removed(shop: Shop) -> None:
    made = await shop.add_webhook()
    path = f"/api/webhooks/{made['id']}/"
    secret = made.pop("secret")
    assert (await shop.get(path)).json() == made
    assert (await shop.get("/api/webhooks/")).json()["results"] == [made]
    changes = {"events": ["transaction.succeeded"], "description": "orders"}
    changed = await shop.patch(path, changes)
    assert (changed.status_code, changed.json()) == (200, {**made, **changes})
    assert (await shop.patch(path, {"description": None})).json()["description"] is None
    rotated = await shop.post(f"{path}rotate_secret/")
    assert rotated.status_code == 200
    assert rotated.json()["secret"] not in ("", secret)
    assert (await shop.delete(path)).status_code == 204
    problem(await shop.get(path), 404, "not_found")


async def test_a_test_event_arrives_signed_and_its_delivery_can_be_seen_and_sent_again(shop: Shop) -> None:
    made = await shop.add_webhook()
    path = f"/api/webhooks/{made['id']}/"
    sent = await shop.post(f"{path}test/")
    assert (sent.status_code, sent.json()["type"]) == (202, "webhook.test")
    await shop.api.work()
    (notification,) = shop.api.notifier.sent
    id = verify(made["secret"], headers=notification.headers, body=notification.body, at=shop.api.clock.now())
    assert id == sent.json()["id"]
    (delivery,) = (await shop.get(f"{path}deliveries/?status=delivered&event_type=webhook.test")).json()["results"]
    assert (delivery["event"], delivery["attempts"][0]["status_code"]) == (id, 204)
    assert (await shop.get(f"{path}deliveries/?status=exhausted")).json()["results"] == []
    again = await shop.post(f"{path}deliveries/{delivery['id']}/retry/")
    assert (again.status_code, again.json()["status"]) == (202, "pending")
    await shop.api.work()
    assert len(shop.api.notifier.sent) == 2
    window = {"since": "2026-03-01T00:00:00Z", "until": "2026-03-02T00:00:00Z"}
    queued = await shop.post(f"{path}replay/", window)
    assert (queued.status_code, queued.json()) == (202, {"queued": 1})
    await shop.patch(path, {"enabled": False})
    problem(await shop.post(f"{path}test/"), 409, "webhook_disabled")


async def test_events_come_in_order_and_letter_by_letter_as_they_were_sent(shop: Shop) -> None:
    await shop.add_webhook()
    done = await shop.paid()
    listed = (await shop.get("/api/events/")).json()["results"]
    assert [event["type"] for event in listed] == [
        "transaction.created",
        "transaction.processing",
        "transaction.succeeded",
    ]
    event = await shop.get(f"/api/events/{listed[2]['id']}/")
    assert event.content in [notification.body for notification in shop.api.notifier.sent]
    assert event.json()["data"]["id"] == done["id"]
    only = await shop.get("/api/events/", params={"type": "transaction.created", "transaction": done["id"]})
    assert only.json()["results"] == listed[:1]
    assert (await shop.get("/api/events/?created_after=2026-03-01T09:30:16Z")).json()["results"] == []


async def test_transactions_are_found_by_each_filter(shop: Shop) -> None:
    dollars = await shop.paid()
    shop.api.clock.move(timedelta(seconds=10))
    yen = await shop.pay(amount="500", currency="JPY", reference="a", customer_reference="c")
    after = START + timedelta(seconds=5)
    found = {
        "status=succeeded": [dollars],
        "status=pending": [yen],
        "currency=jpy": [yen],
        f"payment_key={shop.payment_key_id}": [yen, dollars],
        "payment_key=key_0": [],
        "reference=a": [yen],
        "customer_reference=c": [yen],
        f"created_after={after.isoformat().replace('+', '%2B')}": [yen],
        f"created_before={after.isoformat().replace('+', '%2B')}": [dollars],
        "currency=USD&min_amount=100.00&max_amount=100": [dollars],
        "currency=USD&min_amount=100.01": [],
        "currency=USD&min_amount=0&max_amount=100.00": [dollars],
        "currency=USD&max_amount=0.00": [],
        "currency=JPY&min_amount=0": [yen],
        "currency=USD&max_amount=99.99": [],
    }
    for query, expected in found.items():
        answer = await shop.get(f"/api/transactions/?{query}")
        assert answer.status_code == 200, answer.text
        assert [each["id"] for each in answer.json()["results"]] == [each["id"] for each in expected], query


async def test_a_payment_method_that_the_sandbox_has_not_is_told_those_that_it_has(shop: Shop) -> None:
    failure = (await shop.paid(payment_method="pm_nope"))["failure"]
    assert failure["code"] == "unknown_payment_method"
    for name in SCRIPTS:
        assert name in failure["message"]


@pytest.mark.parametrize("key", ["/", "//", "a//b", "/a/", "%2F", "a%2fb"])
async def test_an_idempotency_key_of_slashes_is_found_by_its_encoded_self(shop: Shop, key: str) -> None:
    made = await shop.pay(key=key)
    for end in ("", "/"):
        answer = await shop.get(f"/api/idempotency_keys/{quote(key, safe='')}{end}")
        assert (answer.status_code, answer.json().get("resource")) == (200, made["id"])
        assert answer.json()["key"] == key


async def test_an_idempotency_key_tells_what_it_did(shop: Shop) -> None:
    key = "order/7 paid: yes?"
    made = await shop.pay(key=key)
    answer = await shop.get("/api/idempotency_keys/order%2F7%20paid:%20yes%3F/")
    assert answer.json() == {
        "key": key,
        "livemode": False,
        "route": "POST /api/transactions/pay",
        "status": 201,
        "resource": made["id"],
        "created_at": made["created_at"],
        "expires_at": made["created_at"].replace("03-01", "03-04"),
    }
