"""What holds for every request, whatever it asks for."""

from __future__ import annotations

import ast
import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from litestar.types import HTTPScope

import payments_core
from adapters.memory import MemoryStore
from entrypoints.http.app import OPERATIONS, create_app
from entrypoints.http.docs.openapi import codes_of
from entrypoints.http.problem_catalogue import KINDS
from entrypoints.http.problems import BY_STATUS, problem_reply
from entrypoints.http.request_context import RequestContext, client_address
from entrypoints.settings import Settings
from payments_core import checks, errors, units
from payments_core.attempt import AttemptKind
from payments_core.errors import (
    Conflict,
    OutcomeUnknown,
    PaymentsError,
    Refused,
    RuleBroken,
    StaleWrite,
    Unavailable,
    Unreadable,
)
from payments_core.event import EventType
from payments_core.ids import MerchantId
from payments_core.limits import Limit
from payments_core.ports import UnitOfWork
from tests.unit.http_shop import PASSWORD, Api, Shop, open_api, problem


@pytest.fixture
async def api() -> AsyncGenerator[Api, None]:
    async with open_api() as api:
        yield api


@pytest.fixture
async def shop(api: Api) -> Shop:
    return await api.open_shop()


GETS = (
    "/",
    "/docs",
    "/docs/style.css",
    "/schema/openapi.json",
    "/problems",
    "/problems/not_found",
    "/health/live",
    "/health/ready",
    "/api/auth/me",
    "/api/transactions",
    "/api/transactions/txn_0",
    "/nothing",
)


async def test_head_says_what_get_says_without_a_body(shop: Shop) -> None:
    for path in GETS:
        given = {"x-request-id": "r"}
        get, head = await shop.get(path, headers=given), await shop.call("HEAD", path, headers=given)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        assert head.headers == get.headers


async def test_the_servers_own_scope_still_says_head(shop: Shop) -> None:
    """uvicorn looks at it to know that no body follows what Content-Length says."""
    scope: Any = {"type": "http", "method": "HEAD", "path": "/health/live", "headers": [], "query_string": b""}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await create_app(shop.api.services)(scope, receive, send)
    assert scope["method"] == "HEAD"
    assert dict(sent[0]["headers"])[b"content-length"] == b"27"
    assert [message["body"] for message in sent[1:]] == [b""]


async def test_a_slash_at_the_end_changes_nothing(shop: Shop) -> None:
    for path in GETS:
        given = {"x-request-id": "r"}
        bare, slashed = await shop.get(path, headers=given), await shop.get(f"{path.rstrip('/')}/", headers=given)
        assert bare.status_code == slashed.status_code, path
        assert bare.content == slashed.content
        assert bare.headers == slashed.headers


async def test_posts_with_a_slash_at_the_end_are_the_same_too(shop: Shop) -> None:
    for path in ("/api/transactions/pay", "/api/transactions/pay/"):
        assert (await shop.post(path, shop.payment())).status_code == 201
    for path in ("/api/payments/payment_key", "/api/payments/payment_key/"):
        assert (await shop.post(path)).status_code == 201


