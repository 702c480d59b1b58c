"""One service and one Chromium for each worker of the run; a browser of their own for whoever needs one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser.chromium import ARGUMENTS, MISSING, chromium, is_required
from tests.browser.person import Person
from tests.browser.service import Service, serving
from tests.browser.shop import Shop, open_shop
from tests.patience import PATIENCE_SECONDS
from tests.processes import PASSWORD

Meet: TypeAlias = Callable[..., Awaitable[Person]]
"""Opens a browser for one more person; takes what Playwright's `new_context` takes."""
HERE: Final = Path(__file__).parent
WIDE: Final = {"width": 1280, "height": 900}


def is_async(item: pytest.Item) -> bool:
    """Say whether a test is a coroutine."""
    return isinstance(item, pytest.Function) and iscoroutinefunction(item.function)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all tests in the loop that the browser lives in."""
    for item in items:
        if item.path.is_relative_to(HERE) and is_async(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def browser_path() -> str:
    """Where the browser is. Without one the test is skipped, or fails where there has to be one."""
    path = chromium()
    if path is None:
        if is_required():
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(browser_path: str) -> AsyncIterator[Browser]:
    """The browser: each person has a context of it, with cookies of their own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=browser_path, args=ARGUMENTS, timeout=PATIENCE_SECONDS * 1000
        )
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def service(browser_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The whole service, which all tests of a worker share: each opens accounts of its own."""
    with serving(tmp_path_factory.mktemp("service")) as service:
        yield service


@asynccontextmanager
async def visiting(browser: Browser, service: Service, **options: Any) -> AsyncGenerator[Person]:
    """Have a person with a browser of their own while the block runs; `options` are those of `new_context`."""
    async with await browser.new_context(**{"viewport": WIDE, **options}) as context:
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        yield Person(context, await context.new_page(), service.url)


@pytest.fixture(scope="session")
def staff_email(service: Service) -> str:
    """The address by which one of the staff signs in."""
    email = "ada@example.com"
    service.command("staff", "create", "--email", email, "--name", "Ada", "--password-stdin", typed=f"{PASSWORD}\n")
    return email


@pytest_asyncio.fixture(loop_scope="session")
async def meet(browser: Browser, service: Service) -> AsyncIterator[Meet]:
    """Open a browser for one more person. At the end none of their browsers may have complained."""
    people: list[Person] = []
    async with AsyncExitStack() as opened:

        async def meet(**options: Any) -> Person:
            people.append(await opened.enter_async_context(visiting(browser, service, **options)))
            return people[-1]

        yield meet
    for person in people:
        person.has_no_complaint()


@pytest.fixture
def email() -> str:
    """An address that nobody else has."""
    return f"shop-{uuid4().hex[:12]}@example.com"


@pytest_asyncio.fixture(loop_scope="session")
async def shop(service: Service, email: str) -> AsyncIterator[Shop]:
    """A merchant with a payment key, whose programs call the API."""
    async with open_shop(service, email) as shop:
        yield shop


@pytest_asyncio.fixture(loop_scope="session")
async def person(meet: Meet, shop: Shop) -> Person:
    """The merchant of that shop, signed in."""
    person = await meet()
    await person.sign_in(shop.email)
    return person


@pytest_asyncio.fixture(loop_scope="session")
async def merchant(meet: Meet, email: str) -> Person:
    """Somebody who has just opened an account."""
    person = await meet()
    await person.sign_up(email)
    return person
