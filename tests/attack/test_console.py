"""The console against its neighbours: other sites' pages, other merchants, merchants who would be staff.

All pages are taken from `PAGES`: a new one is tried by what it declares. One whose address names a thing that this file
knows nothing of fails, and says what to add.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urlencode

import httpx
import jwt
import pytest
import pytest_asyncio

from entrypoints.http.console.admission import STOP_ASKING
from entrypoints.http.console.handlers import PAGES
from entrypoints.http.console.page import MODE, OF, OF_MERCHANT, For, Page
from entrypoints.http.console.session_cookie import IDLE, PLAIN_NAME
from entrypoints.http.console.visits import SIGN_IN, STAFF_SIGN_IN
from payments_core.audit import HERE
from payments_core.ids import MerchantId
from payments_core.ports import AuditFilter, Window
from tests.unit.console_browser import Browser
from tests.unit.http_shop import PASSWORD, Api, Shop, open_api

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPT: Final = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"
STAFF_EMAIL: Final = "ada@example.com"
THINGS: Final[Mapping[str, str]] = {
    "transactions": "transaction",
    "refunds": "refund",
    "webhooks": "endpoint",
    "deliveries": "delivery",
    "events": "event",
    "payment-keys": "payment_key",
    "api-keys": "api_key",
    "merchants": "merchant",
    "jobs": "job",
    "attempts": "attempt",
    "verifiers": "language",
}
"""What the id is of that stands in an address behind this word."""
FORM: Final = "application/x-www-form-urlencoded"
OWN: Final[Mapping[str, str]] = {"content-type": FORM, "sec-fetch-site": "same-origin"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A merchant with one of each thing, and the browser in which it is signed in."""

    shop: Shop
    browser: Browser
    ids: Mapping[str, str]
    secrets: tuple[str, ...]

    def address(self, page: Page, *, of: str = "") -> str:
        """Return the address of a page with this merchant's things; `of` is what stands before it for staff."""
        path = f"{of or '/console'}{page.path}"
        return re.sub(r"{(\w+)}", lambda found: self.ids[thing_at(path, found[0])], path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """Two merchants, one of whom is after the other, and one of the staff."""

    api: Api
    victim: Account
    thief: Account
    staff: Browser

    async def state(self) -> tuple[int, int]:
        """Return what moves with anything that is done to the victim: its revision, and the entries of its log."""
        id = MerchantId(self.victim.shop.id)
        revision = await self.api.services.views.revision(id)
        oversight = self.api.store.oversight
        log = await oversight.audit(Window(limit=1_000), AuditFilter(), id)
        return revision, len(log.items)


class Running(HTMLParser):
    """What of a page would run in it, or come from elsewhere."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[object] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "link", "iframe", "form", "button", "object", "embed", "base"):
            named = [given[name] or "" for name in ("src", "href", "action", "formaction", "data") if name in given]
            self.found += [(tag, address) for address in named if not re.fullmatch(r"/console[/\w.?=&#-]*", address)]
        if tag == "script" and "src" not in given:
            self.found.append((tag, attrs))
        if tag in ("style", "base", "iframe", "object", "embed"):
            self.found.append((tag, attrs))
        self.found += [(tag, name) for name in given if name == "style" or name.startswith(("on", "hx-on"))]
        self.found += [(tag, text) for name, text in attrs if name == "href" and (text or "").startswith("javascript:")]


def thing_at(path: str, name: str) -> str:
    """Return what the id in braces is of, by the word before it."""
    word = path.partition(f"/{name}")[0].rpartition("/")[2]
    assert word in THINGS, f"{path} names a thing that is not in THINGS: what is the id of that stands behind {word}?"
    return THINGS[word]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town() -> AsyncGenerator[Town, None]:
    async with open_api() as api:
        await api.services.payments.staff.create_member(STAFF_EMAIL, "Ada", PASSWORD)
        staff = Browser(api.client)
        await staff.get(STAFF_SIGN_IN)
        await staff.submit(STAFF_SIGN_IN, {"email": STAFF_EMAIL, "password": PASSWORD})
        yield Town(api=api, victim=await account(api), thief=await account(api), staff=staff)


async def account(api: Api) -> Account:
    shop = await api.open_shop()
    texts = {
        "description": SCRIPT,
        "reference": SCRIPT,
        "customer_reference": SCRIPT,
        "metadata": {"<b onclick=alert('x')>": SCRIPT},
    }
    made = await shop.post("/api/webhooks/", {"url": "https://shop.example.com/hook", "description": SCRIPT})
    paid = await shop.paid(**texts)
    refund = await shop.post("/api/refunds/", {"transaction": paid["id"], "amount": "1.00", "reason": SCRIPT})
    await api.work()
    endpoint = made.json()
    deliveries = (await shop.get(f"/api/webhooks/{endpoint['id']}/deliveries/")).json()["results"]
    events = (await shop.get("/api/events/")).json()["results"]
    keys = (await shop.get("/api/auth/api_keys/")).json()["results"]
    ids = {
        "transaction": paid["id"],
        "refund": refund.json()["id"],
        "endpoint": endpoint["id"],
        "delivery": deliveries[0]["id"],
        "event": events[0]["id"],
        "payment_key": shop.payment_key_id,
        "api_key": keys[0]["id"],
        "merchant": shop.id,
        "job": "job_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "attempt": "att_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "language": "python",
    }
    browser = await Browser(api.client).sign_in(shop.email)
    return Account(shop=shop, browser=browser, ids=ids, secrets=(shop.secret, endpoint["secret"]))


def named(pages: Iterator[Page]) -> list[object]:
    return [pytest.param(page, id=f"{page.method} {page.path or '/'}") for page in pages]


FORMS: Final = named(page for page in PAGES if page.method == "POST")
OF_MERCHANTS: Final = named(page for page in PAGES if page.whose is For.MERCHANT)
WITH_IDS: Final = named(
    page for page in PAGES if page.whose is For.MERCHANT and "{" in page.path.replace("{language}", "")
)
SHOWN: Final = named(page for page in PAGES if page.whose is For.MERCHANT and page.method == "GET")
OF_STAFF: Final = named(page for page in PAGES if page.whose is For.STAFF)
LOOKED_AT: Final = named(page for page in PAGES if page.for_staff)
SHOWN_TO_STAFF: Final = named(
    page
    for page in PAGES
    if page.whose is For.STAFF and page.method == "GET" and not re.search(r"/(jobs|attempts)/|/find", page.path)
)


async def raw(
    town: Town, method: str, path: str, *, cookie: str | None, headers: Mapping[str, str] = OWN, body: str = ""
) -> httpx.Response:
    """Send a request as it stands: no redirects, and no cookies but this one."""
    own = dict(headers) if method == "POST" else {}
    if cookie is not None:
        own["cookie"] = cookie
    answer = await town.api.client.request(method, path, headers=own, content=body if method == "POST" else None)
    town.api.client.cookies.clear()
    return answer


def token_of(town: Town, browser: Browser) -> str:
    page = browser.page
    return next(text for form in page.forms for name, text in form.fields if name == "form_token")


# ── forms of other sites ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", FORMS)
async def test_a_form_takes_nothing_that_no_page_of_ours_showed_to_this_session(town: Town, page: Page) -> None:
    owner = town.staff if page.whose is For.STAFF else town.victim.browser
    cookie, path = owner.cookie, town.victim.address(page)
    good = {"form_token": token_of(town, owner), "sure": "yes", "once": "abc", "reason": "x", "step": "confirm"}
    foreign = {**good, "form_token": token_of(town, town.thief.browser)}
    without = {name: text for name, text in good.items() if name != "form_token"}
    before = await town.state()
    tries = [
        await raw(town, "POST", path, cookie=cookie, body=urlencode(without)),
        await raw(town, "POST", path, cookie=cookie, body=urlencode(foreign)),
        await raw(town, "POST", path, cookie=cookie, body=urlencode({**good, "form_token": ""})),
        await raw(town, "POST", f"{path}?{urlencode(good)}", cookie=cookie),
    ]
    for site in ("cross-site", "same-site", "none"):
        headers = {**OWN, "sec-fetch-site": site}
        tries.append(await raw(town, "POST", path, cookie=cookie, body=urlencode(good), headers=headers))
    assert [answer.status_code for answer in tries] == [403] * len(tries)
    for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
        answer = await raw(town, "POST", path, cookie=cookie, body=urlencode(good), headers={"content-type": kind})
        assert answer.status_code == 415
    assert await town.state() == before


@pytest.mark.parametrize("page", [*OF_MERCHANTS, *OF_STAFF])
async def test_whoever_has_not_signed_in_is_led_to_where_one_does(town: Town, page: Page) -> None:
    before = await town.state()
    answer = await raw(town, page.method, town.victim.address(page), cookie=None)
    assert answer.status_code == 303
    where = STAFF_SIGN_IN if page.whose is For.STAFF else SIGN_IN
    assert answer.headers["location"].partition("?")[0] == where
    assert answer.content == b""
    assert await town.state() == before


# ── other merchants ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", WITH_IDS)
async def test_a_neighbours_thing_is_not_there(town: Town, page: Page) -> None:
    before = await town.state()
    good = {"once": "abcdef", "sure": "yes", "url": "https://shop.example.com/mine", "events": "*", "amount": "1.00"}
    body = urlencode({"form_token": token_of(town, town.thief.browser), "since": "2026-03-01T00:00", **good})
    paths = {town.victim.address(page)}
    names = re.findall(r"{(\w+)}", page.path)
    for name in names:
        # All but one of the ids are the thief's own.
        whose = {other: town.victim if other == name else town.thief for other in names}
        ids = {other: of.ids[thing_at(page.path, f"{{{other}}}")] for other, of in whose.items()}
        paths.add(f"/console{page.path.format(**ids)}")
    for path in paths:
        answer = await raw(town, page.method, path, cookie=town.thief.browser.cookie, body=body)
        assert answer.status_code == 404, path
        assert town.victim.shop.email not in answer.text
    assert await town.state() == before


@pytest.mark.parametrize("page", SHOWN)
async def test_a_page_shows_nothing_of_a_neighbours(town: Town, page: Page) -> None:
    shown = await raw(town, "GET", town.thief.address(page), cookie=town.thief.browser.cookie)
    assert shown.status_code == 200, shown.text[:500]
    for id in (*town.victim.ids.values(), town.victim.shop.email, town.victim.shop.payment_key):
        assert id not in shown.text or id in town.thief.ids.values()


@pytest.mark.parametrize("page", SHOWN)
async def test_a_page_that_is_looked_at_changes_nothing(town: Town, page: Page) -> None:
    before = await town.state()
    assert (await raw(town, "GET", town.victim.address(page), cookie=town.victim.browser.cookie)).status_code == 200
    assert await town.state() == before


# ── staff, and those who would be ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", OF_STAFF)
async def test_a_merchant_is_no_staff(town: Town, page: Page) -> None:
    before = await town.state()
    body = urlencode({"form_token": token_of(town, town.thief.browser), "sure": "yes", "reason": "mine"})
    answer = await raw(town, page.method, town.victim.address(page), cookie=town.thief.browser.cookie, body=body)
    assert answer.status_code == 303
    assert answer.headers["location"].partition("?")[0] == STAFF_SIGN_IN
    assert await town.state() == before


@pytest.mark.parametrize("page", LOOKED_AT)
async def test_only_staff_see_a_merchants_pages_from_outside(town: Town, page: Page) -> None:
    of = OF_MERCHANT.format(**{OF: town.victim.shop.id, MODE: "test"})
    before = await town.state()
    answer = await raw(town, "GET", town.victim.address(page, of=of), cookie=town.thief.browser.cookie)
    assert (answer.status_code, answer.content) == (303, b"")
    assert answer.headers["location"].partition("?")[0] == STAFF_SIGN_IN
    assert await town.state() == before


@pytest.mark.parametrize("page", LOOKED_AT)
async def test_staff_who_look_change_nothing_see_no_secret_and_are_noted(town: Town, page: Page) -> None:
    of = OF_MERCHANT.format(**{OF: town.victim.shop.id, MODE: "test"})
    revision, entries = await town.state()
    answer = await raw(town, "GET", town.victim.address(page, of=of), cookie=town.staff.cookie)
    assert answer.status_code == 200, answer.text[:500]
    assert await town.state() == (revision, entries + 1)
    sent = re.findall(r'<form[^>]*method="post"[^>]*action="([^"]+)"', answer.text)
    assert sent in ([], ["/console/staff/sign-out"])
    assert not [secret for secret in town.victim.secrets if secret in answer.text]


@pytest.mark.parametrize("page", OF_MERCHANTS)
async def test_staff_are_no_merchant(town: Town, page: Page) -> None:
    before = await town.state()
    body = urlencode({"form_token": token_of(town, town.staff), "sure": "yes"})
    answer = await raw(town, page.method, town.victim.address(page), cookie=town.staff.cookie, body=body)
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, SIGN_IN)
    of = OF_MERCHANT.format(**{OF: town.victim.shop.id, MODE: "test"})
    if page.method == "POST":
        looked = await raw(town, "POST", town.victim.address(page, of=of), cookie=town.staff.cookie, body=body)
        assert looked.status_code in (404, 405)
    assert await town.state() == before


# ── what pages are made of ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", [*SHOWN, *SHOWN_TO_STAFF])
async def test_what_merchants_write_is_text_and_nothing_runs_in_a_page(town: Town, page: Page) -> None:
    cookie = town.staff.cookie if page.whose is For.STAFF else town.victim.browser.cookie
    answer = await raw(town, "GET", town.victim.address(page), cookie=cookie)
    assert answer.status_code == 200, answer.text[:500]
    if not answer.headers["content-type"].startswith("text/html"):
        return
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert "alert('x')" not in answer.text
    assert "<img src=x" not in answer.text
    assert Running(answer.text).found == []


# ── cookies ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_cookie_is_out_of_scripts_and_other_sites_reach(town: Town) -> None:
    answer = await town.api.client.get(SIGN_IN)
    town.api.client.cookies.clear()
    given = answer.headers["set-cookie"]
    assert given.startswith(f"{PLAIN_NAME}=")
    assert given.partition("; ")[2] == "Path=/; HttpOnly; SameSite=Lax"


async def test_signing_in_gives_another_session_than_the_visitors(town: Town) -> None:
    browser = Browser(town.api.client)
    await browser.get(SIGN_IN)
    before = browser.cookie
    await browser.sign_in(town.thief.shop.email)
    assert browser.cookie != before
    # Whoever planted the visitor's cookie has nothing by it.
    planted = await raw(town, "GET", "/console", cookie=before)
    assert planted.status_code == 303


@pytest.mark.parametrize("way", ["another key", "no algorithm", "cut", "other claims", "an access token"])
async def test_a_cookie_that_we_did_not_sign_is_nobodys(town: Town, way: str) -> None:
    own = town.thief.browser.cookie.partition("=")[2]
    claims = jwt.decode(own, options={"verify_signature": False})
    claims["sub"] = town.victim.shop.id
    header = {"typ": "console+jwt"}
    body = {"email": town.thief.shop.email, "password": PASSWORD}
    access = (await town.api.client.post("/api/auth/token/", json=body)).json()["access"]
    first, _, last = own.split(".")
    forged = {
        "another key": jwt.encode(claims, b"k" * 32, "HS256", headers=header),
        "no algorithm": jwt.encode(claims, "", "none", headers=header),
        "cut": own[:-2],
        "other claims": ".".join([first, jwt.encode(claims, b"k" * 32, "HS256").split(".")[1], last]),
        "an access token": access,
    }[way]
    answer = await raw(town, "GET", "/console", cookie=f"{PLAIN_NAME}={forged}")
    assert answer.status_code == 303


async def test_a_cookie_is_no_credential_of_the_api(town: Town) -> None:
    text = town.thief.browser.cookie.partition("=")[2]
    for headers in ({"authorization": f"Bearer {text}"}, {"cookie": town.thief.browser.cookie}):
        assert (await town.api.client.get("/api/auth/me/", headers=headers)).status_code == 401


async def test_an_hour_without_a_page_ends_the_session() -> None:
    async with open_api() as api:
        shop = await api.open_shop()
        cookie = (await Browser(api.client).sign_in(shop.email)).cookie
        api.clock.move(IDLE - timedelta(seconds=1))
        assert (await api.client.get("/console", headers={"cookie": cookie})).status_code == 200
        api.client.cookies.clear()
        api.clock.move(timedelta(seconds=1))
        assert (await api.client.get("/console", headers={"cookie": cookie})).status_code == 303


@pytest.mark.parametrize("way", ["sign-out", "sign-out-everywhere"])
async def test_a_session_that_was_ended_stays_so(town: Town, way: str) -> None:
    shop = await town.api.open_shop()
    here = await Browser(town.api.client).sign_in(shop.email)
    elsewhere = await Browser(town.api.client).sign_in(shop.email)
    ended, other = here.cookie, elsewhere.cookie
    await here.get("/console/account")
    await here.submit(f"/console/{way}")
    assert (await raw(town, "GET", "/console", cookie=ended)).status_code == 303
    assert (await raw(town, "GET", "/console", cookie=other)).status_code == (200 if way == "sign-out" else 303)


@pytest.mark.parametrize(
    "target",
    [
        *("https://evil.example", "//evil.example", "/\\evil.example", "/console/../\\evil"),
        *("/console/\r\nx: y", "javascript:alert(1)"),
    ],
)
async def test_signing_in_leads_nowhere_else(town: Town, target: str) -> None:
    browser = Browser(town.api.client)
    await browser.get(f"{SIGN_IN}?{urlencode({'next': target})}")
    page = await browser.submit(SIGN_IN, {"email": town.thief.shop.email, "password": PASSWORD})
    assert page.path == "/console"


async def test_a_suspended_merchant_sees_nothing_and_can_do_nothing(town: Town) -> None:
    shop = await town.api.open_shop()
    browser = await Browser(town.api.client).sign_in(shop.email)
    staff = town.api.services.payments.staff.named("ada", origin=HERE)
    await staff.suspend(MerchantId(shop.id), "fraud")
    page = await browser.get("/console")
    assert page.status == 403
    assert "suspended" in page.words
    again = Browser(town.api.client)
    await again.get(SIGN_IN)
    page = await again.submit(SIGN_IN, {"email": shop.email, "password": PASSWORD})
    assert page.status == 403


@pytest.mark.parametrize("page", ["", "/transactions", "/refunds", "/payment-keys", "/webhooks"])
async def test_staff_who_begin_behind_the_first_page_of_a_list_are_noted_as_well(town: Town, page: str) -> None:
    oversight = town.api.store.oversight
    before = len((await oversight.audit(Window(limit=1_000), AuditFilter(), None)).items)
    answer = await raw(town, "GET", f"/console/staff{page}?after=zzz_{'Z' * 26}", cookie=town.staff.cookie)
    assert answer.status_code == 200
    assert len((await oversight.audit(Window(limit=1_000), AuditFilter(), None)).items) == before + 1


async def test_a_page_that_asks_by_itself_shows_staff_nothing_and_is_no_look(town: Town) -> None:
    before = await town.state()
    of = OF_MERCHANT.format(**{OF: town.victim.shop.id, MODE: "test"})
    answer = await town.api.client.get(of, headers={"cookie": town.staff.cookie, "hx-request": "true"})
    assert (answer.status_code, answer.content) == (STOP_ASKING, b"")
    assert await town.state() == before


@pytest.mark.parametrize("first", ["merchant", "staff"])
async def test_the_session_that_somebody_had_ends_as_they_sign_in_anew(town: Town, first: str) -> None:
    shop = await town.api.open_shop()
    ways = {"merchant": (SIGN_IN, shop.email, "/console"), "staff": (STAFF_SIGN_IN, STAFF_EMAIL, "/console/staff")}
    for then in ways:
        browser, had = Browser(town.api.client), ""
        for each in (first, then):
            sign_in, email, root = ways[each]
            had = browser.cookie
            await browser.get(f"{sign_in}?next={root}/account")
            await browser.submit(sign_in, {"email": email, "password": PASSWORD})
            assert (await browser.get(root)).status == 200
        root = ways[first][2]
        assert (await raw(town, "GET", root, cookie=had)).status_code == 303
        assert (await browser.get(ways[then][2])).path == ways[then][2]
