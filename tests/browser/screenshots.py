"""`nox -s screenshots`: a picture of each page of the console, light, dark and narrow, in `docs/console/`."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from playwright.async_api import Browser, BrowserContext, async_playwright

from entrypoints.http.app import create_app
from entrypoints.http.server import bind, serving, url_of
from tests.browser.chromium import ARGUMENTS, MISSING, chromium
from tests.browser.history import OWNER_EMAIL, STAFF_EMAIL, Month, a_month
from tests.browser.person import Person
from tests.unit.http_shop import PASSWORD

FOLDER: Final = Path(__file__).parents[2] / "docs" / "console"
HEIGHT_PIXELS_MIN: Final = 640
HEIGHT_PIXELS_MAX: Final = 900
"""A page that is longer is cut off: it goes on as it began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a page is looked at."""

    name: str
    colours: Literal["light", "dark"]
    width_pixels: int


LOOKS: Final = (
    Look(name="light", colours="light", width_pixels=1280),
    Look(name="dark", colours="dark", width_pixels=1280),
    Look(name="narrow", colours="light", width_pixels=360),
)
OF_NOBODY: Final[Mapping[str, str]] = {"sign-in": "/sign-in", "sign-up": "/sign-up", "staff-sign-in": "/staff/sign-in"}
OF_OWNER: Final[Mapping[str, str]] = {
    "overview": "",
    "transactions": "/transactions",
    "transaction": "/transactions/{refunded}",
    "transaction-declined": "/transactions/{declined}",
    "refund-form": "/transactions/{refundable}/refund",
    "refunds": "/refunds",
    "refund": "/refunds/{refund}",
    "webhooks": "/webhooks",
    "webhook": "/webhooks/{broken}",
    "webhook-new": "/webhooks/new",
    "webhook-delivery": "/webhooks/{broken}/deliveries/{delivery}",
    "webhook-replay": "/webhooks/{endpoint}/replay",
    "webhook-verifiers": "/webhooks/verifiers",
    "developers": "/developers",
    "api-key-new": "/developers/api-keys/new?scopes=read",
    "first-payment": "/developers/first-payment",
    "examples": "/developers/examples",
    "events": "/developers/events",
    "event": "/developers/events/{event}",
    "idempotency-keys": "/developers/idempotency-keys?key={idempotency_key}",
    "audit": "/developers/audit",
    "account": "/account",
}
OF_STAFF: Final[Mapping[str, str]] = {
    "staff-merchants": "/staff",
    "staff-merchant": "/staff/merchants/{merchant}",
    "staff-looks": "/merchants/{merchant}/test",
    "staff-transactions": "/staff/transactions",
    "staff-refunds": "/staff/refunds",
    "staff-payment-keys": "/staff/payment-keys",
    "staff-webhooks": "/staff/webhooks",
    "staff-idempotency-keys": "/staff/idempotency-keys",
    "staff-jobs": "/staff/jobs?state=all",
    "staff-attempts": "/staff/attempts?state=all",
    "staff-audit": "/staff/audit",
}


async def picture_all(folder: Path, names: Sequence[str]) -> None:
    """Write the pictures of these pages, or of all where none is named."""
    path = chromium()
    if path is None:
        raise SystemExit(MISSING)
    async with a_month() as month, async_playwright() as playwright:
        listener = bind("127.0.0.1", 0)
        async with serving(create_app(month.api.services), listener):
            browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
            for look in LOOKS:
                await _picture(browser, url_of(listener), month, look, folder, names)
            await browser.close()


async def _picture(browser: Browser, url: str, month: Month, look: Look, folder: Path, names: Sequence[str]) -> None:
    for pages, email, door in (
        (OF_NOBODY, None, ""),
        (OF_OWNER, OWNER_EMAIL, "/console/sign-in"),
        (OF_STAFF, STAFF_EMAIL, "/console/staff/sign-in"),
    ):
        async with await _context(browser, look) as context:
            person = Person(context, await context.new_page(), url)
            if email is not None:
                await person.sign_in(email, PASSWORD, at=door)
            for name, address in pages.items():
                if names and name not in names:
                    continue
                await person.page.set_viewport_size({"width": look.width_pixels, "height": HEIGHT_PIXELS_MIN})
                await person.go(f"/console{address.format_map(month.ids)}")
                height = int(await person.page.evaluate("document.documentElement.scrollHeight"))
                # The window is as high as the page, so that what stays in view at its side reaches down to its end.
                whole = {"width": look.width_pixels, "height": min(height, HEIGHT_PIXELS_MAX)}
                await person.page.set_viewport_size({"width": whole["width"], "height": whole["height"]})
                await person.page.screenshot(path=folder / f"{name}-{look.name}.png", animations="disabled")
            person.has_no_complaint()


async def _context(browser: Browser, look: Look) -> BrowserContext:
    return await browser.new_context(
        color_scheme=look.colours,
        viewport={"width": look.width_pixels, "height": HEIGHT_PIXELS_MIN},
        timezone_id="Europe/Berlin",
        locale="en-GB",
    )


def main() -> None:
    """Take the folder and the names of pages from the command line."""
    parser = argparse.ArgumentParser(prog="nox -s screenshots --", description=__doc__, allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help="pages such as `overview`; all unless named")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pictures go")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(picture_all(options.folder, options.names))


if __name__ == "__main__":
    main()
