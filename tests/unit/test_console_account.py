"""Signing up, in and out of the console, and the account's own page."""

from __future__ import annotations

import gc
import re
import weakref
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta

import pytest

from entrypoints.http.app import create_app
from entrypoints.http.console.errors import error_page
from entrypoints.http.console.handlers import PAGES
from entrypoints.http.console.page import For
from entrypoints.http.console.rendering import asset
from entrypoints.http.console.session_cookie import SECURE_NAME
from entrypoints.http.problems import Refusal
from entrypoints.http.request_context import RequestContext
from entrypoints.settings import Settings
from payments_core import OutcomeUnknown, Payments, Unavailable
from payments_core.gateway import Capabilities, Outcome, Sighting, Submission
from payments_core.merchant import CONSOLE_SESSION_LIFETIME
from tests.unit.console_browser import Browser
from tests.unit.http_shop import PASSWORD, Api, open_api


class _Live:
    """A gateway for live mode that is never called."""

    capabilities = Capabilities(
        name="live", livemode=True, key_retention=timedelta(days=1), quiet_period=timedelta(minutes=5)
    )

    async def submit(self, submission: Submission, /) -> Outcome:
        raise AssertionError

    async def lookup(self, submission: Submission, /) -> Sighting:
        raise AssertionError


@pytest.fixture
async def api() -> AsyncGenerator[Api, None]:
    async with open_api() as opened:
        yield opened


async def signed_up(api: Api, email: str = "new@example.com") -> Browser:
    browser = Browser(api.client)
    await browser.get("/console/sign-up")
    await browser.submit("/console/sign-up", {"email": email, "name": "Corner shop", "password": PASSWORD})
    return browser


async def test_whoever_signs_up_is_signed_in_and_sees_an_api_key_that_works(api: Api) -> None:
    browser = await signed_up(api)
    assert browser.page.heading == "Your account is open"
    secret = next(word for word in browser.page.words.split() if word.startswith("sk_test_"))
    me = await api.client.get("/api/auth/me/", headers={"authorization": f"Token {secret}"})
    assert me.json()["email"] == "new@example.com"
    assert (await browser.get("/console")).heading == "Overview"


async def test_whoever_signs_up_where_too_many_signed_in_still_sees_the_key_this_once() -> None:
    one = replace(Settings().limit_login_address, amount=1)
    async with open_api(Settings(limit_login_address=one)) as api:
        await signed_up(api, "first@example.com")
        browser = await signed_up(api, "second@example.com")
        assert browser.page.heading == "Your account is open"
        assert "sk_test_" in browser.page.words
        assert (await browser.get("/console")).heading == "Sign in"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"email": "no address", "password": PASSWORD}, "e-mail address"),
        ({"email": "a@example.com", "password": "short"}, "8"),
        ({"email": "", "password": ""}, ""),
    ],
)
async def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_stays(
    api: Api, typed: dict[str, str], said: str
) -> None:
    browser = Browser(api.client)
    await browser.get("/console/sign-up")
    page = await browser.submit("/console/sign-up", {**typed, "name": "Corner shop"})
    assert page.status == 400
    assert 'aria-invalid="true"' in page.html
    assert said in page.words
    assert 'value="Corner shop"' in page.html
    assert PASSWORD not in page.html


async def test_an_address_that_is_taken_is_said_so(api: Api) -> None:
    await signed_up(api)
    again = await signed_up(api)
    assert again.page.status == 400
    assert 'role="alert"' in again.page.html


async def test_a_closed_installation_opens_no_account(api: Api) -> None:
    closed = replace(api.services, settings=replace(api.services.settings, registration="closed"))
    api.client._transport.app = create_app(closed)  # type: ignore[attr-defined]
    browser = Browser(api.client)
    page = await browser.get("/console/sign-up")
    assert page.forms == []
    page = await browser.get("/console/sign-in")
    token = next(text for name, text in page.forms[0].fields if name == "form_token")
    sent = await browser.send("/console/sign-up", [("form_token", token), ("email", "x@example.com")])
    assert sent.status == 403
    assert "register" in sent.words


async def test_a_wrong_password_is_refused_in_the_words_for_an_unknown_address(api: Api) -> None:
    shop = await api.open_shop()
    said = []
    for email in (shop.email, "nobody@example.com"):
        browser = Browser(api.client)
        await browser.get("/console/sign-in")
        page = await browser.submit("/console/sign-in", {"email": email, "password": "not the password"})
        assert page.status == 400
        assert f'value="{email}"' in page.html
        said.append(page.words)
    assert said[0] == said[1]


