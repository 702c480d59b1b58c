"""Payments in a real browser: a first one is seen to succeed, goes back in part, and never goes back twice."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.conftest import Meet
from tests.browser.person import Person
from tests.browser.shop import Shop
from tests.patience import until

RELOAD_SECONDS: Final = 0.5
"""Between two tries of somebody who has no script that looks for them."""


@pytest_asyncio.fixture(loop_scope="session")
async def paid(shop: Shop) -> str:
    """The path of a payment of 100.00 USD that has succeeded."""
    made = await shop.pay("100.00", description="A hundred eggs")
    await shop.settled(f"/transactions/{made['id']}/", status="succeeded")
    return f"/console/transactions/{made['id']}"


async def refunds_of(shop: Shop, paid: str) -> list[str]:
    """Return the amounts that went back or are about to."""
    found = await shop.call("GET", f"/refunds/?transaction={paid.rpartition('/')[2]}")
    return [str(refund["amount"]) for refund in found["results"]]


async def asks_to_refund(person: Person, paid: str, amount: str) -> None:
    """Fill in the form, and be asked once more."""
    await person.go(paid)
    await person.link("Refund").click()
    await person.field("Amount in USD").fill(amount)
    await person.button("Go on").click()
    await person.reads(re.compile("^Refund .*\\?$"))


async def test_a_first_payment_is_seen_to_succeed_and_its_refund_too_without_reloading(
    merchant: Person,
) -> None:
    await merchant.link("Make a first payment").click()
    await merchant.field("Description").fill("My very first one")
    await merchant.button("Pay").click()
    await merchant.reads("My very first one")
    await merchant.marks_the_page()
    await expect(merchant.page.locator("#story .card").first.locator(".state.succeeded")).to_be_visible()
    await merchant.has_not_reloaded()
    await merchant.link("Refund").click()
    await merchant.field("Amount in USD").fill("5.00")
    await merchant.field("Reason").fill("One was broken")
    await merchant.button("Go on").click()
    await merchant.reads("Refund 5.00 USD?")
    await merchant.button("Refund 5.00 USD").click()
    await merchant.sees("The refund is promised")
    await merchant.marks_the_page()
    await expect(merchant.page.locator(".state.succeeded").first).to_be_visible()
    await merchant.has_not_reloaded()
    await merchant.go("/console/transactions")
    await merchant.link("My very first one").click()
    await merchant.sees("20.00")


async def test_what_changed_is_said_to_those_who_do_not_see_it_and_the_focus_stays(person: Person, shop: Shop) -> None:
    made = await shop.pay("3.00")
    await person.go(f"/console/transactions/{made['id']}")
    of_key = person.page.locator("#of-key")
    await of_key.focus()
    await expect(person.page.locator("#news")).to_contain_text("succeeded")
    await expect(of_key).to_be_focused()
    # Where nothing is under way nothing is asked for any more.
    await expect(person.page.locator("[hx-get]")).to_have_count(0)


async def test_the_list_shows_what_becomes_of_its_rows_without_reloading(person: Person, shop: Shop) -> None:
    await shop.pay("4.00", description="Soon")
    await person.go("/console/transactions")
    await person.marks_the_page()
    await expect(person.page.locator("#rows .state.succeeded")).to_be_visible()
    await person.has_not_reloaded()


async def test_a_double_click_refunds_once(person: Person, shop: Shop, paid: str) -> None:
    await asks_to_refund(person, paid, "30.00")
    await person.button("Refund 30.00 USD").dblclick()
    await person.sees("The refund is promised")
    assert await refunds_of(shop, paid) == ["30.00"]


async def test_two_clicks_refund_once_where_no_script_holds_the_second(meet: Meet, shop: Shop, paid: str) -> None:
    person = await meet(java_script_enabled=False)
    await person.sign_in(shop.email)
    await asks_to_refund(person, paid, "30.00")
    await person.button("Refund 30.00 USD").dblclick()
    await person.sees(re.compile("The refund is promised|was made already"))
    assert await refunds_of(shop, paid) == ["30.00"]


async def test_who_sends_the_same_refund_again_is_told_that_it_was_made(meet: Meet, shop: Shop, paid: str) -> None:
    person = await meet(java_script_enabled=False)
    await person.sign_in(shop.email)
    await asks_to_refund(person, paid, "30.00")
    # The answer goes to another tab, so that the page which asks is still there: as after going back to it.
    await person.page.locator("form[action$='/refund/send']").evaluate("form => { form.target = '_blank'; }")
    async with person.context.expect_page() as opening:
        await person.button("Refund 30.00 USD").click()
    await expect((await opening.value).get_by_text("The refund is promised")).to_be_visible()
    await person.page.locator("form[action$='/refund/send']").evaluate("form => { form.target = ''; }")
    await person.button("Refund 30.00 USD").click()
    await person.sees("was made already")
    assert await refunds_of(shop, paid) == ["30.00"]


async def test_the_page_after_a_refund_can_be_loaded_anew_and_refunds_nothing(
    person: Person, shop: Shop, paid: str
) -> None:
    await asks_to_refund(person, paid, "30.00")
    await person.button("Refund 30.00 USD").click()
    await person.sees("The refund is promised")
    await person.page.reload()
    await person.sees("The refund is promised")
    assert await refunds_of(shop, paid) == ["30.00"]


async def test_more_than_what_is_left_is_refused_at_its_field(person: Person, shop: Shop, paid: str) -> None:
    await shop.call("POST", "/refunds/", transaction=paid.rpartition("/")[2], amount="60.00")
    await person.go(f"{paid}/refund")
    await person.field("Amount in USD").fill("40.01")
    await person.button("Go on").click()
    await expect(person.field("Amount in USD")).to_have_accessible_description(re.compile("40.00"))
    await person.field("Amount in USD").fill("40.00")
    await person.button("Go on").click()
    await person.button("Refund 40.00 USD").click()
    await person.sees("The refund is promised")
    assert await refunds_of(shop, paid) == ["40.00", "60.00"]


async def test_a_payment_is_made_found_and_refunded_by_the_keyboard_alone(merchant: Person) -> None:
    await merchant.tabs_to(merchant.link("Make a first payment"))
    await merchant.presses("Enter")
    await merchant.reads("First payment")
    await merchant.tabs_to(merchant.field("Description"))
    await merchant.presses("Control+A")
    await merchant.types("By keys")
    # A group of radio buttons is one stop; arrows choose in it.
    await merchant.tabs_to(merchant.page.locator("[name=outcome]:checked"))
    await merchant.presses("ArrowDown", "ArrowUp")
    await merchant.tabs_to(merchant.button("Pay"))
    await merchant.presses("Enter")
    await merchant.reads("By keys")
    await expect(merchant.link("Refund")).to_be_visible()
    await merchant.tabs_to(merchant.link("Refund"))
    await merchant.presses("Enter")
    await merchant.tabs_to(merchant.field("Amount in USD"))
    await merchant.presses("Control+A")
    await merchant.types("1.50")
    await merchant.presses("Enter")
    await merchant.reads("Refund 1.50 USD?")
    await merchant.tabs_to(merchant.button("Refund 1.50 USD"))
    await merchant.presses("Enter")
    await merchant.sees("The refund is promised")


async def test_a_payment_is_made_searched_for_exported_and_refunded_without_javascript(meet: Meet, email: str) -> None:
    person = await meet(java_script_enabled=False)
    await person.sign_up(email)
    await person.link("Make a first payment").click()
    await person.field("Description").fill("Without a script")
    await person.button("Pay").click()
    await person.reads("Without a script")
    await person.go("/console/transactions?text=without+a")
    await person.link("Without a script").click()

    async def can_be_refunded() -> bool:
        await asyncio.sleep(RELOAD_SECONDS)
        await person.page.reload()
        return await person.link("Refund").is_visible()

    await until(can_be_refunded)
    await person.link("Refund").click()
    await person.button("Go on").click()
    await person.button("Refund 25.00 USD").click()
    await person.sees("The refund is promised")
    await person.go("/console/transactions")
    async with person.page.expect_download() as downloading:
        await person.link("Export as CSV").click()
    assert "Without a script" in (await (await downloading.value).path()).read_text()


async def test_why_there_is_no_export_is_said_on_a_page(person: Person) -> None:
    await person.go("/console/transactions?currency=XXX")
    await person.page.evaluate("document.querySelector('#e-currency').remove()")
    await person.link("Export as CSV").click()
    await expect(person.page.locator("#e-currency")).to_be_visible()


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [("Declined: not enough money", "enough money"), ("Declined: suspected fraud", "suspicion of fraud")],
)
async def test_why_a_payment_failed_is_said_in_words(merchant: Person, outcome: str, reason: str) -> None:
    await merchant.go("/console/developers/first-payment")
    await merchant.page.get_by_role("radio", name=re.compile(outcome)).check()
    await merchant.button("Pay").click()
    await expect(merchant.page.locator("#story .state.failed").first).to_be_visible()
    await merchant.sees(re.compile(reason))