async def test_another_method_is_told_which_there_are(shop: Shop) -> None:
    answer = await shop.call("PUT", "/api/transactions/")
    problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    options = await shop.call("OPTIONS", "/api/refunds/")
    assert options.status_code == 204
    assert set(options.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


async def test_a_sane_request_id_is_kept(shop: Shop) -> None:
    for given in ("a", "0f8fad5b-d9cb-469f-a165-708673e3d2b1", "x" * 128, "a.b_c:d/e=f+g@h"):
        for path in ("/api/auth/me/", "/nothing", "/health/live", "/api/transactions/txn_0"):
            answer = await shop.get(path, headers={"x-request-id": given})
            assert answer.headers["x-request-id"] == given
            if answer.status_code >= 400:
                assert answer.json()["request_id"] == given


async def test_another_request_id_is_replaced(shop: Shop) -> None:
    insane: list[Any] = [
        "",
        "x" * 129,
        "4242424242424242",
        "sk_test_abc",
        "whsec_abc",
        "a b",
        'a"b',
        "<script>",
        "a;b",
        "\u00e9".encode("latin-1"),
    ]
    for given in insane:
        answer = await shop.get("/nothing", headers={"x-request-id": given})
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.headers["x-request-id"] == answer.json()["request_id"]


async def test_a_request_id_is_kept_with_the_events_and_attempts_of_its_request(shop: Shop) -> None:
    paid = await shop.post("/api/transactions/pay", shop.payment(), headers={"x-request-id": "pays"})
    await shop.api.work()
    refund = {"transaction": paid.json()["id"]}
    await shop.post("/api/refunds/", refund, headers={"x-request-id": "refunds"})
    await shop.api.work()
    account = shop.api.store._state.account(MerchantId(shop.id))
    events = [(event.type, event.request_id) for event in account.log]
    assert events == [
        (EventType.TRANSACTION_CREATED, "pays"),
        (EventType.TRANSACTION_PROCESSING, "pays"),
        (EventType.TRANSACTION_SUCCEEDED, "pays"),
        (EventType.REFUND_CREATED, "refunds"),
        (EventType.REFUND_SUCCEEDED, "refunds"),
    ]
    attempts = {attempt.kind: attempt.request_id for attempt in account.attempts.newest_first()}
    assert attempts == {AttemptKind.CHARGE: "pays", AttemptKind.REFUND: "refunds"}


async def test_no_answer_is_guessed_at_framed_or_run(shop: Shop) -> None:
    for path in GETS:
        headers = (await shop.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "base-uri 'none'" in headers["content-security-policy"]
        assert "server" not in headers


LOW = Limit(name="api_merchant", amount=3, per_seconds=10)


async def test_a_merchant_has_a_limit_of_its_own_and_is_told_of_it() -> None:
    async with open_api(Settings(limit_api=LOW)) as api:
        shop, neighbour = await api.open_shop(), await api.open_shop()
        for left in (1, 0):
            answer = await shop.get("/api/auth/me/")
            assert answer.headers["ratelimit-policy"] == '"api_merchant";q=3;w=10'
            assert answer.headers["ratelimit"].startswith(f'"api_merchant";r={left};t=')
        answer = await shop.get("/api/auth/me/")
        assert problem(answer, 429, "rate_limited")["retryable"]
        assert 1 <= int(answer.headers["retry-after"]) <= 10
        assert answer.headers.get_list("ratelimit") == [f'"api_merchant";r=0;t={answer.headers["retry-after"]}']
        assert answer.headers["ratelimit-policy"] == '"api_merchant";q=3;w=10'
        assert (await neighbour.get("/api/auth/me/")).status_code == 200
        api.clock.move(timedelta(seconds=10))
        assert (await shop.get("/api/auth/me/")).status_code == 200


async def test_the_limit_can_be_off(shop: Shop) -> None:
    assert "ratelimit" not in (await shop.get("/api/auth/me/")).headers


async def test_logins_are_limited_for_each_address() -> None:
    limit = Limit(name="login_address", amount=2, per_seconds=60)
    proxies = (ip_network("127.0.0.1/32"),)
    async with open_api(Settings(limit_login_address=limit, trusted_proxies=proxies)) as api:
        body = {"email": "nobody@example.com", "password": PASSWORD}

        async def status(*forwarded: str) -> int:
            headers = [("x-forwarded-for", each) for each in forwarded]
            return (await api.client.post("/api/auth/login/", json=body, headers=headers)).status_code

        assert [await status("198.51.100.1") for _ in range(3)] == [401, 401, 429]
        assert await status("198.51.100.2") == 401
        assert await status("198.51.100.2, 198.51.100.1") == 429


PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.1.1.1", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.9, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("fd00::1", ["2001:db8:1:2:3::4"], "2001:db8:1:2:3::4"),
        ("2001:db8:1:2:3::4", [], "2001:db8:1:2:3::4"),
        (None, ["203.0.113.9"], "unknown"),
    ],
)
def test_the_address_is_the_peers_unless_proxies_of_ours_lie_between(
    peer: str | None, forwarded: list[str], address: str
) -> None:
    scope: Any = {"client": None if peer is None else (peer, 1234)}
    context = RequestContext("r", {b"x-forwarded-for": forwarded} if forwarded else {})
    request: HTTPScope = scope
    assert client_address(request, context, PROXIES) == address


class StalledStore(MemoryStore):
    """A store whose commits are under way for ever, once it is told to stall."""

    def __init__(self) -> None:
        super().__init__()
        self.stalls = False
        self.committing = asyncio.Event()

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[UnitOfWork, None]:
        async with super().begin() as work:
            yield work
            if self.stalls:
                self.committing.set()
                await asyncio.Event().wait()


