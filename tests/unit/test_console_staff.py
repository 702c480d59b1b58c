"""Staff suspend a merchant in the console, and let it go on."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from entrypoints.http.console.visits import SIGN_IN, STAFF_SIGN_IN
from payments_core.use_cases.suspend_merchant import REASON_LENGTH_MAX
from tests.unit.console_browser import Browser
from tests.unit.http_shop import PASSWORD, Shop, open_api


@pytest.fixture
async def shop() -> AsyncGenerator[Shop, None]:
    async with open_api() as api:
        yield await api.open_shop()


@pytest.fixture
async def staff(shop: Shop) -> Browser:
    """The browser of one of the staff."""
    await shop.api.services.payments.staff.create_member("ada@example.com", "Ada", PASSWORD)
    browser = Browser(shop.api.client)
    await browser.get(STAFF_SIGN_IN)
    await browser.submit(STAFF_SIGN_IN, {"email": "ada@example.com", "password": PASSWORD})
    return browser


async def test_a_merchant_is_suspended_once_it_was_asked_for_again_and_let_go_on(shop: Shop, staff: Browser) -> None:
    paid, reason = await shop.pay(), "r" * REASON_LENGTH_MAX
    page = f"/console/staff/merchants/{shop.id}"
    await staff.get(page)
    asked = await staff.submit(f"{page}/suspend", {"reason": reason})
    assert "Suspend it, for sure?" in asked.words
    assert f'maxlength="{REASON_LENGTH_MAX}"' in asked.html
    assert (await shop.get(f"/api/transactions/{paid['id']}/")).json()["status"] == "pending"
    done = await staff.submit(f"{page}/suspend")
    assert "The merchant is suspended" in done.words
    assert (await shop.get("/api/auth/me/")).status_code == 403
    await staff.submit(f"{page}/unsuspend")
    assert (await shop.get(f"/api/transactions/{paid['id']}/")).json()["status"] == "canceled"


async def test_a_suspension_needs_a_reason(shop: Shop, staff: Browser) -> None:
    page = f"/console/staff/merchants/{shop.id}"
    await staff.get(page)
    await staff.submit(f"{page}/suspend", {"reason": ""})
    refused = await staff.submit(f"{page}/suspend")
    assert refused.status == 400
    assert 'aria-invalid="true"' in refused.html
    assert (await shop.get("/api/auth/me/")).status_code == 200


async def test_whose_account_is_suspended_can_sign_in_to_another(shop: Shop, staff: Browser) -> None:
    browser = await Browser(shop.api.client).sign_in(shop.email)
    other = await shop.api.open_shop()
    page = f"/console/staff/merchants/{shop.id}"
    await staff.get(page)
    await staff.submit(f"{page}/suspend", {"reason": "fraud"})
    await staff.submit(f"{page}/suspend")
    assert SIGN_IN in (await browser.get("/console")).links
    assert (await browser.get(SIGN_IN)).heading == "Sign in"
    await browser.submit(SIGN_IN, {"email": other.email, "password": PASSWORD})
    assert browser.page.heading == "Overview"


LISTS = (
    "",
    "/transactions",
    "/refunds",
    "/payment-keys",
    "/webhooks",
    "/idempotency-keys",
    "/jobs",
    "/attempts",
    "/audit",
)


@pytest.mark.parametrize("path", LISTS)
async def test_a_place_that_is_in_no_list_is_said_to_be_none(staff: Browser, path: str) -> None:
    page = await staff.get(f"/console/staff{path}?after=nowhere")
    assert page.status == 400
    assert "this is no place in this list" in page.words


@pytest.mark.parametrize("address", ["audit?action=x", "jobs?state=x", "attempts?state=x"])
async def test_what_a_list_cannot_be_narrowed_to_is_said_at_its_field(staff: Browser, address: str) -> None:
    page = await staff.get(f"/console/staff/{address}")
    assert page.status == 400
    assert 'aria-invalid="true"' in page.html
    assert "There is no such" in page.words


async def test_staff_look_for_payments_of_all_merchants_by_all_that_merchants_do(shop: Shop, staff: Browser) -> None:
    one, other = shop, await shop.api.open_shop()
    cheap = await one.pay(amount="5.00", currency="EUR", metadata={"order": "17"})
    dear = await other.pay(amount="900.00", currency="EUR", description="A piano")
    for asked, found in (
        ("currency=EUR&min_amount=100", [dear]),
        ("metadata_key=order&metadata_value=17", [cheap]),
        ("text=piano", [dear]),
        (f"merchant={one.id}&status=pending", [cheap]),
        ("to=2026-02-01", []),
    ):
        page = await staff.get(f"/console/staff/transactions?{asked}")
        assert page.status == 200
        assert [id for id in (dear["id"], cheap["id"]) if id in page.html] == [each["id"] for each in found], asked
    page = await staff.get("/console/staff/transactions?status=x&min_amount=1")
    assert page.status == 400
    assert page.html.count('aria-invalid="true"') == 2


async def test_the_way_home_of_the_staff_is_to_their_own_pages(shop: Shop, staff: Browser) -> None:
    home = staff.page.links[1]
    assert (await staff.get(home)).path == "/console/staff"
    # Pages of errors, which know nobody, lead to where merchants begin.
    sign_in = await staff.get("/console")
    assert sign_in.path.partition("?")[0] == SIGN_IN
    assert "/console/staff" in sign_in.links
    assert "/console/staff" not in (await Browser(shop.api.client).get("/console")).links


@pytest.mark.parametrize("outcome", [None, "perhaps"])
async def test_what_became_of_an_attempt_is_said_and_not_guessed(
    shop: Shop, staff: Browser, outcome: str | None
) -> None:
    paid = await shop.paid()
    listed = await staff.get("/console/staff/attempts?state=approved")
    attempt = next(link for link in listed.links if link.startswith("/console/staff/attempts/"))
    await staff.get(attempt)
    typed = {"outcome": outcome, "code": "lost", "message": "Lost.", "correct": "yes", "sure": "yes"}
    page = await staff.submit(f"{attempt}/resolve", typed)
    assert page.status == 400
    assert "Say which of the two it was." in page.words
    assert (await shop.get(f"/api/transactions/{paid['id']}/")).json()["status"] == "succeeded"


@pytest.mark.parametrize("id", ["nothing", f"txn_{'0' * 26}"])
async def test_what_is_not_found_is_said_in_words_for_people(staff: Browser, id: str) -> None:
    page = await staff.get(f"/console/staff/find?id={id}")
    assert page.status == 404
    assert "API" not in page.words
    assert "`" not in page.words
