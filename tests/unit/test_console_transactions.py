"""Transactions in the console: found, looked at, watched, canceled."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from adapters.memory.views import MemoryView
from payments_core.page import Slice
from payments_core.ports import TransactionFilter, Window
from payments_core.transaction import Transaction
from tests.unit.console_browser import Browser, Page
from tests.unit.http_shop import Api, Shop, open_api

LIST = "/console/transactions"


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


def shown(page: Page) -> list[str]:
    """Return the ids of the transactions on a page of the list, as they stand there."""
    rows = page.html.partition('<tbody id="rows"')[2].partition("</tbody>")[0]
    return [part.partition('"')[0] for part in rows.split('id="t-')[1:]]


def _in_zone(browser: Browser, zone: str) -> None:
    browser._cookies.set("payments_zone", zone.replace("/", "%2F"))


# ── the list


async def test_a_list_without_payments_says_how_to_make_one(browser: Browser) -> None:
    page = await browser.get(LIST)
    assert page.status == 200
    assert "/console/developers/first-payment" in page.links


async def test_the_newest_stand_first_with_amount_status_and_a_way_to_each(shop: Shop, browser: Browser) -> None:
    first = await shop.paid(description="Order <1>")
    second = await shop.pay(amount="1234.5", currency="KWD", customer_reference="Ada")
    page = await browser.get(LIST)
    assert shown(page) == [second["id"], first["id"]]
    assert "Order <1>" in page.words
    assert "1,234.500 KWD" in page.words
    assert f"{LIST}/{first['id']}" in page.links


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("text", "ORDER 2"),
        ("text", "blue"),
        ("status", "succeeded"),
        ("currency", "eur"),
        ("reference", "r-2"),
        ("customer_reference", "Bob"),
        ("text", "{id}"),
        ("payment_key", "{payment_key}"),
    ],
)
async def test_a_filter_finds_what_passes_it(shop: Shop, browser: Browser, field: str, text: str) -> None:
    made = (await shop.post("/api/payments/payment_key/")).json()
    wanted = await shop.paid(
        payment_key=made["key"],
        amount="20",
        currency="EUR",
        description="Order 2",
        reference="r-2",
        customer_reference="Bob",
        metadata={"colour": "blue"},
    )
    await shop.pay(description="Order 1", reference="r-1", metadata={"colour": "red"})
    page = await browser.get(LIST)
    page = await browser.submit(LIST, {field: text.format_map(wanted)})
    assert shown(page) == [wanted["id"]]
    assert dict(page.form(LIST).fields)[field] == text.format_map(wanted)


async def test_metadata_and_amounts_are_found_by_two_fields_together(shop: Shop, browser: Browser) -> None:
    low = await shop.pay(amount="5", metadata={"order": "7"})
    high = await shop.pay(amount="50", metadata={"order": "77"})
    assert shown(await browser.get(f"{LIST}?metadata_key=order&metadata_value=7")) == [low["id"]]
    assert shown(await browser.get(f"{LIST}?currency=USD&min_amount=5.01")) == [high["id"]]
    assert shown(await browser.get(f"{LIST}?currency=USD&max_amount=5")) == [low["id"]]
    assert shown(await browser.get(f"{LIST}?currency=USD&min_amount=5&max_amount=50")) == [high["id"], low["id"]]


async def test_days_are_those_of_the_viewer_both_included(api: Api, shop: Shop, browser: Browser) -> None:
    api.clock.move(datetime(2026, 3, 28, 22, 59, 59, 999_999, tzinfo=UTC) - api.clock.now())
    before = await shop.pay()
    api.clock.move(datetime(2026, 3, 28, 23, tzinfo=UTC) - api.clock.now())
    first = await shop.pay()
    # The day on which summer time begins has 23 hours in Berlin.
    api.clock.move(datetime(2026, 3, 29, 21, 59, 59, 999_999, tzinfo=UTC) - api.clock.now())
    last = await shop.pay()
    api.clock.move(datetime(2026, 3, 29, 22, tzinfo=UTC) - api.clock.now())
    after = await shop.pay()
    await browser.sign_in(shop.email)
    _in_zone(browser, "Europe/Berlin")
    assert shown(await browser.get(f"{LIST}?from=2026-03-29&to=2026-03-29")) == [
        last["id"],
        first["id"],
    ]
    assert shown(await browser.get(f"{LIST}?from=2026-03-30")) == [after["id"]]
    assert shown(await browser.get(f"{LIST}?to=2026-03-28")) == [before["id"]]
    assert "2026-03-28 23:59:59" in browser.page.words


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=paid", "status"),
        ("currency=XXX", "currency"),
        ("currency=usdollar&min_amount=1", "currency"),
        ("min_amount=5", "min_amount"),
        ("currency=USD&max_amount=5,00", "max_amount"),
        ("currency=JPY&max_amount=5.00", "max_amount"),
        ("payment_key=pk_test_1", "payment_key"),
        ("reference=" + "x" * 256, "reference"),
        ("text=" + "x" * 201, "text"),
        ("metadata_key=a", "metadata_value"),
        ("metadata_value=a", "metadata_key"),
        ("metadata_value=a&metadata_key=" + "k" * 41, "metadata_key"),
        ("from=yesterday", "from"),
        ("from=2026-02-30", "from"),
        ("from=20260203", "from"),
        ("from=2026-02-03&to=2026-02-02", "to"),
        ("from=0001-01-01", "from"),
        ("to=9999-12-31", "to"),
    ],
)
async def test_what_is_malformed_is_said_at_its_field_and_kept(browser: Browser, query: str, field: str) -> None:
    for path in (f"{LIST}?{query}", f"{LIST}.csv?{query}"):
        page = await browser.get(path)
        assert page.status == 400
        assert f'id="e-{field}"' in page.html
        assert page.html.count('aria-invalid="true"') == 1
        assert "`" not in page.words


@pytest.mark.parametrize("day", ["1970-01-02", "3999-12-31"])
async def test_the_first_and_the_last_day_of_all_find_what_there_is_in_every_zone(
    shop: Shop, browser: Browser, day: str
) -> None:
    made = await shop.pay()
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12", "UTC"):
        _in_zone(browser, zone)
        past = day < "2026"
        assert shown(await browser.get(f"{LIST}?from={day}")) == ([made["id"]] if past else [])
        assert shown(await browser.get(f"{LIST}?to={day}")) == ([] if past else [made["id"]])


async def test_a_filter_that_nothing_passes_says_so_and_leads_back(shop: Shop, browser: Browser) -> None:
    await shop.pay()
    page = await browser.get(f"{LIST}?text=nothing")
    assert "No payment is like this." in page.words
    assert LIST in page.links


async def test_pages_go_on_and_back_and_keep_the_filter(shop: Shop, browser: Browser) -> None:
    made = [(await shop.pay(description=f"even {number % 2 == 0}"))["id"] for number in range(60)]
    wanted = [id for number, id in enumerate(made) if number % 2 == 0][::-1]
    first = await browser.get(f"{LIST}?text=even+true&currency=usd")
    older = next(link for link in first.links if "cursor=" in link)
    second = await browser.get(older)
    assert (shown(first), shown(second)) == (wanted[:25], wanted[25:])
    newer = next(link for link in second.links if "cursor=" in link)
    back = await browser.get(newer)
    assert shown(back) == wanted[:25]
    assert dict(back.form(LIST).fields)["text"] == "even true"
    export = next(link for link in second.links if ".csv" in link)
    assert export == f"{LIST}.csv?text=even+true&currency=usd"


@pytest.mark.parametrize("cursor", ["x", "%00", "%C3%A9", "WyJ0eG5fMSIsMCwiYSJd", "x" * 400])
async def test_a_cursor_of_another_list_is_refused_with_the_form_to_begin_again(browser: Browser, cursor: str) -> None:
    page = await browser.get(f"{LIST}?cursor={cursor}")
    assert page.status == 400
    if cursor != "%00":
        assert "start without one" in page.words
        assert page.form(LIST).method == "get"


async def test_a_page_that_was_cut_short_says_how_far_was_looked_and_leads_on(
    shop: Shop, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [(await shop.pay(description="needle"))["id"] for _ in range(3)]
    whole = MemoryView.transactions

    async def cut(view: MemoryView, window: Window, filter: TransactionFilter, /) -> Slice[Transaction]:
        found = await whole(view, window, filter)
        return found if window.position else replace(found, items=found.items[:1], after=made[1])

    monkeypatch.setattr(MemoryView, "transactions", cut)
    page = await browser.get(f"{LIST}?text=needle")
    assert shown(page) == [made[2]]
    assert "These are not all: this was looked for as far as 2026-03-01 09:30:1" in page.words
    page = await browser.get(next(link for link in page.links if "cursor=" in link))
    assert shown(page) == [made[0]]
    assert "looked for" not in page.words
    page = await browser.get(f"{LIST}?text=nothing")
    assert "No payment is like this." not in page.words
    assert "Nothing found so far: this was looked for as far as" in page.words


# ── live update


async def test_a_page_asks_again_while_something_on_it_is_under_way_and_stops_then(
    api: Api, shop: Shop, browser: Browser
) -> None:
    await shop.pay()
    page = await browser.get(f"{LIST}?text=&currency=USD&said=canceled")
    asks = page.html.partition('hx-get="')[2].partition('"')[0].replace("&amp;", "&")
    assert re.fullmatch(re.escape(LIST) + r"\?seen=[0-9a-f]+&currency=USD", asks)
    assert 'hx-trigger="every 2s"' in page.html
    assert (await browser.get(asks, headers={"hx-request": "true"})).status == 204, "nothing has changed"
    assert (await browser.get(asks)).status == 200, "people always get a page"
    await api.work()
    done = await browser.get(asks, headers={"hx-request": "true"})
    assert "hx-trigger" not in done.html
    assert 'role="status">0 of the payments on this page are still under way.</p>' in done.html


async def test_one_transaction_is_watched_until_it_its_refunds_and_its_first_deliveries_are_done(
    api: Api, shop: Shop, browser: Browser
) -> None:
    await shop.add_webhook()
    made = await shop.pay()
    path = f"{LIST}/{made['id']}"
    assert "hx-trigger" in (await browser.get(path)).html
    await api.work()
    assert "hx-trigger" not in (await browser.get(path)).html
    await shop.post("/api/refunds/", {"transaction": made["id"], "amount": "10"})
    page = await browser.get(path)
    assert "hx-trigger" in page.html
    asks = page.html.partition('hx-get="')[2].partition('"')[0].replace("&amp;", "&")
    await api.work()
    page = await browser.get(asks, headers={"hx-request": "true"})
    assert "hx-trigger" not in page.html
    assert "The payment is succeeded, and its latest refund succeeded." in page.words


async def test_what_is_in_doubt_is_looked_at_less_often(api: Api, shop: Shop, browser: Browser) -> None:
    made = await shop.pay(payment_method="pm_timeout_charged")
    await api.work()
    page = await browser.get(f"{LIST}/{made['id']}")
    assert "outcome unknown" in page.words
    assert 'hx-trigger="every 15s"' in page.html
    assert "never charged twice" in page.words
    assert 'hx-trigger="every 15s"' in (await browser.get(LIST)).html


# ── one transaction


async def test_one_transaction_is_shown_with_all_that_happened(api: Api, shop: Shop, browser: Browser) -> None:
    hook = await shop.add_webhook()
    made = await shop.paid(
        description="Order 1",
        reference="r-1",
        customer_reference="Ada",
        metadata={"colour": "blue", "<b>": "&"},
        payment_method="pm_approve",
    )
    refund = (await shop.post("/api/refunds/", {"transaction": made["id"], "amount": "10", "reason": "late"})).json()
    await api.work()
    page = await browser.get(f"{LIST}/{made['id']}")
    assert page.heading == "Order 1"
    for words in (
        "Payment accepted",
        "Sent to the gateway",
        "Payment succeeded",
        "Refund promised",
        "Refund succeeded",
    ):
        assert words in page.words
    for text in (made["id"], "r-1", "Ada", "colour", "blue", "<b>", "pm_approve", "late", "90.00 USD", "10.00 USD"):
        assert text in page.words
    assert made["gateway_reference"] in page.words
    events = (await shop.get(f"/api/transactions/{made['id']}/events/")).json()["results"]
    assert {f"/console/developers/events/{event['id']}" for event in events} <= set(page.links)
    deliveries = (await shop.get(f"/api/webhooks/{hook['id']}/deliveries/")).json()["results"]
    assert len(deliveries) == len(events) == 5
    for delivery in deliveries:
        assert f"/console/webhooks/{hook['id']}/deliveries/{delivery['id']}" in page.links
    assert f"/console/refunds/{refund['id']}" in page.links
    assert f"{LIST}/{made['id']}/refund" in page.links


async def test_a_failed_one_says_why_in_words(shop: Shop, browser: Browser) -> None:
    made = await shop.paid(payment_method="pm_decline_insufficient_funds")
    page = await browser.get(f"{LIST}/{made['id']}")
    assert made["failure"]["message"] in page.words
    assert "The money did not move." in page.words
    assert f"{LIST}/{made['id']}/refund" not in page.links


async def test_a_long_history_has_pages(
    shop: Shop, browser: Browser, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await shop.paid(amount="200")
    for _ in range(50):
        await shop.post("/api/refunds/", {"transaction": made["id"], "amount": "1"})
    await api.work()
    page = await browser.get(f"{LIST}/{made['id']}")
    later = next(link for link in page.links if "cursor=" in link)
    assert "Payment accepted" in page.words
    page = await browser.get(later)
    assert "Payment accepted" not in page.words
    assert page.html.count("<strong>Refund succeeded</strong>") > 0
    page = await browser.get(f"{LIST}/{made['id']}?cursor=x")
    assert (page.status, "start without one" in page.words) == (400, True)


@pytest.mark.parametrize("id", ["txn_none", "x", "%00", "%F0%9F%98%80", "txn_" + "0" * 26, "..%2fx"])
@pytest.mark.parametrize("rest", ["", "/refund"])
async def test_what_is_not_there_is_not_found(browser: Browser, id: str, rest: str) -> None:
    assert (await browser.get(f"{LIST}/{id}{rest}")).status == 404


async def test_a_neighbours_is_not_found(api: Api, shop: Shop, browser: Browser) -> None:
    neighbour = await api.open_shop()
    made = await neighbour.paid()
    refund = (await neighbour.post("/api/refunds/", {"transaction": made["id"]})).json()
    for path in (f"{LIST}/{made['id']}", f"{LIST}/{made['id']}/refund", f"/console/refunds/{refund['id']}"):
        assert (await browser.get(path)).status == 404
    assert shown(await browser.get(f"{LIST}?text={made['id']}")) == []
    assert made["id"] not in (await browser.get("/console/refunds")).html
    own = await shop.pay()
    page = await browser.get(f"{LIST}/{own['id']}")
    token = dict(page.form(f"{LIST}/{own['id']}/cancel").fields)
    other = await neighbour.pay()
    assert (await browser.send(f"{LIST}/{other['id']}/cancel", [*token.items()])).status == 404
    fields = [*token.items(), ("amount", "1")]
    assert (await browser.send(f"{LIST}/{made['id']}/refund", fields)).status == 404
    assert (await browser.send(f"{LIST}/{made['id']}/refund/send", fields)).status == 404


# ── cancel


async def test_a_pending_one_is_canceled_by_one_of_two_clicks(api: Api, shop: Shop, browser: Browser) -> None:
    made = await shop.pay()
    await browser.get(f"{LIST}/{made['id']}")
    page = await browser.submit(f"{LIST}/{made['id']}/cancel", times=2)
    assert page.status == 200
    assert "The payment is canceled" in page.words
    assert "You canceled it before it was sent to the gateway" in page.words
    await api.work()
    assert (await shop.get(f"/api/transactions/{made['id']}/")).json()["status"] == "canceled"


async def test_one_that_went_on_meanwhile_is_not_canceled_and_the_page_says_so(
    api: Api, shop: Shop, browser: Browser
) -> None:
    made = await shop.pay()
    await browser.get(f"{LIST}/{made['id']}")
    await api.work()
    page = await browser.submit(f"{LIST}/{made['id']}/cancel")
    assert page.status == 409
    assert "only a pending one can be canceled" in page.words
    assert "Payment succeeded" in page.words


async def test_a_session_that_is_idle_is_not_kept_by_what_the_page_asks_for_itself(
    api: Api, shop: Shop, browser: Browser
) -> None:
    await shop.pay()
    for _ in range(13):
        api.clock.move(timedelta(minutes=5))
        await browser.get(LIST, headers={"hx-request": "true"})
    assert browser.page.status == 401
