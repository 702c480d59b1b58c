"""Attempts at the HTTP entrance: forged hosts, origins and proxies, requests that two readers read differently, clients
that hold what they don't use. Each fails."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import logging
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from typing import Any, Final

import httpx
import pytest
from litestar.routes import HTTPRoute

from entrypoints import metrics_port
from entrypoints.cli.signals import loop_factory
from entrypoints.http import bodies, connections, protocol
from entrypoints.http.app import OPERATIONS, create_app
from entrypoints.http.connections import CONNECTIONS_MIN, Connections
from entrypoints.http.entrance import is_for_us
from entrypoints.http.request_context import RequestContext, client_address, comes_by_https
from entrypoints.metrics import Metrics
from entrypoints.metrics_port import close_port, open_port
from entrypoints.settings import LOOPBACK, Settings
from payments_core.limits import Limit
from tests.attack.wire import CLOSE, HOST, Wire, deaf_client, get, open_wire, rest_of
from tests.patience import PATIENCE_SECONDS, until
from tests.unit.http_shop import PASSWORD, UNLIMITED, Api, Shop, open_api, problem

OURS: Final = frozenset({"pay.example.com", "*.example.org", "[::1]"})
NAMED: Final = replace(UNLIMITED, allowed_hosts=OURS)
ORIGIN: Final = "https://shop.example.com"
CROSS_ORIGIN: Final = replace(UNLIMITED, cors_origins=frozenset({ORIGIN}))
PROXIES: Final = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
PAGES: Final = ("/", "/api", "/docs", "/docs/style.css", "/schema/openapi.json", "/problems", "/problems/not_found")


@pytest.fixture
async def api() -> AsyncGenerator[Api, None]:
    async with open_api() as api:
        yield api


@pytest.fixture
async def shop(api: Api) -> Shop:
    return await api.open_shop()


@pytest.fixture
async def wire() -> AsyncGenerator[Wire, None]:
    async with open_wire() as wire:
        yield wire


def paths_of(api: Api) -> list[str]:
    """Return a path for each route that there is, and some for which there is none."""
    routes = [route.path for route in create_app(api.services).routes if isinstance(route, HTTPRoute)]
    filled = [path.replace("{code:str}", "not_found").replace("{name:str}", "docs.css") for path in routes]
    with_ids = [path.replace("{key:path}", "a/b").replace("{id:str}", "x_0") for path in filled]
    return [*with_ids, "/nothing", "/docs/nothing", "/problems/nothing", "/api//auth/me/", "/api/%2e%2e/x"]


class TestTheHost:
    @pytest.mark.parametrize(
        ("given", "ours"),
        [
            (["pay.example.com"], True),
            (["PAY.example.COM"], True),
            (["pay.example.com:8443"], True),
            (["pay.example.com:"], True),
            (["pay.example.com."], True),
            (["a.example.org"], True),
            (["[::1]"], True),
            (["[::1]:8000"], True),
            ([], False),
            ([""], False),
            (["pay.example.com", "pay.example.com"], False),
            (["evil.test"], False),
            (["pay.example.com.evil.test"], False),
            (["evilpay.example.com"], False),
            (["evil.test:pay.example.com"], False),
            (["pay.example.com:80@evil.test"], False),
            (["evil.test@pay.example.com"], False),
            (["pay.example.com:٣"], False),
            (["pay.example.com#.evil.test"], False),
            (["example.org"], False),
            ([".example.org"], False),
            (["*.example.org"], False),
            (["a.b.example.org"], False),
            (["evil.test/.example.org"], False),
            (["evil.test?.example.org"], False),
            (["e/.example.org"], False),
            (["::1"], False),
            (["[::2]"], False),
            (["127.0.0.1"], False),
        ],
    )
    def test_that_is_not_among_our_names_is_not_answered_for(self, given: Sequence[str], ours: bool) -> None:
        assert is_for_us("/api/auth/me/", given, OURS) is ours
        assert is_for_us("/api/auth/me/", given, frozenset())
        assert is_for_us("/health/ready", given, OURS)

    async def test_that_is_forged_is_told_so_whatever_is_asked_and_nothing_is_done(self) -> None:
        async with open_api(NAMED) as api:
            api.client.base_url = httpx.URL("http://pay.example.com")
            shop = await api.open_shop()
            forged = {"host": "evil.test", "x-forwarded-host": "pay.example.com", "forwarded": "host=pay.example.com"}
            for path in paths_of(api):
                if path.startswith("/health/") or "//" in path:
                    continue
                answer = await shop.get(path, headers=forged)
                problem(answer, 421, "misdirected_request")
            paid = await shop.post("/api/transactions/pay", shop.payment(), headers=forged)
            problem(paid, 421, "misdirected_request")
            assert (await shop.get("/api/transactions/")).json()["results"] == []

    async def test_that_a_load_balancer_sends_is_answered_about_health_and_nothing_beside_it(self) -> None:
        async with open_api(NAMED) as api:
            for path in ("/health/live", "/health/ready"):
                assert (await api.client.get(path, headers={"host": "10.1.2.3:8000"})).status_code == 200
        async with open_wire(NAMED) as wire:
            for sent in (b"/health/../docs", b"/health/%2e%2e/docs", b"/health/..%2fdocs", b"/health/live/../../docs"):
                said = await wire.say(get(sent))
                assert said.startswith((b"HTTP/1.1 404", b"HTTP/1.1 421")), (sent, said)

    async def test_in_the_target_cannot_differ_from_the_one_in_the_header(self) -> None:
        async with open_wire(NAMED) as wire:
            ours = b"Host: pay.example.com\r\n" + CLOSE + b"\r\n"
            right = await wire.say(b"GET http://pay.example.com/docs HTTP/1.1\r\n" + ours)
            assert right.startswith(b"HTTP/1.1 200")
            for target in (
                b"http://evil.test/docs",
                b"http://pay.example.com@evil.test/docs",
                b"http://pay.example.com:80@evil.test/docs",
                b"https://evil.test/docs?http://pay.example.com/",
                b"http://pay.example.com",
                b"http:/docs",
                b"pay.example.com:443",
                b"*",
                b"/docs#@evil.test/",
            ):
                said = await wire.say(b"GET " + target + b" HTTP/1.1\r\n" + ours)
                assert said.startswith(b"HTTP/1.1 400"), (target, said)


FORGED: Final = {
    "host": "evil.test",
    "x-forwarded-host": "evil.test",
    "x-forwarded-proto": "https",
    "x-forwarded-port": "1",
    "x-forwarded-prefix": "/evil",
    "x-forwarded-for": "203.0.113.9",
    "forwarded": 'for=203.0.113.9;host=evil.test;proto="https"',
    "x-original-url": "/nothing",
    "x-rewrite-url": "/nothing",
    "x-http-method-override": "DELETE",
    "x-host": "evil.test",
    "origin": "https://evil.test",
    "referer": "https://evil.test/",
    "accept-language": "evil",
    "cookie": "a=evil",
}
OF_EACH_REQUEST: Final = ("x-request-id", "date", "ratelimit", "ratelimit-policy")


async def test_no_page_is_poisoned_by_what_a_request_says_of_itself(shop: Shop) -> None:
    """The forged request comes first, so that it is the one whose answer would be stored."""
    await shop.paid()
    reads = [operation.path for operation in OPERATIONS if operation.read is not None and "{" not in operation.path]
    assert len(reads) > 5
    for path in (*reads, *PAGES, "/nothing", "/api/transactions/txn_0/"):
        forged, honest = await shop.get(path, headers=FORGED), await shop.get(path)
        assert forged.status_code == honest.status_code
        assert "evil" not in forged.text + str(forged.headers), path
        for answer in (forged, honest):
            for name in OF_EACH_REQUEST:
                answer.headers.pop(name, None)
        assert forged.headers == honest.headers
        if honest.status_code < 400:
            assert forged.content == honest.content


async def test_nothing_is_redirected_anywhere(wire: Wire) -> None:
    for path in (
        "//evil.test",
        "//evil.test/%2e%2e",
        "/\\evil.test",
        "/%5cevil.test",
        "/%2f%2fevil.test",
        "/.evil.test",
        "/docs//evil.test/..",
        "/docs/%2f%2fevil.test",
        "/api/%0d%0aLocation:%20https://evil.test",
        "/problems/https:%2f%2fevil.test",
        "/docs/?next=https://evil.test",
    ):
        said = await wire.say(get(path.encode()))
        assert said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404")), (path, said)
        assert b"\nlocation:" not in said.lower()


class TestProxies:
    @pytest.mark.parametrize(
        ("peer", "forwarded", "address"),
        [
            # A stranger, whatever it says.
            ("198.51.100.7", ["10.0.0.1"], "198.51.100.7"),
            ("198.51.100.7", ["203.0.113.9, 10.0.0.1"], "198.51.100.7"),
            ("::ffff:198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
            # Through one proxy, which appends whom it sees.
            ("10.0.0.1", ["127.0.0.1, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", ["127.0.0.1", "198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", ["10.9.9.9, 198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
            ("fd00::1", ["2001:db8::9, ::ffff:198.51.100.7"], "198.51.100.7"),
            # Through two, the first of which the second appends.
            ("10.0.0.1", ["127.0.0.1, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", ["127.0.0.1, 198.51.100.7", "::ffff:10.0.0.2"], "198.51.100.7"),
            # What is no address ends the list: nothing left of it is believed.
            ("10.0.0.1", ["198.51.100.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", ["198.51.100.7, 203.0.113.9:80"], "10.0.0.1"),
            ("10.0.0.1", ["198.51.100.7,"], "10.0.0.1"),
            ("10.0.0.1", ["198.51.100.7, 010.0.0.2"], "10.0.0.1"),
            ("10.0.0.1", [",".join(["203.0.113.9"] + ["10.0.0.2"] * 5_000)], "10.0.0.2"),
        ],
    )
    def test_are_believed_as_far_as_they_are_ours(self, peer: str, forwarded: list[str], address: str) -> None:
        scope: Any = {"client": (peer, 1)}
        assert client_address(scope, RequestContext("r", {b"x-forwarded-for": forwarded}), PROXIES) == address

    @pytest.mark.parametrize("proxies", [(), PROXIES, LOOPBACK], ids=["none", "others", "the peer"])
    async def test_cannot_be_named_to_escape_the_limit_of_an_address(self, proxies: tuple[Any, ...]) -> None:
        few = Limit(name="login_address", amount=3, per_seconds=60)
        settings = Settings(trusted_proxies=proxies, limit_login_address=few)
        async with open_api(settings) as api:
            answers = []
            for attempt in range(5):
                # As the proxy hands it on: what the client invented, then the client.
                forged = {"x-forwarded-for": f"203.0.113.{attempt}, 198.51.100.7"}
                login = {"email": f"a{attempt}@example.com", "password": PASSWORD}
                answers.append((await api.client.post("/api/auth/login/", json=login, headers=forged)).status_code)
            assert answers == [401, 401, 401, 429, 429]


class TestStrictTransport:
    @pytest.mark.parametrize(
        ("peer", "given", "told"),
        [
            ("10.0.0.1", ["https"], True),
            ("10.0.0.1", ["HTTPS"], True),
            ("::ffff:10.0.0.1", ["https"], True),
            ("10.0.0.1", ["https, https"], True),
            ("10.0.0.1", ["https", "https"], True),
            ("10.0.0.1", ["http"], False),
            ("10.0.0.1", [], False),
            ("10.0.0.1", [""], False),
            ("10.0.0.1", ["https,"], False),
            ("10.0.0.1", ["https, http"], False),
            ("10.0.0.1", ["http, https"], False),
            ("10.0.0.1", ["https", "http"], False),
            ("10.0.0.1", ["https;http"], False),
            ("10.0.0.1", ["wss"], False),
            ("10.0.0.1", [",".join(["https"] * 5_000)], False),
            ("198.51.100.7", ["https"], False),
            ("::ffff:198.51.100.7", ["https"], False),
            ("nonsense", ["https"], False),
            (None, ["https"], False),
        ],
    )
    def test_is_what_a_trusted_proxy_says_of_the_whole_way(
        self, peer: str | None, given: list[str], told: bool
    ) -> None:
        scope: Any = {"client": None if peer is None else (peer, 1)}
        context = RequestContext("r", {b"x-forwarded-proto": given} if given else {})
        assert comes_by_https(scope, context, PROXIES) is told
        assert not comes_by_https(scope, context, ())

    async def test_is_told_on_each_answer_that_came_by_it_and_on_no_other(self) -> None:
        async with open_api(replace(UNLIMITED, trusted_proxies=LOOPBACK)) as api:
            for path in paths_of(api):
                by_tls = await api.client.get(path, headers={"x-forwarded-proto": "https"})
                assert by_tls.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
                for headers in ({}, {"x-forwarded-proto": "http"}, {"forwarded": "proto=https"}):
                    assert "strict-transport-security" not in (await api.client.get(path, headers=headers)).headers

    async def test_is_not_told_where_it_is_off_or_a_stranger_says_so(self) -> None:
        for settings in (Settings(trusted_proxies=LOOPBACK, hsts_seconds=0), Settings(trusted_proxies=PROXIES)):
            async with open_api(settings) as api:
                answer = await api.client.get("/", headers={"x-forwarded-proto": "https"})
                assert "strict-transport-security" not in answer.headers


class TestOtherOrigins:
    ASKS: Final = {"origin": ORIGIN, "access-control-request-method": "POST"}

    async def test_are_told_nothing_unless_a_setting_names_them(self, shop: Shop) -> None:
        for method in ("OPTIONS", "GET"):
            headers = (await shop.call(method, "/api/auth/me/", headers=self.ASKS)).headers
            assert not [name for name in headers if name.startswith("access-control")]
            assert "origin" not in headers.get("vary", "")

    async def test_that_are_named_are_told_what_each_path_takes(self) -> None:
        async with open_api(CROSS_ORIGIN) as api:
            for path in {operation.path for operation in OPERATIONS}:
                answer = await api.client.options(path, headers=self.ASKS)
                assert answer.status_code == 204
                methods = {operation.method for operation in OPERATIONS if operation.path == path}
                assert methods <= set(answer.headers["access-control-allow-methods"].split(", "))
                assert answer.headers["access-control-allow-origin"] == ORIGIN
                assert set(answer.headers["access-control-allow-headers"].split(", ")) == {
                    "authorization",
                    "content-type",
                    "idempotency-key",
                    "if-none-match",
                    "x-request-id",
                }
                assert answer.headers["vary"] == "origin"

    @pytest.mark.parametrize(
        "origin",
        [
            "null",
            "*",
            "",
            "https://evil.test",
            "http://shop.example.com",
            "https://shop.example.com:443",
            "https://shop.example.com.evil.test",
            "https://evilshop.example.com",
            "https://shop.example.com/",
            "https://SHOP.example.com",
            "https://shop.example.com evil.test",
            "https://shop.example.com\x00",
        ],
    )
    async def test_that_only_look_like_a_named_one_are_told_nothing(self, origin: str) -> None:
        async with open_api(CROSS_ORIGIN) as api:
            for method in ("OPTIONS", "GET"):
                headers = [("origin", origin), ("access-control-request-method", "POST")]
                answer = await api.client.request(method, "/api/auth/me/", headers=headers)
                assert not [name for name in answer.headers if name.startswith("access-control")]
                assert answer.headers["vary"] == "origin"

    async def test_are_told_nothing_where_a_request_names_two(self) -> None:
        async with open_api(CROSS_ORIGIN) as api:
            for second in (ORIGIN, "https://evil.test"):
                headers = [("origin", ORIGIN), ("origin", second)]
                answer = await api.client.get("/api/auth/me/", headers=headers)
                assert "access-control-allow-origin" not in answer.headers

    async def test_that_are_named_can_read_refusals_and_what_has_not_changed(self) -> None:
        few = Limit(name="api_merchant", amount=4, per_seconds=60)
        async with open_api(Settings(cors_origins=CROSS_ORIGIN.cors_origins, limit_api=few)) as api:
            shop = await api.open_shop()
            ours = {"origin": ORIGIN}
            shown = await shop.get("/api/transactions/", headers=ours)
            same = {**ours, "if-none-match": shown.headers["etag"]}
            answers = [shown, *[await shop.get("/api/transactions/", headers=same) for _ in range(3)]]
            answers.append(await api.client.get("/api/auth/me/", headers=ours))
            answers.append(await api.client.post("/api/transactions/pay", content=b"{", headers=ours))
            answers.append(await api.client.get("/api/nothing/", headers=ours))
            assert [answer.status_code for answer in answers] == [200, 304, 304, 429, 401, 401, 404]
            for answer in answers:
                assert answer.headers["access-control-allow-origin"] == ORIGIN
                assert {"etag", "retry-after", "x-request-id"} <= set(
                    answer.headers["access-control-expose-headers"].split(", ")
                )
                assert "access-control-allow-credentials" not in answer.headers
                assert "origin" in answer.headers["vary"]
            assert "authorization" in shown.headers["vary"]

    async def test_read_nothing_but_the_api(self) -> None:
        async with open_api(CROSS_ORIGIN) as api:
            for path in ("/", "/docs", "/schema/openapi.json", "/health/ready", "/apix", "/nothing"):
                answer = await api.client.get(path, headers={"origin": ORIGIN})
                assert "access-control-allow-origin" not in answer.headers

    async def test_get_no_stored_answer_that_was_made_for_one_of_them(self) -> None:
        """The page is stored by its merchant's revision alone, and has no header of a request."""
        async with open_api(CROSS_ORIGIN) as api:
            shop = await api.open_shop()
            first = await shop.get("/api/transactions/", headers={"origin": ORIGIN})
            second = await shop.get("/api/transactions/", headers={"origin": "https://evil.test"})
            assert first.content == second.content
            assert "access-control-allow-origin" not in second.headers
            assert {"authorization", "origin"} == set(second.headers["vary"].split(", "))


