"""The audit log against those who would rather not be in it: nothing is missing, changed or told."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeAlias

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import PostgresStore
from adapters.security.vault import AeadVault
from entrypoints.settings import LOOPBACK, Settings
from payments_core.audit import Action
from payments_core.ids import MerchantId
from payments_core.merchant import Caller, CredentialKind, Scope
from payments_core.ports import AuditFilter, Window
from payments_core.testing.builders import a_moment, an_audit_entry
from payments_core.testing.subject import open_shop, put
from payments_core.use_cases.make_api_key import MakeApiKey, add_api_key
from tests.unit.console_browser import Browser
from tests.unit.http_shop import PASSWORD, Api, Shop, open_api, problem

ANY: Final = AuditFilter()
VAULT: Final = AeadVault([b"k" * 32], entropy=os.urandom)
Deed: TypeAlias = Callable[[Shop], Awaitable[Any]]


@pytest.fixture
async def shop() -> AsyncGenerator[Shop, None]:
    async with open_api() as api:
        yield await api.open_shop()


async def entries(shop: Shop, query: str = "") -> list[Any]:
    """Return what the merchant sees, the newest first."""
    answer = await shop.get(f"/api/audit/?limit=100{query}")
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["results"]
    return found


async def all_entries(api: Api) -> list[Any]:
    found = await api.store.oversight.audit(Window(limit=100), ANY, None)
    return list(found.items)


# ── nothing is missing ───────────────────────────────────────────────────────────────────────────────────────────────


async def _log_in(shop: Shop) -> Any:
    return await shop.api.client.post("/api/auth/login/", json={"email": shop.email, "password": PASSWORD})


async def _make_key(shop: Shop) -> str:
    return str((await shop.post("/api/auth/api_keys/", {"name": "backend"})).json()["id"])


async def _end_session(shop: Shop) -> Any:
    secret = (await _log_in(shop)).json()["api_key"]
    return await shop.post("/api/auth/logout/", headers={"authorization": f"Token {secret}"})


async def _end_all_sessions(shop: Shop) -> Any:
    browser = await Browser(shop.api.client).sign_in(shop.email)
    await browser.get("/console/account")
    return await browser.submit("/console/sign-out-everywhere")


async def _steal_session(shop: Shop) -> Any:
    body = {"email": shop.email, "password": PASSWORD}
    refresh = {"refresh": (await shop.api.client.post("/api/auth/token/", json=body)).json()["refresh"]}
    await shop.api.client.post("/api/auth/token/refresh/", json=refresh)
    return await shop.api.client.post("/api/auth/token/refresh/", json=refresh)


async def _change_webhook(shop: Shop) -> Any:
    hook = await shop.add_webhook()
    return await shop.patch(
        f"/api/webhooks/{hook['id']}/", {"url": "https://shop.example.com/very-secret?token=very-secret"}
    )


async def _remove_webhook(shop: Shop) -> Any:
    return await shop.delete(f"/api/webhooks/{(await shop.add_webhook())['id']}/")


async def _rotate_secret(shop: Shop) -> Any:
    return await shop.post(f"/api/webhooks/{(await shop.add_webhook())['id']}/rotate_secret/")


async def _refund(shop: Shop) -> Any:
    return await shop.post("/api/refunds/", {"transaction": (await shop.paid())["id"], "amount": "30.00"})


async def _cancel(shop: Shop) -> Any:
    return await shop.post(f"/api/transactions/{(await shop.pay())['id']}/cancel/")


async def _close_channel(shop: Shop) -> Any:
    made = await shop.post("/api/payments/payment_key/")
    return await shop.delete(f"/api/payments/payment_key/{made.json()['id']}/")


async def _change_password(shop: Shop, *, old: str = PASSWORD) -> Any:
    return await shop.post("/api/auth/password/", {"password": old, "new_password": "another horse battery"})


DEEDS: Final[dict[Action, Deed]] = {
    Action.LOGIN_SUCCEEDED: _log_in,
    Action.LOGIN_FAILED: lambda shop: shop.api.client.post(
        "/api/auth/login/", json={"email": shop.email, "password": "a guess of somebody"}
    ),
    Action.SESSION_ENDED: _end_session,
    Action.SESSIONS_ENDED: _end_all_sessions,
    Action.SESSION_STOLEN: _steal_session,
    Action.PASSWORD_CHANGED: _change_password,
    Action.PASSWORD_REFUSED: lambda shop: _change_password(shop, old="a guess of somebody"),
    Action.API_KEY_MADE: _make_key,
    Action.API_KEY_ROTATED: lambda shop: _on_new_key(shop, "POST", "rotate/"),
    Action.API_KEY_REVOKED: lambda shop: _on_new_key(shop, "DELETE", ""),
    Action.PAYMENT_KEY_MADE: lambda shop: shop.post("/api/payments/payment_key/"),
    Action.PAYMENT_KEY_DEACTIVATED: _close_channel,
    Action.WEBHOOK_MADE: lambda shop: shop.add_webhook(),
    Action.WEBHOOK_CHANGED: _change_webhook,
    Action.WEBHOOK_REMOVED: _remove_webhook,
    Action.WEBHOOK_SECRET_ROTATED: _rotate_secret,
    Action.TRANSACTION_CANCELED: _cancel,
    Action.REFUND_MADE: _refund,
}
OF_STAFF: Final = {
    Action.PASSWORD_RESET,
    Action.MERCHANT_SUSPENDED,
    Action.MERCHANT_UNSUSPENDED,
    Action.MERCHANT_SEEN,
    Action.MERCHANTS_LISTED,
    Action.STAFF_MADE,
    Action.STAFF_DISABLED,
    Action.STAFF_LISTED,
    Action.JOBS_LISTED,
    Action.ATTEMPTS_LISTED,
    Action.AUDIT_LISTED,
    Action.LIST_SEEN,
    Action.SHELL_OPENED,
    Action.JOB_SEEN,
    Action.JOB_REVIVED,
    Action.ATTEMPT_SEEN,
    Action.ATTEMPT_RESOLVED,
    Action.SECRETS_RESEALED,
}
"""What merchants cannot do; tests/unit/test_staff.py, test_staff_accounts.py and test_suspension.py have these."""


async def _on_new_key(shop: Shop, method: str, rest: str) -> Any:
    return await shop.call(method, f"/api/auth/api_keys/{await _make_key(shop)}/{rest}")


def test_each_action_is_tried() -> None:
    assert {*DEEDS, *OF_STAFF, Action.MERCHANT_REGISTERED} == set(Action)


@pytest.mark.parametrize("action", DEEDS)
async def test_each_deed_leaves_one_entry_that_says_who_did_it_and_from_where(shop: Shop, action: Action) -> None:
    before = {entry["id"] for entry in await entries(shop)}
    await DEEDS[action](shop)
    new = [entry for entry in await all_entries(shop.api) if entry.id not in before]
    (left,) = [entry for entry in new if entry.action == action]
    assert (left.merchant, left.address) == (shop.id, "127.0.0.1")
    assert left.request_id
    assert left.actor.kind
    seen = next(entry for entry in await entries(shop) if entry["id"] == left.id)
    assert (seen["action"], seen["actor"]["kind"]) == (action, left.actor.kind)


@pytest.mark.parametrize("path", ["/api/auth/login/", "/api/auth/token/"])
async def test_a_right_guess_is_not_told_apart_in_a_mode_that_is_closed(shop: Shop, path: str) -> None:
    before = await all_entries(shop.api)
    for password in (PASSWORD, "a guess of somebody"):
        body = {"email": shop.email, "password": password, "livemode": True}
        problem(await shop.api.client.post(path, json=body), 400, "live_mode_unavailable")
    assert await all_entries(shop.api) == before


async def test_a_live_key_that_was_made_from_test_mode_is_seen_in_live_mode(shop: Shop) -> None:
    session = Caller(merchant=MerchantId(shop.id), kind=CredentialKind.SESSION_KEY, credential="apk_of_a_session")
    moment = a_moment(shop.api.clock.now())
    async with shop.api.store.begin() as work:
        made = await add_api_key(
            work, moment, caller=session, command=MakeApiKey(livemode=True), live_mode_is_open=True
        )
    live = await shop.with_key(livemode=True)
    for mode in (shop, live):
        (entry,) = await entries(mode, f"&subject={made.resource}")
        assert (entry["action"], entry["livemode"]) == ("api_key.made", None)


async def test_a_registration_leaves_an_entry(shop: Shop) -> None:
    (entry,) = await entries(shop, "&action=merchant.registered")
    assert (entry["subject"], entry["actor"], entry["address"]) == (
        shop.id,
        {"kind": "nobody", "id": None},
        "127.0.0.1",
    )


async def test_a_key_is_named_that_did_it(shop: Shop) -> None:
    (key,) = (await shop.get("/api/auth/api_keys/")).json()["results"]
    await shop.add_webhook()
    (entry,) = await entries(shop, "&action=webhook.made")
    assert entry["actor"] == {"kind": "server_key", "id": key["id"]}


# ── nothing is in it that was not done ───────────────────────────────────────────────────────────────────────────────


async def test_what_is_refused_leaves_no_entry_of_a_deed(shop: Shop) -> None:
    before = await entries(shop)
    done = await shop.paid()
    too_much = {"transaction": done["id"], "amount": "100.01"}
    problem(await shop.post("/api/refunds/", too_much), 400, "refund_exceeds_amount")
    problem(await shop.post("/api/webhooks/", {"url": "https://a.example/", "events": []}), 400, "invalid_request")
    problem(await shop.delete("/api/auth/api_keys/apk_none/"), 404, "not_found")
    assert await entries(shop) == before


async def test_a_repeated_request_leaves_no_second_entry(shop: Shop) -> None:
    body = {"transaction": (await shop.paid())["id"], "amount": "30.00"}
    for _ in range(3):
        assert (await shop.post("/api/refunds/", body, headers={"idempotency-key": "refund-1"})).status_code == 201
    (entry,) = await entries(shop, "&action=refund.made")
    assert entry["detail"]["amount"] == "30.00"


# ── nobody reads what isn't theirs, and nothing tells a secret ───────────────────────────────────────────────────────


async def test_a_neighbour_and_the_other_mode_do_not_see_it(shop: Shop) -> None:
    refund = (await _refund(shop)).json()["id"]
    neighbour, live = await shop.api.open_shop(), await shop.with_key(livemode=True)
    assert refund in {entry["subject"] for entry in await entries(shop)}
    for other in (neighbour, live):
        assert refund not in {entry["subject"] for entry in await entries(other)}
        assert await entries(other, f"&subject={refund}") == []


async def test_a_cursor_of_a_neighbour_is_none(shop: Shop) -> None:
    path = (await shop.get("/api/audit/?limit=1")).json()["next"]
    problem(await (await shop.api.open_shop()).get(path), 400, "invalid_request")


async def test_it_takes_a_scope_of_its_own(shop: Shop) -> None:
    weak = await shop.with_key(scopes=frozenset(Scope) - {Scope.AUDIT_READ})
    problem(await weak.get("/api/audit/"), 403, "scope_missing")


async def test_nobody_writes_changes_or_removes_it_by_the_api(shop: Shop) -> None:
    (first, *_) = await entries(shop)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        problem(await shop.call(method, "/api/audit/"), 405, "method_not_allowed")
        problem(await shop.call(method, f"/api/audit/{first['id']}/"), 404, "not_found")


async def test_failed_logins_tell_nothing_of_what_was_typed(shop: Shop) -> None:
    for email in (shop.email, "nobody-at-all@example.com"):
        body = {"email": email, "password": "hunter2-typed-by-mistake"}
        problem(await shop.api.client.post("/api/auth/login/", json=body), 401, "invalid_credentials")
        shop.api.clock.move(timedelta(seconds=1))
    known, unknown = (await all_entries(shop.api))[1::-1]
    assert (known.merchant, unknown.merchant) == (shop.id, None), "staff alone see the one that is nobody's"
    assert "hunter2" not in repr((known, unknown))
    assert "nobody-at-all" not in repr((known, unknown))
    assert known.action == unknown.action == Action.LOGIN_FAILED


async def test_no_secret_is_in_any_entry(shop: Shop) -> None:
    secrets = [shop.secret, PASSWORD, "very-secret", "another horse battery"]
    for deed in DEEDS.values():
        answer = await deed(shop)
        told = answer.json() if hasattr(answer, "json") and answer.content else answer
        if isinstance(told, dict):
            secrets += [str(told[name]) for name in ("api_key", "secret", "access", "refresh") if name in told]
    written = repr(await all_entries(shop.api)) + json.dumps(await entries(shop))
    assert len(secrets) > 6
    assert [secret for secret in secrets if secret in written] == []


async def test_a_stranger_does_not_choose_the_address(shop: Shop) -> None:
    forged = {"x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9", "x-real-ip": "203.0.113.9"}
    await shop.post("/api/payments/payment_key/", headers=forged)
    assert (await entries(shop))[0]["address"] == "127.0.0.1"


async def test_a_trusted_proxy_names_the_address_and_all_of_it() -> None:
    async with open_api(Settings(rate_limits=False, trusted_proxies=LOOPBACK)) as api:
        shop = await api.open_shop()
        for given, kept in (
            ("203.0.113.9", "203.0.113.9"),
            ("6.6.6.6, 2001:db8::7", "2001:db8::7"),
            ("fe80::7%any text", "fe80::7"),
        ):
            await shop.post("/api/payments/payment_key/", headers={"x-forwarded-for": given})
            assert (await entries(shop))[0]["address"] == kept


async def test_a_flood_of_guesses_fills_no_more_than_the_limits_let_through() -> None:
    async with open_api(Settings()) as api:
        body = {"email": "victim@example.com", "password": "a guess of somebody"}
        answers = [await api.client.post("/api/auth/login/", json=body) for _ in range(60)]
        assert {answer.status_code for answer in answers} == {401, 429}
        assert len(await all_entries(api)) == sum(answer.status_code == 401 for answer in answers) <= 10


# ── the database refuses to change it ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payments.audit_entries SET action = 'nothing'",
        "UPDATE payments.audit_entries SET at = now() WHERE false",
        "DELETE FROM payments.audit_entries",
        "TRUNCATE payments.audit_entries",
        "TRUNCATE payments.merchants, payments.audit_entries CASCADE",
        "MERGE INTO payments.audit_entries USING (VALUES (1)) AS given(one) ON true WHEN MATCHED THEN DELETE",
        "INSERT INTO payments.audit_entries (merchant_id, id, at, action, actor_kind, detail)"
        " SELECT merchant_id, id, at, action, actor_kind, detail FROM payments.audit_entries "
        "ON CONFLICT (merchant_id, id) DO UPDATE SET action = 'nothing'",
        "SET session_replication_role = replica; DELETE FROM payments.audit_entries",
    ],
)
async def test_the_database_refuses_to_change_or_remove_an_entry(engine: AsyncEngine, statement: str) -> None:
    store = PostgresStore(engine, vault=VAULT)
    shop = await open_shop(store)
    kept = an_audit_entry(shop.merchant)
    await put(store, kept)
    *before, last = statement.split("; ")
    async with engine.connect() as connection:
        for each in before:
            await connection.execute(text(each))
        with pytest.raises(DBAPIError) as refused:
            await connection.execute(text(last))
    assert isinstance(refused.value.orig, psycopg.errors.InsufficientPrivilege)
    assert "append-only" in str(refused.value.orig)
    assert (await store.oversight.audit(Window(limit=9), ANY, None)).items == [kept]
