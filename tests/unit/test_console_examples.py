"""Calls that developers copy from the console: they are this merchant's own, and they work."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import pytest

from adapters.sandbox.scripts import SCRIPTS
from entrypoints.http.console import admission
from entrypoints.http.console.developers.calls import ApiCall, as_curl, as_node, as_python
from entrypoints.http.console.developers.outcomes import OUTCOMES
from entrypoints.http.console.visits import Visit
from entrypoints.http.entrance import address_of
from tests.unit.console_browser import Browser, Page
from tests.unit.http_shop import Shop, open_api

EXAMPLES = "/console/developers/examples"
FIRST_PAYMENT = "/console/developers/first-payment"
MADE = re.compile(r"/console/transactions/(txn_[0-9A-Z]{26})\?said=first_payment")


@pytest.fixture
async def shop() -> AsyncGenerator[Shop, None]:
    async with open_api() as api:
        yield await api.open_shop()


@pytest.fixture
async def browser(shop: Shop) -> Browser:
    return await Browser(shop.api.client).sign_in(shop.email)


@pytest.fixture
async def newcomer(shop: Shop) -> tuple[Shop, Browser]:
    """Somebody who has an account, and no payment key."""
    body = {"email": "new@example.com", "password": "correct horse battery staple"}
    made = (await shop.api.client.post("/api/auth/register/", json=body)).json()
    new = Shop(api=shop.api, email="new@example.com", id=made["id"], secret=made["api_key"])
    return new, await Browser(shop.api.client).sign_in(new.email)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A call as it leaves somebody's program."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: object


def _texts(page: Page) -> list[str]:
    return [unescape(text) for text in re.findall(r"<pre [^>]*><code[^>]*>(.*?)</code></pre>", page.html, re.DOTALL)]


def _run_curl(command: str) -> Sent:
    """Read a command as a shell and curl would; `tests/integration/test_copied_calls.py` has a real shell do it."""
    name, url, *rest = shlex.split(command.replace(" \\\n  ", " "))
    assert name == "curl"
    options = list(zip(rest[::2], rest[1::2], strict=True))
    headers = dict(text.split(": ", 1) for option, text in options if option == "-H")
    bodies = [text for option, text in options if option == "-d"]
    assert len(headers) + len(bodies) == len(options)
    assert headers.pop("Content-Type", None) == ("application/json" if bodies else None)
    body = json.loads(bodies[0]) if bodies else None
    return Sent(method="POST" if bodies else "GET", url=url, headers=headers, body=body)


def _run_python(program: str, monkeypatch: pytest.MonkeyPatch) -> Sent:
    sent: list[Sent] = []

    def call(method: str) -> Any:
        def send(url: str, *, headers: Mapping[str, str], json: object = None) -> httpx.Response:
            sent.append(Sent(method=method, url=url, headers=headers, body=json))
            return httpx.Response(200, json={}, request=httpx.Request(method, url))

        return send

    monkeypatch.setattr(httpx, "get", call("GET"))
    monkeypatch.setattr(httpx, "post", call("POST"))
    exec(compile(program, "example", "exec"), {})
    monkeypatch.undo()
    (one,) = sent
    return one


async def _really_send(shop: Shop, sent: Sent) -> httpx.Response:
    """Send a call with the secret in the place of what stands for it."""
    assert sent.headers["Authorization"] == f"Token sk_test_...{shop.secret[-4:]}"
    headers = {**sent.headers, "Authorization": f"Token {shop.secret}"}
    return await shop.api.client.request(sent.method, sent.url, headers=headers, json=sent.body)


async def test_examples_are_filled_in_and_work_as_they_are(
    shop: Shop, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = await shop.paid()
    by_curl = [_run_curl(text) for text in _texts(await browser.get(EXAMPLES))]
    again = [_run_python(text, monkeypatch) for text in _texts(await browser.get(f"{EXAMPLES}?language=python"))]
    pay, look, listed, refund, webhook = by_curl
    assert {sent.url.split("/api/")[0] for sent in by_curl} == {"http://shop.test"}
    assert isinstance(pay.body, dict)
    assert pay.body["payment_key"] == shop.payment_key
    assert paid["id"] in look.url
    assert "?status=succeeded&limit=20" in listed.url
    answers = [await _really_send(shop, sent) for sent in by_curl]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 201, 201], [one.text for one in answers]
    assert answers[3].json()["transaction"] == paid["id"]
    assert refund.headers["Idempotency-Key"]
    assert webhook.body == {"url": "https://shop.example.com/webhooks", "events": ["transaction.succeeded"]}
    assert [_without_chance(sent) for sent in again] == [_without_chance(sent) for sent in by_curl]


def _without_chance(sent: Sent) -> Sent:
    """Return a call without what is new each time that it is shown."""
    body = (
        {name: text for name, text in sent.body.items() if name != "description"}
        if isinstance(sent.body, dict)
        else None
    )
    headers = {name: text for name, text in sent.headers.items() if name != "Idempotency-Key"}
    return replace(sent, headers=headers, body=body)


async def test_a_refund_is_shown_of_a_payment_of_which_something_is_left(shop: Shop, browser: Browser) -> None:
    left = await shop.paid(amount="1250", currency="JPY")
    gone = await shop.paid()
    await shop.post("/api/refunds/", {"transaction": left["id"], "amount": "250"})
    await shop.post("/api/refunds/", {"transaction": gone["id"]})
    *_, refund, _ = [_run_curl(text) for text in _texts(await browser.get(EXAMPLES))]
    assert refund.body == {"transaction": left["id"], "amount": "1000", "reason": "Returned"}
    assert (await _really_send(shop, refund)).status_code == 201


async def test_the_key_that_is_named_may_do_all_that_is_shown(shop: Shop, browser: Browser) -> None:
    for body in ({"scopes": ["events:read"]}, {"expires_at": "2026-03-01T10:00:00Z"}):
        assert (await shop.post("/api/auth/api_keys/", body)).status_code == 201
    shop.api.clock.move(timedelta(minutes=30))
    await browser.get(EXAMPLES)
    assert f"in the place of sk_test_...{shop.secret[-4:]}" in browser.page.words.replace(" ,", ",")


async def test_examples_in_each_language_can_be_chosen_without_scripts(browser: Browser) -> None:
    page = await browser.get(EXAMPLES)
    assert [link for link in page.links if link.startswith("?language=")] == [
        "?language=curl",
        "?language=python",
        "?language=node",
    ]
    assert "await fetch(" in (await browser.get(f"{EXAMPLES}?language=node")).words


async def test_a_language_that_there_are_no_examples_in_is_said_to_be_none(browser: Browser) -> None:
    page = await browser.get(f"{EXAMPLES}?language=cobol")
    assert page.status == 400
    assert "There are examples in curl, python, node." in page.words
    assert "curl http" in page.words


async def test_examples_say_what_is_still_missing(newcomer: tuple[Shop, Browser]) -> None:
    _, browser = newcomer
    page = await browser.get(EXAMPLES)
    assert "You have no payment key yet" in page.words
    assert "You have no payment yet of which something is left" in page.words
    assert '"payment_key": "pk_test_..."' in page.words
    assert "/api/transactions/txn_.../" in page.words


async def test_a_key_that_is_not_active_is_in_no_example(shop: Shop, browser: Browser) -> None:
    newer = (await shop.post("/api/payments/payment_key/")).json()
    await shop.delete(f"/api/payments/payment_key/{newer['id']}/")
    page = await browser.get(EXAMPLES)
    assert newer["key"] not in page.words
    assert shop.payment_key in page.words


@pytest.mark.parametrize(
    ("hosts", "address"),
    [
        (["shop.test"], "https://shop.test"),
        (["127.0.0.1:8000"], "https://127.0.0.1:8000"),
        (["[::1]:8000"], "https://[::1]:8000"),
        (["a_b.example-1.com."], "https://a_b.example-1.com."),
        ([], "https://localhost"),
        (["a", "b"], "https://localhost"),
        (["a'; rm -rf ~; '"], "https://localhost"),
        (["$(id)"], "https://localhost"),
        (['"><script>'], "https://localhost"),
        (["a/b"], "https://localhost"),
        (["a\n"], "https://localhost"),
        (["a:123456"], "https://localhost"),
        (["é.example"], "https://localhost"),
    ],
)
def test_an_address_is_shown_only_if_it_means_nothing_to_a_shell_or_a_page(hosts: list[str], address: str) -> None:
    assert address_of(hosts, secure=True) == address
    assert address_of(hosts, secure=False) == address.replace("https", "http")


HOSTILE = 'it\'s "quoted" $(id) `id` \\ é \N{PILE OF POO} </script><b> \u2028 %s {x}\nnext'


def test_whatever_somebody_typed_is_only_text_in_a_call_to_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    call = ApiCall(method="POST", url="http://shop.test/", api_key="sk", body={"description": HOSTILE}, once="o'1")
    for sent in (_run_curl(as_curl(call)), _run_python(as_python(call), monkeypatch)):
        assert sent.body == {"description": HOSTILE}
        assert sent.headers == {"Authorization": "Token sk", "Idempotency-Key": "o'1"}
        assert (sent.method, sent.url) == ("POST", "http://shop.test/")
    # JSON is JavaScript (ECMA-262 from 2019 on); it runs in `tests/integration/test_copied_calls.py`.
    assert json.dumps(HOSTILE, ensure_ascii=False) in as_node(call)


# ── a first payment


def test_every_script_of_the_sandbox_is_offered_with_its_words() -> None:
    assert {outcome.script for outcome in OUTCOMES} == SCRIPTS.keys()
    assert len({outcome.title for outcome in OUTCOMES}) == len(OUTCOMES)
    assert all(outcome.words for outcome in OUTCOMES)


async def _pay(browser: Browser, **fields: str | None) -> str:
    await browser.get(FIRST_PAYMENT)
    await browser.submit(FIRST_PAYMENT, fields)
    return _made(browser.page)


def _made(page: Page) -> str:
    found = MADE.fullmatch(page.path)
    assert found is not None, page.words
    return found[1]


async def test_a_first_payment_is_made_as_it_stands_and_leads_to_its_page(shop: Shop, browser: Browser) -> None:
    id = await _pay(browser)
    await shop.api.work()
    paid = (await shop.get(f"/api/transactions/{id}/")).json()
    assert (paid["status"], paid["amount"], paid["currency"]) == ("succeeded", "25.00", "USD")
    assert (paid["description"], paid["payment_method"]) == ("My first payment", "pm_approve")
    assert paid["payment_key"] == shop.payment_key_id


async def test_a_payment_key_is_made_for_it_where_there_is_none(newcomer: tuple[Shop, Browser]) -> None:
    shop, browser = newcomer
    page = await browser.get(FIRST_PAYMENT)
    assert "you have none yet, so one is made with it" in page.words
    await _pay(browser)
    await _pay(browser)
    assert len((await shop.get("/api/payments/payment_key/")).json()["results"]) == 1
    assert "you have none yet" not in (await browser.get(FIRST_PAYMENT)).words


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("pm_approve", "succeeded"),
        ("pm_decline_insufficient_funds", "failed"),
        ("pm_decline_expired", "failed"),
        ("pm_decline_fraud", "failed"),
        ("pm_refund_fails", "succeeded"),
    ],
)
async def test_it_ends_as_was_chosen(shop: Shop, browser: Browser, script: str, status: str) -> None:
    id = await _pay(browser, outcome=script, amount="1250", currency="JPY", description=None)
    await shop.api.work()
    paid = (await shop.get(f"/api/transactions/{id}/")).json()
    assert (paid["status"], paid["amount"], paid["currency"]) == (status, "1250", "JPY")
    assert paid["description"] is None
    if status == "failed":
        words = next(outcome.words for outcome in OUTCOMES if outcome.script == script)
        assert paid["failure"]["code"] in words


async def test_a_form_that_is_sent_twice_pays_once(newcomer: tuple[Shop, Browser]) -> None:
    shop, browser = newcomer
    await browser.get(FIRST_PAYMENT)
    form = browser.page.form(FIRST_PAYMENT).filled({})
    first = _made(await browser.send(FIRST_PAYMENT, form))
    assert _made(await browser.send(FIRST_PAYMENT, form)) == first
    assert len((await shop.get("/api/transactions/")).json()["results"]) == 1
    assert len((await shop.get("/api/payments/payment_key/")).json()["results"]) == 1


async def test_a_form_that_is_changed_after_it_was_sent_asks_to_be_sent_again(shop: Shop, browser: Browser) -> None:
    await browser.get(FIRST_PAYMENT)
    form = browser.page.form(FIRST_PAYMENT)
    await browser.send(FIRST_PAYMENT, form.filled({}))
    page = await browser.send(FIRST_PAYMENT, form.filled({"amount": "30.00"}))
    assert page.status == 400
    assert "sent before" in page.words
    assert ("amount", "30.00") in page.form(FIRST_PAYMENT).fields
    _made(await browser.submit(FIRST_PAYMENT))
    amounts = [one["amount"] for one in (await shop.get("/api/transactions/")).json()["results"]]
    assert sorted(amounts) == ["25.00", "30.00"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"amount": "ten"}, "An amount is digits"),
        ({"amount": None}, "An amount is digits"),
        ({"amount": "0.00"}, "An amount is over zero"),
        ({"amount": "1.005"}, "at most 2 decimals"),
        ({"currency": "XXX"}, "is not money"),
        ({"description": "x" * 501}, "Must have 0 to 500 characters"),
        ({"description": "4242 4242 4242 4242"}, "what looks like a card number"),
        ({"outcome": "pm_unheard_of"}, "Choose one of the outcomes."),
        ({"once": None}, "This form is not complete"),
    ],
)
async def test_what_is_wrong_with_it_is_said_at_its_field_and_nothing_is_made(
    newcomer: tuple[Shop, Browser], fields: dict[str, str | None], words: str
) -> None:
    shop, browser = newcomer
    await browser.get(FIRST_PAYMENT)
    page = await browser.submit(FIRST_PAYMENT, {"description": "Mine", **fields})
    assert page.status == 400
    assert words in page.words
    kept = dict(page.form(FIRST_PAYMENT).fields)
    assert kept["description"] == (fields.get("description") or "Mine")
    assert (await shop.get("/api/transactions/")).json()["results"] == []
    assert (await shop.get("/api/payments/payment_key/")).json()["results"] == []


async def test_the_same_payment_is_shown_as_a_call_that_follows_what_is_typed(shop: Shop, browser: Browser) -> None:
    query = "?amount=7.50&currency=EUR&description=It%27s+mine&outcome=pm_slow"
    (text,) = _texts(await browser.get(f"{FIRST_PAYMENT}{query}"))
    answer = await _really_send(shop, _run_curl(text))
    assert answer.status_code == 201, answer.text
    paid = answer.json()
    assert (paid["amount"], paid["currency"], paid["description"]) == ("7.50", "EUR", "It's mine")
    assert paid["payment_method"] == "pm_slow"


async def test_what_an_address_asks_for_wrongly_is_said_unless_somebody_still_types(browser: Browser) -> None:
    page = await browser.get(f"{FIRST_PAYMENT}?amount=ten&currency=EUR")
    assert page.status == 400
    assert "An amount is digits" in page.words
    page = await browser.get(f"{FIRST_PAYMENT}?amount=ten&currency=EUR", headers={"hx-request": "true"})
    assert page.status == 200
    assert '"amount": "ten"' in page.words


async def test_first_payments_are_for_test_mode_alone(
    shop: Shop, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await browser.get(FIRST_PAYMENT)
    form = browser.page.form(FIRST_PAYMENT).filled({})

    def in_live_mode(**fields: Any) -> Visit:
        return Visit(**{**fields, "admitted": replace(fields["admitted"], livemode=True)})

    monkeypatch.setattr(admission, "Visit", in_live_mode)
    page = await browser.get(FIRST_PAYMENT)
    assert "This is live mode" in page.words
    assert FIRST_PAYMENT not in {form.action for form in page.forms}
    assert (await browser.send(FIRST_PAYMENT, form)).status == 403
    assert (await shop.get("/api/transactions/")).json()["results"] == []
