"""The console's pages about webhooks: endpoints, deliveries, replays, and the checks that receivers copy."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from entrypoints.http.console.live import LATER_SECONDS, SOON_SECONDS
from entrypoints.http.console.page import Page as Declared
from entrypoints.http.console.visits import STAFF_SIGN_IN
from entrypoints.http.console.webhooks.pages import PAGES
from entrypoints.http.console.webhooks.replays import read_time
from entrypoints.http.console.webhooks.verifying import LANGUAGES, Language, source
from payments_core.checks import Faults
from payments_core.describe import JsonObject
from payments_core.event import EventType
from payments_core.ids import lowest_id
from payments_core.page import Page as Listed
from payments_core.ports import Answered, Notification, Unreached
from payments_core.use_cases.read_lists import Reader
from payments_core.webhook import DISABLED_AFTER, ENDPOINTS_MAX, REPLAY_WINDOW_MAX, verify
from tests.unit.console_browser import Browser, Page
from tests.unit.http_shop import PASSWORD, START, Api, Shop, open_api

URL: Final = "https://shop.example.com/webhooks"
LIST: Final = "/console/webhooks"
NEW: Final = f"{LIST}/new"
SECRET: Final = re.compile(r"whsec_[A-Za-z0-9+/=]{44}")


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


async def added(shop: Shop, url: str = URL) -> str:
    """Return the path of the page of a new endpoint."""
    return f"{LIST}/{(await shop.add_webhook(url))['id']}"


async def endpoints_of(shop: Shop) -> list[dict[str, object]]:
    found: list[dict[str, object]] = (await shop.get("/api/webhooks/")).json()["results"]
    return found


def refuse(_notification: Notification) -> Answered | Unreached:
    return Answered(status_code=500, milliseconds=12, excerpt="<script>alert('no')</script>\nthe database is away")


def is_away(_notification: Notification) -> Answered | Unreached:
    return Unreached(code="connect", message="nobody listens there", milliseconds=3)


def asks_itself(page: Page) -> tuple[str, int] | None:
    """Return the address from which a page gets its part again, and each how many seconds; None where it does not."""
    found = re.search(r'hx-get="([^"]+)" hx-trigger="every (\d+)s"', page.html)
    return None if found is None else (html.unescape(found[1]), int(found[2]))


async def after_a_test(browser: Browser, path: str) -> Page:
    """Send a test event from the endpoint's page, and return the page that this leads to."""
    await browser.get(path)
    return await browser.submit(f"{path}/test")


class TestTheList:
    async def test_somebody_without_an_endpoint_is_shown_what_to_do(self, browser: Browser) -> None:
        page = await browser.get(LIST)
        assert "No endpoints yet." in page.words
        assert NEW in page.links
        assert f"{LIST}/verifiers" in page.links

    async def test_each_endpoint_is_there_with_how_it_is(self, browser: Browser, api: Api, shop: Shop) -> None:
        well, off = await added(shop), await added(shop, "https://off.example.com")
        await after_a_test(browser, well)
        await browser.get(off)
        await browser.submit(f"{off}/disable")
        await api.work()
        page = await browser.get(LIST)
        assert {well, off} <= set(page.links)
        assert "✓" not in page.words, "shapes are the style's"
        assert re.search(r"shop\.example\.com/webhooks.* healthy All 0 0 2026-03-01", page.words)
        assert re.search(r"off\.example\.com disabled All 0 0", page.words)

    async def test_who_has_as_many_as_there_can_be_is_told_so(self, browser: Browser, shop: Shop) -> None:
        await browser.get(NEW)
        for _ in range(ENDPOINTS_MAX):
            await shop.add_webhook()
        page = await browser.submit(NEW, {"url": URL})
        assert page.status == 400
        assert f"at most {ENDPOINTS_MAX} endpoints" in page.words
        page = await browser.get(LIST)
        assert NEW not in page.links
        assert "Remove one to add another." in page.words