async def test_every_answer_of_every_route_is_safe_to_show_whatever_the_method(shop: Shop) -> None:
    api = shop.api
    seen = set[int]()
    for path in paths_of(api):
        for method in METHODS:
            for call in (api.client.request, shop.call):
                answer = await call(method, path)
                headers, named = answer.headers, f"{method} {path} {answer.status_code}"
                assert answer.status_code < 500, named
                assert headers["x-content-type-options"] == "nosniff", named
                assert headers["x-frame-options"] == "DENY", named
                assert headers["referrer-policy"] == "no-referrer", named
                assert headers["cross-origin-resource-policy"] == "same-origin", named
                assert "default-src 'none'" in headers["content-security-policy"], named
                assert "frame-ancestors 'none'" in headers["content-security-policy"], named
                assert not {"server", "x-powered-by", "via"} & set(headers), named
                # The console's alone: `test_console.py` looks at it.
                assert "set-cookie" not in headers or path.startswith("/console"), named
                assert all(len(headers.get_list(name)) == 1 for name in set(headers) - {"vary"}), named
                if headers.get("content-type", "").startswith("text/html"):
                    assert "camera=()" in headers["permissions-policy"], named
                    assert headers["cross-origin-opener-policy"] == "same-origin", named
                if answer.content and path.startswith("/api/"):
                    assert headers["cache-control"] in ("no-store", "private, no-cache"), named
                seen.add(answer.status_code)
    assert {200, 201, 204, 401, 404, 405} <= seen
    page = await shop.get("/api/transactions/")
    same = await shop.get("/api/transactions/", headers={"if-none-match": page.headers["etag"]})
    assert same.status_code == 304
    assert same.headers["cross-origin-resource-policy"] == "same-origin"
    assert same.headers["cache-control"] == "private, no-cache"