async def test_the_mode_is_chosen_where_live_mode_is_open(api: Api) -> None:
    shop = await api.open_shop()
    page = await Browser(api.client).get("/console/sign-in")
    assert "mode" not in dict(page.forms[0].fields)
    payments = api.services.payments
    gateways = {**payments._ports.gateways, True: _Live()}
    opened = replace(api.services, payments=Payments(replace(payments._ports, gateways=gateways)))
    api.client._transport.app = create_app(opened)  # type: ignore[attr-defined]
    for mode in ("live", "test"):
        browser = Browser(api.client)
        await browser.get("/console/sign-in")
        page = await browser.submit("/console/sign-in", {"email": shop.email, "password": PASSWORD, "mode": mode})
        assert f"{mode.capitalize()} mode" in page.words


async def test_whoever_asked_for_a_page_is_led_back_to_it(api: Api) -> None:
    shop = await api.open_shop()
    browser = Browser(api.client)
    page = await browser.get("/console/account?x=1")
    assert page.path == "/console/sign-in?next=%2Fconsole%2Faccount%3Fx%3D1"
    page = await browser.submit("/console/sign-in", {"email": shop.email, "password": PASSWORD})
    assert page.path == "/console/account?x=1"


async def test_a_session_ends_after_half_a_day_however_busy_it_is(api: Api) -> None:
    shop = await api.open_shop()
    browser = await Browser(api.client).sign_in(shop.email)
    half_an_hour = timedelta(minutes=30)
    for _ in range(CONSOLE_SESSION_LIFETIME // half_an_hour - 1):
        api.clock.move(half_an_hour)
        assert (await browser.get("/console/account")).heading == "Account"
    api.clock.move(half_an_hour)
    assert (await browser.get("/console/account")).heading == "Sign in"


async def test_a_live_update_keeps_nobody_signed_in(api: Api) -> None:
    shop = await api.open_shop()
    browser = await Browser(api.client).sign_in(shop.email)
    headers = {"cookie": browser.cookie, "hx-request": "true"}
    for _ in range(3):
        api.clock.move(timedelta(minutes=20))
        answer = await api.client.get("/console", headers=headers)
        assert "set-cookie" not in answer.headers
    ended = await api.client.get("/console", headers=headers)
    assert ended.status_code == 401
    assert ended.headers["hx-redirect"] == "/console/sign-in"


async def test_a_new_password_ends_every_session(api: Api) -> None:
    shop = await api.open_shop()
    here, elsewhere = Browser(api.client), Browser(api.client)
    await here.sign_in(shop.email)
    await elsewhere.sign_in(shop.email)
    await here.get("/console/account")
    typed = {
        "password": PASSWORD,
        "new_password": "another long password",
        "new_password_again": "another long password",
    }
    page = await here.submit("/console/account/password", typed)
    assert page.heading == "Sign in"
    assert "The password is changed" in page.words
    assert (await elsewhere.get("/console")).heading == "Sign in"
    await here.sign_in(shop.email, "another long password")


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"password": "wrong", "new_password": "a long password", "new_password_again": "a long password"}, "password"),
        ({"password": PASSWORD, "new_password": "short", "new_password_again": "short"}, "new_password"),
        ({"password": PASSWORD, "new_password": "a long password", "new_password_again": "b"}, "new_password_again"),
    ],
)
async def test_what_is_wrong_with_a_new_password_is_said_at_its_field(
    api: Api, typed: dict[str, str], field: str
) -> None:
    shop = await api.open_shop()
    browser = await Browser(api.client).sign_in(shop.email)
    await browser.get("/console/account")
    page = await browser.submit("/console/account/password", typed)
    assert page.status == 400
    assert f'id="e-{field}"' in page.html
    assert (await browser.get("/console/account")).heading == "Account"


async def test_in_production_the_cookie_is_for_tls_alone(api: Api) -> None:
    production = replace(api.services, settings=replace(api.services.settings, env="production"))
    api.client._transport.app = create_app(production)  # type: ignore[attr-defined]
    answer = await api.client.get("/console/sign-in")
    assert answer.headers["set-cookie"].startswith(f"{SECURE_NAME}=")
    assert answer.headers["set-cookie"].endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")