async def test_a_command_that_the_servers_end_breaks_off_may_have_had_its_effect() -> None:
    store = StalledStore()
    async with open_api(store=store) as api:
        shop = await api.open_shop()
        store.stalls = True
        paying = asyncio.create_task(shop.post("/api/transactions/pay", shop.payment()))
        await store.committing.wait()
        paying.cancel()
        assert problem(await paying, 500, "outcome_unknown")["retryable"]


async def test_a_request_that_the_servers_end_breaks_off_before_its_body_had_come_had_none(shop: Shop) -> None:
    reading = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        reading.set()
        await asyncio.Event().wait()

    headers = {"content-type": "application/json"}
    paying = asyncio.create_task(shop.call("POST", "/api/transactions/pay", headers=headers, content=body()))
    await reading.wait()
    paying.cancel()
    assert problem(await paying, 503, "unavailable")["retryable"]


async def test_health_says_of_each_thing_that_it_is_well_or_what_is_wrong() -> None:
    async def well() -> str | None:
        return None

    async def ill() -> str | None:
        return "it is away"

    for vital, useful, status, document in (
        (well, well, 200, {"status": "ok", "checks": {"store": "ok", "queue": "ok"}}),
        (well, ill, 200, {"status": "degraded", "checks": {"store": "ok", "queue": "it is away"}}),
        (ill, well, 503, {"status": "unavailable", "checks": {"store": "it is away", "queue": "ok"}}),
    ):
        async with open_api(vital={"store": vital}, useful={"queue": useful}) as api:
            answer = await api.client.get("/health/ready")
            assert (answer.status_code, answer.json()) == (status, document)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Unavailable("postgres://host is gone"), 503, "unavailable"),
        (OutcomeUnknown("postgres://host broke"), 500, "outcome_unknown"),
        (StaleWrite("moved"), 500, "internal_error"),
        (Unreadable("a row"), 500, "internal_error"),
        (ZeroDivisionError("postgres://host"), 500, "internal_error"),
    ],
)
async def test_errors_of_our_own_tell_nothing_of_the_inside(error: Exception, status: int, code: str) -> None:
    reply = problem_reply(error, RequestContext("r", {}))
    assert reply.status == status
    assert f'"code":"{code}"'.encode() in reply.body
    assert b"postgres" not in reply.body
    assert ((b"retry-after", b"1") in reply.headers) == (status == 503)


def codes_in_the_core() -> set[str]:
    """Return every code that the core's source refuses with."""
    found = {error.code for _, error in inspect.getmembers(errors, inspect.isclass) if issubclass(error, Refused)}
    found |= {code for code, _ in units._TAKEN.values()} | {checks.CARD_NUMBER_REFUSED}
    for path in Path(payments_core.__file__).parent.rglob("*.py"):
        if "testing" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                error = getattr(errors, node.func.id, None)
                if isinstance(error, type) and issubclass(error, PaymentsError):
                    given = [each.value for each in node.keywords if each.arg == "code"]
                    given += node.args[:1] if error in (RuleBroken, Conflict) else []
                    found |= {str(each.value) for each in given if isinstance(each, ast.Constant) and each.value}
    return found - {Refused.code}


DEFECTS = frozenset({"refund_state", "transaction_state"})
"""Codes of the core for steps that no call asks for: they can only come from a defect, and are `internal_error`."""

STAFF = frozenset({"attempt_closed", "attempt_open", "job_not_dead", "staff_member_disabled", "too_many_staff_members"})
"""Codes of what only staff ask for, which no route leads to."""


def test_every_code_of_the_core_is_explained() -> None:
    codes = codes_in_the_core()
    assert {"invalid_payment_key", "suspended", "email_taken", "refund_exceeds_amount"} <= codes
    assert codes == (codes & set(KINDS)) | DEFECTS | STAFF


@pytest.mark.parametrize("code", sorted(DEFECTS | STAFF))
async def test_a_step_that_no_call_asks_for_is_an_error_of_our_own(code: str) -> None:
    reply = problem_reply(Conflict(code, "A failed refund cannot become failed."), RequestContext("r", {}))
    assert reply.status == 500
    assert b'"code":"internal_error"' in reply.body
    assert b"refund" not in reply.body


def test_every_call_names_the_refusals_of_money_that_it_can_give() -> None:
    named = {code for operation in OPERATIONS for code in codes_of(operation)}
    assert named | set(BY_STATUS.values()) == set(KINDS)


