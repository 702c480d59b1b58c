"""Refunds in the console: in full or in part, asked twice, and sent once whatever is clicked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.unit.console_browser import Browser, Page
from tests.unit.http_shop import Api, Shop, open_api


@pytest.fixture
async def api() -> AsyncGenerator[Api, None]:
    async with open_api() as api:
        yield api


@pytest.fixture
async def shop(api: Api) -> Shop:
    return await api.open_shop()


@pytest.fixture
async def browser(api: Api, shop: Shop) -> Browser:
    return await Browser(api.client).sign_in(shop.email)


def _path(made: Any) -> str:
    return f"/console/transactions/{made['id']}/refund"


async def _refunds(shop: Shop) -> list[Any]:
    found: list[Any] = (await shop.get("/api/refunds/")).json()["results"]
    return found


async def _confirmation(browser: Browser, made: Any, **typed: str) -> Page:
    await browser.get(_path(made))
    page = await browser.submit(_path(made), typed)
    assert page.status == 200, page.words
    return page


# ── the way


async def test_all_that_is_left_goes_back_unless_less_is_typed(api: Api, shop: Shop, browser: Browser) -> None:
    made = await shop.paid()
    page = await _confirmation(browser, made)
    assert page.heading == "Refund 100.00 USD?"
    assert await _refunds(shop) == []
    page = await browser.submit(f"{_path(made)}/send")
    assert page.path.startswith(f"/console/transactions/{made['id']}?")
    assert "The refund is promised" in page.words
    (refund,) = await _refunds(shop)
    assert (refund["amount"], refund["reason"]) == ("100.00", None)


async def test_a_part_goes_back_for_a_reason_and_the_page_says_what_is_left(shop: Shop, browser: Browser) -> None:
    made = await shop.paid(amount="5000", currency="JPY")
    page = await _confirmation(browser, made, amount="1200", reason="broken & <late>")
    assert page.heading == "Refund 1,200 JPY?"
    assert "Is left then 3,800 JPY" in page.words
    assert "broken & <late>" in page.words
    await browser.submit(f"{_path(made)}/send")
    (refund,) = await _refunds(shop)
    assert (refund["amount"], refund["currency"], refund["reason"]) == ("1200", "JPY", "broken & <late>")
    page = await browser.get(_path(made))
    assert "Left to refund 3,800 JPY" in page.words
    assert dict(page.form(_path(made)).fields)["amount"] == "3800"


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"amount": "100.01"}, "amount"),
        ({"amount": "1e2"}, "amount"),
        ({"amount": "10,00"}, "amount"),
        ({"amount": "0"}, "amount"),
        ({"amount": "-5"}, "amount"),
        ({"amount": "1.005"}, "amount"),
        ({"amount": ""}, "amount"),
        ({"amount": "9" * 5_000}, "amount"),
        ({"reason": "x" * 256}, "reason"),
        ({"reason": "card 4242 4242 4242 4242"}, "reason"),
    ],
)
async def test_what_is_malformed_or_too_much_is_said_at_its_field_and_kept(
    shop: Shop, browser: Browser, typed: dict[str, str], field: str
) -> None:
    made = await shop.paid()
    shown = await browser.get(_path(made))
    once = dict(shown.form(_path(made)).fields)["once"]
    page = await browser.submit(_path(made), typed)
    assert page.status == 400
    assert f'id="e-{field}"' in page.html
    kept = dict(page.form(_path(made)).fields)
    assert kept["once"] == once
    assert kept[field] == (typed[field] or "100.00")
    # Nor does the last step believe what the one before it would have refused.
    fields = [(name, text) for name, text in kept.items() if name not in typed] + [*typed.items()]
    page = await browser.send(f"{_path(made)}/send", fields)
    assert page.status == 400
    assert f'id="e-{field}"' in page.html
    assert await _refunds(shop) == []


async def test_more_than_is_left_when_it_is_sent_is_the_fault_of_the_amount(shop: Shop, browser: Browser) -> None:
    made = await shop.paid()
    await _confirmation(browser, made, amount="60")
    assert (await shop.post("/api/refunds/", {"transaction": made["id"], "amount": "50"})).status_code == 201
    page = await browser.submit(f"{_path(made)}/send")
    assert page.status == 400
    assert 'id="e-amount"' in page.html
    assert "cannot exceed what is left: 50.00 USD" in page.words
    assert len(await _refunds(shop)) == 1
    page = await browser.submit(_path(made), {"amount": "50"})
    await browser.submit(f"{_path(made)}/send")
    assert [one["amount"] for one in await _refunds(shop)] == ["50.00", "50.00"]


async def test_a_payment_of_which_nothing_can_be_refunded_has_no_form(api: Api, shop: Shop, browser: Browser) -> None:
    pending = await shop.pay()
    page = await browser.get(_path(pending))
    assert "Only a payment that succeeded can be refunded. This one is pending." in page.words
    assert _path(pending) not in [form.action for form in page.forms]
    await api.work()
    await shop.post("/api/refunds/", {"transaction": pending["id"]})
    page = await browser.get(_path(pending))
    assert "Nothing is left to refund" in page.words
    assert _path(pending) not in [form.action for form in page.forms]


async def test_who_confirmed_a_refund_of_what_is_all_gone_is_told_so(shop: Shop, browser: Browser) -> None:
    made = await shop.paid()
    await _confirmation(browser, made)
    await shop.post("/api/refunds/", {"transaction": made["id"]})
    page = await browser.submit(f"{_path(made)}/send")
    assert page.status == 400
    assert "Nothing is left to refund" in page.words


# ── once


async def test_a_confirmation_that_is_sent_twice_refunds_once(shop: Shop, browser: Browser) -> None:
    made = await shop.paid()
    await _confirmation(browser, made, amount="10")
    page = await browser.submit(f"{_path(made)}/send", times=2)
    assert "This refund was made already. Nothing more was refunded." in page.words
    assert len(await _refunds(shop)) == 1


async def test_two_clicks_at_the_same_moment_refund_once(api: Api, shop: Shop, browser: Browser) -> None:
    made = await shop.paid()
    page = await _confirmation(browser, made, amount="10")
    fields = urlencode(page.form(f"{_path(made)}/send").fields)
    headers = {"content-type": "application/x-www-form-urlencoded", "cookie": browser.cookie}
    answers = await asyncio.gather(
        *(api.client.post(f"{_path(made)}/send", content=fields, headers=headers) for _ in range(10))
    )
    assert {answer.status_code for answer in answers} == {303}
    assert len(await _refunds(shop)) == 1
    assert sorted(answer.headers["location"].rpartition("=")[2] for answer in answers) == [
        "refund_made",
        *["refund_made_before"] * 9,
    ]


async def test_who_goes_back_and_sends_the_same_again_has_the_same_refund(shop: Shop, browser: Browser) -> None:
    made = await shop.paid()
    first = await browser.get(_path(made))
    before = first.form(_path(made)).fields
    await browser.submit(_path(made), {"amount": "10", "reason": "late"})
    await browser.submit(f"{_path(made)}/send")
    # Back by two pages, as the browser kept the form, and on again.
    page = await browser.send(_path(made), _typed(before, amount="10.00", reason="late"))
    page = await browser.submit(f"{_path(made)}/send")
    assert "This refund was made already. Nothing more was refunded." in page.words
    assert len(await _refunds(shop)) == 1


async def test_who_goes_back_and_sends_another_amount_is_asked_once_more_before_there_are_two(
    shop: Shop, browser: Browser
) -> None:
    made = await shop.paid()
    first = await browser.get(_path(made))
    before = first.form(_path(made)).fields
    await browser.submit(_path(made), {"amount": "10"})
    await browser.submit(f"{_path(made)}/send")
    await browser.send(_path(made), _typed(before, amount="20"))
    page = await browser.submit(f"{_path(made)}/send")
    assert page.status == 400
    assert "A refund was made from this form before" in page.words
    assert len(await _refunds(shop)) == 1
    page = await browser.submit(_path(made), {"amount": "20"})
    await browser.submit(f"{_path(made)}/send")
    assert [one["amount"] for one in await _refunds(shop)] == ["20.00", "10.00"]


async def test_a_form_without_its_key_is_not_sent(shop: Shop, browser: Browser) -> None:
    made = await shop.paid()
    page = await _confirmation(browser, made, amount="10")
    for once in ("", "\n", "x" * 200, "é"):
        fields = _typed(page.form(f"{_path(made)}/send").fields, once=once)
        answer = await browser.send(f"{_path(made)}/send", fields)
        assert answer.status == 400
        assert "This form is not complete" in answer.words
    assert await _refunds(shop) == []


def _typed(fields: Sequence[tuple[str, str]], **typed: str) -> list[tuple[str, str]]:
    return [*((name, text) for name, text in fields if name not in typed), *typed.items()]


# ── looking


async def test_a_refund_has_a_page_that_is_watched_until_it_is_done(api: Api, shop: Shop, browser: Browser) -> None:
    made = await shop.paid()
    body = {"transaction": made["id"], "amount": "12.5", "reason": "late", "metadata": {"clerk": "Ada"}}
    refund = (await shop.post("/api/refunds/", body)).json()
    path = f"/console/refunds/{refund['id']}"
    page = await browser.get(path)
    assert page.heading == "Refund of 12.50 USD"
    for text in (refund["id"], made["id"], "late", "clerk", "Ada", "pending"):
        assert text in page.words
    assert f"/console/transactions/{made['id']}" in page.links
    assert 'hx-trigger="every 2s"' in page.html
    await api.work()
    page = await browser.get(f"{path}?seen=before", headers={"hx-request": "true"})
    assert "hx-trigger" not in page.html
    assert 'role="status">The refund is succeeded.</p>' in page.html


async def test_a_failed_refund_says_why(api: Api, shop: Shop, browser: Browser) -> None:
    made = await shop.paid(payment_method="pm_refund_fails")
    refund = (await shop.post("/api/refunds/", {"transaction": made["id"]})).json()
    await api.work()
    failed = (await shop.get(f"/api/refunds/{refund['id']}/")).json()
    page = await browser.get(f"/console/refunds/{refund['id']}")
    assert failed["failure"]["message"] in page.words
    assert "The amount can be refunded again." in page.words


async def test_refunds_are_listed_and_those_of_one_payment(api: Api, shop: Shop, browser: Browser) -> None:
    page = await browser.get("/console/refunds")
    assert "No refunds yet." in page.words
    one, other = await shop.paid(), await shop.paid()
    of_one = (await shop.post("/api/refunds/", {"transaction": one["id"], "reason": "late"})).json()
    of_other = (await shop.post("/api/refunds/", {"transaction": other["id"]})).json()
    page = await browser.get("/console/refunds")
    assert [link for link in page.links if "/refunds/" in link] == [
        f"/console/refunds/{of_other['id']}",
        f"/console/refunds/{of_one['id']}",
    ]
    assert 'hx-trigger="every 2s"' in page.html
    page = await browser.submit("/console/refunds", {"transaction": one["id"]})
    assert [link for link in page.links if "/refunds/" in link] == [f"/console/refunds/{of_one['id']}"]
    await api.work()
    assert "hx-trigger" not in (await browser.get("/console/refunds")).html
    page = await browser.get("/console/refunds?transaction=txn_none")
    assert "No refund of this payment." in page.words


async def test_the_list_of_refunds_has_pages_and_refuses_what_is_malformed(shop: Shop, browser: Browser) -> None:
    made = await shop.paid()
    for _ in range(30):
        await shop.post("/api/refunds/", {"transaction": made["id"], "amount": "1"})
    page = await browser.get(f"/console/refunds?transaction={made['id']}")
    older = next(link for link in page.links if "cursor=" in link)
    page = await browser.get(older)
    assert len([link for link in page.links if "/refunds/" in link]) == 5
    assert f"transaction={made['id']}" in next(link for link in page.links if "cursor=" in link)
    page = await browser.get("/console/refunds?cursor=x")
    assert (page.status, "start without one" in page.words) == (400, True)
    page = await browser.get("/console/refunds?transaction=" + "x" * 300)
    assert (page.status, 'id="e-transaction"' in page.html) == (400, True)


@pytest.mark.parametrize("id", ["rfn_none", "x", "%00", "%F0%9F%98%80"])
async def test_what_is_not_there_is_not_found(browser: Browser, id: str) -> None:
    assert (await browser.get(f"/console/refunds/{id}")).status == 404