async def test_nothing_that_is_a_secret_or_of_a_person_is_kept_on_the_way(shop: Shop) -> None:
    login = {"email": shop.email, "password": PASSWORD}
    answers = [
        await shop.api.client.post("/api/auth/login/", json=login),
        await shop.api.client.post("/api/auth/register/", json={"email": "new@example.com", "password": PASSWORD}),
        await shop.post("/api/auth/api_keys/", {"name": "x", "scopes": ["transactions:read"]}),
        await shop.post("/api/webhooks/", {"url": "https://shop.example.com/webhooks"}),
        await shop.post("/api/transactions/pay", shop.payment()),
    ]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store", answer.request.url
    for operation in OPERATIONS:
        if operation.read is not None and "{" not in operation.path:
            kept = (await shop.get(operation.path)).headers["cache-control"]
            assert kept in ("no-store", "private, no-cache"), operation.path


SMUGGLED: Final = b"GET /docs HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
POST: Final = b"POST /api/auth/login/ HTTP/1.1\r\n" + HOST
_LOGIN: Final = json.dumps({"email": "nobody@example.com", "password": PASSWORD}).encode()
LOGIN: Final = POST + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(_LOGIN), _LOGIN)


SMUGGLING: Final = {
    "Two lengths, and lengths that are none": [
        b"Content-Length: 0\r\nContent-Length: 60\r\n\r\n",
        b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"Content-Length: 3, 3\r\n\r\nabc",
        b"Content-Length: +3\r\n\r\nabc",
        b"Content-Length: -3\r\n\r\nabc",
        b"Content-Length: 0x3\r\n\r\nabc",
        b"Content-Length: 3 \x0b\r\n\r\nabc",
        b"Content-Length: \r\n\r\n",
        b"Content-Length: 18446744073709551617\r\n\r\na",
        b"Content-Length : 3\r\n\r\nabc",
    ],
    "CL.TE, TE.CL and TE.TE": [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding\r\n: chunked\r\n\r\n0\r\n\r\n",
    ],
    "Chunks with sizes, ends and extensions that are none": [
        b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nabc\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3;x\nabc\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3;x\ry\r\nabc\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 60\r\n\r\n",
    ],
    "Lines that end or go on in ways of their own, and bytes that end texts elsewhere": [
        b"X: y\nContent-Length: 0\r\n\r\n",
        b"X: y\rContent-Length: 0\r\n\r\n",
        b"X: y\r\n Content-Length: 0\r\n\r\n",
        b"X: y\r\n\tz\r\n\r\n",
        b"X: a\0b\r\n\r\n",
        b"X\0: a\r\n\r\n",
        b"\0X: a\r\n\r\n",
        b": a\r\n\r\n",
        b"X\r\n\r\n",
        b"X y: a\r\n\r\n",
        b"Host: evil.test\r\n\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc",
        b"Content-Length: 0\r\n\n",
    ],
}