class TestANewEndpoint:
    async def test_its_secret_is_shown_once(self, browser: Browser, shop: Shop) -> None:
        await browser.get(LIST)
        await browser.get(NEW)
        page = await browser.submit(NEW, {"url": URL, "description": "Orders"})
        assert page.status == 200
        assert len(SECRET.findall(page.html)) == 1
        assert page.headers["cache-control"] == "no-store"
        [made] = await endpoints_of(shop)
        assert (made["url"], made["events"], made["description"]) == (URL, ["*"], "Orders")
        page = await browser.get(f"{LIST}/{made['id']}")
        assert not SECRET.search(page.html)
        assert page.heading == "Orders"

    async def test_it_listens_to_what_was_ticked(self, browser: Browser, shop: Shop) -> None:
        await browser.get(NEW)
        await browser.submit(NEW, {"url": URL, "events": ["refund.succeeded", "refund.failed"]})
        [made] = await endpoints_of(shop)
        assert made["events"] == ["refund.succeeded", "refund.failed"]
        assert made["description"] is None

    async def test_all_events_are_all_whatever_else_is_ticked(self, browser: Browser, shop: Shop) -> None:
        await browser.get(NEW)
        await browser.submit(NEW, {"url": URL, "events": ["*", "refund.failed"]})
        assert [made["events"] for made in await endpoints_of(shop)] == [["*"]]

    async def test_each_event_that_there_is_can_be_ticked(self, browser: Browser) -> None:
        page = await browser.get(NEW)
        assert re.findall(r'name="events" value="([^"]+)"', page.html) == ["*", *EventType]

    async def test_sent_twice_it_is_one_endpoint_and_shows_its_secret_again(self, browser: Browser, shop: Shop) -> None:
        page = await browser.get(NEW)
        fields = page.form(NEW).filled({"url": URL})
        secrets = {SECRET.findall((await browser.send(NEW, fields)).html)[0] for _ in range(3)}
        assert len(secrets) == 1
        assert len(await endpoints_of(shop)) == 1

    async def test_sent_again_with_other_entries_it_asks_whether_they_count(self, browser: Browser, shop: Shop) -> None:
        page = await browser.get(NEW)
        form = page.form(NEW)
        await browser.send(NEW, form.filled({"url": URL}))
        page = await browser.send(NEW, form.filled({"url": f"{URL}/two"}))
        assert page.status == 400
        assert "This form was sent before, with other entries." in page.words
        assert len(await endpoints_of(shop)) == 1
        await browser.submit(NEW)
        assert {made["url"] for made in await endpoints_of(shop)} == {URL, f"{URL}/two"}

    async def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_stays(
        self, browser: Browser, shop: Shop
    ) -> None:
        await browser.get(NEW)
        page = await browser.submit(NEW, {"url": "ftp://x", "events": None, "description": "4111 1111 1111 1111"})
        assert page.status == 400
        for field in ("url", "events", "description"):
            assert f'id="e-{field}"' in page.html
        assert ("url", "ftp://x") in page.form(NEW).fields
        assert "events" not in dict(page.form(NEW).fields)
        assert await endpoints_of(shop) == []
        page = await browser.submit(NEW, {"url": URL, "events": ["refund.created"], "description": ""})
        assert page.status == 200
        assert SECRET.search(page.html)

    async def test_an_event_that_there_is_not_is_a_fault_of_the_events(self, browser: Browser) -> None:
        await browser.get(NEW)
        page = await browser.submit(NEW, {"url": URL, "events": ["refund.created", "no.such", "nor.this"]})
        assert page.status == 400
        assert page.html.count("One of *,") == 1
        assert 'id="e-events"' in page.html

    async def test_a_form_without_its_key_says_so(self, browser: Browser, shop: Shop) -> None:
        await browser.get(NEW)
        page = await browser.submit(NEW, {"url": URL, "once": None})
        assert page.status == 400
        assert "load the page again" in page.words
        assert await endpoints_of(shop) == []


