"""Attempts through the operator's egress proxy: to lead it inside, to learn of it, to put another in its place."""

from __future__ import annotations

import asyncio
import logging
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop

from adapters.http.client import GuardedClient
from adapters.http.failure import explain
from adapters.http.guard import AddressGuard
from adapters.http.notifier import HttpNotifier
from adapters.http.proxy import PROXY_HEAD_BYTES_MAX, Proxy
from adapters.http.resolver import Lookup
from entrypoints.settings import read_settings
from payments_core.ports import Answered, Unreached
from payments_core.webhook import EXCERPT_LENGTH_MAX
from tests.attack.certificates import OURS, authority, server_context
from tests.attack.connect_proxy import ConnectProxy, connect_proxy
from tests.attack.internet import (
    NO_AUTHORITIES,
    PUBLIC,
    PUBLIC_IPV6,
    PUBLIC_TOO,
    SHORT_SECONDS,
    Handle,
    answer_of,
    answered,
    answering,
    internet,
    listening,
    notifier_of,
    send,
    unreached,
)
from tests.attack.name_server import name_server
from tests.attack.shops import attempted, shop_over
from tests.patience import PATIENCE_SECONDS

OPEN = AddressGuard(allow_http=True, ports=frozenset({80, 443}))
URL = f"http://{PUBLIC}/hook"
PASSWORD = "p:w/ö@rd"
CREDENTIALS = b64encode(f"us@er:{PASSWORD}".encode()).decode()


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def addresses(*found: str) -> Lookup:
    async def look_up(host: str) -> Sequence[str]:
        return found

    return look_up


def through(proxy: ConnectProxy, look_up: Lookup | None = None, **more: Any) -> HttpNotifier:
    """Return a notifier for the open internet behind this proxy."""
    return notifier_of(OPEN, look_up, proxy=Proxy(host="127.0.0.1", port=proxy.port), **more)


@pytest.fixture
async def proxy() -> AsyncIterator[ConnectProxy]:
    async with connect_proxy() as made:
        yield made