async def test_an_address_that_is_none_is_a_page_and_a_static_file_is_kept_for_good(api: Api) -> None:
    page = await Browser(api.client).get("/console/no/such/page")
    assert (page.status, page.heading) == (404, "Not found")
    sign_in = await api.client.get("/console/sign-in")
    css = next(part for part in sign_in.text.split('"') if part.startswith("/console/static/console.css"))
    assert "immutable" in (await api.client.get(css)).headers["cache-control"]
    assert (await api.client.get("/console/static/console.css?v=old")).headers["cache-control"] == "no-cache"
    assert (await api.client.get("/console/static/page.html")).status_code == 404


@pytest.mark.parametrize(
    "error",
    [
        *(Refusal(code) for code in ("bad_request", "not_found", "unsupported_media_type", "body_too_large")),
        *(Refusal(code) for code in ("method_not_allowed", "rate_limited", "idempotency_key_reused")),
        *(Unavailable("away"), OutcomeUnknown("broken"), RuntimeError("ours")),
    ],
    ids=str,
)
def test_pages_speak_to_people_and_not_to_their_programs(error: Exception) -> None:
    words = error_page(error, RequestContext("req_1", {})).body.decode()
    for word in ("API", "HTTP", "Retry-After", "RateLimit", "header", "idempotency key", "JSON", "`"):
        assert word not in words.partition("<main")[2]


def test_whoever_cannot_know_whether_it_was_done_is_told_how_it_is_done_once() -> None:
    page = error_page(OutcomeUnknown("broken"), RequestContext("req_1", {})).body.decode()
    assert "send the form once more: it has its effect once" in page


def test_names_of_files_that_are_not_there_are_not_remembered() -> None:
    class Name(str):
        """A text of which is known whether anybody keeps it."""

    name = Name("no-such-file.css")
    kept = weakref.ref(name)
    assert asset(name) is None
    del name
    gc.collect()
    assert kept() is None


async def test_times_are_in_the_viewers_zone_and_utc_is_a_pointer_away(api: Api) -> None:
    shop = await api.open_shop()
    browser = await Browser(api.client).sign_in(shop.email)
    utc = await api.client.get("/console/account", headers={"cookie": browser.cookie})
    assert ">2026-03-01 09:30:15</time>" in utc.text
    away = await api.client.get("/console/account", headers={"cookie": f"{browser.cookie}; payments_zone=Asia%2FTokyo"})
    assert '2026-03-01 09:30:15 UTC">2026-03-01 18:30:15</time>' in away.text
    odd = await api.client.get(
        "/console/account", headers={"cookie": f"{browser.cookie}; payments_zone=../../etc/passwd"}
    )
    assert odd.text == utc.text


async def test_passwords_are_masked_can_be_pasted_and_kept_by_a_browser(api: Api) -> None:
    shop = await api.open_shop()
    for path, kept in (
        ("/console/sign-in", ["current-password"]),
        ("/console/sign-up", ["new-password"]),
        ("/console/staff/sign-in", ["current-password"]),
        ("/console/account", ["current-password", "new-password", "new-password"]),
    ):
        browser = Browser(api.client)
        if path.endswith("account"):
            await browser.sign_in(shop.email)
        page = await browser.get(path)
        fields = re.findall(r'<input[^>]*name="(?:new_)?password\w*"[^>]*>', page.html)
        assert [re.findall(r'autocomplete="([^"]+)"', field) for field in fields] == [[name] for name in kept]
        assert all('type="password"' in field and 'value=""' in field for field in fields)
        assert "onpaste" not in page.html


async def test_each_page_has_a_way_out(api: Api) -> None:
    shop = await api.open_shop()
    await api.services.payments.staff.create_member("ada@example.com", "Ada", PASSWORD)
    merchant, staff = await Browser(api.client).sign_in(shop.email), Browser(api.client)
    await staff.get("/console/staff/sign-in")
    await staff.submit("/console/staff/sign-in", {"email": "ada@example.com", "password": PASSWORD})
    for page in PAGES:
        if (
            page.method == "POST"
            or page.whose is For.ANYBODY
            or "{" in page.path
            or page.path.endswith((".csv", "/find"))
        ):
            continue
        browser = staff if page.whose is For.STAFF else merchant
        shown = await browser.get(f"/console{page.path}")
        way_out = shown.form("/console/staff/sign-out" if page.whose is For.STAFF else "/console/sign-out")
        assert way_out.method == "post"