class TestAnEndpoint:
    async def test_how_it_is_follows_what_it_answers(self, browser: Browser, api: Api, shop: Shop) -> None:
        path = await added(shop)
        assert "Health nothing sent yet" in (await browser.get(path)).words
        await after_a_test(browser, path)
        await api.work()
        assert "Health healthy" in (await browser.get(path)).words
        api.notifier.answer = refuse
        await after_a_test(browser, path)
        await api.work()
        page = await browser.get(path)
        assert "Health failing Only failed since 2026-03-01" in page.words
        assert "After 5 days of nothing but failures we disable it." in page.words
        assert "Waiting 1" in page.words

    async def test_one_that_we_gave_up_says_why_and_can_be_enabled(
        self, browser: Browser, api: Api, shop: Shop
    ) -> None:
        path = await added(shop)
        api.notifier.answer = refuse
        await after_a_test(browser, path)
        await api.work()
        api.clock.move(DISABLED_AFTER)
        await api.work()
        await browser.sign_in(shop.email)
        page = await browser.get(path)
        assert "Health disabled after failures" in page.words
        assert f"{path}/test" not in [form.action for form in page.forms]
        page = await browser.submit(f"{path}/enable")
        assert "The endpoint is enabled." in page.words
        assert "Only failed since" not in page.words

    async def test_it_is_disabled_and_what_waited_is_canceled(self, browser: Browser, shop: Shop) -> None:
        path = await added(shop)
        await after_a_test(browser, path)
        await browser.get(path)
        page = await browser.submit(f"{path}/disable")
        assert "what was waiting for it is canceled" in page.words
        assert "Health disabled" in page.words
        assert "webhook.test canceled" in page.words

    async def test_it_is_changed(self, browser: Browser, shop: Shop) -> None:
        path = await added(shop)
        page = await browser.get(f"{path}/edit")
        assert ("events", "*") in page.form(f"{path}/edit").fields
        page = await browser.submit(
            f"{path}/edit", {"url": f"{URL}/2", "events": ["refund.failed"], "description": "Two"}
        )
        assert "The endpoint is changed." in page.words
        [changed] = await endpoints_of(shop)
        assert (changed["url"], changed["events"], changed["description"]) == (f"{URL}/2", ["refund.failed"], "Two")
        await browser.get(f"{path}/edit")
        await browser.submit(f"{path}/edit", {"description": ""})
        assert [one["description"] for one in await endpoints_of(shop)] == [None]

    async def test_a_change_that_is_refused_shows_what_was_typed(self, browser: Browser, shop: Shop) -> None:
        path = await added(shop)
        await browser.get(f"{path}/edit")
        page = await browser.submit(f"{path}/edit", {"url": "no", "events": None})
        assert page.status == 400
        assert 'id="e-url"' in page.html
        assert 'id="e-events"' in page.html
        assert ("url", "no") in page.form(f"{path}/edit").fields
        assert [one["url"] for one in await endpoints_of(shop)] == [URL]

    async def test_a_new_secret_is_asked_for_twice_and_shown_once(self, browser: Browser, api: Api, shop: Shop) -> None:
        made = await shop.add_webhook()
        path = f"{LIST}/{made['id']}"
        page = await browser.get(f"{path}/rotate")
        assert "For 24 hours the old one signs too" in page.words
        fields = page.form(f"{path}/rotate").filled({})
        [rotated] = {SECRET.findall((await browser.send(f"{path}/rotate", fields)).html)[0] for _ in range(2)}
        assert rotated != made["secret"]
        assert "both sign" in browser.page.words
        await after_a_test(browser, path)
        await api.work()
        [sent] = api.notifier.sent
        for secret in (rotated, made["secret"]):
            verify(secret, headers=sent.headers, body=sent.body, at=api.clock.now())
        assert len(sent.headers["webhook-signature"].split()) == 2, "sent twice, it is rotated once"

    async def test_it_is_removed_once_that_was_asked_twice(self, browser: Browser, api: Api, shop: Shop) -> None:
        path = await added(shop)
        delivery = (await after_a_test(browser, path)).path.partition("?")[0]
        await api.work()
        await browser.get(f"{path}/remove")
        assert len(await endpoints_of(shop)) == 1
        page = await browser.submit(f"{path}/remove")
        assert page.path.startswith(LIST)
        assert "The endpoint is removed." in page.words
        assert await endpoints_of(shop) == []
        assert (await browser.get(path)).status == 404
        page = await browser.get(delivery)
        assert "An endpoint that was removed." in page.words
        assert [form.action for form in page.forms] == ["/console/sign-out"]