@pytest.mark.parametrize("kind", SMUGGLING)
async def test_a_request_is_not_smuggled_in_another(wire: Wire, kind: str) -> None:
    for head in SMUGGLING[kind]:
        said = await wire.say(POST + head + SMUGGLED)
        # One answer may have begun before the fault came: that of the first request, and nothing more.
        assert said.count(b"HTTP/1.1 ") <= 1, (head, said)
        assert b"HTTP/1.1 200" not in said, (head, said)
        assert b"rapidoc" not in said
        assert said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401", b"HTTP/1.1 415", b"HTTP/1.1 431", b"HTTP/1.1 501")), (
            head,
            said,
        )
        assert b"connection: close" in said.lower()


NO_REQUESTS: Final = (
    b"POST /api/auth/login/ HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /docs\r\n\r\n",
    b"GET /docs HTTP/0.9\r\n\r\n",
    b"GET /docs HTTP/1.2\r\n" + HOST + b"\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /docs HTTP/1.0\r\n" + HOST + b"Host: evil.test\r\n\r\n",
    b"CONNECT evil.test:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    b"CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test:443\r\n\r\n",
    b"GET /docs HTTP/1.1\n" + b"Host: shop.test\n\n",
    b"GET /do\0cs HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /do cs HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET\t/docs HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /docs HTTP/1.1 \r\n" + HOST + b"\r\n",
    b"BREW /docs HTTP/1.1\r\n" + HOST + b"\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x05\x01\x00\r\n\r\n",
)


