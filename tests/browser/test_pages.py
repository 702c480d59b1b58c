"""Every page of the console as people meet it: light and dark, wide and narrow, with and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final, Literal, TypeAlias

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Response

from entrypoints.http.console.page import For
from entrypoints.http.console.rendering import asset
from tests.browser.addresses import OF_ANYBODY, OF_MERCHANT, OF_STAFF, WITH_NOTHING_YET, addresses, declared, looked_at
from tests.browser.axe import violations
from tests.browser.conftest import Meet, visiting
from tests.browser.person import Person
from tests.browser.service import Service
from tests.browser.shop import Shop, do_business, open_shop
from tests.patience import until

WIDE_PIXELS: Final = 1600
NARROW_PIXELS: Final = 360
NARROWEST_PIXELS: Final = 320
"""Down to here nobody has to scroll in two directions (WCAG 2.2, 1.4.10)."""
HEIGHT_PIXELS: Final = 900
WIDER_THAN_ITS_WINDOW: Final = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
Colours: TypeAlias = Literal["light", "dark"]
NEEDS_JAVASCRIPT: Final = """html => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const wrong = [
        ...page.querySelectorAll("[hx-post], [hx-put], [hx-patch], [hx-delete], [hx-on], [onclick], [style]"),
        ...page.querySelectorAll("script:not([src]), style, button[type=button], a:not([href]), [href^='javascript:']"),
        ...page.querySelectorAll("form:not([action]), form:not(:has(button))"),
    ];
    return wrong.map(element => element.outerHTML.slice(0, 200));
}"""
"""Finds in a page as it is served what works with JavaScript alone, or is none of our way of making pages."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def busy(service: Service) -> AsyncIterator[Shop]:
    """A shop that has done business, whose pages have something to show."""
    async with open_shop(service, "pages@example.com", name="The shop of all pages") as shop:
        await do_business(shop, service.receiver)
        yield shop


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nobody(browser: Browser, service: Service) -> AsyncIterator[Person]:
    """Somebody who has not signed in. Those who look at pages keep their browser from one page to the next."""
    async with visiting(browser, service) as person:
        yield person


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def owner(browser: Browser, service: Service, busy: Shop) -> AsyncIterator[Person]:
    """The merchant whose shop that is."""
    async with visiting(browser, service) as person:
        await person.sign_in(busy.email)
        yield person


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def newcomer(browser: Browser, service: Service) -> AsyncIterator[Person]:
    """Somebody who has just opened an account."""
    async with visiting(browser, service) as person:
        await person.sign_up("newcomer@example.com")
        yield person


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def inspector(browser: Browser, service: Service, busy: Shop, staff_email: str) -> AsyncIterator[Person]:
    """One of the staff, who have found out which jobs and attempts there are."""
    async with visiting(browser, service) as person:
        await person.sign_in(staff_email, at="/console/staff/sign-in")
        for kind in ("job", "attempt"):
            await person.go(f"/console/staff/{kind}s?state=all")
            found = await person.page.locator(f"main td a[href^='/console/staff/{kind}s/']").first.get_attribute("href")
            assert found is not None
            busy.ids[kind] = found.rpartition("/")[2]
        yield person


def test_each_page_is_among_those_that_are_looked_at() -> None:
    assert declared(For.ANYBODY) == set(OF_ANYBODY)
    assert declared(For.MERCHANT) == set(OF_MERCHANT)
    assert declared(For.STAFF) == set(OF_STAFF)


@pytest.mark.parametrize("address", addresses(OF_ANYBODY))
async def test_a_page_for_anybody_is_fit_for_everybody(nobody: Person, address: str) -> None:
    await _is_fit(nobody, address)


@pytest.mark.parametrize("address", addresses(OF_MERCHANT))
async def test_a_page_of_a_merchant_is_fit_for_everybody(owner: Person, busy: Shop, address: str) -> None:
    await _is_fit(owner, address.format_map(busy.ids))


@pytest.mark.parametrize("address", WITH_NOTHING_YET)
async def test_a_page_with_nothing_on_it_yet_is_fit_for_everybody(newcomer: Person, address: str) -> None:
    assert (await _goes(newcomer, address)).status == 200
    assert await _is_wrong(newcomer, "dark", NARROW_PIXELS) == []


@pytest.mark.parametrize("address", addresses(OF_STAFF))
async def test_a_page_of_the_staff_is_fit_for_everybody(inspector: Person, busy: Shop, address: str) -> None:
    await _is_fit(inspector, address.format_map(busy.ids))


