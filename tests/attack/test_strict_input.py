"""Whatever is sent to any call: a problem of the 4xx kind, nothing changed, and nothing told that may be a secret.

The calls, their fields and their parameters are taken from the OpenAPI document. Card numbers are tried in every
spelling, and what only looks like one passes.
"""

from __future__ import annotations

import gzip
import json
import logging
import random
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import httpx
import msgspec
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from entrypoints.http.app import OPERATIONS
from entrypoints.http.docs.openapi import make_document
from payments_core.card_numbers import find_card_number
from payments_core.ids import MerchantId
from tests.unit.http_shop import PASSWORD, Shop, open_api, problem

DOCUMENT: Final[Any] = json.loads(msgspec.json.encode(make_document(OPERATIONS)))
SCHEMAS: Final = DOCUMENT["components"]["schemas"]
MARK: Final = "Zq7-not-to-be-told-9f"
"""What stands for a secret."""
JSON: Final = {"content-type": "application/json"}
module: Final = pytest.mark.asyncio(loop_scope="module")

Body: TypeAlias = dict[str, Any]


# ── what the document says ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call of the document."""

    method: str
    path: str
    operation: Mapping[str, Any] = field(repr=False)

    @property
    def schema(self) -> Mapping[str, Any]:
        content = self.operation["requestBody"]["content"]["application/json"]
        found: Mapping[str, Any] = SCHEMAS[content["schema"]["$ref"].rpartition("/")[2]]
        return found

    @property
    def example(self) -> Body:
        example: Body = self.operation["requestBody"]["content"]["application/json"]["examples"]["example"]["value"]
        return dict(example)

    @property
    def parameters(self) -> Sequence[Mapping[str, Any]]:
        return [parameter for parameter in self.operation["parameters"] if parameter.get("in") == "query"]

    @property
    def has_body(self) -> bool:
        return "requestBody" in self.operation

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


