"""Whatever is sent, the answer is a problem of the 4xx kind that says what is wrong, and never shows a value."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from entrypoints.http import bodies
from entrypoints.http.body_faults import FAULTS_MAX
from entrypoints.http.problems import problem_reply
from entrypoints.http.request_context import RequestContext
from payments_core.errors import Invalid
from tests.unit.http_shop import Shop, at_fault, open_api, problem

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON: Final = {"content-type": "application/json"}
PAY: Final = "/api/transactions/pay"
MISSING: Final = object()
CARD: Final = "4242 4242 4242 4242"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop() -> AsyncGenerator[Shop, None]:
    async with open_api() as api:
        yield await api.open_shop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A request with the answer that it gets; `{key}` in a body or path is the shop's payment key."""

    name: str
    path: str = PAY
    method: str = "POST"
    body: bytes | dict[str, object] | None = None
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    status: int = 400
    code: str = "invalid_request"
    faults: set[tuple[str, str]] = field(default_factory=set)


def pay(name: str, *faults: tuple[str, str], code: str = "invalid_request", status: int = 400, **fields: object) -> Bad:
    body = {"payment_key": "{key}", "amount": "100.00", "currency": "USD", **fields}
    body = {field: value for field, value in body.items() if value is not MISSING}
    return Bad(name=name, body=body, faults=set(faults), code=code, status=status)


def raw(name: str, body: bytes, *faults: tuple[str, str], code: str = "malformed_json", status: int = 400) -> Bad:
    return Bad(name=name, body=body, code=code, status=status, faults=set(faults))


def get(name: str, path: str, *faults: tuple[str, str], status: int = 400, code: str = "invalid_request") -> Bad:
    return Bad(name=name, method="GET", path=path, headers={}, status=status, code=code, faults=set(faults))


def post(name: str, path: str, body: dict[str, object], *faults: tuple[str, str], **more: Any) -> Bad:
    return Bad(name=name, path=path, body=body, faults=set(faults), **more)