class TestDeliveries:
    async def test_they_come_in_pages_that_keep_the_filter(self, browser: Browser, api: Api, shop: Shop) -> None:
        path = await added(shop)
        assert "Send a test event, or make a payment." in (await browser.get(path)).words
        for _ in range(25):
            await shop.pay()
        await after_a_test(browser, path)
        await api.work()
        page = await browser.get(f"{path}?status=delivered&event_type=transaction.created")
        first = [link for link in page.links if "/deliveries/" in link]
        [older] = [link for link in page.links if "cursor=" in link]
        page = await browser.get(older)
        second = [link for link in page.links if "/deliveries/" in link]
        assert (len(first), len(second)) == (20, 5)
        assert not set(first) & set(second)
        assert "event_type=transaction.created" in older
        [newer] = [link for link in page.links if "cursor=" in link]
        page = await browser.get(newer)
        assert [link for link in page.links if "/deliveries/" in link] == first

    async def test_a_search_that_ended_early_says_how_far_it_has_looked(
        self, browser: Browser, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = await added(shop)
        stopped_at = lowest_id("dlv", START)

        async def deliveries(*_given: object) -> Listed[JsonObject]:
            return Listed(items=(), next="on", previous=None, revision=1, stopped_at=stopped_at)

        monkeypatch.setattr(Reader, "deliveries", deliveries)
        page = await browser.get(f"{path}?event_type=transaction.created")
        assert "Looked as far as 2026-03-01 09:30:15 for now" in page.words
        assert "No such deliveries." not in page.words
        assert [link for link in page.links if "cursor=" in link]

    async def test_there_may_be_none_of_a_kind(self, browser: Browser, api: Api, shop: Shop) -> None:
        path = await added(shop)
        await after_a_test(browser, path)
        await api.work()
        page = await browser.get(f"{path}?status=exhausted")
        assert "No such deliveries." in page.words
        assert path in page.links, "back to all"

    @pytest.mark.parametrize("field", ["status", "event_type"])
    async def test_a_filter_that_is_none_is_a_fault_of_its_field(
        self, browser: Browser, shop: Shop, field: str
    ) -> None:
        page = await browser.get(f"{await added(shop)}?{field}=%3Cb%3E")
        assert page.status == 400
        assert f'id="e-{field}"' in page.html

    @pytest.mark.parametrize("cursor", ["x", "%C3%A9", "W10", "a" * 400])
    async def test_a_cursor_of_no_list_says_so(self, browser: Browser, shop: Shop, cursor: str) -> None:
        page = await browser.get(f"{await added(shop)}?cursor={cursor}")
        assert page.status == 400
        assert "start without one" in page.words

    async def test_a_test_event_leads_to_its_delivery_which_updates_itself(
        self, browser: Browser, api: Api, shop: Shop
    ) -> None:
        path = await added(shop)
        page = await after_a_test(browser, path)
        assert page.heading == "Delivery of webhook.test"
        assert "A test event is on its way." in page.words
        assert "Status pending" in page.words
        address, seconds = asks_itself(page) or ("", 0)
        assert seconds == SOON_SECONDS
        assert (await browser.get(address, headers={"hx-request": "true"})).status == 204, "nothing has changed"
        assert (await browser.get(address)).status == 200, "people always get a page"
        await api.work()
        page = await browser.get(address, headers={"hx-request": "true"})
        assert page.status == 200
        assert "Status delivered" in page.words
        assert "delivered, attempt 1: 204." in page.words
        assert asks_itself(page) is None

    async def test_what_was_sent_is_shown_letter_by_letter(self, browser: Browser, api: Api, shop: Shop) -> None:
        path = await added(shop)
        await shop.paid(description='Ünïcode <b>"bold"</b> & 😀 \\', metadata={"é": "\t"})
        page = await browser.get(f"{path}?event_type=transaction.succeeded")
        [delivery] = [link for link in page.links if "/deliveries/" in link]
        page = await browser.get(delivery)
        [shown] = re.findall(r'aria-label="The body as it is sent"><code>(.*?)</code>', page.html, re.DOTALL)
        [sent] = [one for one in api.notifier.sent if b"transaction.succeeded" in one.body]
        assert html.unescape(shown).encode() == sent.body
        assert f"/console/developers/events/{sent.headers['webhook-id']}" in page.links
        assert any(link.startswith("/console/transactions/txn_") for link in page.links)

    async def test_what_a_refund_s_delivery_is_about_is_the_refund(
        self, browser: Browser, api: Api, shop: Shop
    ) -> None:
        path = await added(shop)
        paid = await shop.paid()
        refund = (await shop.post("/api/refunds/", {"transaction": paid["id"]})).json()
        await api.work()
        page = await browser.get(f"{path}?event_type=refund.succeeded")
        [delivery] = [link for link in page.links if "/deliveries/" in link]
        assert f"/console/refunds/{refund['id']}" in (await browser.get(delivery)).links

    async def test_each_attempt_is_shown_with_its_answer_as_text(self, browser: Browser, api: Api, shop: Shop) -> None:
        path = await added(shop)
        api.notifier.answer = refuse
        delivery = (await after_a_test(browser, path)).path.partition("?")[0]
        await api.work()
        api.notifier.answer = is_away
        api.clock.move(timedelta(seconds=10))
        await api.work()
        page = await browser.get(delivery)
        assert re.search(r"Attempt 2 no answer .*3 ms connect: nobody listens there", page.words)
        assert re.search(r"Attempt 1 500 .*12 ms <script>alert\('no'\)</script>", page.words)
        assert "<script>alert" not in page.html
        assert page.words.index("Attempt 2") < page.words.index("Attempt 1")
        assert "Next attempt 2026-03-01" in page.words
        assert (asks_itself(page) or ("", 0))[1] == LATER_SECONDS, "the next is minutes away"
        listed = await browser.get(path)
        assert re.search(r"webhook\.test pending no answer 2 ", listed.words)
        assert (asks_itself(listed) or ("", 0))[1] == LATER_SECONDS

    async def test_an_endpoint_s_page_updates_itself_while_something_waits(
        self, browser: Browser, api: Api, shop: Shop
    ) -> None:
        path = await added(shop)
        assert asks_itself(await browser.get(path)) is None
        await after_a_test(browser, path)
        page = await browser.get(f"{path}?status=pending&event_type=webhook.test")
        address, seconds = asks_itself(page) or ("", 0)
        assert seconds == SOON_SECONDS
        assert "status=pending&event_type=webhook.test" in address
        assert (await browser.get(address, headers={"hx-request": "true"})).status == 204
        await api.work()
        page = await browser.get(address, headers={"hx-request": "true"})
        assert page.status == 200
        assert "healthy: 0 waiting, 0 lost in the last 24 hours." in page.words
        assert asks_itself(page) is None

    async def test_one_is_sent_again_and_twice_has_one_effect(self, browser: Browser, api: Api, shop: Shop) -> None:
        path = await added(shop)
        delivery = (await after_a_test(browser, path)).path.partition("?")[0]
        await api.work()
        page = await browser.get(delivery)
        fields = page.form(f"{delivery}/retry").filled({})
        for _ in range(3):
            page = await browser.send(f"{delivery}/retry", fields)
            assert "It is sent again now." in page.words
            await api.work()
        first, second = api.notifier.sent
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        page = await browser.get(delivery)
        assert "Attempt 2" in page.words
        assert "Attempt 3" not in page.words

    async def test_to_a_disabled_endpoint_nothing_is_sent(self, browser: Browser, api: Api, shop: Shop) -> None:
        path = await added(shop)
        delivery = (await after_a_test(browser, path)).path.partition("?")[0]
        await api.work()
        at_delivery, at_endpoint = await browser.get(delivery), await browser.get(path)
        retry, test = at_delivery.form(f"{delivery}/retry"), at_endpoint.form(f"{path}/test")
        replay = (await browser.get(f"{path}/replay")).form(f"{path}/replay")
        await browser.get(path)
        await browser.submit(f"{path}/disable")
        for form in (retry, test, replay):
            page = await browser.send(form.action, form.fields)
            assert page.status == 400
            assert "The endpoint is disabled. Enable it first." in page.words
        assert "enable it to send this again" in (await browser.get(delivery)).words
        assert f"{path}/replay" not in [form.action for form in (await browser.get(f"{path}/replay")).forms]
        await api.work()
        assert len(api.notifier.sent) == 1


class TestAReplay:
    async def test_it_sends_a_window_again_and_says_how_many(self, browser: Browser, api: Api, shop: Shop) -> None:
        path = await added(shop)
        await shop.paid()
        sent = len(api.notifier.sent)
        page = await browser.get(f"{path}/replay")
        assert ("since", f"{START - timedelta(days=1):%Y-%m-%dT%H:%M}") in page.form(f"{path}/replay").fields
        fields = page.form(f"{path}/replay").filled({"only_failed": None})
        for _ in range(2):
            page = await browser.send(f"{path}/replay", fields)
            assert page.heading == f"Sent again: {sent}"
        await api.work()
        assert len(api.notifier.sent) == 2 * sent, "sent twice, it is replayed once"

    async def test_only_what_did_not_arrive_is_what_is_proposed(self, browser: Browser, api: Api, shop: Shop) -> None:
        path = await added(shop)
        await shop.paid()
        await browser.get(f"{path}/replay")
        page = await browser.submit(f"{path}/replay")
        assert page.heading == "Nothing to send again"
        assert "There was nothing that did not arrive to send again" in page.words

    async def test_its_times_are_the_viewer_s(self, browser: Browser, api: Api, shop: Shop) -> None:
        path = await added(shop)
        await shop.paid()
        browser._cookies.set("payments_zone", "America/New_York")
        page = await browser.get(f"{path}/replay")
        assert "The time in America/New_York." in page.words
        # 09:30 in London is 04:30 there.
        for since, heading in (("2026-03-01T04:31", "Nothing to send again"), ("2026-03-01T04:30", "Sent again: 3")):
            await browser.get(f"{path}/replay")
            page = await browser.submit(
                f"{path}/replay", {"since": since, "until": "2026-03-02T00:00", "only_failed": None}
            )
            assert page.heading == heading

    @pytest.mark.parametrize(
        ("typed", "field"),
        [
            ({"since": ""}, "since"),
            ({"since": "soon"}, "since"),
            ({"since": "2026-02-30T10:00"}, "since"),
            ({"since": "2026-03-01T09:30Z"}, "since"),
            ({"since": "9999-12-31T23:59:59"}, "since"),
            ({"since": "0001-01-01T00:00"}, "since"),
            ({"until": "x"}, "until"),
            ({"since": "2026-02-01T00:00", "until": "2026-01-01T00:00"}, "since"),
            ({"since": f"{START - REPLAY_WINDOW_MAX - timedelta(days=1):%Y-%m-%dT%H:%M}"}, "since"),
        ],
    )
    async def test_a_window_that_is_none_is_a_fault_of_its_field(
        self, browser: Browser, shop: Shop, typed: dict[str, str], field: str
    ) -> None:
        path = await added(shop)
        await browser.get(f"{path}/replay")
        page = await browser.submit(f"{path}/replay", typed)
        assert page.status == 400
        assert re.findall(r'id="e-(\w+)"', page.html) == [field]
        for name, text in typed.items():
            assert (name, text) in page.form(f"{path}/replay").fields

    def test_an_hour_that_clocks_go_through_twice_is_all_in_the_window(self) -> None:
        berlin, faults = ZoneInfo("Europe/Berlin"), Faults()
        ends = [read_time("x", "2026-10-25T02:30", berlin, faults, latest=latest) for latest in (False, True)]
        assert ends == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)]