async def test_what_is_no_request_ends_its_connection_and_tells_nothing(wire: Wire) -> None:
    for request_ in NO_REQUESTS:
        said = await wire.say(request_ + SMUGGLED)
        assert said.startswith(b"HTTP/1.1 400"), (request_, said)
        assert said.count(b"HTTP/1.1 4") == 1
        for header in (b"x-content-type-options: nosniff", b"cache-control: no-store", b"content-security-policy: "):
            assert header in said
        assert b"server:" not in said.lower()
        assert b"Traceback" not in said


async def test_a_request_is_not_echoed(wire: Wire) -> None:
    said = await wire.say(b"TRACE /docs HTTP/1.1\r\n" + HOST + b"Authorization: Token sk_test_x\r\n" + CLOSE + b"\r\n")
    assert said.startswith(b"HTTP/1.1 405")
    assert b"sk_test_x" not in said


async def test_chunks_with_extensions_are_read_as_without_them(wire: Wire) -> None:
    body = b"2;a=b;c\r\n{}\r\n0;d\r\n\r\n"
    said = await wire.say(
        POST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n" + CLOSE + b"\r\n" + body
    )
    assert said.startswith(b"HTTP/1.1 400")
    assert b"invalid_request" in said


async def test_an_extension_of_a_chunk_without_end_is_cut_off(wire: Wire) -> None:
    head = POST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3;"
    said = await wire.say(head, *[b"x" * 60_000] * 20)
    assert said == b"reset" or said.startswith(b"HTTP/1.1 431"), said


LINES: Final = ("\r\nX-Evil: 1", "\nX-Evil: 1", "\r\n\r\n<script>", "%0d%0aX-Evil:%201", "\u560d\u560aX-Evil: 1", "\0")


async def test_an_answer_is_not_split_by_what_the_request_says(shop: Shop) -> None:
    """Over memory, where no parser stands before the application."""
    for line in LINES:
        raw = line.encode("utf-8")
        for name in (b"x-request-id", b"idempotency-key", b"if-none-match", b"origin", b"x-forwarded-for", b"host"):
            headers = {b"authorization": f"Token {shop.secret}".encode(), name: b"a" + raw}
            answer = await shop.api.client.post("/api/transactions/pay", json=shop.payment(), headers=headers)
            assert "x-evil" not in answer.headers
            assert all("\n" not in value and "\r" not in value for value in answer.headers.values())
            assert answer.status_code < 500
        for path in ("/api/transactions/{}/", "/problems/{}", "/docs/{}", "/api/idempotency_keys/{}/", "/{}", "/?{}"):
            sent = path.format(_escaped(line))
            answer = await shop.get(sent)
            assert "x-evil" not in answer.headers
            assert answer.status_code in (400, 404), sent
            assert all("\n" not in value and "\r" not in value for value in answer.headers.values())