async def test_every_code_has_a_page(api: Api) -> None:
    listed = (await api.client.get("/problems")).text
    for code, kind in KINDS.items():
        page = await api.client.get(f"/problems/{code}")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert kind.title in page.text
        assert "`" not in page.text
        assert f'href="/problems/{code}"' in listed


async def test_a_browser_that_asks_for_no_known_problem_gets_the_list(api: Api) -> None:
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    answer = await api.client.get("/problems/nope", headers=browser)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert 'href="/problems/not_found"' in answer.text
    assert "nope" not in answer.text
    problem(await api.client.get("/problems/nope", headers={"accept": "*/*"}), 404, "not_found")


async def test_the_foot_of_the_api_leads_on(api: Api) -> None:
    for path in ("/", "/api", "/api/"):
        answer = await api.client.get(path)
        assert answer.status_code == 200
        for linked in ("/docs", "/schema/openapi.json", "/problems", "/health/ready"):
            assert f'href="{linked}"' in answer.text


async def test_names_in_the_prose_of_a_problem_stand_out(api: Api) -> None:
    page = (await api.client.get("/problems/webhook_disabled")).text
    assert "{&quot;enabled&quot;: true}" in page
    assert "<code>amount_refundable</code>" in (await api.client.get("/problems/refund_exceeds_amount")).text


async def test_the_reference_needs_nothing_from_elsewhere(api: Api) -> None:
    page = await api.client.get("/docs")
    assert page.status_code == 200
    for path in ("/docs/rapidoc-min.js", "/docs/docs.css", "/schema/openapi.json"):
        assert path in page.text
        assert (await api.client.get(path)).status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text
    policy = page.headers["content-security-policy"]
    assert "http" not in policy
    assert "'unsafe-eval'" not in policy
    problem(await api.client.get("/docs/app.py"), 404, "not_found")
    problem(await api.client.get("/docs/..%2Fapp.py"), 404, "not_found")


async def test_the_viewers_buttons_are_as_wide_as_their_words(api: Api) -> None:
    part = "btn-outline"
    assert f"rapi-doc::part({part}) {{ width: auto !important; }}" in (await api.client.get("/docs/docs.css")).text
    viewer = (await api.client.get("/docs/rapidoc-min.js")).text
    assert f'style="width:200px" part="btn {part}"' in viewer


async def test_pages_are_named_so_that_they_are_fetched_once(api: Api) -> None:
    first = await api.client.get("/schema/openapi.json")
    again = await api.client.get("/schema/openapi.json", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/api/transactions/txn_0/?x=secret", "/api/transactions/{id}", 400),
        ("GET", "/api/idempotency_keys/secret/", "/api/idempotency_keys/{key}", 404),
        ("POST", "/api/payments/payment_key/", "/api/payments/payment_key", 201),
        ("HEAD", "/health/live", "/health/live", 200),
        ("GET", "/secret", "none", 404),
        ("PUT", "/api/auth/me/", "none", 405),
    ],
)
async def test_each_answer_is_one_line_in_the_log(
    shop: Shop, caplog: pytest.LogCaptureFixture, method: str, path: str, route: str, status: int
) -> None:
    with caplog.at_level(logging.INFO, "entrypoints.http"):
        answer = await shop.call(method, path, headers={"x-request-id": "mine"})
    assert answer.status_code == status
    (line,) = [vars(record) for record in caplog.records if record.name.startswith("entrypoints.http")]
    assert line["msg"] == "request answered"
    told = {name: line[name] for name in ("method", "route", "status", "request_id")}
    assert told == {"method": method, "route": route, "status": status, "request_id": "mine"}
    assert 0 <= line["milliseconds"] < 60_000
    assert "secret" not in str(line)
    assert "txn_0" not in str(line)


async def test_nothing_is_logged_of_an_answer_where_only_warnings_are(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "entrypoints.http"):
        await shop.get("/api/auth/me/")
    assert not caplog.records


async def test_requests_are_counted_by_their_templates(shop: Shop) -> None:
    await shop.get("/api/transactions/txn_0/")
    await shop.get("/nothing")
    text = shop.api.services.metrics.text().decode()
    assert 'method="GET",route="/api/transactions/{id}",status="404"' in text
    assert 'method="GET",route="none",status="404"' in text
    assert "txn_0" not in text
    assert "nothing" not in text