class TestTheChecksToCopy:
    @pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.code)
    async def test_each_is_shown_as_it_is(self, browser: Browser, language: Language) -> None:
        page = await browser.get(f"{LIST}/verifiers?language={language.code}")
        [shown] = re.findall(r"data-copy[^>]*><code>(.*?)</code></pre>", page.html, re.DOTALL)
        assert html.unescape(shown) == source(language.file)

    async def test_the_first_is_shown_to_who_asked_for_none(self, browser: Browser) -> None:
        page = await browser.get(f"{LIST}/verifiers")
        assert "verify.py" in page.words
        assert "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" in page.words

    async def test_a_language_in_which_there_is_none_says_in_which_there_are(self, browser: Browser) -> None:
        page = await browser.get(f"{LIST}/verifiers?language=cobol")
        assert page.status == 400
        assert "There are checks in Python, Node, Go, PHP." in page.words


def paths_of(page: Declared, endpoint: str, delivery: str) -> str:
    return f"/console{page.path}".replace("{id}", endpoint).replace("{delivery}", delivery)


OF_ONE: Final = [page for page in PAGES if "{id}" in page.path]


@pytest.mark.parametrize("page", OF_ONE, ids=lambda page: page.name)
async def test_what_is_another_merchant_s_is_not_there(page: Declared, api: Api, shop: Shop, browser: Browser) -> None:
    other = await api.open_shop()
    path = await added(other)
    theirs = await Browser(api.client).sign_in(other.email)
    delivery = (await after_a_test(theirs, path)).path.partition("?")[0]
    await api.work()
    form = (await browser.get(NEW)).form(NEW)
    target = paths_of(page, path.rpartition("/")[2], delivery.rpartition("/")[2])
    fields = form.filled({"url": URL, "since": "2026-03-01T00:00"})
    answer = await (browser.get(target) if page.method == "GET" else browser.send(target, fields))
    assert answer.status == 404
    [endpoint] = await endpoints_of(other)
    assert (endpoint["url"], endpoint["enabled"]) == (URL, True)
    await api.work()
    assert len(api.notifier.sent) == 1


