"""The developers' pages of the console: keys, events, idempotency keys and the audit log."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from entrypoints.http.console import developers
from entrypoints.http.console.developers.records import ACTORS, action_in_words
from entrypoints.http.console.developers.scopes import READ_ONLY, WORDS, in_short
from entrypoints.http.console.visits import STAFF_SIGN_IN
from payments_core.audit import ActorKind
from payments_core.merchant import ALL_SCOPES, ROTATION_OVERLAP, Scope
from tests.unit.console_browser import Browser
from tests.unit.http_shop import PASSWORD, Shop, open_api, problem

DEVELOPERS = "/console/developers"
PAYMENT_KEYS = f"{DEVELOPERS}/payment-keys"
NEW_API_KEY = f"{DEVELOPERS}/api-keys/new"
EVENTS = f"{DEVELOPERS}/events"
RECORDS = f"{DEVELOPERS}/idempotency-keys"
AUDIT = f"{DEVELOPERS}/audit"
SECRET = re.compile(r"sk_test_[0-9A-Za-z]{49}")
API_KEY_PAGE = re.compile(rf"{DEVELOPERS}/api-keys/apk_[0-9A-Z]{{26}}")


@pytest.fixture
async def shop() -> AsyncGenerator[Shop, None]:
    async with open_api() as api:
        yield await api.open_shop()


@pytest.fixture
async def browser(shop: Shop) -> Browser:
    return await Browser(shop.api.client).sign_in(shop.email)


@pytest.fixture
async def staff(shop: Shop) -> Browser:
    """The browser of one of the staff."""
    await shop.api.services.payments.staff.create_member("ada@example.com", "Ada", PASSWORD)
    browser = Browser(shop.api.client)
    await browser.get(STAFF_SIGN_IN)
    await browser.submit(STAFF_SIGN_IN, {"email": "ada@example.com", "password": PASSWORD})
    return browser


def _secret(browser: Browser) -> str:
    found = SECRET.search(browser.page.html)
    assert found is not None, browser.page.words
    return found[0]


async def _payment_keys(shop: Shop) -> list[tuple[str, bool]]:
    answer = await shop.get("/api/payments/payment_key/")
    return [(key["key"], key["is_active"]) for key in answer.json()["results"]]


async def _make_key(browser: Browser, **fields: str | list[str] | None) -> str:
    await browser.get(NEW_API_KEY)
    await browser.submit(NEW_API_KEY, fields)
    assert browser.page.status == 200, browser.page.words
    return _secret(browser)


async def _page_of_key(browser: Browser, name: str) -> str:
    await browser.get(DEVELOPERS)
    found = re.search(rf'href="({API_KEY_PAGE.pattern})">\s*{name}', browser.page.html)
    assert found is not None, browser.page.words
    return found[1]


# ── payment keys


async def test_a_payment_key_is_made_and_listed(shop: Shop, browser: Browser) -> None:
    await browser.get(DEVELOPERS)
    page = await browser.submit(PAYMENT_KEYS)
    assert page.heading == "Developers"
    assert "The payment key is made" in page.words
    (made, is_active), _ = await _payment_keys(shop)
    assert is_active
    assert made in page.words


async def test_a_form_that_is_sent_twice_makes_one_payment_key(shop: Shop, browser: Browser) -> None:
    await browser.get(DEVELOPERS)
    await browser.submit(PAYMENT_KEYS, times=2)
    assert len(await _payment_keys(shop)) == 2


async def test_a_form_without_its_key_makes_nothing_and_says_so(shop: Shop, browser: Browser) -> None:
    await browser.get(PAYMENT_KEYS)
    page = await browser.submit(PAYMENT_KEYS, {"once": None})
    assert page.status == 400
    assert "This form is not complete" in page.words
    assert len(await _payment_keys(shop)) == 1


async def test_a_payment_key_is_deactivated_once_it_was_asked_for_again(shop: Shop, browser: Browser) -> None:
    ask = f"{PAYMENT_KEYS}/{shop.payment_key_id}/deactivate"
    await browser.get(DEVELOPERS)
    assert ask in browser.page.links
    await browser.get(ask)
    assert await _payment_keys(shop) == [(shop.payment_key, True)]
    page = await browser.submit(ask, times=2)
    assert "no payment comes through it any more" in page.words
    assert await _payment_keys(shop) == [(shop.payment_key, False)]
    problem(await shop.post("/api/transactions/pay", shop.payment()), 400, "invalid_payment_key")
    assert ask not in page.links
    assert "nothing is left to do" in (await browser.get(ask)).words


async def test_as_many_payment_keys_as_there_may_be_are_paged(shop: Shop, browser: Browser) -> None:
    for _ in range(60):
        await shop.post("/api/payments/payment_key/")
    page = await browser.get(DEVELOPERS)
    assert PAYMENT_KEYS in page.links
    page = await browser.get(PAYMENT_KEYS)
    assert shop.payment_key not in page.words
    (older,) = (link for link in page.links if "cursor=" in link)
    assert shop.payment_key in (await browser.get(older)).words
    for _ in range(39):
        await shop.post("/api/payments/payment_key/")
    page = await browser.submit(PAYMENT_KEYS)
    assert page.status == 400
    assert "at most 100 active payment keys" in page.words


# ── API keys


async def test_an_api_key_is_made_with_all_scopes_and_its_secret_is_shown_this_once(
    shop: Shop, browser: Browser
) -> None:
    secret = await _make_key(browser, name="Till")
    made = Shop(api=shop.api, email=shop.email, id=shop.id, secret=secret)
    (key, _) = (await made.get("/api/auth/api_keys/")).json()["results"]
    assert (key["name"], set(key["scopes"]), key["expires_at"]) == ("Till", {str(scope) for scope in Scope}, None)
    page = await browser.get(DEVELOPERS)
    assert secret not in page.html
    assert f"{secret[:12]}…{secret[-4:]}" in page.words


async def test_a_key_that_only_reads_is_a_preset(shop: Shop, browser: Browser) -> None:
    await browser.get(f"{NEW_API_KEY}?scopes=read")
    await browser.submit(NEW_API_KEY)
    made = Shop(api=shop.api, email=shop.email, id=shop.id, secret=_secret(browser), payment_key=shop.payment_key)
    assert "It may do: read only" in browser.page.words
    assert (await made.get("/api/transactions/")).status_code == 200
    problem(await made.post("/api/transactions/pay", made.payment()), 403, "scope_missing")


async def test_a_key_ends_with_its_last_day_where_the_viewer_is(shop: Shop, browser: Browser) -> None:
    await browser.get(NEW_API_KEY)
    page = browser.page
    assert "in your time zone, UTC" in page.words
    await _make_key(browser, last_day="2026-03-02")
    key = (await shop.get("/api/auth/api_keys/")).json()["results"][0]
    assert key["expires_at"] == "2026-03-03T00:00:00.000000Z"
    shop.api.clock.move(timedelta(days=1, hours=14, minutes=29))
    await browser.sign_in(shop.email)
    page = await browser.get(DEVELOPERS)
    assert "expired" not in page.words
    shop.api.clock.move(timedelta(minutes=1))
    assert "expired" in (await browser.get(DEVELOPERS)).words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"scopes": None}, "At least one scope."),
        ({"scopes": ["money:print"]}, "One of account:read"),
        ({"last_day": "2026-02-30"}, "Must be a day"),
        ({"last_day": "tomorrow"}, "Must be a day"),
        ({"last_day": "9999-12-31"}, "Must be a day"),
        ({"last_day": "2026-02-28"}, "Must be in the future."),
        ({"name": "x" * 201}, "Must have 1 to 200 characters"),
        ({"once": None}, "This form is not complete"),
    ],
)
async def test_what_is_wrong_with_a_new_key_is_said_at_its_field_and_what_was_typed_is_kept(
    shop: Shop, browser: Browser, fields: dict[str, str | list[str] | None], words: str
) -> None:
    await browser.get(f"{NEW_API_KEY}?scopes=read")
    page = await browser.submit(NEW_API_KEY, {"name": "Till", **fields})
    assert page.status == 400
    assert words in page.words
    kept = page.form(NEW_API_KEY).fields
    assert ("name", fields.get("name") or "Till") in kept
    ticked = {text for name, text in kept if name == "scopes"}
    assert ticked == (set() if "scopes" in fields else set(READ_ONLY))
    assert len((await shop.get("/api/auth/api_keys/")).json()["results"]) == 1


async def test_a_preset_that_there_is_none_of_is_said_to_be_none(browser: Browser) -> None:
    page = await browser.get(f"{NEW_API_KEY}?scopes=write")
    assert page.status == 400
    assert "Must be one of all, read, none." in page.words


async def test_a_form_that_is_sent_twice_makes_one_key_and_shows_it_again(shop: Shop, browser: Browser) -> None:
    await browser.get(NEW_API_KEY)
    form = browser.page.form(NEW_API_KEY).filled({"name": "Till"})
    await browser.send(NEW_API_KEY, form)
    first = _secret(browser)
    await browser.send(NEW_API_KEY, form)
    assert _secret(browser) == first
    assert len((await shop.get("/api/auth/api_keys/")).json()["results"]) == 2


async def test_a_form_that_is_changed_after_it_was_sent_asks_to_be_sent_again(shop: Shop, browser: Browser) -> None:
    await browser.get(NEW_API_KEY)
    form = browser.page.form(NEW_API_KEY)
    await browser.send(NEW_API_KEY, form.filled({"name": "Till"}))
    page = await browser.send(NEW_API_KEY, form.filled({"name": "Shop"}))
    assert page.status == 400
    assert "sent before" in page.words
    assert len((await shop.get("/api/auth/api_keys/")).json()["results"]) == 2
    await browser.submit(NEW_API_KEY)
    assert _secret(browser)
    assert len((await shop.get("/api/auth/api_keys/")).json()["results"]) == 3


async def test_a_key_shows_what_it_may_do_and_when_it_was_used_last(shop: Shop, browser: Browser) -> None:
    secret = await _make_key(browser, name="Till", scopes=["transactions:read", "refunds:write"])
    at = await _page_of_key(browser, "Till")
    assert "2 of 14 scopes" in browser.page.words
    page = await browser.get(at)
    assert "Refund payments refunds:write" in page.words
    assert "See transactions, and export them" in page.words
    assert "See events" not in page.words
    assert "Last used Never" in page.words
    assert (await Shop(api=shop.api, email="", id="", secret=secret).get("/api/transactions/")).status_code == 200
    assert "Last used 2026-03-01 09:30:15" in (await browser.get(at)).words


async def test_a_key_is_rotated_and_its_successor_is_shown_this_once(shop: Shop, browser: Browser) -> None:
    old = await _make_key(browser, name="Till", scopes=["transactions:read"])
    at = await _page_of_key(browser, "Till")
    await browser.get(at)
    await browser.get(f"{at}/rotate")
    assert "goes on for 24 hours" in browser.page.words
    form = browser.page.form(f"{at}/rotate").filled({})
    await browser.send(f"{at}/rotate", form)
    new = _secret(browser)
    assert new != old
    assert at in browser.page.links
    await browser.send(f"{at}/rotate", form)
    assert _secret(browser) == new
    for secret in (old, new):
        assert (await Shop(api=shop.api, email="", id="", secret=secret).get("/api/transactions/")).status_code == 200
    shop.api.clock.move(ROTATION_OVERLAP)
    problem(await Shop(api=shop.api, email="", id="", secret=old).get("/api/transactions/"), 401, "invalid_credentials")


async def test_a_key_is_revoked_once_it_was_asked_for_again(shop: Shop, browser: Browser) -> None:
    secret = await _make_key(browser, name="Till")
    at = await _page_of_key(browser, "Till")
    key = Shop(api=shop.api, email="", id="", secret=secret)
    await browser.get(f"{at}/revoke")
    assert "It was never used." in browser.page.words
    assert (await key.get("/api/transactions/")).status_code == 200
    page = await browser.submit(f"{at}/revoke")
    assert "it opens nothing any more" in page.words
    assert at not in page.links
    problem(await key.get("/api/transactions/"), 401, "invalid_credentials")
    assert (await browser.get(at)).status == 404


async def test_the_key_of_a_login_can_be_revoked_but_not_rotated(shop: Shop, browser: Browser) -> None:
    body = {"email": shop.email, "password": PASSWORD}
    assert (await shop.api.client.post("/api/auth/login/", json=body)).status_code == 200
    at = await _page_of_key(browser, "session")
    page = await browser.get(at)
    assert f"{at}/rotate" not in page.links
    assert f"{at}/revoke" in page.links
    await browser.get(f"{at}/rotate")
    page = await browser.submit(f"{at}/rotate")
    assert page.status == 400
    assert "A session key is not rotated" in page.words


async def test_a_rotation_without_its_forms_key_makes_nothing(shop: Shop, browser: Browser) -> None:
    at = await _page_of_key(browser, "first key")
    await browser.get(f"{at}/rotate")
    page = await browser.submit(f"{at}/rotate", {"once": None})
    assert page.status == 400
    assert "This form is not complete" in page.words


async def test_an_account_without_keys_is_told_how_to_make_them(shop: Shop, browser: Browser) -> None:
    at = await _page_of_key(browser, "first key")
    await browser.get(f"{at}/revoke")
    await browser.submit(f"{at}/revoke")
    assert "No API keys: no program can call in your name." in browser.page.words
    assert "No API keys here" in (await browser.get(f"{DEVELOPERS}/api-keys")).words
    await Browser(shop.api.client).get("/console/sign-in")
    answer = await shop.api.client.post("/api/auth/register/", json={"email": "new@example.com", "password": PASSWORD})
    assert answer.status_code == 201
    new = await Browser(shop.api.client).sign_in("new@example.com")
    page = await new.get(DEVELOPERS)
    assert "No payment keys yet: each payment needs one." in page.words
    assert f"{DEVELOPERS}/first-payment" in page.links
    assert "No payment keys here" in (await new.get(PAYMENT_KEYS)).words


@pytest.mark.parametrize(
    "path",
    [
        f"{PAYMENT_KEYS}/{{}}/deactivate",
        f"{DEVELOPERS}/api-keys/{{}}",
        f"{DEVELOPERS}/api-keys/{{}}/rotate",
        f"{DEVELOPERS}/api-keys/{{}}/revoke",
        f"{EVENTS}/{{}}",
    ],
)
@pytest.mark.parametrize("id", ["x", "apk_0", "%27", "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV", "%F0%9F%92%B8"])
async def test_an_id_that_nothing_has_is_not_found(browser: Browser, path: str, id: str) -> None:
    assert (await browser.get(path.format(id))).status == 404


def test_every_scope_has_its_words() -> None:
    assert set(WORDS) == set(Scope)
    assert in_short([*ALL_SCOPES]) == "Everything"
    assert in_short([*READ_ONLY]) == "Read only"


async def test_staff_who_look_are_led_nowhere_but_to_that_merchants_pages(shop: Shop, staff: Browser) -> None:
    paid = await shop.paid(key="order-1")
    (*_, event) = (await shop.get(f"/api/transactions/{paid['id']}/events/")).json()["results"]
    (key,) = (await shop.get("/api/auth/api_keys/")).json()["results"]
    ids = {"payment-keys": shop.payment_key_id, "api-keys": key["id"], "events": event["id"]}
    base = f"/console/merchants/{shop.id}/test"
    for page in developers.PAGES:
        if not page.for_staff:
            continue
        kind = page.path.split("/")[2] if "{id}" in page.path else ""
        shown = await staff.get(f"{base}{page.path.format(id=ids.get(kind))}?key=order-1")
        assert shown.status == 200, shown.path
        assert [form.action for form in shown.forms if form.method == "post"] == ["/console/staff/sign-out"]
        elsewhere = {link for link in shown.links if not link.startswith((base, "/console/staff", "?", "#", "/docs"))}
        assert elsewhere == set(), shown.path


# ── events


async def test_events_are_shown_the_latest_first_and_older_ones_behind(shop: Shop, browser: Browser) -> None:
    for _ in range(10):
        await shop.paid()
    page = await browser.get(EVENTS)
    listed = [link for link in page.links if link.startswith(f"{EVENTS}/evt_")]
    everything = [event["id"] for event in (await shop.get("/api/events/?limit=100")).json()["results"]]
    assert listed == [f"{EVENTS}/{id}" for id in reversed(everything[-25:])]
    (older,) = (link for link in page.links if "cursor=" in link)
    assert "Older" in page.words
    assert "Newer" not in page.words
    page = await browser.get(older)
    listed = [link for link in page.links if link.startswith(f"{EVENTS}/evt_")]
    assert listed == [f"{EVENTS}/{id}" for id in reversed(everything[:-25])]
    assert "Older" not in page.words
    (newer,) = (link for link in page.links if "cursor=" in link)
    page = await browser.get(newer)
    assert [link for link in page.links if link.startswith(f"{EVENTS}/evt_")] == [
        f"{EVENTS}/{id}" for id in reversed(everything[-25:])
    ]


async def test_an_event_shows_its_body_and_leads_to_what_it_is_about(shop: Shop, browser: Browser) -> None:
    paid = await shop.paid(description="<b>Order & more</b>")
    page = await browser.get(f"{EVENTS}?type=transaction.succeeded")
    (link,) = (link for link in page.links if link.startswith(f"{EVENTS}/evt_"))
    assert f"/console/transactions/{paid['id']}" in page.links
    page = await browser.get(link)
    assert page.heading == "Event transaction.succeeded"
    assert f"/console/transactions/{paid['id']}" in page.links
    assert '"description": "<b>Order & more</b>"' in page.words
    assert "<b>" not in page.html


async def test_events_are_of_the_type_and_between_the_days_that_one_asks_for(shop: Shop, browser: Browser) -> None:
    await shop.paid()
    shop.api.clock.move(timedelta(days=1))
    await browser.sign_in(shop.email)
    await shop.paid()
    for query, number in (
        ("", 6),
        ("?type=transaction.processing", 2),
        ("?from=2026-03-01&to=2026-03-01", 3),
        ("?from=2026-03-02", 3),
        ("?to=2026-03-01&type=transaction.succeeded", 1),
        ("?from=2026-03-03", 0),
    ):
        page = await browser.get(f"{EVENTS}{query}")
        assert len([link for link in page.links if link.startswith(f"{EVENTS}/evt_")]) == number, query
    assert "No event is like this." in browser.page.words


async def test_days_are_those_where_the_viewer_is(shop: Shop) -> None:
    shop.api.clock.move(timedelta(hours=14))  # 23:30 UTC, which is half past midnight in Berlin
    await shop.paid()
    browser = await Browser(shop.api.client).sign_in(shop.email)
    for zone, day, number in (
        ("UTC", "2026-03-01", 3),
        ("Europe/Berlin", "2026-03-01", 0),
        ("Europe/Berlin", "2026-03-02", 3),
    ):
        cookie = f"{browser.cookie}; payments_zone={zone}"
        answer = await shop.api.client.get(f"{EVENTS}?from={day}&to={day}", headers={"cookie": cookie})
        assert answer.text.count(f'href="{EVENTS}/evt_') == number, (zone, day)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("type=transaction.lost", "Is no type of event."),
        ("from=yesterday", "Must be a day, such as 2026-03-01."),
        ("to=20260301", "Must be a day, such as 2026-03-01."),
        ("from=0001-01-01", "Must be a day, such as 2026-03-01."),
        ("to=9999-12-31", "Must be a day, such as 2026-03-01."),
        ("from=2026-03-02&to=2026-03-01", "Is before the first day."),
        ("cursor=x", "This cursor is not one of this list"),
        ("cursor=%C3%A9", "This cursor is not one of this list"),
    ],
)
@pytest.mark.parametrize("path", [EVENTS, AUDIT])
async def test_what_is_wrong_in_an_address_is_said_at_its_field(
    browser: Browser, path: str, query: str, words: str
) -> None:
    if path == AUDIT and query.startswith("type"):
        query, words = "action=x", "Is no action."
    page = await browser.get(f"{path}?{query}")
    assert page.status == 400
    assert words in page.words
    name, _, text = query.rpartition("&")[2].partition("=")
    if name in ("from", "to"):
        assert (name, text) in page.form(path).fields


async def test_an_account_without_events_is_led_to_its_first_payment(browser: Browser) -> None:
    page = await browser.get(EVENTS)
    assert "No events yet: each payment makes some." in page.words
    assert f"{DEVELOPERS}/first-payment" in page.links


# ── idempotency keys


async def test_an_idempotency_key_shows_what_it_did(shop: Shop, browser: Browser) -> None:
    paid = await shop.pay(key='order "7"')
    await browser.get(RECORDS)
    page = await browser.submit(RECORDS, {"key": 'order "7"'})
    assert page.status == 200
    assert "Request POST /api/transactions/pay" in page.words
    assert "Answered with 201" in page.words
    assert f"/console/transactions/{paid['id']}" in page.links


async def test_an_idempotency_key_that_did_nothing_is_said_to_have_done_nothing(browser: Browser) -> None:
    page = await browser.get(f"{RECORDS}?key=order-8")
    assert page.status == 200
    assert "No request with this key had an effect." in page.words


@pytest.mark.parametrize("key", ["%C3%A9", "x" * 256])
async def test_a_key_that_is_none_is_said_to_be_none(browser: Browser, key: str) -> None:
    page = await browser.get(f"{RECORDS}?key={key}")
    assert page.status == 400
    assert "1 to 255 printable ASCII characters" in page.words


# ── the audit log


async def test_the_audit_log_tells_who_did_what_in_words(shop: Shop, browser: Browser) -> None:
    await _make_key(browser, name="Till", scopes=["transactions:read"])
    page = await browser.get(AUDIT)
    assert "API key made" in page.words
    assert "By" in page.words
    assert "scopes transactions:read" in page.words
    assert "livemode no" in page.words
    assert re.search("credential ses_[0-9A-Z]{26} request req_", page.words)
    page = await browser.get(f"{AUDIT}?action=api_key.made")
    made = [link for link in page.links if API_KEY_PAGE.fullmatch(link)]
    assert len(made) == 2
    page = await browser.get(f"{AUDIT}?subject={made[0].rpartition('/')[2]}")
    assert [link for link in page.links if API_KEY_PAGE.fullmatch(link)] == made[:1]
    assert "Nothing like this was done." in (await browser.get(f"{AUDIT}?subject=apk_0")).words


async def test_the_audit_log_is_paged_and_keeps_its_filters(shop: Shop, browser: Browser) -> None:
    for _ in range(30):
        await shop.post("/api/payments/payment_key/")
    page = await browser.get(f"{AUDIT}?action=payment_key.made")
    (older,) = (link for link in page.links if "cursor=" in link)
    assert "action=payment_key.made" in older
    page = await browser.get(older)
    assert page.html.count("<tr>") == 1 + 6


def test_everybody_who_acts_has_words() -> None:
    assert set(ACTORS) == set(ActorKind)
    assert action_in_words("api_key.made") == "API key made"
    assert action_in_words("webhook.secret_rotated") == "Webhook secret rotated"


@pytest.mark.parametrize("path", ["events", "audit", "payment-keys", "api-keys"])
async def test_a_cursor_of_another_list_is_refused_in_words(browser: Browser, path: str) -> None:
    page = await browser.get(f"/console/developers/{path}?cursor=W10")
    assert page.status == 400
    assert "start without one" in page.words
    assert "cursor:" not in page.words
    assert "`errors`" not in page.words


async def test_a_payment_key_leads_to_the_payments_through_it(shop: Shop, browser: Browser) -> None:
    page = await browser.get(DEVELOPERS)
    [payments] = [link for link in page.links if link.startswith("/console/transactions?")]
    assert payments == f"/console/transactions?payment_key={shop.payment_key_id}"
    made = await shop.pay()
    assert f"/console/transactions/{made['id']}" in (await browser.get(payments)).links