class TestTunnels:
    async def test_http_goes_by_connect_to_the_address_and_the_receiver_sees_a_usual_request(
        self, proxy: ConnectProxy
    ) -> None:
        async with listening() as receiver, through(proxy, addresses(PUBLIC)) as notifier:
            proxy.routes[f"{PUBLIC}:80"] = receiver.port
            with internet() as there:
                outcome = await answered(notifier, "http://hook.example/x?y=z")
        assert outcome.excerpt == "fine"
        assert proxy.listener.requests == [f"CONNECT {PUBLIC}:80 HTTP/1.1\r\nHost: {PUBLIC}:80\r\n\r\n".encode()]
        assert receiver.requests[0].startswith(b"POST /x?y=z HTTP/1.1\r\nHost: hook.example\r\n")
        assert there.dialled[0] == ("127.0.0.1", proxy.port)
        assert {host for host, _ in there.dialled} == {"127.0.0.1"}, "nothing was dialled past the proxy"

    async def test_tls_is_with_the_receiver_by_its_name(self, proxy: ConnectProxy, tmp_path: Path) -> None:
        asked: list[str | None] = []
        server = server_context(tmp_path, names=["hook.example"])
        server.sni_callback = lambda connection, name, context: asked.append(name)
        tls = authority(OURS).client
        async with listening(tls=server) as receiver, through(proxy, addresses(PUBLIC), tls=tls) as notifier:
            proxy.routes[f"{PUBLIC}:443"] = receiver.port
            await answered(notifier, "https://hook.example./")
            outcome = await unreached(notifier, "https://other.example/", "tls")
        assert asked == ["hook.example", "other.example"]
        assert proxy.asked == [f"CONNECT {PUBLIC}:443 HTTP/1.1"] * 2
        assert "certificate is not valid" in outcome.message
        assert len(receiver.requests) == 1

    async def test_a_proxy_that_looks_into_tls_is_found_out(self, proxy: ConnectProxy, tmp_path: Path) -> None:
        server = server_context(tmp_path, names=["hook.example"], by="the proxy's own authority")
        tls = authority(OURS).client
        async with listening(tls=server) as receiver, through(proxy, addresses(PUBLIC), tls=tls) as notifier:
            proxy.routes[f"{PUBLIC}:443"] = receiver.port
            await unreached(notifier, "https://hook.example/", "tls")
        assert receiver.requests == []

    async def test_a_proxy_that_has_a_name_is_found_by_the_system_and_not_by_a_merchants_name_server(
        self, proxy: ConnectProxy
    ) -> None:
        itself = Proxy(host="localhost", port=proxy.port)
        async with listening() as receiver, notifier_of(OPEN, addresses(PUBLIC), proxy=itself) as notifier:
            proxy.routes[f"{PUBLIC}:80"] = receiver.port
            await answered(notifier, "http://hook.example/")

    async def test_an_ipv6_address_is_asked_for_in_brackets(self, proxy: ConnectProxy) -> None:
        async with listening() as receiver, through(proxy, addresses(PUBLIC_IPV6)) as notifier:
            proxy.routes[f"[{PUBLIC_IPV6}]:80"] = receiver.port
            await answered(notifier, "http://hook.example/")
            await answered(notifier, f"http://[{PUBLIC_IPV6}]/")
        assert proxy.asked == [f"CONNECT [{PUBLIC_IPV6}]:80 HTTP/1.1"] * 2

    async def test_the_next_address_is_asked_for_where_one_is_not_reached(self, proxy: ConnectProxy) -> None:
        async with listening() as receiver, through(proxy, addresses(PUBLIC, PUBLIC_TOO)) as notifier:
            proxy.routes[f"{PUBLIC_TOO}:80"] = receiver.port
            await answered(notifier, "http://hook.example/")
        assert proxy.asked == [f"CONNECT {PUBLIC}:80 HTTP/1.1", f"CONNECT {PUBLIC_TOO}:80 HTTP/1.1"]

    async def test_an_address_that_swallows_everything_leaves_time_for_the_next(self, proxy: ConnectProxy) -> None:
        look_up = addresses(PUBLIC, PUBLIC_TOO)
        async with listening() as receiver, through(proxy, look_up, connect_seconds=3.0) as notifier:
            proxy.instead[f"{PUBLIC}:80"] = hang
            proxy.routes[f"{PUBLIC_TOO}:80"] = receiver.port
            await answered(notifier, "http://hook.example/")

    def test_it_is_the_same_on_the_event_loop_of_production(self, tmp_path: Path) -> None:
        async def both_schemes() -> None:
            server = server_context(tmp_path, names=["hook.example"])
            async with connect_proxy() as proxy, listening() as plain, listening(tls=server) as safe:
                proxy.routes |= {f"{PUBLIC}:80": plain.port, f"{PUBLIC}:443": safe.port}
                async with through(proxy, addresses(PUBLIC), tls=authority(OURS).client) as notifier:
                    await answered(notifier, "http://hook.example/")
                    await answered(notifier, "https://hook.example/")
                    await unreached(notifier, "https://other.example/", "tls")
                    await unreached(notifier, f"http://{PUBLIC_TOO}/", "connect")

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(both_schemes())