@pytest.mark.parametrize("page", [page for page in PAGES if page.for_staff], ids=lambda page: page.name)
async def test_staff_who_look_can_change_nothing_and_stay_with_the_merchant(
    page: Declared, api: Api, shop: Shop, browser: Browser
) -> None:
    path = await added(shop)
    delivery = (await after_a_test(browser, path)).path.partition("?")[0]
    await api.services.payments.staff.create_member("ada@example.com", "Ada", PASSWORD)
    staff = Browser(api.client)
    await staff.get(STAFF_SIGN_IN)
    await staff.submit(STAFF_SIGN_IN, {"email": "ada@example.com", "password": PASSWORD})
    base = f"/console/merchants/{shop.id}/test"
    target = paths_of(page, path.rpartition("/")[2], delivery.rpartition("/")[2])
    shown = await staff.get(f"{base}{target.removeprefix('/console')}")
    assert shown.status == 200
    assert [form.action for form in shown.forms if form.method == "post"] == ["/console/staff/sign-out"]
    kept = (base, "/console/staff", "#")
    assert [link for link in shown.links if not link.startswith(kept)] == []
    assert asks_itself(shown) is None, "each look of theirs is in the merchant's log: pages do not look by themselves"
    assert SECRET.findall(shown.html) == []


@pytest.mark.parametrize("what", ["test", "rotate"])
async def test_a_form_that_no_page_showed_is_refused_in_words_for_people(
    browser: Browser, shop: Shop, what: str
) -> None:
    path = await added(shop)
    shown = path if what == "test" else f"{path}/{what}"
    await browser.get(shown)
    page = await browser.submit(f"{path}/{what}", {"once": None})
    assert (page.status, page.heading) == (400, "This address or form is not one of ours")
    assert "once:" not in page.words
    assert "`errors`" not in page.words
    await browser.get(shown)
    await browser.submit(f"{path}/{what}", {"once": "the-same"})
    other = await added(shop, "https://other.example.com/hook")
    await browser.get(other if what == "test" else f"{other}/{what}")
    page = await browser.submit(f"{other}/{what}", {"once": "the-same"})
    assert (page.status, page.heading) == (422, "This form was sent before")
    assert "/api/" not in page.words
