"""An account in a real browser: opened, left, taken up again; sessions, and what time it is where one sits."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Meet
from tests.browser.person import Person
from tests.browser.service import Service
from tests.processes import PASSWORD

NEW_PASSWORD = "another horse of the same stable"


async def test_somebody_opens_an_account_and_is_inside(meet: Meet, email: str) -> None:
    person = await meet()
    await person.go("/console")
    await person.reads("Sign in")
    await person.link("Open one").click()
    await person.field("E-mail address").fill(email)
    await person.field("Name of your business").fill("Blätter & Söhne <b>")
    await person.field("Password").fill(PASSWORD)
    await person.button("Open the account").click()
    await person.reads("Your account is open")
    await expect(person.page.locator(".secret code")).to_have_text(re.compile("^sk_test_"))
    await person.link("To the overview").click()
    await person.reads("Overview")
    await person.link("Account").click()
    await person.sees(email)
    await person.sees("Blätter & Söhne <b>")


async def test_the_key_of_a_new_account_is_shown_once_and_can_be_copied(meet: Meet, email: str) -> None:
    # Where there are no windows nobody can be asked whether a page may write to the clipboard.
    person = await meet(permissions=["clipboard-write"])
    key = await person.sign_up(email)
    await person.button("Copy").click()
    await expect(person.button("Copied")).to_be_visible()
    await person.go("/console/account")
    assert key not in await person.page.content()
    await person.go("/console/sign-up")
    await person.field("Name of your business").focus()
    await person.presses("Control+V")
    await expect(person.field("Name of your business")).to_have_value(key)


async def test_what_is_wrong_with_a_new_account_is_said_at_its_field(meet: Meet, email: str) -> None:
    person = await meet()
    await person.go("/console/sign-up")
    await person.field("E-mail address").fill(email)
    await person.field("Password").fill("password")
    await person.button("Open the account").click()
    password = person.field("Password")
    await expect(password).to_have_attribute("aria-invalid", "true")
    await expect(password).to_have_accessible_description(re.compile("attackers try first"))
    await expect(person.field("E-mail address")).to_have_value(email)
    await expect(password).to_have_value("")


async def test_a_wrong_password_is_said_and_the_right_one_leads_to_the_page_that_was_asked_for(
    meet: Meet, merchant: Person
) -> None:
    person = await meet()
    await person.go("/console/account?from=elsewhere")
    await person.reads("Sign in")
    await person.field("E-mail address").fill(merchant.email)
    await person.field("Password").fill("a wrong password")
    await person.button("Sign in").click()
    await expect(person.page.get_by_role("alert")).to_be_visible()
    await expect(person.field("E-mail address")).to_have_value(merchant.email)
    await person.types_credentials(merchant.email)
    assert person.path == "/console/account?from=elsewhere"


async def test_whoever_signs_out_sees_nothing_any_more_by_the_back_button(merchant: Person) -> None:
    await merchant.go("/console/account")
    await merchant.button("Sign out").click()
    await merchant.sees("You are signed out.")
    await merchant.page.go_back()
    await merchant.reads("Sign in")
    assert merchant.email not in await merchant.page.content()


async def test_signing_out_everywhere_ends_another_browser_too(meet: Meet, merchant: Person) -> None:
    other = await meet()
    await other.sign_in(merchant.email)
    await other.reads("Overview")
    await merchant.go("/console/account")
    await merchant.button("Sign out everywhere").click()
    await merchant.sees("You are signed out, here and everywhere else.")
    await other.link("Account").click()
    await other.reads("Sign in")
    await other.types_credentials(merchant.email)
    await other.reads("Account")


async def test_a_new_password_ends_every_session_and_is_the_only_one_from_then_on(meet: Meet, merchant: Person) -> None:
    other = await meet()
    await other.sign_in(merchant.email)
    await merchant.go("/console/account")
    await merchant.field("Password now").fill(PASSWORD)
    await merchant.field("New password").fill(NEW_PASSWORD)
    await merchant.field("New password once more").fill("something else")
    await merchant.button("Change the password").click()
    await expect(merchant.field("New password once more")).to_have_accessible_description(re.compile("not the same"))
    await merchant.field("Password now").fill(PASSWORD)
    await merchant.field("New password").fill(NEW_PASSWORD)
    await merchant.field("New password once more").fill(NEW_PASSWORD)
    await merchant.button("Change the password").click()
    await merchant.sees("The password is changed")
    await other.go("/console/account")
    await other.reads("Sign in")
    await merchant.types_credentials(merchant.email, NEW_PASSWORD)
    await merchant.reads("Overview")


async def test_without_its_cookie_a_session_is_over_and_the_way_back_leads_to_the_same_page(merchant: Person) -> None:
    await merchant.go("/console/account")
    await merchant.context.clear_cookies(name="payments")
    await merchant.page.reload()
    await merchant.reads("Sign in")
    await merchant.types_credentials(merchant.email)
    assert merchant.path == "/console/account"


async def test_a_form_of_a_session_that_ended_changes_nothing(meet: Meet, merchant: Person) -> None:
    await merchant.go("/console/account")
    await merchant.field("Password now").fill(PASSWORD)
    await merchant.field("New password").fill(NEW_PASSWORD)
    await merchant.field("New password once more").fill(NEW_PASSWORD)
    other_tab = await merchant.context.new_page()
    await other_tab.goto(f"{merchant.base}/console")
    await other_tab.get_by_role("button", name="Sign out").click()
    await expect(other_tab.get_by_text("You are signed out.")).to_be_visible()
    await merchant.button("Change the password").click()
    await expect(merchant.page.get_by_role("heading", level=1)).to_have_text(
        re.compile("Sign in|This form is not valid any more")
    )
    person = await meet()
    await person.sign_in(merchant.email)
    await person.reads("Overview")


async def test_an_account_is_opened_and_left_by_the_keyboard_alone(meet: Meet, email: str) -> None:
    person = await meet()
    await person.go("/console/sign-up")
    # The first field has the focus already.
    await expect(person.field("E-mail address")).to_be_focused()
    await person.types(email)
    await person.tabs_to(person.field("Password"))
    await person.types(PASSWORD)
    await person.presses("Enter")
    await person.reads("Your account is open")
    await person.tabs_to(person.link("To the overview"))
    await person.presses("Enter")
    await person.reads("Overview")
    # The first stop is the way past the menu.
    await person.presses("Tab")
    await expect(person.link("Skip to the content")).to_be_focused()
    await person.presses("Enter")
    await expect(person.page.locator("main")).to_be_focused()
    await person.go("/console")
    await person.tabs_to(person.button("Sign out"))
    await person.presses("Enter")
    await person.sees("You are signed out.")


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/St_Johns"])
async def test_times_are_the_viewers_own_with_utc_under_the_pointer(meet: Meet, email: str, zone: str) -> None:
    person = await meet(timezone_id=zone)
    await person.sign_up(email)
    await person.go("/console/account")
    shown = person.page.locator("time").first
    await expect(person.page.get_by_text(zone)).to_be_visible()
    moment = datetime.fromisoformat(str(await shown.get_attribute("datetime")))
    await expect(shown).to_have_attribute("title", f"{moment:%Y-%m-%d %H:%M:%S} UTC")
    await expect(shown).to_have_text(f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}")


async def test_an_account_is_opened_used_and_left_without_javascript(meet: Meet, email: str) -> None:
    person = await meet(java_script_enabled=False)
    await person.sign_up(email)
    await person.link("To the overview").click()
    await person.reads("Overview")
    await person.link("Account").click()
    await person.sees("UTC")
    await person.button("Sign out").click()
    await person.sees("You are signed out.")
    await person.types_credentials(email)
    await person.reads("Overview")


async def test_the_api_key_of_a_new_account_opens_the_api(meet: Meet, email: str, service: Service) -> None:
    person = await meet()
    key = await person.sign_up(email)
    answer = await person.context.request.get(f"{service.url}/api/auth/me/", headers={"authorization": f"Token {key}"})
    assert (await answer.json())["email"] == email
