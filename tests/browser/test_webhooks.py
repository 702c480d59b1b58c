"""Webhooks in a real browser: an endpoint added, what it hears of, and what it missed sent again."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from playwright.async_api import expect

from payments_core.webhook import verify
from tests.browser.conftest import Meet
from tests.browser.person import Person
from tests.browser.service import Service
from tests.browser.shop import Shop
from tests.patience import until


async def add_endpoint(person: Person, url: str) -> str:
    """Add an endpoint by the form, and return its secret; whoever does it is on the endpoint's page then."""
    await person.link("Webhooks").click()
    await person.link(re.compile("Add ")).first.click()
    await person.field("URL").fill(url)
    await person.button("Add the endpoint").click()
    await person.reads("The endpoint is there")
    secret = (await person.page.locator(".secret code").inner_text()).strip()
    await person.link("To the endpoint").click()
    await person.sees(url)
    return secret


async def test_an_endpoint_hears_of_a_payment_by_the_secret_that_was_shown_once(
    person: Person, shop: Shop, service: Service
) -> None:
    path = f"/{shop.email}"
    secret = await add_endpoint(person, service.receiver.url(path))
    assert secret not in await person.page.content()
    paid = await shop.pay("12.00")
    await shop.settled(f"/transactions/{paid['id']}/", status="succeeded")

    async def is_told() -> bool:
        return any(one.event["type"] == "transaction.succeeded" for one in service.receiver.got(path))

    await until(is_told)
    for one in service.receiver.got(path):
        verify(secret, headers=one.headers, body=one.body, at=datetime.now(UTC))
    await person.page.reload()
    await person.link("transaction.succeeded").click()
    await person.reads("Delivery of transaction.succeeded")
    await expect(person.page.locator(".facts .state.delivered")).to_be_visible()
    await person.sees("thank you")


async def test_a_test_event_is_seen_to_arrive_without_reloading(person: Person, shop: Shop, service: Service) -> None:
    await add_endpoint(person, service.receiver.url(f"/{shop.email}"))
    await person.button("Send a test event").click()
    await person.reads("Delivery of webhook.test")
    await person.marks_the_page()
    await expect(person.page.locator(".facts .state.delivered")).to_be_visible()
    await person.has_not_reloaded()


async def test_what_an_endpoint_missed_is_sent_again_when_it_is_well(
    person: Person, shop: Shop, service: Service
) -> None:
    path = f"/{shop.email}"
    service.receiver.breaks(path)
    await add_endpoint(person, service.receiver.url(path))
    await person.button("Send a test event").click()
    await expect(person.page.locator(".facts .state.exhausted")).to_be_visible()
    # What receivers answer is text, whatever it looks like.
    await person.sees("<b>our database is away</b>")
    service.receiver.is_mended(path)
    await person.button("Send it again now").click()
    await person.marks_the_page()
    await expect(person.page.locator(".facts .state.delivered")).to_be_visible()
    await person.has_not_reloaded()
    first, again = service.receiver.got(path)
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    assert first.body == again.body


async def test_a_double_click_sends_a_test_event_once(person: Person, shop: Shop, service: Service) -> None:
    path = f"/{shop.email}"
    await add_endpoint(person, service.receiver.url(path))
    await person.button("Send a test event").dblclick()
    await expect(person.page.locator(".facts .state.delivered")).to_be_visible()
    assert len(service.receiver.got(path)) == 1


async def test_an_endpoint_is_added_tried_and_removed_without_javascript(
    meet: Meet, shop: Shop, service: Service
) -> None:
    person, path = await meet(java_script_enabled=False), f"/{shop.email}"
    await person.sign_in(shop.email)
    await add_endpoint(person, service.receiver.url(path))
    await person.button("Send a test event").click()
    await person.reads("Delivery of webhook.test")
    endpoint = person.path.split("/")[3]
    assert (await shop.over(endpoint))["status"] == "delivered"
    await person.page.reload()
    await expect(person.page.locator(".facts .state.delivered")).to_be_visible()
    await person.link(re.compile("The endpoint"), exact=False).click()
    await person.link("Change").click()
    await person.field("Description").fill("The till in the hall")
    await person.page.locator("main form button").first.click()
    await person.reads("The till in the hall")
    await person.link("New secret").click()
    await person.button("Make a new secret").click()
    await person.reads("The endpoint has a new secret")
    await person.link("To the endpoint").click()
    await person.button("Disable").click()
    await person.sees("The endpoint is disabled")
    await person.button("Enable").click()
    await person.link("Remove").click()
    await person.button("Remove the endpoint").click()
    await person.sees("The endpoint is removed.")


@pytest.mark.parametrize("url", ["http://10.0.0.1/hook", "not an address"])
async def test_where_nothing_may_be_sent_to_is_refused_at_its_field(person: Person, url: str) -> None:
    await person.go("/console/webhooks/new")
    # A browser looks at addresses too: what it lets through, or what is sent without one, is for us.
    await person.page.locator("main form").evaluate("form => { form.noValidate = true; }")
    await person.field("URL").fill(url)
    await person.button("Add the endpoint").click()
    await expect(person.field("URL")).to_have_attribute("aria-invalid", "true")
    await expect(person.field("URL")).to_have_value(url)