CALLS: Final = tuple(
    Asked(method=method.upper(), path=path, operation=operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if path.startswith("/api/")
)
WITH_BODY: Final = [pytest.param(call, id=str(call)) for call in CALLS if call.has_body]
ALL: Final = [pytest.param(call, id=str(call)) for call in CALLS]
OF_ONE: Final = [pytest.param(call, id=str(call)) for call in CALLS if "{" in call.path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """A shop with something of everything."""

    shop: Shop
    endpoint: str
    transaction: str

    def path(self, call: Asked) -> str:
        return call.path.replace("/webhooks/{id}", f"/webhooks/{self.endpoint}").replace("{", "").replace("}", "")

    def body(self, call: Asked) -> Body:
        """Return a body of the call with which nothing is wrong."""
        own = {"payment_key": self.shop.payment_key, "transaction": self.transaction, "password": PASSWORD}
        body = call.example
        return {**body, **{name: own[name] for name in body if name in own}}

    def state(self) -> object:
        """Return what no refused request may move."""
        kept = self.shop.api.store._state
        return len(kept.accounts), kept.account(MerchantId(self.shop.id)).revision

    async def send(self, call: Asked, **rest: Any) -> httpx.Response:
        return await self.shop.call(call.method, self.path(call), **rest)

    async def refuses(self, call: Asked, what: object, **rest: Any) -> httpx.Response:
        """Send something that is refused, and return the answer: a problem, and nothing has changed by it."""
        before = self.state()
        answer = await self.send(call, **rest)
        shown = str(what)[:200]
        assert 400 <= answer.status_code < 500, f"{call} {shown}: {answer.status_code} {answer.text[:500]}"
        problem(answer, answer.status_code, answer.json()["code"])
        assert self.state() == before, f"{call} {shown}"
        assert MARK not in answer.text, f"{call} {shown}"
        assert MARK not in str(answer.headers), f"{call} {shown}"
        return answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town() -> AsyncGenerator[Town, None]:
    async with open_api() as api:
        shop = await api.open_shop()
        endpoint = await shop.add_webhook()
        yield Town(shop=shop, endpoint=endpoint["id"], transaction=(await shop.paid())["id"])


# ── whole bodies ─────────────────────────────────────────────────────────────────────────────────────────────────────


def with_value(body: Body, raw: bytes) -> bytes:
    """Return the body with its first field's value written as it is given."""
    first, *_ = body
    rest = json.dumps({name: value for name, value in body.items() if name != first}).encode()
    return b"{" + json.dumps(first).encode() + b": " + raw + (b", " + rest[1:] if len(rest) > 2 else b"}")


def doubled(body: Body) -> bytes:
    first, *_ = body
    text = json.dumps(body).encode()
    return text[:-1] + b", " + json.dumps({first: body[first]}).encode()[1:]


WHOLE: Final[Mapping[str, Callable[[Body], bytes]]] = {
    "an array around it": lambda body: json.dumps([body]).encode(),
    "a string of it": lambda body: json.dumps(json.dumps(body)).encode(),
    "null": lambda _: b"null",
    "a number": lambda _: b"17",
    "false": lambda _: b"false",
    "nothing": lambda _: b"",
    "blanks": lambda _: b" \r\n\t",
    "two of it": lambda body: json.dumps(body).encode() * 2,
    "something behind": lambda body: json.dumps(body).encode() + MARK.encode(),
    "a comma behind": lambda body: json.dumps(body).encode()[:-1] + b",}",
    "the end cut off": lambda body: json.dumps(body).encode()[:-1],
    "single quotes": lambda body: json.dumps(body).replace('"', "'").encode(),
    "a comment": lambda body: b"/* " + MARK.encode() + b" */" + json.dumps(body).encode(),
    "a byte order mark": lambda body: b"\xef\xbb\xbf" + json.dumps(body).encode(),
    "UTF-16": lambda body: json.dumps(body).encode("utf-16"),
    "UTF-16 without a mark": lambda body: json.dumps(body).encode("utf-16-le"),
    "UTF-32": lambda body: json.dumps(body).encode("utf-32"),
    "a byte that is not UTF-8": lambda body: with_value(body, b'"' + MARK.encode() + b'\xff"'),
    "an overlong slash": lambda body: with_value(body, b'"\xc0\xaf"'),
    "half a pair in UTF-8": lambda body: with_value(body, b'"\xed\xa0\x80"'),
    "half a pair, escaped": lambda body: with_value(body, rb'"\ud800"'),
    "the other half, escaped": lambda body: with_value(body, rb'"\udfff"'),
    "the halves in the wrong order": lambda body: with_value(body, rb'"\udc00\ud800"'),
    "half a pair in a key": lambda body: json.dumps({**body, "\ud800": 1}).encode(),
    "NUL as it is": lambda body: with_value(body, b'"\x00"'),
    "NUL behind": lambda body: json.dumps(body).encode() + b"\x00",
    "NUL, escaped": lambda body: with_value(body, rb'"a\u0000b"'),
    "NUL in a key": lambda body: json.dumps({**body, "a\0": 1}).encode(),
    "NaN": lambda body: with_value(body, b"NaN"),
    "Infinity": lambda body: with_value(body, b"Infinity"),
    "minus Infinity": lambda body: with_value(body, b"-Infinity"),
    "1e400": lambda body: with_value(body, b"1e400"),
    "-1e400": lambda body: with_value(body, b"-1e400"),
    "a number of 10,000 digits": lambda body: with_value(body, b"9" * 10_000),
    "an exponent of 10,000 digits": lambda body: with_value(body, b"1e" + b"9" * 10_000),
    "a field twice": doubled,
    "a field twice, the second one escaped": lambda body: (
        json.dumps(body).encode()[:-1]
        + b', "\\u%04x%s": 1}' % (ord(next(iter(body))[0]), next(iter(body))[1:].encode())
    ),
    "a key twice, deep": lambda body: json.dumps(body).encode()[:-1] + b', "x": [{"y": [{"z": 1, "z": 1}]}]}',
    "a key twice, in a field": lambda body: with_value(body, b'{"a": "1", "a": "2"}'),
    "a key twice, in a field's array": lambda body: with_value(body, b'[[{"a": 1, "a": 1}]]'),
    "200,000 open arrays": lambda _: b"[" * 200_000,
    "60,000 open arrays": lambda _: b"[" * 60_000,
    "60,000 open arrays in a field": lambda body: with_value(body, b"[" * 60_000),
    "10,000 objects in one another": lambda body: with_value(body, b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "30,000 fields": lambda _: b"{" + b",".join(b'"%d":1' % n for n in range(7_000)) + b"}",
    "one byte too many": lambda body: json.dumps(body).encode().ljust(64 * 1024 + 1),
    "ten million bytes": lambda body: json.dumps(body).encode().ljust(10_000_000),
}
TYPES: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "no type": [],
    "an empty type": [("content-type", "")],
    "text": [("content-type", "text/plain")],
    "text that says JSON": [("content-type", "text/json")],
    "a form": [("content-type", "application/x-www-form-urlencoded")],
    "parts": [("content-type", "multipart/form-data; boundary=x")],
    "XML": [("content-type", "application/xml")],
    "a problem": [("content-type", "application/problem+json")],
    "another JSON": [("content-type", "application/json5")],
    "JSON by lines": [("content-type", "application/x-ndjson")],
    "JSON for a seat": [("content-type", "application/json-seq")],
    "another charset": [("content-type", "application/json; charset=iso-8859-1")],
    "UTF-16": [("content-type", "application/json; charset=utf-16")],
    "UTF-7": [("content-type", "application/json; charset=utf-7")],
    "two charsets": [("content-type", "application/json; charset=utf-8; charset=utf-16")],
    "another parameter": [("content-type", "application/json; profile=x")],
    "two types": [("content-type", "application/json"), ("content-type", "text/plain")],
    "two in one": [("content-type", "application/json, text/plain")],
    "one behind NUL": [("content-type", "application/json\0")],
    "gzip": [("content-type", "application/json"), ("content-encoding", "gzip")],
    "gzip in capitals": [("content-type", "application/json"), ("content-encoding", "GZIP")],
    "deflate": [("content-type", "application/json"), ("content-encoding", "deflate")],
    "br": [("content-type", "application/json"), ("content-encoding", "br")],
    "zstd": [("content-type", "application/json"), ("content-encoding", "zstd")],
    "identity and gzip": [("content-type", "application/json"), ("content-encoding", "identity, gzip")],
    "two encodings": [
        *(("content-type", "application/json"), ("content-encoding", "identity"), ("content-encoding", "gzip"))
    ],
}


@module
@pytest.mark.parametrize("call", WITH_BODY)
async def test_a_body_that_is_not_one_plain_json_object_is_refused_everywhere(town: Town, call: Asked) -> None:
    for name, write in WHOLE.items():
        if name in ("nothing", "null") and not call.operation["requestBody"]["required"]:
            continue
        answer = await town.refuses(call, name, headers=JSON, content=write(town.body(call)))
        assert answer.status_code in (400, 413), name
        large = name in ("200,000 open arrays", "one byte too many", "ten million bytes")
        assert (answer.status_code == 413) == large, name


@module
@pytest.mark.parametrize("call", WITH_BODY)
async def test_a_body_of_another_type_or_coding_is_refused_unread(town: Town, call: Asked) -> None:
    good = json.dumps(town.body(call)).encode()
    client, path = town.shop.api.client, town.path(call)
    for name, headers in TYPES.items():
        for content in (good, gzip.compress(good)):
            before = town.state()
            own = [("authorization", f"Token {town.shop.secret}"), *headers]
            answer = await client.request(call.method, path, headers=own, content=content)
            problem(answer, 415, "unsupported_media_type")
            assert town.state() == before, name


# ── fields ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def types_of(schema: Mapping[str, Any]) -> set[str]:
    type = schema.get("type", [])
    found = {type} if isinstance(type, str) else set(type)
    return found.union(*(types_of(each) for each in schema.get("anyOf", ())))


OF_TYPES: Final[Mapping[str, Sequence[object]]] = {
    "string": [MARK],
    "integer": [17, -1, 2**70],
    "number": [1.5],
    "boolean": [True, False],
    "null": [None],
    "array": [[], [MARK], [[MARK]], [None], [1]],
    "object": [{}, {"k": MARK}, {"k": [MARK]}, {"k": {"k": MARK}}],
}


def mistyped(schema: Mapping[str, Any]) -> Iterator[object]:
    """Give values that are of no type of a field, and for arrays and objects such as hold what they must not."""
    types = types_of(schema)
    for type, values in OF_TYPES.items():
        if type not in types:
            yield from values
    if "array" in types:
        yield from ([1], [None], [MARK, 1], [[MARK]], [{"k": MARK}])
    if "object" in types:
        yield from ({"k": 1}, {"k": None}, {"k": [MARK]}, {"k": {"k": MARK}}, {"": MARK, "k": 1})


def unknown_to(call: Asked) -> Iterator[str]:
    for name in call.schema["properties"]:
        yield from (name.upper(), name.title(), f"{name} ", f" {name}", f"{name}[]", f"{name}.x", f"{name}\u200b")
    yield from (
        "unknown",
        "",
        "__proto__",
        "constructor",
        "$ref",
        "id",
        "merchant",
        "merchant_id",
        "status",
        "x" * 5_000,
    )


@module
@pytest.mark.parametrize("call", WITH_BODY)
async def test_a_field_that_a_call_does_not_have_is_refused(town: Town, call: Asked) -> None:
    for name in unknown_to(call):
        if name in call.schema["properties"]:
            continue
        for value in (MARK, {"a": MARK}, None):
            answer = await town.refuses(call, name, json={**town.body(call), name: value})
            assert "unknown_field" in {error["code"] for error in answer.json()["errors"]}, name


@module
@pytest.mark.parametrize("call", WITH_BODY)
async def test_a_field_of_any_other_type_is_refused(town: Town, call: Asked) -> None:
    for name, schema in call.schema["properties"].items():
        assert types_of(schema), f"{call}: of which types is `{name}`? Teach `types_of` to read it."
        for value in mistyped(schema):
            answer = await town.refuses(call, (name, value), json={**town.body(call), name: value})
            faults = {error["field"].partition(".")[0] for error in answer.json()["errors"]}
            assert name in faults, (name, value)


@module
@pytest.mark.parametrize("call", WITH_BODY)
async def test_a_text_that_is_too_long_or_no_store_can_hold_is_refused(town: Town, call: Asked) -> None:
    for name, schema in call.schema["properties"].items():
        if "string" not in types_of(schema):
            continue
        longest = schema.get("maxLength", 30_000)
        for value in (MARK * (longest // len(MARK) + 1), "\U0001f4b3" * min(longest + 1, 15_000), f"{MARK}\0", "\0"):
            await town.refuses(call, (name, value[:40]), json={**town.body(call), name: value})


@module
@pytest.mark.parametrize("call", WITH_BODY)
async def test_a_secret_in_the_wrong_field_is_not_told(town: Town, call: Asked) -> None:
    for name, schema in call.schema["properties"].items():
        if "string" in types_of(schema) and name not in ("description", "reason", "reference", "customer_reference"):
            sent = {**town.body(call), name: f"sk_test_{MARK}", "unknown": MARK}
            await town.refuses(call, name, json=sent)


# ── ids and queries ──────────────────────────────────────────────────────────────────────────────────────────────────

IDS: Final = (
    *("%00", "a%00b", "%0a", "%0d%0aset-cookie:%20a=b", "%20", "%2f", "a%2fb", "%252f", "%5c", "..%2f..%2fhealth"),
    *("%2e%2e", "%2e", "%ff", "%c0%af", "%ed%a0%80", "%f0%9f%92%b3", "%u0000", "%", "%zz", "%25", "%3f", "%23"),
    *("'%20OR%201=1--", '"', "%3cscript%3e", "{id}", "$%7bx%7d", "null", "undefined", "*", "-1", "0", "1e9", "x;y"),
    *("txn_" + "A" * 300, "x" * 5_000, "4242424242424242", "\u0661".encode().hex(), "~", "a,b", "a+b", "txn_1%00"),
)


@module
@pytest.mark.parametrize("call", OF_ONE)
async def test_an_id_of_any_form_is_of_nothing(town: Town, call: Asked) -> None:
    for id in IDS:
        path = "/".join(id if part.startswith("{") else part for part in call.path.split("/"))
        before = town.state()
        sent: Any = {"json": town.body(call)} if call.has_body else {}
        answer = await town.shop.call(call.method, path, **sent)
        assert answer.status_code in (404, 405), f"{path}: {answer.status_code}"
        problem(answer, answer.status_code, answer.json()["code"])
        assert town.state() == before
        assert "set-cookie" not in answer.headers
        assert len(id) < 8 or id not in answer.json()["detail"]


QUERIES: Final = (
    *("%00", "%ff", "%ed%a0%80", "%c0%af", "%", "", "%20", "%0a", "x" * 256, "x" * 5_000, "%f0%9f%92%b3" * 300),
    *("-1", "0", "1e400", "NaN", "null", "true", "[]", "{}", "'--", "9" * 400, "%d9%a1", "1,2", MARK),
)


@module
@pytest.mark.parametrize("call", ALL)
async def test_a_query_that_a_call_does_not_take_is_refused(town: Town, call: Asked) -> None:
    path = town.path(call)
    sent: Any = {"json": town.body(call)} if call.has_body else {}

    async def answer_to(query: str) -> httpx.Response:
        before = town.state()
        answer = await town.shop.call(call.method, f"{path}?{query}", **sent)
        assert answer.status_code < 500, f"{path}?{query}: {answer.text}"
        assert town.state() == before
        return answer

    unknown = (
        "x=1",
        f"secret={MARK}",
        "x",
        "=",
        "=1",
        "%00=1",
        "%ff=1",
        "x[]=1",
        "__proto__=1",
        "LIMIT=1",
        f"a={MARK}&a=1",
    )
    for query in unknown:
        refused = await answer_to(query)
        problem(refused, 400, "invalid_request")
        assert MARK not in refused.text
    problem(await answer_to("&".join(f"x{n}=1" for n in range(2_000))), 400, "invalid_request")
    for parameter in call.parameters:
        name = parameter["name"]
        problem(await answer_to(f"{name}=1&{name}=1"), 400, "invalid_request")
        for value in QUERIES:
            refused = await answer_to(f"{name}={value}")
            if refused.status_code != 200:
                problem(refused, refused.status_code, refused.json()["code"])
                assert MARK not in refused.text


# ── card numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────

# Published for tests, besides those of tests/unit/test_card_numbers.py.
STRIPE: Final = [
    "4000002500001001",
    "5555552500001001",
    "4000050360000001",
    "5555050360000080",
    "6555900000604105",
    "4000000760000002",
    "4000001240000000",
    "4000004840008001",
    "4000000400000008",
    "4000000560000004",
    "4000002080000001",
    "4000002460000001",
    "4000002500000003",
    "4000002760000016",
    "4000002920000005",
    "4000003000000030",
    "4000003720000005",
    "4000003800000008",
    "4000005280000002",
    "4000005780000007",
    "4000006160000005",
    "4000006200000007",
    "4000006420000001",
    "4000007240000007",
    "4000007520000008",
    "4000007560000009",
    "4000008260000000",
    "4000058260000005",
    "4000000360000006",
    "4000001560000002",
    "4000003440000004",
    "4000003560000008",
    "4000003920000003",
    "4000004580000002",
    "4000005540000008",
    "4000007020000003",
    "4000007640000003",
    "4000000000000002",
    "4000000000009995",
    "4000000000009987",
    "4000000000009979",
    "4000000000000069",
    "4000000000000127",
    "4000000000000119",
    "4100000000000019",
    "4000000000004954",
    "4000000000009235",
    "4000002500003155",
    "4000002760003184",
    "4000003800000446",
    "4000008400001629",
    "4000008260003178",
    "4000000000003220",
    "4000000000003063",
    "4000000000000259",
    "4000000000002685",
    "4000000000001976",
    "4000000000000341",
]
ADYEN: Final = [
    "4111111145551142",
    "4988438843884305",
    "4166676667666746",
    "4646464646464644",
    "4000620000000007",
    "4000060000000006",
    "4293189100000008",
    "4988080000000000",
    "4444333322221111",
    "4001590000000001",
    "4000180000000002",
    "4000020000000000",
    "4000160000000004",
    "4002690000000008",
    "4400000000000008",
    "4484600000000004",
    "4607000000000009",
    "4977949494949497",
    "4000640000000005",
    "4003550000000003",
    "4000760000000001",
    "4017340000000003",
    "4005519000000006",
    "4131840000000003",
    "4035501000000008",
    "4151500000000008",
    "4571000000000001",
    "4199350000000002",
    "4001020000000009",
    "2222400070000005",
    "5555341244441115",
    "5577000055770004",
    "5555444433331111",
    "2222410740360010",
    "2222410700000002",
    "2222400010000008",
    "2223000048410010",
    "2222400060000007",
    "2223520443560010",
    "5500000000000004",
    "2222400030000004",
    "5413330089099999",
    "6771798021000008",
    "6771798025000004",
    "6799998900000099990",
    "6703444444444449",
    "4871049999999910",
    "5127880999999990",
    "36006666333344",
    "6011601160116611",
    "3569990010095841",
    "8171999927660000",
    "8171999900000000021",
    "6062828888666688",
    "6035227716427021",
    "9792030394440796",
    "5019555544445555",
    "4059350000000050",
    "4360000001000005",
    "370000000000002",
    "370000000100018",
]
BRAINTREE: Final = [
    "4009348888881881",
    "4012000033330026",
    "4012000077777777",
    "4217651111111119",
    "4500600000000061",
    "4000111111111115",
    "378734493671000",
    "6011000991300009",
    "36259600000004",
    "6212345678901265",
    "6212345678901232",
    "6212345678900028",
    "6212345678900036",
    "6212345678900085",
    "6243030000000001",
    "6370950000000005",
    "6062820524845321",
]
CARDS: Final = [*STRIPE, *ADYEN, *BRAINTREE]


def grouped(number: str, separator: str) -> str:
    return separator.join(number[at : at + 4] for at in range(0, len(number), 4))


def in_digits(number: str, zero: str) -> str:
    return "".join(chr(ord(zero) + int(digit)) for digit in number)


SPELLINGS: Final[Mapping[str, Callable[[str], str]]] = {
    "as it is": str,
    "blanks": lambda number: grouped(number, " "),
    "dashes": lambda number: grouped(number, "-"),
    "a dash in the middle": lambda number: f"{number[:8]}-{number[8:]}" if len(number) == 16 else number,
    "each digit apart": " ".join,
    "dashes everywhere": "-".join,
    "blanks that break no line": lambda number: grouped(number, "\u00a0"),
    "thin blanks": lambda number: grouped(number, "\u2009"),
    "ideographic blanks": lambda number: grouped(number, "\u3000"),
    "tabs": lambda number: grouped(number, "\t"),
    "dashes of print": lambda number: grouped(number, "\u2013"),
    "dashes that break no line": lambda number: grouped(number, "\u2011"),
    "full-width": lambda number: in_digits(number, "\uff10"),
    "full-width, with blanks": lambda number: in_digits(number, "\uff10").join("  ").strip(),
    "Arabic digits": lambda number: in_digits(number, "\u0660"),
    "Persian digits": lambda number: in_digits(number, "\u06f0"),
    "Devanagari digits": lambda number: in_digits(number, "\u0966"),
    "mathematical digits": lambda number: in_digits(number, "\U0001d7ce"),
    "half full-width": lambda number: number[:8] + in_digits(number[8:], "\uff10"),
    "invisible blanks": "\u200b".join,
    "invisible joiners": "\u2060".join,
    "soft hyphens": lambda number: grouped(number, "\u00ad"),
    "a byte order mark inside": lambda number: f"{number[:6]}\ufeff{number[6:]}",
    "a mark of direction": lambda number: f"\u202e{number}\u202c",
    "accents": lambda number: "\u0301".join(number),
    "in a sentence": lambda number: f"please charge {number}, thanks",
    "in brackets": lambda number: f"({number})",
    "in JSON": lambda number: json.dumps({"pan": number}),
    "in a query": lambda number: f"https://shop.example/?pan={number}&x=1",
    "with its end and code": lambda number: f"{number} 12/29 737",
    "between lines": lambda number: f"card\n{number}\nthanks",
    "with a colon": lambda number: f"card:{number}",
}


@pytest.mark.parametrize("number", CARDS)
def test_every_published_number_is_found_in_every_spelling(number: str) -> None:
    missed = [name for name, spell in SPELLINGS.items() if find_card_number(spell(number)) is None]
    assert missed == []


PLACES: Final[Mapping[str, Callable[[Town, str], tuple[str, str, Body]]]] = {
    "description": lambda town, text: ("POST", "/api/transactions/pay", town.shop.payment(description=text)),
    "metadata": lambda town, text: ("POST", "/api/transactions/pay", town.shop.payment(metadata={"note": text})),
    "metadata's key": lambda town, text: ("POST", "/api/transactions/pay", town.shop.payment(metadata={text: "x"})),
    "reason": lambda town, text: ("POST", "/api/refunds/", {"transaction": town.transaction, "reason": text}),
    "refund's metadata": lambda town, text: (
        *("POST", "/api/refunds/"),
        {"transaction": town.transaction, "metadata": {"note": text}},
    ),
    "webhook's description": lambda town, text: (
        *("POST", "/api/webhooks/"),
        {"url": "https://shop.example.com/", "description": text},
    ),
    "webhook's new description": lambda town, text: (
        *("PATCH", f"/api/webhooks/{town.endpoint}/"),
        {"description": text},
    ),
}


def digits_of(text: str) -> str:
    return "".join(character for character in text if character.isascii() and character.isdigit())


@module
@pytest.mark.parametrize("place", PLACES)
async def test_a_card_number_is_refused_and_stands_nowhere_afterwards(
    town: Town, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []
    with caplog.at_level(logging.DEBUG), capture_logs() as structured:
        for turn, spell in enumerate(SPELLINGS.values()):
            number = CARDS[turn * 7 % len(CARDS)]
            text = spell(number)
            if place == "metadata's key" and len(text) > 40:
                continue
            method, path, body = PLACES[place](town, text)
            before = town.state()
            answer = await town.shop.call(method, path, json=body)
            problem(answer, 400, "card_number_refused")
            assert town.state() == before
            said += [answer.text, str(answer.headers), (await town.shop.get("/api/audit/?limit=100")).text]
            for kept in (*said[-3:], caplog.text, str(structured), str([vars(record) for record in caplog.records])):
                assert text not in kept
                assert number not in digits_of(kept)


# ── what only looks like one ─────────────────────────────────────────────────────────────────────────────────────────

START: Final = datetime(2019, 1, 1, tzinfo=UTC)
Form: TypeAlias = Callable[[random.Random], str]
CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def at_random(chance: random.Random) -> datetime:
    return START + timedelta(microseconds=chance.randrange(10 * 365 * 86_400 * 10**6))


def some(chance: random.Random, length: int, alphabet: str = "0123456789") -> str:
    return "".join(chance.choices(alphabet, k=length))


def with_luhn(body: str) -> str:
    total = sum(sum(divmod(2 * int(digit), 10)) for digit in body[::-2]) + sum(map(int, body[-2::-2]))
    return body + str(-total % 10)


def with_ean(body: str) -> str:
    return body + str(-sum(int(digit) * (1, 3)[at % 2] for at, digit in enumerate(body)) % 10)


def an_iban(chance: random.Random) -> str:
    bank = some(chance, 18)
    return f"DE{98 - int(f'{bank}131400') % 97:02}{bank}"


NEVER_A_CARD: Final[Mapping[str, Form]] = {
    "order": lambda chance: f"ORD-{at_random(chance):%Y%m%d}-{some(chance, 6)}",
    "order, of letters and digits": lambda chance: f"order_{some(chance, 16)}",
    "RFC 3339": lambda chance: at_random(chance).isoformat(),
    "a time in basic form": lambda chance: f"{at_random(chance):%Y%m%dT%H%M%S}Z",
    "UUID": lambda chance: str(uuid.UUID(int=chance.getrandbits(128), version=4)),
    "UUID without dashes": lambda chance: uuid.UUID(int=chance.getrandbits(128), version=4).hex + "a",
    "IMEI": lambda chance: with_luhn(f"35{some(chance, 12)}"),
    "IMEI, with dashes": lambda chance: f"35-{some(chance, 6)}-{some(chance, 6)}-{some(chance, 1)}",
    "traceparent": lambda chance: f"00-{chance.getrandbits(128):032x}-{chance.getrandbits(64):016x}-01",
    "IBAN": an_iban,
    "IBAN, in groups": lambda chance: grouped(an_iban(chance), " "),
    "phone": lambda chance: f"+{chance.randrange(1, 99)} {some(chance, 3)} {some(chance, 4)} {some(chance, 4)}",
    "phone, in one": lambda chance: f"+{chance.randrange(1, 9)}{some(chance, 12)}",
    "UPS": lambda chance: f"1Z{some(chance, 16, CROCKFORD[:32])}"[:18],
    "tracking number of the post": lambda chance: f"RR{some(chance, 9)}DE",
    "EAN": lambda chance: with_ean(some(chance, 12)),
    "ISBN": lambda chance: f"ISBN 978-{some(chance, 1)}-{some(chance, 4)}-{some(chance, 4)}-{some(chance, 1)}",
    "Unix seconds": lambda chance: str(int(at_random(chance).timestamp())),
    "Unix milliseconds": lambda chance: str(int(at_random(chance).timestamp() * 10**3)),
    "Unix microseconds": lambda chance: str(int(at_random(chance).timestamp() * 10**6)),
    "Unix nanoseconds": lambda chance: str(int(at_random(chance).timestamp() * 10**9)),
    "ULID": lambda chance: f"01{some(chance, 24, CROCKFORD)}",
    "an id of ours": lambda chance: f"txn_0{some(chance, 25, CROCKFORD)}",
    "SHA-256": lambda chance: f"sha256:{chance.getrandbits(256):064x}",
    "Git": lambda chance: f"{chance.getrandbits(160):040x}",
    "amount": lambda chance: f"{chance.randrange(10**10)}.{some(chance, 2)} USD",
    "amount, in groups": lambda chance: f"{chance.randrange(10**12):,}.00",
    "IPv6": lambda chance: ":".join(f"{chance.getrandbits(16):04x}" for _ in range(8)),
    "position": lambda chance: f"{chance.random() * 90:.14f}, {chance.random() * 180:.13f}",
    "an order that begins with its day": lambda chance: f"{at_random(chance):%Y%m%d}{some(chance, 8)}",
    "DHL": lambda chance: some(chance, 20),
}
SELDOM_A_CARD: Final[Mapping[str, Form]] = {
    "16 digits": lambda chance: some(chance, 16),
    "FedEx": lambda chance: some(chance, 12),
}
"""Forms whose digits may be a card number's by chance: nothing else tells them apart."""
RANDOM_ONES: Final = 20_000
SELDOM_MAX: Final = 0.035
"""Of 16 digits at random, a tenth have the Luhn sum, and under a third of these a known beginning (all of 4 alone a
tenth of all).
"""


def rate(form: Form) -> tuple[float, str]:
    """Return the share of texts of a form that are taken for card numbers, and one of these."""
    chance = random.Random(20_261_123)
    found = [text for text in (form(chance) for _ in range(RANDOM_ONES)) if find_card_number(text) is not None]
    return len(found) / RANDOM_ONES, next(iter(found), "")


@pytest.mark.parametrize("name", NEVER_A_CARD)
def test_no_text_of_these_forms_is_taken_for_a_card_number(name: str) -> None:
    assert rate(NEVER_A_CARD[name]) == (0.0, "")


@pytest.mark.parametrize("name", SELDOM_A_CARD)
def test_of_digits_alone_few_are_taken_for_a_card_number(name: str) -> None:
    share, _ = rate(SELDOM_A_CARD[name])
    assert share <= SELDOM_MAX


@module
async def test_three_hundred_texts_that_only_look_like_card_numbers_are_taken(town: Town) -> None:
    chance = random.Random(5)
    texts = [form(chance) for form in NEVER_A_CARD.values() for _ in range(12)]
    assert len(set(texts)) >= 300
    for at in range(0, len(texts), 25):
        metadata = {str(number): text for number, text in enumerate(texts[at : at + 25])}
        answer = await town.shop.post("/api/transactions/pay", town.shop.payment(metadata=metadata))
        assert answer.status_code == 201, answer.text
        assert answer.json()["metadata"] == metadata