def _escaped(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


@pytest.mark.parametrize(
    "coding", ["gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "identity, gzip", "gzip, identity", ""]
)
async def test_compressed_bodies_are_refused_unread(shop: Shop, coding: str) -> None:
    bomb = gzip.compress(b'{"amount": "' + b"0" * 1_000_000 + b'"}')
    headers = {"content-encoding": coding, "content-type": "application/json"}
    answer = await shop.post("/api/transactions/pay", content=bomb, headers=headers)
    problem(answer, 415, "unsupported_media_type")


class TestTheHead:
    async def test_has_a_bound_for_each_of_its_parts(self, wire: Wire) -> None:
        cookies = b"".join(b"Cookie: a%d=%b\r\n" % (number, b"x" * 4_000) for number in range(20))
        for request, status in [
            (get(b"/docs?" + b"a" * protocol.TARGET_BYTES_MAX), b"414"),
            (get(b"/" + b"a" * protocol.TARGET_BYTES_MAX), b"414"),
            (get(b"/docs", cookies), b"431"),
            (get(b"/docs", b"Cookie: " + b"a=b;" * 10_000 + b"\r\n"), b"431"),
            (get(b"/docs", b"X: y\r\n" * protocol.HEADERS_MAX), b"431"),
            (get(b"/docs", b"X" * 40_000 + b": y\r\n"), b"431"),
        ]:
            said = await wire.say(request)
            assert said == b"reset" or said.startswith(b"HTTP/1.1 " + status), said[:200]
        assert (await wire.say(get(b"/docs"))).startswith(b"HTTP/1.1 200")

    async def test_has_room_for_a_target_of_exactly_so_many_bytes(self, wire: Wire) -> None:
        path = b"/" + b"a" * (protocol.TARGET_BYTES_MAX - 1)
        assert (await wire.say(get(path))).startswith(b"HTTP/1.1 404")
        assert (await wire.say(get(path + b"a"))).startswith(b"HTTP/1.1 414")

    async def test_has_few_parameters_in_its_query(self, shop: Shop) -> None:
        for query in ("&".join(f"a{number}=1" for number in range(500)), "&" * 5_000, "=" * 5_000, "a=%ff", "%00=%00"):
            assert (await shop.get(f"/api/transactions/?{query}")).status_code == 400


class TestSlowClients:
    async def test_that_drip_a_head_get_no_time_for_each_byte(
        self, wire: Wire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
        async with wire.connected() as (reader, writer):

            async def drip() -> None:
                writer.write(b"GET /docs HTTP/1.1\r\n")
                while True:
                    writer.write(b"X: y\r\n")
                    await asyncio.sleep(0.01)

            dripping = asyncio.create_task(drip())
            said = await rest_of(reader)
            dripping.cancel()
        assert said == b"reset" or said.startswith((b"HTTP/1.1 408", b"HTTP/1.1 431"))

    async def test_that_drip_a_body_are_told_so_and_closed(self, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bodies, "BODY_SECONDS", 0.3)
        head = POST + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
        said = await wire.say(head)
        assert said.startswith(b"HTTP/1.1 408")
        assert b"request_timeout" in said

    async def test_that_never_read_their_answers_are_cut_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connections, "UNSENT_SECONDS", 0.2)
        monkeypatch.setattr(connections, "LOOK_SECONDS", 0.05)
        async with open_wire() as wire:
            client = deaf_client(wire.port)
            client.sendall(get(b"/docs/rapidoc-min.js", close=False) * 20)
            await wire.has(1)
            await wire.has(0)
            client.close()
            assert (await wire.say(get(b"/docs"))).startswith(b"HTTP/1.1 200")

    def test_that_read_answer_after_answer_are_left_alone(self) -> None:
        class Reader:
            def __init__(self) -> None:
                self.unsent: object | None = object()
                self.aborted = False

            def give_way(self) -> None:
                raise AssertionError("nobody needs its place")

            def abort(self) -> None:
                self.aborted = True

        reader, deaf, places = Reader(), Reader(), Connections()
        for look in range(100):
            places.cut_off_slow([reader, deaf], now=float(look))
            reader.unsent = object() if look % 2 else None
            assert deaf.aborted is (look >= connections.UNSENT_SECONDS)
        assert not reader.aborted

    async def test_that_hang_up_halfway_hold_nothing(self, wire: Wire) -> None:
        for sent in (b"", b"GET /docs HT", get(b"/docs", close=False), POST + b"Content-Length: 10\r\n\r\n{"):
            async with wire.connected() as (reader, writer):
                writer.write(sent)
                await writer.drain()
                writer.write_eof()
                await rest_of(reader)
        await wire.has(0)

    def test_that_hang_up_rudely_leave_neither_memory_nor_errors_behind(self, caplog: pytest.LogCaptureFixture) -> None:
        """On the event loop of production: a timer, or a request that waited, kept each for as long as keep-alive."""

        def one_hangs_up(port: int) -> None:
            for sent in (get(b"/health/live", close=False), LOGIN + get(b"/health/live", close=False)):
                with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as client:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.sendall(sent)
                    if not sent.startswith(LOGIN):
                        client.recv(65_536)

        async def many_hang_up() -> None:
            async with open_wire() as wire:

                async def nothing_is_left() -> bool:
                    connections = [thing for thing in gc.get_objects() if isinstance(thing, protocol.BoundedProtocol)]
                    return not [connection for connection in connections if connection.places is wire.places]

                for _ in range(20):
                    await asyncio.to_thread(one_hangs_up, wire.port)
                assert (await wire.say(get(b"/docs"))).startswith(b"HTTP/1.1 200")
                await until(nothing_is_left)

        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(many_hang_up())
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


class _Deaf:
    """A connection that was asked to close and does not, as its client takes nothing over."""

    unsent = None
    is_cut_off = False

    def give_way(self) -> None:
        pass

    def abort(self) -> None:
        self.is_cut_off = True


class TestManyConnections:
    async def test_that_wait_give_way_to_new_ones_the_longest_waiting_first(self) -> None:
        async with open_wire(places=Connections(3, trusted=LOOPBACK)) as wire, AsyncExitStack() as stack:
            readers = []
            for number in range(3):
                reader, _ = await stack.enter_async_context(wire.connected())
                readers.append(reader)
                await wire.has(number + 1)
            for reader in readers:
                assert (await wire.say(get(b"/docs", close=False)[:-2] + CLOSE + b"\r\n")).startswith(b"HTTP/1.1 200")
                assert await rest_of(reader) == b""
                break
            assert not readers[2].at_eof()

    async def test_that_work_do_not_and_new_ones_are_told_when_to_come_again(self) -> None:
        async with open_wire(places=Connections(3, trusted=LOOPBACK)) as wire, AsyncExitStack() as stack:
            clients = [stack.enter_context(busy_client(wire.port)) for _ in range(3)]
            await wire.has(3)
            await until(lambda: _nobody_waits(wire))
            said = await wire.say()
            assert said.startswith(b"HTTP/1.1 503"), said
            assert b"retry-after: 1\r\n" in said
            assert b"connection: close" in said
            for client in clients:
                client.close()
            await wire.has(0)
            assert (await wire.say(get(b"/docs"))).startswith(b"HTTP/1.1 200")

    async def test_of_one_address_leave_room_for_others_unless_it_is_a_proxy_of_ours(self) -> None:
        async with open_wire(places=Connections(6)) as wire, AsyncExitStack() as stack:
            for number in range(3):
                stack.enter_context(busy_client(wire.port))
                await wire.has(number + 1)
            await until(lambda: _nobody_waits(wire))
            assert (await wire.say()).startswith(b"HTTP/1.1 503")
            async with wire.connected("127.0.0.2") as (reader, writer):
                writer.write(get(b"/docs"))
                assert (await rest_of(reader)).startswith(b"HTTP/1.1 200")
        async with open_wire(places=Connections(6, trusted=LOOPBACK)) as wire, AsyncExitStack() as stack:
            for number in range(5):
                await stack.enter_async_context(wire.connected("127.0.0.1"))
                await wire.has(number + 1)
            assert (await wire.say(get(b"/docs"))).startswith(b"HTTP/1.1 200")

    async def test_of_one_address_that_wait_keep_out_nobody_who_shares_it(self) -> None:
        """Behind a network's or a container's address translation all clients have one address."""
        async with open_wire(places=Connections(6)) as wire, AsyncExitStack() as stack:
            readers = []
            for number in range(3):
                reader, _ = await stack.enter_async_context(wire.connected("127.0.0.1"))
                readers.append(reader)
                await wire.has(number + 1)
            other, _ = await stack.enter_async_context(wire.connected("127.0.0.2"))
            await wire.has(4)
            assert (await wire.say(get(b"/docs"))).startswith(b"HTTP/1.1 200")
            assert await rest_of(readers[0]) == b""
            assert not any(reader.at_eof() for reader in (*readers[1:], other)), "only the longest waiting gave way"
            await wire.has(3)

    async def test_on_which_a_body_does_not_come_keep_nobody_out(self) -> None:
        async with open_wire(places=Connections(3, trusted=LOOPBACK)) as wire, AsyncExitStack() as stack:
            stalled = []
            for number in range(3):
                reader, writer = await stack.enter_async_context(wire.connected())
                writer.write(POST + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{")
                stalled.append(reader)
                await until(partial(_so_many_wait, wire, number + 1))
            assert (await wire.say(get(b"/docs"))).startswith(b"HTTP/1.1 200")
            assert await rest_of(stalled[0]) == b""
            assert not any(reader.at_eof() for reader in stalled[1:])

    async def test_on_which_a_body_is_coming_give_way_after_those_on_which_nothing_does(self) -> None:
        async with open_wire(places=Connections(3, trusted=LOOPBACK)) as wire, AsyncExitStack() as stack:
            clients: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
            for number in range(3):
                clients.append(await stack.enter_async_context(wire.connected()))
                clients[number][1].write(POST + b"Content-Type: application/json\r\nContent-Length: 4\r\n\r\n{")
                await until(partial(_so_many_wait, wire, number + 1))
            longest = next(iter(wire.places._waiting))

            async def waits_no_longer() -> bool:
                return next(iter(wire.places._waiting)) is not longest

            (reader, writer), (stalled, _), _ = clients
            writer.write(b" ")
            await until(waits_no_longer)
            assert (await wire.say(get(b"/docs"))).startswith(b"HTTP/1.1 200")
            assert await rest_of(stalled) == b""
            writer.write(b" }")
            assert (await reader.readline()).startswith(b"HTTP/1.1 4")

    def test_whose_answers_nobody_reads_keep_nobody_out(self) -> None:
        """As many as may leave at a time have an answer that does not go out: the next one still finds a place."""
        places = Connections(CONNECTIONS_MIN)
        deaf = [_Deaf() for _ in range(CONNECTIONS_MIN + connections.LEAVING_MAX)]
        for number, client in enumerate(deaf):
            assert places.take_place(client, f"192.0.2.{number}")
        assert not any(client.is_cut_off for client in deaf)
        newest = [_Deaf() for _ in range(3)]
        for number, client in enumerate(newest):
            assert places.take_place(client, f"198.51.100.{number}")
        assert [client.is_cut_off for client in deaf[:4]] == [True, True, True, False]
        assert len(places) == CONNECTIONS_MIN
        for client in (*deaf, *newest):
            places.leave(client)
        assert len(places) == 0
        assert not places._leaving
        assert not places._placed

    async def test_that_come_and_go_are_all_given_back(self) -> None:
        async with open_wire(places=Connections(4)) as wire:
            for _ in range(50):
                assert (await wire.say(get(b"/health/live"))).startswith(b"HTTP/1.1 200")
            await wire.has(0)
            assert not wire.places._of_address
            assert not wire.places._waiting
            assert not wire.places._waiting_of
            assert not wire.places._placed

    async def test_that_are_opened_by_the_hundred_leave_the_service_answering(self) -> None:
        async with open_wire(places=Connections(8, trusted=LOOPBACK)) as wire, AsyncExitStack() as stack:
            for _ in range(300):
                await stack.enter_async_context(wire.connected())
            assert (await wire.say(get(b"/docs"))).startswith(b"HTTP/1.1 200")
            assert len(wire.places) <= 8

    async def test_on_which_requests_are_sent_far_ahead_end_behind_the_answers_that_are_due(self, wire: Wire) -> None:
        said = await wire.say(get(b"/health/live", close=False) * 200)
        assert said.count(b"HTTP/1.1 200") == protocol.PIPELINED_MAX + 1
        assert said.count(b"HTTP/1.1 429") == 1
        assert b"retry-after: 1\r\n" in said
        in_time = get(b"/health/live", close=False) * protocol.PIPELINED_MAX + get(b"/health/live")
        assert (await wire.say(in_time)).count(b"HTTP/1.1 200") == protocol.PIPELINED_MAX + 1

    async def test_hold_no_bodies_that_are_sent_ahead_of_an_answer(self, wire: Wire) -> None:
        for head, body in ((b"Content-Length: 2", b"{}"), (b"Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n")):
            ahead = POST + b"Content-Type: application/json\r\n" + head + b"\r\n\r\n" + body
            said = await wire.say(get(b"/health/live", close=False) + ahead)
            assert (said.count(b"HTTP/1.1 200"), said.count(b"HTTP/1.1 429")) == (1, 1)
        empty = POST + b"Content-Type: application/json\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        said = await wire.say(get(b"/health/live", close=False) + empty)
        assert (said.count(b"HTTP/1.1 200"), said.count(b"HTTP/1.1 429")) == (1, 0)

    def test_are_no_more_than_the_files_that_the_process_may_open(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        resource = pytest.importorskip("resource")
        for files, most in [(1_024, 640), (100, 16), (20_000, 1_000), (resource.RLIM_INFINITY, 1_000)]:
            caplog.clear()
            monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
            assert Connections(1_000).most == most
            assert ("ulimit" in caplog.text) is (most < 1_000)

    def test_that_use_up_all_files_do_not_end_the_server(self) -> None:
        """In a process of its own, which may open so few files that accepting fails."""
        process = subprocess.run(
            [sys.executable, "-c", OUT_OF_FILES], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
        assert process.stdout.strip() == "still answering", process.stderr[-2_000:]


class TestTheMetricsPort:
    @pytest.fixture
    def port(self) -> Generator[int, None, None]:
        server = open_port("127.0.0.1", 0, Metrics().registry)
        yield server.server_address[1]
        close_port(server)

    def test_says_nothing_of_what_answers(self, port: int) -> None:
        for method, path, status in [
            ("GET", "/metrics", 200),
            ("GET", "/", 200),
            ("GET", "/metrics?name[]=x", 200),
            ("GET", "/etc/passwd", 404),
            ("GET", "/metrics/..", 200),  # the client's library makes a path of it
            ("POST", "/metrics", 501),
            ("OPTIONS", "/metrics", 501),
        ]:
            answer = httpx.request(method, f"http://127.0.0.1:{port}{path}")
            assert answer.status_code == status, (method, path)
            assert not {"server", "x-powered-by", "set-cookie"} & set(answer.headers)
            for name, value in (("x-content-type-options", "nosniff"), ("cache-control", "no-store")):
                assert answer.headers[name] == value
            assert "Python" not in str(answer.headers)

    def test_splits_no_answer(self, port: int) -> None:
        folded = b"Accept: text/plain;version=1.0.0\r\n X-Evil: 1\r\n"
        said = _ask(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + folded + b"\r\n")
        assert said.startswith(b"HTTP/1.0 400")
        assert b"X-Evil" not in said

    async def test_has_few_connections_at_a_time_each_for_a_short_time(
        self, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with ExitStack() as stack:
            held = [
                stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS))
                for _ in range(metrics_port.CONNECTIONS_MAX)
            ]
            for client in held:
                client.sendall(b"GET /metrics HT")
            assert _ask(port, b"GET /metrics HTTP/1.1\r\n\r\n") in (b"", b"reset")
            monkeypatch.setattr(metrics_port, "CONNECTION_SECONDS", 0.0)
            assert [client.recv(1) for client in held] == [b""] * len(held)
        monkeypatch.undo()

        async def is_answered() -> bool:
            return _ask(port, b"GET /metrics HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.0 200")

        await until(is_answered)


def _ask(port: int, request: bytes) -> bytes:
    said = b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as client:
        try:
            client.sendall(request)
            while piece := client.recv(65_536):
                said += piece
        except ConnectionError:
            return said or b"reset"
    return said


@contextmanager
def busy_client(port: int) -> Generator[socket.socket, None, None]:
    """Give a connection on which a request is under way: its answer has to wait for one that nobody reads."""
    with deaf_client(port) as client:
        client.sendall(get(b"/docs/rapidoc-min.js", close=False) * 20)
        yield client


async def _nobody_waits(wire: Wire) -> bool:
    return not wire.places._waiting


async def _so_many_wait(wire: Wire, connections: int) -> bool:
    return len(wire.places._waiting) == connections


OUT_OF_FILES: Final = """
import asyncio, os, resource, socket, subprocess, sys
from entrypoints.cli.signals import loop_factory
from entrypoints.http import connections
from entrypoints.http.server import bind, serving

connections.FILES_RESERVED = -10_000  # as if nobody had reckoned

FLOOD = '''
import socket, sys
clients = []
for _ in range(200):
    client = socket.socket()
    client.settimeout(1)
    try:
        client.connect(("127.0.0.1", int(sys.argv[1])))
    except OSError:
        continue
    clients.append(client)
print("open", flush=True)
sys.stdin.read()
'''

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})

async def main():
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    places = connections.Connections(1_000)
    async with serving(app, listener, places=places) as server:
        flood = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FLOOD, str(port), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        used = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 20
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        assert await flood.stdout.readline() == b"open\\n"
        assert len(places) < 100, "nothing was used up"
        flood.stdin.close()
        await flood.wait()
        async with asyncio.timeout(50):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
                    said = await reader.read()
                    writer.close()
                    if said.endswith(b"ok"):
                        break
                except OSError:
                    pass
                await asyncio.sleep(0.05)
        assert not server.done()
    print("still answering")

with asyncio.Runner(loop_factory=loop_factory()) as runner:
    runner.run(main())
"""