class TestLedInside:
    @pytest.mark.parametrize(
        "found",
        [
            *(["127.0.0.1"], ["::1"], ["10.0.0.1"], ["169.254.169.254"], ["100.100.100.200"], ["168.63.129.16"]),
            *(["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"], ["2002:7f00:1::1"], ["fd00:ec2::254"], ["fe80::1%lo"]),
            *([PUBLIC, "127.0.0.1"], ["127.0.0.1", PUBLIC], [PUBLIC, "::1"], [PUBLIC] * 8 + ["10.0.0.1"]),
        ],
        ids=str,
    )
    async def test_the_proxy_is_not_asked_for_a_name_that_leads_inside(
        self, proxy: ConnectProxy, found: Sequence[str]
    ) -> None:
        async with through(proxy, addresses(*found)) as notifier:
            for scheme in ("http", "https"):
                outcome = await unreached(notifier, f"{scheme}://hook.example/", "blocked_address")
                assert outcome.milliseconds == 0
        assert await proxy.listener.visits() == 0

    @pytest.mark.parametrize(
        "host",
        [
            *(
                "127.0.0.1",
                "127.1",
                "2130706433",
                "[::1]",
                "[::ffff:127.0.0.1]",
                "[64:ff9b::7f00:1]",
                "169.254.169.254",
            ),
            *("localhost", "10.0.0.1", "[fd00::1]", "0.0.0.0", "[fe80::1%25lo]"),
        ],
    )
    async def test_the_proxy_is_not_asked_for_an_address_of_the_inside(self, proxy: ConnectProxy, host: str) -> None:
        async with through(proxy, addresses("127.0.0.1")) as notifier:
            for scheme in ("http", "https"):
                await unreached(notifier, f"{scheme}://{host}/", "blocked_address", "invalid_url")
        assert await proxy.listener.visits() == 0

    @pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "[::1]"])
    async def test_a_literal_address_that_got_as_far_as_the_tunnel_is_refused_there(
        self, proxy: ConnectProxy, host: str
    ) -> None:
        client = GuardedClient(
            OPEN,
            addresses(),
            connect_timeout_seconds=PATIENCE_SECONDS,
            unsent_timeout_seconds=PATIENCE_SECONDS,
            tls=NO_AUTHORITIES,
            proxy=Proxy(host="127.0.0.1", port=proxy.port),
        )
        async with aclosing(client):
            with pytest.raises(aiohttp.ClientError) as caught:
                async with client.post(f"http://{host}/", headers={}, body=b"{}"):
                    raise AssertionError("no tunnel must have been made")
        assert explain(caught.value).code == "blocked_address"
        assert await proxy.listener.visits() == 0

    async def test_the_proxy_itself_is_no_place_for_a_webhook(self, proxy: ConnectProxy) -> None:
        guard = AddressGuard(allow_http=True, ports=frozenset({proxy.port}))
        itself = Proxy(host="127.0.0.1", port=proxy.port)
        async with notifier_of(guard, addresses("127.0.0.1"), proxy=itself) as notifier:
            for host in ("127.0.0.1", "proxy.example"):
                await unreached(notifier, f"http://{host}:{proxy.port}/", "blocked_address")
        assert await proxy.listener.visits() == 0

    async def test_the_proxy_gets_the_address_that_was_checked_and_no_name_to_resolve(
        self, proxy: ConnectProxy
    ) -> None:
        zone = {"hook.evil.example": [[f"A {PUBLIC}"], ["A 127.0.0.1"]]}
        async with (
            name_server(zone) as names,
            listening() as receiver,
            through(proxy, names.look_up) as notifier,
        ):
            proxy.routes[f"{PUBLIC}:80"] = receiver.port
            await answered(notifier, "http://hook.evil.example/")
            assert set(names.asked.values()) == {1}
            await unreached(notifier, "http://hook.evil.example/", "blocked_address")
        assert proxy.asked == [f"CONNECT {PUBLIC}:80 HTTP/1.1"]

    @pytest.mark.parametrize("status", [301, 307, 401, 407])
    async def test_an_answer_leads_nowhere_else(self, proxy: ConnectProxy, status: int) -> None:
        answer = answer_of(
            b"", f"Location: http://127.0.0.1:{proxy.port}/", "Proxy-Authenticate: Basic", status=f"{status} X"
        )
        async with listening(answering(answer)) as receiver, through(proxy) as notifier:
            proxy.routes[f"{PUBLIC}:80"] = receiver.port
            assert (await answered(notifier, URL)).status_code == status
        assert proxy.asked == [f"CONNECT {PUBLIC}:80 HTTP/1.1"]

    async def test_an_allowed_network_goes_through_the_proxy_as_well(self, proxy: ConnectProxy) -> None:
        guard = AddressGuard(allowed_networks=(IPv4Network("10.0.0.0/8"),))
        itself = Proxy(host="127.0.0.1", port=proxy.port)
        async with listening() as receiver, notifier_of(guard, proxy=itself) as notifier:
            proxy.routes["10.0.0.1:9000"] = receiver.port
            await answered(notifier, "http://10.0.0.1:9000/")


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: y\r\n")
        await writer.drain()
        await asyncio.sleep(SHORT_SECONDS / 10)


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: y\r\n" * (PROXY_HEAD_BYTES_MAX // 8))
        await writer.drain()