BODIES = [
    raw("empty", b""),
    raw("blank", b"  \n "),
    raw("cut short", b'{"amount": "1'),
    raw("an array", b"[]"),
    raw("a string", b'"pay"'),
    raw("a number", b"1"),
    raw("null", b"null"),
    raw("two objects", b"{}{}"),
    raw("trailing comma", b'{"amount": "1",}'),
    raw("single quotes", b"{'amount': '1'}"),
    raw("comment", b'{/* why */ "amount": "1"}'),
    raw("NaN", b'{"amount": NaN}'),
    raw("Infinity", b'{"amount": Infinity}'),
    raw("minus Infinity", b'{"amount": -Infinity}'),
    raw("beyond floats", b'{"amount": 1e400}'),
    raw("a number of 5,000 digits", b'{"amount": ' + b"9" * 5_000 + b"}"),
    raw("leading zero", b'{"amount": 007}'),
    raw("byte order mark", b"\xef\xbb\xbf{}"),
    raw("invalid UTF-8", b'{"amount": "\xff"}'),
    raw("UTF-16", '{"amount": "1"}'.encode("utf-16")),
    raw("surrogate in UTF-8", b'{"amount": "\xed\xa0\x80"}'),
    raw("lone high surrogate", b'{"amount": "\\ud800"}'),
    raw("lone low surrogate", b'{"amount": "\\udc00"}'),
    raw("raw NUL", b'{"amount": "\x00"}'),
    raw("raw control character", b'{"amount": "\x01"}'),
    raw("60,000 open arrays", b"[" * 60_000),
    raw("10,000 nested objects", b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    raw("200,000 open arrays", b"[" * 200_000, status=413, code="body_too_large"),
    raw("65,537 bytes", b'{"description": "' + b"x" * 65_518 + b'"}', status=413, code="body_too_large"),
    raw(
        "duplicate key",
        b'{"payment_key": "{key}", "amount": "1", "currency": "USD", "amount": "1"}',
        ("amount", "duplicate_field"),
        code="invalid_request",
    ),
    raw(
        "duplicate key, escaped",
        b'{"amount": "1", "\\u0061mount": "2"}',
        ("amount", "duplicate_field"),
        code="invalid_request",
    ),
    raw(
        "duplicate key in an object",
        b'{"metadata": {"a:b": "x", "a:b": "y"}, "z": [{"q": 1, "q": 2}]}',
        ("metadata.a:b", "duplicate_field"),
        ("z.q", "duplicate_field"),
        code="invalid_request",
    ),
    raw(
        "escaped NUL",
        b'{"payment_key": "{key}", "amount": "1", "currency": "USD", "description": "a\\u0000b"}',
        ("description", "forbidden_character"),
        code="invalid_request",
    ),
    raw(
        "escaped NUL in a key",
        b'{"metadata": {"a\\u0000": "b"}, "\\u0000": 1}',
        ("metadata", "forbidden_character"),
        ("\0", "forbidden_character"),
        code="invalid_request",
    ),
    *(
        Bad(
            name=f"content encoding {coding!r}",
            body=b'{"payment_key": "{key}", "amount": "1.00", "currency": "USD"}',
            headers={**JSON, "content-encoding": coding},
            status=415,
            code="unsupported_media_type",
        )
        for coding in ("gzip", "br", "", "identity, gzip")
    ),
    Bad(name="no content type", body=b"{}", headers={}, status=415, code="unsupported_media_type"),
    Bad(
        name="form",
        body=b"amount=1",
        headers={"content-type": "application/x-www-form-urlencoded"},
        status=415,
        code="unsupported_media_type",
    ),
    Bad(
        name="text",
        body=b"{}",
        headers={"content-type": "text/plain"},
        status=415,
        code="unsupported_media_type",
    ),
    Bad(
        name="another charset",
        body=b"{}",
        headers={"content-type": "application/json; charset=latin-1"},
        status=415,
        code="unsupported_media_type",
    ),
]
FIELDS = [
    raw(
        "nothing that is needed",
        b"{}",
        ("payment_key", "missing"),
        ("amount", "missing"),
        ("currency", "missing"),
        code="invalid_request",
    ),
    pay("unknown field", ("amout", "unknown_field"), amout="1.00"),
    post(
        "a card number as a field",
        PAY,
        {"payment_key": "{key}", "amount": "1.00", "currency": "USD", f"card {CARD}": 1},
        ("card **** **** **** 4242", "unknown_field"),
    ),
    pay("several unknown fields", ("a", "unknown_field"), ("b", "unknown_field"), a=1, b=2),
    pay(
        "everything at once",
        ("amount", "wrong_type"),
        ("x", "unknown_field"),
        ("currency", "wrong_type"),
        amount=1,
        x=1,
        currency=None,
    ),
    pay(
        "wrong types and wrong values together",
        ("payment_key", "missing"),
        ("metadata", "wrong_type"),
        ("amount", "too_many_decimals"),
        ("description", "card_number_refused"),
        ("reference", "wrong_length"),
        payment_key=MISSING,
        metadata=1,
        amount="1.001",
        description=CARD,
        reference="",
    ),
    pay("a number as amount", ("amount", "wrong_type"), amount=100),
    pay("a fraction as amount", ("amount", "wrong_type"), amount=100.5),
    pay("true as amount", ("amount", "wrong_type"), amount=True),
    pay("null as amount", ("amount", "wrong_type"), amount=None),
    pay("an array as amount", ("amount", "wrong_type"), amount=["1.00"]),
    pay("a number as currency", ("currency", "wrong_type"), currency=840),
    pay("a number as description", ("description", "wrong_type"), description=1),
    pay("a number as payment key", ("payment_key", "wrong_type"), payment_key=1),
    pay("a string as metadata", ("metadata", "wrong_type"), metadata="a"),
    pay("an array as metadata", ("metadata", "wrong_type"), metadata=[]),
    pay("a number in metadata", ("metadata.n", "wrong_type"), metadata={"n": 1, "ok": "x"}),
    pay("null in metadata", ("metadata.n", "wrong_type"), metadata={"n": None}),
    *(
        pay(f"amount {text!r}", ("amount", code), amount=text)
        for text, code in (
            ("", "malformed"),
            ("0", "not_positive"),
            ("0.00", "not_positive"),
            ("-1", "malformed"),
            ("+1", "malformed"),
            ("1e2", "malformed"),
            ("1_0", "malformed"),
            (" 1", "malformed"),
            ("1 ", "malformed"),
            ("1\n", "malformed"),
            ("1.", "malformed"),
            (".5", "malformed"),
            ("007", "malformed"),
            ("1,00", "malformed"),
            ("NaN", "malformed"),
            ("0x1", "malformed"),
            ("١", "malformed"),  # noqa: RUF001 - an Arabic digit
            ("\uff11", "malformed"),
            ("1.001", "too_many_decimals"),
            ("1000000000000.00", "too_large"),
            ("9" * 5_000, "too_large"),
        )
    ),
    pay("decimals of yen", ("amount", "too_many_decimals"), amount="100.0", currency="JPY"),
    pay("four decimals of dinars", ("amount", "too_many_decimals"), amount="1.0001", currency="KWD"),
    *(
        pay(f"currency {code!r}", ("currency", "unknown_currency"), currency=code)
        for code in ("", "US", "USDX", "XAU", "XXX", "DEM", "ZZZ", "usd ", "\u017fek")
    ),
    pay("an unknown payment key", code="invalid_payment_key", payment_key="pk_test_" + "A" * 49),
    pay("an empty payment key", code="invalid_payment_key", payment_key=""),
    pay("a secret as payment key", code="invalid_payment_key", payment_key="sk_test_x"),
    pay("a long description", ("description", "wrong_length"), description="x" * 501),
    pay("an empty reference", ("reference", "wrong_length"), reference=""),
    pay("a long reference", ("reference", "wrong_length"), reference="x" * 129),
    pay("a long customer reference", ("customer_reference", "wrong_length"), customer_reference="x" * 129),
    pay("a long payment method", ("payment_method", "wrong_length"), payment_method="x" * 256),
    pay("too much metadata", ("metadata", "too_many"), metadata={str(n): "x" for n in range(51)}),
    pay("a long metadata key", (f"metadata.{'k' * 40}", "wrong_length"), metadata={"k" * 41: "x"}),
    pay("a long metadata value", ("metadata.k", "wrong_length"), metadata={"k": "x" * 501}),
    pay("heavy metadata", ("metadata", "too_large"), metadata={str(n): "x" * 400 for n in range(30)}),
    pay(
        "a card number", ("description", "card_number_refused"), code="card_number_refused", description=f"card {CARD}"
    ),
    pay(
        "a card number in metadata",
        ("metadata.card", "card_number_refused"),
        code="card_number_refused",
        metadata={"card": CARD},
    ),
    pay(
        "a card number and more",
        ("description", "card_number_refused"),
        ("amount", "malformed"),
        description=CARD,
        amount="x",
    ),
]
DELETED: list[tuple[str, bytes, dict[str, Any]]] = [
    ("malformed", b"{", {"code": "malformed_json"}),
    ("not JSON", b"x", {"headers": {}, "status": 415, "code": "unsupported_media_type"}),
    ("too large", b"x" * 65_537, {"status": 413, "code": "body_too_large"}),
    ("a field", b'{"now": true}', {"faults": {("now", "unknown_field")}}),
    ("an empty object", b"{}", {"status": 404, "code": "not_found"}),
]
OTHERS = [
    post("register: nothing", "/api/auth/register/", {}, ("email", "missing"), ("password", "missing")),
    post(
        "register: no address, short password",
        "/api/auth/register/",
        {"email": "nobody", "password": "short"},
        ("email", "malformed"),
        ("password", "wrong_length"),
    ),
    post(
        "register: everything at once",
        "/api/auth/register/",
        {"email": "nobody", "password": 1, "name": "", "x": 1},
        ("email", "malformed"),
        ("password", "wrong_type"),
        ("name", "wrong_length"),
        ("x", "unknown_field"),
    ),
    post(
        "register: common password",
        "/api/auth/register/",
        {"email": "a@example.com", "password": "password123"},
        ("password", "too_common"),
    ),
    post(
        "register: the address is taken",
        "/api/auth/register/",
        {"email": "{email}", "password": "a password of mine"},
        status=409,
        code="email_taken",
    ),
    post(
        "log in: wrong password",
        "/api/auth/login/",
        {"email": "{email}", "password": "not that one"},
        status=401,
        code="invalid_credentials",
    ),
    post(
        "log in: nobody",
        "/api/auth/login/",
        {"email": "nobody@example.com", "password": "not that one"},
        status=401,
        code="invalid_credentials",
    ),
    post(
        "log in: NUL",
        "/api/auth/login/",
        {"email": "a\0b", "password": "x"},
        ("email", "forbidden_character"),
    ),
    post(
        "log in: a string for a truth",
        "/api/auth/login/",
        {"email": "a", "password": "b", "livemode": "false"},
        ("livemode", "wrong_type"),
    ),
    post("token: nobody named", "/api/auth/token/", {"password": "x"}, ("email", "missing")),
    post(
        "token: two names",
        "/api/auth/token/",
        {"email": "a", "username": "b", "password": "x"},
        ("username", "not_with_email"),
    ),
    post(
        "token: two names and another type",
        "/api/auth/token/",
        {"email": "a", "username": "b", "password": 1},
        ("password", "wrong_type"),
        ("username", "not_with_email"),
    ),
    post(
        "token: the other name of another type",
        "/api/auth/token/",
        {"username": 1, "password": "x"},
        ("username", "wrong_type"),
    ),
    post("refresh: unknown", "/api/auth/token/refresh/", {"refresh": "rt_0"}, status=401, code="invalid_credentials"),
    post("log out: a server's key", "/api/auth/logout/", {}, status=403, code="forbidden"),
    post("log out: a body", "/api/auth/logout/", {"all": True}, ("all", "unknown_field")),
    post(
        "password: the old one is wrong",
        "/api/auth/password/",
        {"password": "wrong", "new_password": "another good one"},
        status=401,
        code="invalid_credentials",
    ),
    post(
        "password: the new one is short",
        "/api/auth/password/",
        {"password": "wrong", "new_password": "short"},
        ("new_password", "wrong_length"),
    ),
    post(
        "password: everything at once",
        "/api/auth/password/",
        {"password": 1, "new_password": "short", "x": None},
        ("password", "wrong_type"),
        ("new_password", "wrong_length"),
        ("x", "unknown_field"),
    ),
    post(
        "API key: everything at once",
        "/api/auth/api_keys/",
        {"scopes": ["all"], "expires_at": "soon", "name": "", "livemode": "no"},
        ("scopes.0", "unknown_scope"),
        ("expires_at", "malformed"),
        ("name", "wrong_length"),
        ("livemode", "wrong_type"),
    ),
    post(
        "API key: values only",
        "/api/auth/api_keys/",
        {"scopes": [], "expires_at": "2026-02-30T00:00:00Z", "name": "x" * 201},
        ("scopes", "too_few"),
        ("expires_at", "malformed"),
        ("name", "wrong_length"),
    ),
    post(
        "API key: more faults than are told",
        "/api/auth/api_keys/",
        {"scopes": list(range(30)), "livemode": "no", "name": 1},
        ("name", "wrong_type"),
        *((f"scopes.{index}", "wrong_type") for index in range(FAULTS_MAX - 1)),
    ),
    post("API key: unknown scope", "/api/auth/api_keys/", {"scopes": ["all"]}, ("scopes.0", "unknown_scope")),
    post("API key: no scope", "/api/auth/api_keys/", {"scopes": []}, ("scopes", "too_few")),
    post("API key: scopes of another type", "/api/auth/api_keys/", {"scopes": ["a", 1]}, ("scopes.1", "wrong_type")),
    post("API key: a date", "/api/auth/api_keys/", {"expires_at": "2030-01-01"}, ("expires_at", "malformed")),
    post(
        "API key: a time without zone",
        "/api/auth/api_keys/",
        {"expires_at": "2030-01-01T00:00:00"},
        ("expires_at", "malformed"),
    ),
    post(
        "API key: the past",
        "/api/auth/api_keys/",
        {"expires_at": "2020-01-01T00:00:00Z"},
        ("expires_at", "in_the_past"),
    ),
    post("API key: live", "/api/auth/api_keys/", {"livemode": True}, code="live_mode_unavailable"),
    post("API key: none such", "/api/auth/api_keys/apk_0/rotate/", {}, status=404, code="not_found"),
    post("refund: nothing", "/api/refunds/", {}, ("transaction", "missing")),
    post("refund: none such", "/api/refunds/", {"transaction": "txn_0"}, status=404, code="not_found"),
    post(
        "refund: a long reason",
        "/api/refunds/",
        {"transaction": "txn_0", "reason": "x" * 256},
        ("reason", "wrong_length"),
    ),
    post(
        "refund: an amount of no currency, and more",
        "/api/refunds/",
        {"transaction": "txn_0", "amount": "1.", "reason": "x" * 256},
        ("amount", "malformed"),
        ("reason", "wrong_length"),
    ),
    post("refund: a number", "/api/refunds/", {"transaction": "txn_0", "amount": 3}, ("amount", "wrong_type")),
    post("webhook: no URL", "/api/webhooks/", {}, ("url", "missing")),
    post("webhook: another scheme", "/api/webhooks/", {"url": "ftp://example.com"}, ("url", "url_refused")),
    post(
        "webhook: unknown event",
        "/api/webhooks/",
        {"url": "https://example.com", "events": ["*", "payment.made"]},
        ("events.1", "unknown_event_type"),
    ),
    post(
        "webhook: everything at once",
        "/api/webhooks/",
        {"url": "ftp://x", "x": 1, "events": ["nope"], "description": CARD},
        ("url", "url_refused"),
        ("x", "unknown_field"),
        ("events.0", "unknown_event_type"),
        ("description", "card_number_refused"),
    ),
    Bad(
        name="webhook: change everything at once",
        method="PATCH",
        path="/api/webhooks/whk_0/",
        body={"url": "ftp://x", "enabled": 1, "events": [], "description": "x" * 501},
        faults={
            ("url", "url_refused"),
            ("enabled", "wrong_type"),
            ("events", "too_few"),
            ("description", "wrong_length"),
        },
    ),
    post("webhook: no event", "/api/webhooks/", {"url": "https://example.com", "events": []}, ("events", "too_few")),
    post("webhook: test of none", "/api/webhooks/whk_0/test/", {}, status=404, code="not_found"),
    Bad(
        name="webhook: null as URL",
        method="PATCH",
        path="/api/webhooks/whk_0/",
        body={"url": None, "enabled": "yes"},
        faults={("url", "wrong_type"), ("enabled", "wrong_type")},
    ),
    post(
        "replay: times that are none",
        "/api/webhooks/whk_0/replay/",
        {"since": "yesterday", "until": "2026-02-30T00:00:00Z"},
        ("since", "malformed"),
        ("until", "malformed"),
    ),
    post(
        "replay: another type, and a window of years",
        "/api/webhooks/whk_0/replay/",
        {"since": "2020-01-01T00:00:00Z", "only_failed": "yes"},
        ("since", "window_too_long"),
        ("only_failed", "wrong_type"),
    ),
    post(
        "replay: an end that is none says nothing of the beginning",
        "/api/webhooks/whk_0/replay/",
        {"since": "2020-01-01T00:00:00Z", "until": "later", "x": 1},
        ("until", "malformed"),
        ("x", "unknown_field"),
    ),
    *(
        Bad(name=f"DELETE: {name}", method="DELETE", path="/api/webhooks/whk_0/", body=body, **more)
        for name, body, more in DELETED
    ),
    post("cancel: none such", "/api/transactions/txn_0/cancel/", {}, status=404, code="not_found"),
]
QUERIES = [
    get("unknown parameter", "/api/transactions/?page=2", ("page", "unknown_parameter")),
    get("repeated parameter", "/api/transactions/?limit=1&limit=1", ("limit", "duplicate_parameter")),
    get("limit 0", "/api/transactions/?limit=0", ("limit", "out_of_range")),
    get("limit 101", "/api/transactions/?limit=101", ("limit", "out_of_range")),
    get("limit -1", "/api/refunds/?limit=-1", ("limit", "out_of_range")),
    get("limit 1.5", "/api/events/?limit=1.5", ("limit", "out_of_range")),
    get("limit of Arabic digits", "/api/webhooks/?limit=%D9%A1", ("limit", "out_of_range")),
    get("empty limit", "/api/auth/api_keys/?limit=", ("limit", "out_of_range")),
    get("empty cursor", "/api/transactions/?cursor=", ("cursor", "invalid_cursor")),
    get("a cursor that is none", "/api/transactions/?cursor=abc", ("cursor", "invalid_cursor")),
    get("a long cursor", "/api/transactions/?cursor=" + "a" * 301, ("cursor", "invalid_cursor")),
    get("unknown status", "/api/transactions/?status=done", ("status", "unknown_value")),
    get("empty status", "/api/transactions/?status=", ("status", "unknown_value")),
    get("unknown event type", "/api/events/?type=payment.made", ("type", "unknown_value")),
    get("unknown currency", "/api/transactions/?currency=XAU", ("currency", "unknown_currency")),
    get("amount without currency", "/api/transactions/?min_amount=1.00", ("min_amount", "needs_currency")),
    get(
        "amounts that are none",
        "/api/transactions/?min_amount=1.001&max_amount=-1&currency=usd",
        ("min_amount", "too_many_decimals"),
        ("max_amount", "malformed"),
    ),
    get("a key for its id", "/api/transactions/?payment_key=pk_test_x", ("payment_key", "malformed")),
    get("a long payment key's id", "/api/transactions/?payment_key=" + "x" * 256, ("payment_key", "wrong_length")),
    get("a date", "/api/transactions/?created_after=2026-01-01", ("created_after", "malformed")),
    get("no zone", "/api/transactions/?created_after=2026-01-01T00:00:00", ("created_after", "malformed")),
    get("a lost plus", "/api/events/?created_before=2026-01-01T00:00:00+00:00", ("created_before", "malformed")),
    get(
        "before the beginning of time",
        "/api/transactions/?created_after=0001-01-01T00:00:00%2B14:00",
        ("created_after", "malformed"),
    ),
    get("NUL", "/api/transactions/?reference=%00", ("reference", "forbidden_character")),
    get("a long text", "/api/transactions/?reference=" + "x" * 256, ("reference", "wrong_length")),
    get("invalid UTF-8", "/api/transactions/?reference=%FF", ("", "malformed")),
    get("a hundred parameters", "/api/transactions/?" + "&".join(f"p{n}=" for n in range(100)), ("", "malformed")),
    get("several at once", "/api/transactions/?limit=0&x=1", ("limit", "out_of_range"), ("x", "unknown_parameter")),
    get("a parameter where none is taken", "/api/auth/me/?x=1", ("x", "unknown_parameter")),
    *(
        get(
            f"a parameter where none is taken: {path}",
            f"{path}?x=1&y",
            ("x", "unknown_parameter"),
            ("y", "unknown_parameter"),
        )
        for path in (
            "/",
            "/docs",
            "/docs/style.css",
            "/schema/openapi.json",
            "/problems",
            "/problems/not_found",
            "/health/live",
            "/health/ready",
        )
    ),
    Bad(
        name="a parameter of a DELETE",
        method="DELETE",
        path="/api/webhooks/whk_0/?now=1",
        faults={("now", "unknown_parameter")},
    ),
    get("no such path", "/api/payments/", status=404, code="not_found"),
    *(
        get(f"an empty segment: {path}", path, status=404, code="not_found")
        for path in (
            "http://shop.test//api/transactions/",
            "/api//transactions/",
            "/api/transactions//",
            "/api/transactions/txn_0//",
            "/api/idempotency_keys//",
            "/docs//style.css",
        )
    ),
    get("an encoded slash parts nothing", "/api%2Ftransactions/", status=404, code="not_found"),
    get("an encoded slash is no empty segment", "/api/transactions/%2F", status=404, code="not_found"),
    get("no such transaction", "/api/transactions/txn_0/", status=404, code="not_found"),
    get("an id with NUL", "/api/transactions/%00/", status=404, code="not_found"),
    get("an id that is very long", "/api/transactions/" + "x" * 300, status=404, code="not_found"),
    get("no such event", "/api/events/evt_0", status=404, code="not_found"),
    get("no such key", "/api/idempotency_keys/nope/", status=404, code="not_found"),
    get("an idempotency key that is none", "/api/idempotency_keys/%00/", status=404, code="not_found"),
    get("no such problem", "/problems/nothing", status=404, code="not_found"),
    get("another method", PAY, status=405, code="method_not_allowed"),
    Bad(name="PUT", method="PUT", path="/api/transactions/", status=405, code="method_not_allowed"),
    Bad(name="a method that nobody knows", method="BREW", path=PAY, status=405, code="method_not_allowed"),
    Bad(
        name="a Host that is none",
        method="GET",
        path="/api/auth/me/",
        headers={"host": "a b"},
        status=400,
        code="bad_request",
    ),
]
CREDENTIALS = [
    Bad(
        name=f"Authorization {value!r}",
        method="GET",
        path="/api/auth/me/",
        headers={"authorization": value},
        status=401,
        code=code,
    )
    for value, code in (
        ("", "authentication_required"),
        ("Token", "authentication_required"),
        ("Token ", "authentication_required"),
        ("{secret}", "authentication_required"),
        ("Basic {secret}", "authentication_required"),
        ("Token {secret} {secret}", "authentication_required"),
        ("Token {secret}, Token {secret}", "authentication_required"),
        ("Token a\tb", "authentication_required"),
        ("Token {secret}x", "invalid_credentials"),
        ("Token {key}", "invalid_credentials"),
        ("Bearer {key}", "invalid_credentials"),
        ("Bearer a.b.c", "invalid_credentials"),
        ("Bearer eyJhbGciOiJub25lIn0.e30.", "invalid_credentials"),
        ("Token " + "x" * 5_000, "authentication_required"),
    )
]
KEYS = [
    Bad(
        name=f"idempotency key {value!r}",
        body={"payment_key": "{key}", "amount": "1", "currency": "USD"},
        headers={**JSON, "idempotency-key": value},
        code="invalid_idempotency_key",
        faults={("Idempotency-Key", "malformed")},
    )
    for value in ("", " ", '""', "a" * 256, '"a"b"', '"a\\b"', "a\tb")
]
ALL = [*BODIES, *FIELDS, *OTHERS, *QUERIES, *CREDENTIALS, *KEYS]


@pytest.mark.parametrize("bad", [pytest.param(bad, id=bad.name) for bad in ALL])
async def test_a_bad_request_is_told_what_is_wrong_with_it(shop: Shop, bad: Bad) -> None:
    headers = {name: fill(value, shop) for name, value in bad.headers.items()}
    content = json.dumps(bad.body).encode() if isinstance(bad.body, dict) else bad.body
    content = None if content is None else fill(content.decode("latin-1"), shop).encode("latin-1")
    answer = await shop.call(bad.method, bad.path, headers=headers, content=content)
    problem(answer, bad.status, bad.code)
    assert at_fault(answer) == bad.faults
    assert ("www-authenticate" in answer.headers) == (bad.status == 401)
    assert CARD not in answer.text


def fill(text: str, shop: Shop) -> str:
    for name, value in (("{key}", shop.payment_key), ("{secret}", shop.secret), ("{email}", shop.email)):
        text = text.replace(name, value)
    return text


async def test_there_are_enough_of_them() -> None:
    assert len({(bad.name, bad.path) for bad in ALL}) == len(ALL) >= 80


@pytest.mark.parametrize(
    "claimed",
    [pytest.param(None, id="chunked"), pytest.param("5", id="lying"), pytest.param("0" * 19 + "5", id="zeros")],
)
async def test_a_body_is_bounded_whatever_its_length_is_said_to_be(shop: Shop, claimed: str | None) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10_000_000:
            sent += 50_000
            yield b"x" * 50_000

    headers = {**JSON, **({} if claimed is None else {"content-length": claimed})}
    problem(await shop.call("POST", PAY, headers=headers, content=chunks()), 413, "body_too_large")


@pytest.mark.parametrize("claimed", ["65537", "9" * 18, "9" * 5_000])
async def test_a_body_that_is_said_to_be_too_large_is_not_read(shop: Shop, claimed: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"{}"

    headers = {**JSON, "content-length": claimed}
    problem(await shop.call("POST", PAY, headers=headers, content=chunks()), 413, "body_too_large")


async def test_a_body_that_does_not_come_is_not_waited_for(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.01)
    never = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"{"
        await never.wait()

    for method, path in (("POST", PAY), ("POST", "/api/auth/login/"), ("DELETE", "/api/webhooks/whk_0/")):
        answer = await shop.call(method, path, headers=JSON, content=chunks())
        assert problem(answer, 408, "request_timeout")["retryable"]
        assert answer.headers["connection"] == "close"


HOW: Final = "Send `Authorization: Token sk_test_…` (or `Bearer …`)."
CURES = [
    ("no credential", None, HOW),
    ("another scheme", "Basic abc", HOW),
    ("a bare key", "sk_test_abc", HOW),
    ("a mistyped key", "Token sk_test_abc", "mistyped"),
    ("a payment key", "Token {key}", "Payment keys (`pk_…`) don't authenticate"),
    ("a payment key as a bearer's", "Bearer {key}", "Payment keys (`pk_…`) don't authenticate"),
]


@pytest.mark.parametrize(("given", "cure"), [pytest.param(*case[1:], id=case[0]) for case in CURES])
async def test_whoever_is_not_known_is_told_how_to_be(shop: Shop, given: str | None, cure: str) -> None:
    headers = {} if given is None else {"authorization": fill(given, shop)}
    answer = await shop.api.client.get("/api/auth/me/", headers=headers)
    assert cure in answer.json()["detail"]
    assert ("pk_" in answer.json()["detail"]) == ("{key}" in (given or ""))


async def test_what_is_refused_without_a_look_is_told_its_cure(shop: Shop) -> None:
    answer = await shop.call("POST", PAY, content=b"{}")
    assert "`Content-Type: application/json`" in answer.json()["detail"]
    answer = await shop.call("POST", PAY, content=b"x", headers={**JSON, "content-encoding": "gzip"})
    assert "without Content-Encoding" in answer.json()["detail"]
    answer = await shop.call("POST", PAY, content=json.dumps(shop.payment()), headers={"content-encoding": "Identity"})
    assert answer.status_code == 415
    answer = await shop.post(PAY, shop.payment(), headers={"content-encoding": "Identity"})
    assert answer.status_code == 201
    assert "the header Allow" in (await shop.get(PAY)).json()["detail"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{'amount': 1}", "not well-formed JSON at line 1, column 2."),
        (b'{\n  "amount": NaN}', "not well-formed JSON at line 2, column 13."),
        ('{\r\n"a": "é",\n"ñé": secret}'.encode(), "not well-formed JSON at line 3, column 7."),
        (b'{"a": 1,\n"b": "secret', "cut short: its JSON is not complete at line 2, column 13."),
        (b'{"a":\n "secret\xff"}', "not UTF-8 at line 2, column 9."),
        (b"[" * 60_000, "nested too deeply."),
        (b'{"secret": 1e400}', "a number beyond all bounds."),
    ],
)
async def test_malformed_json_is_told_where_and_not_what(shop: Shop, content: bytes, told: str) -> None:
    detail = problem(await shop.call("POST", PAY, headers=JSON, content=content), 400, "malformed_json")["detail"]
    assert detail.endswith(told)
    assert "secret" not in detail


async def test_an_amount_that_is_a_number_is_shown_how_it_is_written(shop: Shop) -> None:
    for path, body, message in (
        (PAY, shop.payment(amount=100), 'Must be a string, such as "100.00".'),
        ("/api/refunds/", {"transaction": "txn_0", "amount": 1}, 'Must be a string or null, such as "100.00".'),
        (PAY, shop.payment(currency=840), "Must be a string."),
    ):
        (error,) = (await shop.post(path, body)).json()["errors"]
        assert error["message"] == message


async def test_why_a_url_is_refused_is_told_in_a_sentence() -> None:
    why = Invalid.field("url", "url_refused", "the URL has no host")
    document = json.loads(problem_reply(why, RequestContext("r", {})).body)
    assert document["errors"] == [{"field": "url", "code": "url_refused", "message": "The URL has no host."}]
    assert document["detail"] == "url: The URL has no host."


async def test_two_credentials_are_none(shop: Shop) -> None:
    pair = ("authorization", f"Token {shop.secret}")
    problem(await shop.api.client.get("/api/auth/me/", headers=[pair, pair]), 401, "authentication_required")


async def test_two_idempotency_keys_are_none(shop: Shop) -> None:
    headers = [("authorization", f"Token {shop.secret}"), ("idempotency-key", "a"), ("idempotency-key", "a")]
    answer = await shop.api.client.post(PAY, headers=headers, json=shop.payment())
    problem(answer, 400, "invalid_idempotency_key")
    assert at_fault(answer) == {("Idempotency-Key", "duplicate_header")}


async def test_a_plus_lost_in_a_query_is_explained(shop: Shop) -> None:
    answer = await shop.get("/api/transactions/?created_after=2026-01-01T00:00:00+00:00")
    assert "%2B" in answer.json()["errors"][0]["message"]


async def test_an_empty_body_is_fine_where_nothing_is_needed(shop: Shop) -> None:
    for content, headers in ((b"", {}), (b"{}", JSON), (b" {} ", {"content-type": 'application/json;charset="UTF-8"'})):
        answer = await shop.call("POST", "/api/payments/payment_key/", headers=headers, content=content)
        assert answer.status_code == 201


async def test_colons_and_quotes_in_texts_are_no_duplicates(shop: Shop) -> None:
    metadata = {"a:b": '"a": "b"', "c": 'x\\": {"a": 1, "a": 2}', "d": "{[}]:::"}
    answer = await shop.post(PAY, shop.payment(metadata=metadata, description="\\u0000 is no NUL"))
    assert answer.status_code == 201, answer.text
    assert answer.json()["metadata"] == metadata


async def test_null_stands_for_what_is_not_given(shop: Shop) -> None:
    optional = ("description", "metadata", "payment_method", "reference", "customer_reference")
    answer = await shop.post(PAY, shop.payment(**dict.fromkeys(optional)))
    assert answer.status_code == 201
    assert answer.json()["metadata"] == {}


async def test_an_unforeseen_error_is_logged_and_tells_the_merchant_nothing_but_its_id() -> None:
    async with open_api() as api:
        shop = await api.open_shop()
        api.store.view = None  # type: ignore[method-assign, assignment]  # something breaks that should not
        with capture_logs() as logged:
            answer = await shop.get("/api/transactions/")
        document = problem(answer, 500, "internal_error")
        assert document["retryable"]
        assert "NoneType" not in answer.text
        (line,) = logged
        assert (line["log_level"], line["request_id"]) == ("error", document["request_id"])
        assert isinstance(line["exc_info"], TypeError)
