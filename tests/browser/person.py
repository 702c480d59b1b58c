"""A person with a browser: what they see, press and type; whatever their browser complains of fails the test."""

from __future__ import annotations

import re
from typing import Any, Final

from playwright.async_api import BrowserContext, ConsoleMessage, Locator, Page, Request, Response, expect

from tests.patience import PATIENCE_SECONDS
from tests.processes import PASSWORD

TABS_MAX: Final = 150
"""So often the tabulator is pressed at most before something must have had the focus."""
_OF_RESPONSES: Final = "Failed to load resource"

expect.set_options(timeout=PATIENCE_SECONDS * 1000)


class Person:
    """One page in a context of its own: cookies, colours, width and time zone."""

    def __init__(self, context: BrowserContext, page: Page, base: str) -> None:
        self.context: Final = context
        self.page: Final = page
        self.base: Final = base
        self.email = ""
        self.complaints: Final[list[str]] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("response", self._answered)
        page.on("requestfailed", self._not_answered)

    @property
    def path(self) -> str:
        """Where they are, without the host."""
        return self.page.url.removeprefix(self.base)

    async def go(self, path: str) -> Response:
        """Open an address of the service."""
        answer = await self.page.goto(f"{self.base}{path}")
        assert answer is not None
        return answer

    def button(self, name: str | re.Pattern[str], *, exact: bool = True) -> Locator:
        """The button of this name."""
        return self.page.get_by_role("button", name=name, exact=exact)

    def link(self, name: str | re.Pattern[str], *, exact: bool = True) -> Locator:
        """The link of this name."""
        return self.page.get_by_role("link", name=name, exact=exact)

    def field(self, label: str | re.Pattern[str], *, exact: bool = True) -> Locator:
        """The field of this label."""
        return self.page.get_by_label(label, exact=exact)

    async def reads(self, title: str | re.Pattern[str]) -> None:
        """Wait until this is the heading of the page."""
        await expect(self.page.get_by_role("heading", level=1)).to_have_text(title)

    async def sees(self, text: str | re.Pattern[str]) -> None:
        """Wait until this text is on the page."""
        await expect(self.page.get_by_text(text).first).to_be_visible()

    async def sign_up(self, email: str, *, name: str = "") -> str:
        """Open an account, and return its first API key."""
        await self.go("/console/sign-up")
        await self.field("E-mail address").fill(email)
        await self.field("Name of your business").fill(name)
        await self.field("Password").fill(PASSWORD)
        await self.button("Open the account").click()
        await self.reads("Your account is open")
        self.email = email
        return (await self.page.locator(".secret code").inner_text()).strip()

    async def sign_in(self, email: str, password: str = PASSWORD, *, at: str = "/console/sign-in") -> None:
        """Sign in, and be where one is led to."""
        await self.go(at)
        await self.types_credentials(email, password)
        self.email = email

    async def types_credentials(self, email: str, password: str = PASSWORD) -> None:
        """Fill in the page that asks for them, and send it."""
        await self.field("E-mail address").fill(email)
        await self.field("Password").fill(password)
        await self.button("Sign in").click()
        await expect(self.page).not_to_have_url(re.compile("/sign-in"))

    async def marks_the_page(self) -> None:
        """Leave a mark that a page which is loaded anew does not have."""
        await self.page.evaluate("document.documentElement.dataset.mark = 'here'")

    async def has_not_reloaded(self) -> None:
        """Say that this is still the page with the mark."""
        assert await self.page.evaluate("document.documentElement.dataset.mark") == "here", "the page was loaded anew"

    async def tabs_to(self, wanted: Locator) -> None:
        """Press the tabulator until it has the focus, and see that one can see it."""
        await expect(wanted).to_be_visible()
        for _ in range(TABS_MAX):
            await self.page.keyboard.press("Tab")
            if await wanted.evaluate("element => element === document.activeElement"):
                break
        else:
            raise AssertionError(f"{wanted} never had the focus")
        shown = await wanted.evaluate(_OUTLINE)
        assert shown, f"nobody sees that {wanted} has the focus"

    async def presses(self, *keys: str) -> None:
        """Press keys, one after another."""
        for key in keys:
            await self.page.keyboard.press(key)

    async def types(self, text: str) -> None:
        """Type into what has the focus."""
        await self.page.keyboard.type(text)

    def has_no_complaint(self) -> None:
        """Fail with what the browser complained of."""
        assert not self.complaints, "\n".join(self.complaints)

    def _hear(self, message: ConsoleMessage) -> None:
        # What was answered is judged where it arrives: a page of a refusal is one that people are meant to see.
        if message.type in ("error", "warning") and not message.text.startswith(_OF_RESPONSES):
            self.complaints.append(f"{message.type} on {self.page.url}: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500 or (response.status >= 400 and not response.request.is_navigation_request()):
            self.complaints.append(f"{response.status} for {response.url} on {self.page.url}")

    def _not_answered(self, request: Request) -> None:
        # A page that is left asks for nothing more.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"{request.failure} for {request.url} on {self.page.url}")


_OUTLINE: Final = """element => {
    const style = getComputedStyle(element);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
}"""

Options = dict[str, Any]