class TestFailures:
    @pytest.mark.parametrize(
        "answer",
        [
            *(
                f"HTTP/1.1 {n} proxy.inside\r\n\r\n".encode()
                for n in (100, 301, 400, 403, 404, 429, 500, 502, 503, 504)
            ),
            b"HTTP/1.1 200 OK\r\n\r\n220 smtp.example.com\r\n",
        ],
    )
    async def test_no_tunnel_is_no_connection_and_says_nothing_of_the_proxy(
        self, proxy: ConnectProxy, answer: bytes
    ) -> None:
        proxy.instead[f"{PUBLIC}:80"] = answering(answer)
        async with through(proxy) as notifier:
            outcome = await unreached(notifier, URL, "connect")
        assert outcome.message == "no connection: the receiver cannot be reached"

    @pytest.mark.parametrize(
        "handle",
        [
            answering(b"HTTP/1.1 407 Say Who\r\nProxy-Authenticate: Basic realm=inside\r\n\r\n"),
            answering(b""),
            answering(b"HTTP/1.1 200 OK\r\n"),
            answering(b"SSH-2.0-proxy.inside\r\n\r\n\r\n"),
            answering(b"HTTP/2 200\r\n\r\n"),
            answering(b"HTTP/1.1 2000 OK\r\n\r\n"),
            answering(b"HTTP/1.1 600 OK\r\n\r\n"),
            answering(b"\x05\x00\r\n\r\n"),
            flood,
        ],
    )
    async def test_a_proxy_that_does_not_serve_us_is_our_failure_and_nothing_is_said_of_it(
        self, proxy: ConnectProxy, handle: Handle
    ) -> None:
        proxy.instead[f"{PUBLIC}:80"] = handle
        async with through(proxy) as notifier:
            outcome = await unreached(notifier, URL, "internal")
        assert outcome.message == "the attempt failed on our side"

    @pytest.mark.parametrize("handle", [hang, drip], ids=["hangs", "drips"])
    async def test_a_proxy_that_takes_its_time_is_left_after_the_connect_time(
        self, proxy: ConnectProxy, handle: Handle
    ) -> None:
        proxy.instead[f"{PUBLIC}:80"] = handle
        async with through(proxy, connect_seconds=SHORT_SECONDS) as notifier:
            outcome = await unreached(notifier, URL, "timeout")
        assert outcome.message == "no connection in time"
        assert SHORT_SECONDS * 1000 - 1 <= outcome.milliseconds < PATIENCE_SECONDS * 1000

    @pytest.mark.parametrize("host", ["127.0.0.1", "proxy.invalid"])
    async def test_a_proxy_that_is_away_is_our_failure_and_said_to_the_operator(
        self, host: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_such_name(*_: object, **__: object) -> None:
            raise OSError("no such name")

        monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
        async with listening() as gone:
            port = gone.port
        proxy = Proxy.at(f"http://us%40er:hunter2@{host}:{port}")
        with caplog.at_level(logging.DEBUG):
            async with notifier_of(OPEN, proxy=proxy) as notifier:
                outcome = await unreached(notifier, URL, "internal")
        assert outcome.message == "the attempt failed on our side"
        assert "webhooks cannot leave: the proxy" in caplog.text
        for secret in ("hunter2", b64encode(b"us@er:hunter2").decode()):
            assert secret not in caplog.text
            assert secret not in repr(proxy)


class TestLimits:
    async def test_the_total_time_holds(self, proxy: ConnectProxy) -> None:
        async with listening(hang) as receiver, through(proxy, total_seconds=SHORT_SECONDS) as notifier:
            proxy.routes[f"{PUBLIC}:80"] = receiver.port
            await unreached(notifier, URL, "timeout")

    async def test_a_handshake_that_never_ends_is_left_after_the_connect_time(self, proxy: ConnectProxy) -> None:
        async with listening(hang) as receiver, through(proxy, connect_seconds=SHORT_SECONDS) as notifier:
            proxy.routes[f"{PUBLIC}:443"] = receiver.port
            await unreached(notifier, f"https://{PUBLIC}/", "timeout")

    @pytest.mark.parametrize(
        ("start", "outcome"),
        [
            (b"HTTP/1.1 200 OK\r\n\r\n", EXCERPT_LENGTH_MAX),
            (b"HTTP/1.1 200 OK\r\nX-Long: ", "too_large"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "too_large"),
        ],
    )
    async def test_the_bytes_of_an_answer_are_bounded(
        self, proxy: ConnectProxy, start: bytes, outcome: int | str
    ) -> None:
        async def never_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(start)
            while True:
                writer.write(b"x" * 8_000)
                await writer.drain()

        async with listening(never_end) as receiver, through(proxy) as notifier:
            proxy.routes[f"{PUBLIC}:80"] = receiver.port
            came = await send(notifier, URL)
        assert (len(came.excerpt) if isinstance(came, Answered) else came.code) == outcome

    async def test_each_request_has_a_tunnel_of_its_own(self, proxy: ConnectProxy) -> None:
        answer = answer_of(b"", "Connection: keep-alive", "Set-Cookie: a=b")
        async with listening(answering(answer)) as receiver, through(proxy) as notifier:
            proxy.routes[f"{PUBLIC}:80"] = receiver.port
            await answered(notifier, URL)
            await answered(notifier, URL)
        assert len(proxy.asked) == receiver.connections == 2
        assert receiver.requests[0] == receiver.requests[1]

    async def test_a_notifier_that_is_closed_leaves_no_tunnel(self, proxy: ConnectProxy) -> None:
        async with listening(hang) as receiver:
            proxy.routes[f"{PUBLIC}:80"] = receiver.port
            async with through(proxy) as notifier:
                attempt = asyncio.create_task(send(notifier, URL))
                while not receiver.requests:  # noqa: ASYNC110  # the server tells nobody
                    await asyncio.sleep(0)
            assert isinstance(await attempt, Unreached)


class TestCredentials:
    async def test_they_are_the_proxys_and_nobody_elses(self, proxy: ConnectProxy) -> None:
        known = Proxy.at(f"http://us%40er:p%3Aw%2F%C3%B6%40rd@127.0.0.1:{proxy.port}")
        async with listening() as receiver, notifier_of(OPEN, proxy=known) as notifier:
            proxy.routes[f"{PUBLIC}:80"] = receiver.port
            await answered(notifier, URL)
        assert f"\r\nProxy-Authorization: Basic {CREDENTIALS}\r\n".encode() in proxy.listener.requests[0]
        assert b"authorization" not in receiver.requests[0].lower()

    @pytest.mark.parametrize(
        "url",
        [
            *("", "127.0.0.1:3128", "https://proxy:3128", "socks5://proxy:1080", "http://proxy", "http://:3128"),
            *("http://u:hunter2@proxy:x", "http://u:hunter2@[::1:3128", "http://u:hunter2@proxy:99999"),
        ],
    )
    def test_a_url_that_names_no_proxy_is_refused_and_not_shown(self, url: str) -> None:
        with pytest.raises(ValueError, match="is not a URL such as") as refused:
            Proxy.at(url)
        assert "hunter2" not in str(refused.value)
        assert refused.value.__cause__ is None


Environment = Callable[[str], None]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Environment:
    """Give what sets every variable by which clients find a proxy, and a netrc that knows it."""

    def set_all(url: str) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("default login us password hunter2\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("HOME", str(tmp_path))
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY", "WSS_PROXY", "FTP_PROXY"):
            monkeypatch.setenv(name, url)
            monkeypatch.setenv(name.lower(), url)

    return set_all


class TestTheEnvironment:
    async def test_no_proxy_is_taken_from_it(self, proxy: ConnectProxy, environment: Environment) -> None:
        environment(f"http://127.0.0.1:{proxy.port}")
        async with listening() as receiver, notifier_of(OPEN) as notifier:
            with internet() as there:
                there.servers[PUBLIC] = receiver.port
                await answered(notifier, URL)
                await unreached(notifier, f"https://{PUBLIC_TOO}/", "connect")
        assert there.dialled == [(PUBLIC, 80), (PUBLIC_TOO, 443)]
        assert b"authorization" not in receiver.requests[0].lower()
        assert await proxy.listener.visits() == 0

    @pytest.mark.parametrize("no_proxy", ["*", PUBLIC, "hook.example"])
    async def test_it_neither_replaces_nor_passes_by_the_one_of_the_setting(
        self, proxy: ConnectProxy, environment: Environment, monkeypatch: pytest.MonkeyPatch, no_proxy: str
    ) -> None:
        monkeypatch.setenv("NO_PROXY", no_proxy)
        monkeypatch.setenv("no_proxy", no_proxy)
        async with connect_proxy() as other, listening() as receiver:
            environment(f"http://127.0.0.1:{other.port}")
            proxy.routes[f"{PUBLIC}:80"] = receiver.port
            async with through(proxy, addresses(PUBLIC)) as notifier:
                await answered(notifier, "http://hook.example/")
            assert await other.listener.visits() == 0
        assert len(proxy.asked) == 1
        assert b"authorization" not in proxy.listener.requests[0].lower()
        assert b"authorization" not in receiver.requests[0].lower()


async def test_the_setting_is_what_webhooks_leave_by_and_merchants_see_nothing_of_it(proxy: ConnectProxy) -> None:
    url = f"http://us%40er:p%3Aw%2F%C3%B6%40rd@127.0.0.1:{proxy.port}"
    settings = read_settings({"PAYMENTS_WEBHOOK_PROXY": url, "PAYMENTS_RATE_LIMITS": "off"}, env_file=None)
    async with shop_over(settings) as shop:
        seen = [await attempted(shop, (await shop.add_webhook(f"https://{PUBLIC}/"))["id"])]
        proxy.instead[f"{PUBLIC}:443"] = answering(b"HTTP/1.1 407 Say Who\r\n\r\n")
        seen.append(await attempted(shop, (await shop.add_webhook(f"https://{PUBLIC}/other"))["id"]))
    assert [attempt["error"] for attempt in seen] == [
        "connect: no connection: the receiver cannot be reached",
        "internal: the attempt failed on our side",
    ]
    assert set(proxy.asked) == {f"CONNECT {PUBLIC}:443 HTTP/1.1"}
    assert f"\r\nProxy-Authorization: Basic {CREDENTIALS}\r\n".encode() in proxy.listener.requests[0]
