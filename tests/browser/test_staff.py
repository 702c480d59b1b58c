"""Staff in a real browser: they find a merchant, look, suspend it and let it go on."""

from __future__ import annotations

import asyncio
import re

import pytest_asyncio
from playwright.async_api import expect

from tests.browser.conftest import Meet
from tests.browser.person import Person
from tests.browser.shop import Shop

NOTICED_SECONDS = 1.0


@pytest_asyncio.fixture(loop_scope="session")
async def staff(meet: Meet, staff_email: str) -> Person:
    """One of the staff, who has signed in by way of `/admin`."""
    person = await meet()
    await person.sign_in(staff_email, at="/admin")
    await person.reads("Merchants")
    return person


async def find(staff: Person, email: str) -> None:
    """Search for a merchant, and open its page."""
    await staff.link("Merchants").first.click()
    await staff.field("Find").fill(email)
    await staff.button("Find").click()
    await staff.link(email).click()
    await staff.sees("Suspend")


async def test_a_merchant_who_is_suspended_is_stopped_within_a_second_and_goes_on_when_let(
    person: Person, staff: Person, shop: Shop
) -> None:
    await find(staff, shop.email)
    await staff.field("Reason").fill("Sells what is not there")
    await staff.button("Suspend").click()
    # Nothing is done yet: they are asked once more.
    assert (await shop.client.get("/api/transactions/")).status_code == 200
    await staff.button(f"Yes, suspend {shop.email}").click()
    await staff.sees("The merchant is suspended")
    await asyncio.sleep(NOTICED_SECONDS)  # what is promised is a time
    await person.link("Account").click()
    await person.sees(re.compile("suspended", re.IGNORECASE))
    assert (await shop.client.get("/api/transactions/")).status_code == 403
    await staff.button("Let it go on").click()
    await staff.sees("The merchant can go on")
    await asyncio.sleep(NOTICED_SECONDS)
    await person.page.reload()
    await person.reads("Account")
    await person.go("/console/developers/audit")
    log = person.page.locator("main")
    await expect(log).to_contain_text("Merchant suspended")
    await expect(log).to_contain_text("Sells what is not there")


async def test_staff_who_look_see_what_the_merchant_sees_and_no_form(person: Person, staff: Person, shop: Shop) -> None:
    paid = await shop.pay("77.00", description="A painted door")
    await shop.settled(f"/transactions/{paid['id']}/", status="succeeded")
    await find(staff, shop.email)
    await staff.link("Transactions, test mode").click()
    await staff.link("A painted door").click()
    await staff.reads("A painted door")
    await staff.sees("Nothing can be changed here")
    await expect(staff.link("Refund")).to_have_count(0)
    await person.go("/console/developers/audit")
    # Who of the staff it was is between them and those who employ them.
    assert staff.email not in await person.page.content()


async def test_a_merchant_is_shown_no_page_of_the_staff(merchant: Person) -> None:
    await merchant.go("/console/staff")
    await merchant.reads("Staff: sign in")
    await merchant.go("/admin")
    await merchant.reads("Staff: sign in")


async def test_staff_suspend_without_javascript_and_by_the_keyboard_alone(
    meet: Meet, shop: Shop, staff_email: str
) -> None:
    staff = await meet(java_script_enabled=False)
    await staff.sign_in(staff_email, at="/console/staff/sign-in")
    await staff.go(f"/console/staff/merchants/{shop.ids['merchant']}")
    await staff.tabs_to(staff.field("Reason"))
    await staff.types("By the keyboard")
    await staff.presses("Enter")
    await staff.tabs_to(staff.button(f"Yes, suspend {shop.email}"))
    await staff.presses("Enter")
    await staff.sees("The merchant is suspended")


async def test_whoever_signs_out_of_the_staff_sees_nothing_any_more(staff: Person) -> None:
    await staff.button("Sign out").click()
    await staff.sees("You are signed out.")
    await staff.page.go_back()
    await staff.reads("Staff: sign in")