@pytest.mark.parametrize("address", looked_at())
async def test_staff_who_look_can_change_nothing(inspector: Person, busy: Shop, address: str) -> None:
    assert (await _goes(inspector, address.format_map(busy.ids))).status == 200
    await inspector.sees("Nothing can be changed here")
    forms = inspector.page.locator("form[method=post]")
    assert [await form.get_attribute("action") for form in await forms.all()] == ["/console/staff/sign-out"]
    await _looks(inspector.page, "light", NARROW_PIXELS)
    assert await inspector.page.evaluate(WIDER_THAN_ITS_WINDOW) == 0
    inspector.has_no_complaint()


@pytest.mark.parametrize("address", ["/console/nowhere", "/console/transactions/txn_nothing", "/console/staff"])
async def test_a_page_that_says_what_is_wrong_is_fit_for_everybody(owner: Person, address: str) -> None:
    await _goes(owner, address)
    assert await _is_wrong(owner, "light", NARROW_PIXELS) == []


async def test_what_is_wrong_with_a_page_is_found(meet: Meet) -> None:
    person = await meet()
    answer = await person.go("/console/sign-in")
    assert await person.page.evaluate(NEEDS_JAVASCRIPT, await answer.text()) == []
    assert await person.page.evaluate(NEEDS_JAVASCRIPT, "<form action='/x'>No button</form>") != []
    await person.page.evaluate(
        """() => {
            const main = document.querySelector("main");
            main.innerHTML = "<h1>Bad</h1><input id=nameless><p class=hint>Pale</p><p class=wide>Wide</p>";
            main.querySelector(".hint").style.color = "#ccc";
            main.querySelector(".wide").style.width = "3000px";
        }"""
    )
    found = {line.partition(" ")[0] for line in await violations(person.page)}
    assert {"label", "color-contrast"} <= found
    assert await person.page.evaluate(WIDER_THAN_ITS_WINDOW) > 0


async def test_what_a_browser_complains_of_is_heard(meet: Meet) -> None:
    person = await meet()
    await person.go("/console/sign-in")
    await person.page.evaluate(
        """() => {
            document.body.insertAdjacentHTML("beforeend", "<p style='color: red'>No style of its own</p>");
            document.body.append(Object.assign(document.createElement("script"), {textContent: "0"}));
            setTimeout(() => { throw new Error("thrown"); });
        }"""
    )
    await person.page.evaluate("fetch('/console/static/none.js')")

    async def has_complained() -> bool:
        said = "\n".join(person.complaints)
        return all(each in said for each in ("style-src", "script-src", "thrown", "404 for"))

    await until(has_complained)
    person.complaints.clear()


async def _is_fit(person: Person, address: str) -> None:
    """Say that the page can be used by everybody, whatever their eyes, hands and screens are like.

    What is wide or narrow is independent of what is light or dark: no rule of the style sheet asks for both.
    """
    answer = await _goes(person, address)
    # What is wrong with an address is said on the page itself.
    assert answer.status in (200, 400), f"{answer.status} for {address}"
    wrong = await person.page.evaluate(NEEDS_JAVASCRIPT, await answer.text())
    wrong += await _is_wrong(person, "light", WIDE_PIXELS)
    wrong += await _is_wrong(person, "dark", NARROW_PIXELS)
    await _looks(person.page, "light", NARROWEST_PIXELS)
    if (more := await person.page.evaluate(WIDER_THAN_ITS_WINDOW)) > 0:
        wrong.append(f"{more} px wider than a window of {NARROWEST_PIXELS} px")
    assert not wrong, "\n".join(wrong)
    person.has_no_complaint()


async def _goes(person: Person, address: str) -> Response:
    """Open an address; complaints about what was before are not about this page."""
    person.complaints.clear()
    await _looks(person.page, "light", WIDE_PIXELS)
    return await person.go(address)


async def _is_wrong(person: Person, colours: Colours, width: int) -> list[str]:
    """Return what is wrong with the page in these colours and this width."""
    await _looks(person.page, colours, width)
    wrong = await violations(person.page)
    if (more := await person.page.evaluate(WIDER_THAN_ITS_WINDOW)) > 0:
        wrong.append(f"{more} px wider than a window of {width} px")
    return wrong


async def _looks(page: Page, colours: Colours, width: int) -> None:
    await page.emulate_media(color_scheme=colours)
    await page.set_viewport_size({"width": width, "height": HEIGHT_PIXELS})


def test_no_rule_of_the_style_sheet_asks_for_colours_and_width_at_once() -> None:
    found = asset("console.css")
    assert found is not None
    queries = re.findall(r"@media ([^{]*)\{", found[1].decode())
    assert queries
    assert [query for query in queries if "color-scheme" in query and "width" in query] == []
