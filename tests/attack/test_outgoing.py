"""Attempts to have the notifier reach what is inside, by the spelling of a URL or by what a name resolves to.

The whole notifier is asked to send. Loopback has a real listener, every dial is noted, names are asked of a real name
server that answers as its owner, the attacker, likes.
"""

# ruff: noqa: RUF001  # look-alike characters are what is tried here
from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network

import pytest

from adapters.http.guard import AddressGuard
from adapters.http.notifier import HttpNotifier
from adapters.http.resolver import ADDRESSES_DIALLED_MAX
from payments_core.ports import Answered
from payments_core.worker import DELIVERIES_IN_FLIGHT_FAILING_MAX
from tests.attack.internet import (
    PUBLIC,
    PUBLIC_IPV6,
    PUBLIC_TOO,
    SHORT_SECONDS,
    Internet,
    Listener,
    answered,
    few_turns,
    internet,
    listening,
    notifier_of,
    send,
    unreached,
)
from tests.attack.name_server import GARBAGE, SILENCE, NameServer, Step, name_server
from tests.patience import PATIENCE_SECONDS

BLOCKED_NETWORKS = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    *("::/128", "::1/128", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23"),
    *("2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    *("::ffff:0.0.0.0/104", "::ffff:127.0.0.0/104", "::ffff:169.254.0.0/112"),  # mapped: closed where IPv4 is
)

NEXT_TO_BLOCKED = (
    *("1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0"),
    *("168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0"),
    *("191.255.255.255", "192.0.1.0", "192.0.1.255", "192.0.3.0", "192.88.98.255", "192.88.100.0"),
    *("192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0"),
    *("203.0.112.255", "203.0.114.0", "223.255.255.255", "2000::", "2001:200::", "2001:db7:ffff:ffff::"),
    *("2001:db9::", "2001:ffff:ffff::", "2003::", "3ffe:ffff::", "3fff:1000::"),
)

# `{port}` is where the trap listens, and a port that the guard lets pass.
LITERALS = (
    # loopback, as a parser somewhere might read it
    *("http://127.0.0.1:{port}/", "https://127.0.0.1:{port}/", "http://127.1:{port}/", "http://127.0.1:{port}/"),
    *("http://127.255.255.254:{port}/", "http://2130706433:{port}/", "http://0x7f000001:{port}/"),
    *("http://0X7F.0.0.1:{port}/", "http://0x7f.0x0.0x0.0x1:{port}/", "http://0177.0.0.1:{port}/"),
    *("http://017700000001:{port}/", "http://0177.0.01:{port}/", "http://127.0.0.01:{port}/"),
    *("http://0000000000000127.0.0.1:{port}/", "http://127.0.0.1.:{port}/", "http://127.1.:{port}/"),
    *("http://4294967295:{port}/", "http://6425673729:{port}/", "http://383.0.0.1:{port}/"),
    *("http://0.0.0.0:{port}/", "http://0:{port}/", "http://00:{port}/", "http://0x0:{port}/", "http://0.0:{port}/"),
    *("http://127.0x1:{port}/", "http://0x7f.1:{port}/", "http://127.0.0.0x1:{port}/", "http://+127.0.0.1:{port}/"),
    # IPv6, and IPv4 inside of it
    *("http://[::1]:{port}/", "http://[::]:{port}/", "http://[0:0:0:0:0:0:0:1]:{port}/"),
    *("http://[0000:0000:0000:0000:0000:0000:0000:0001]:{port}/", "http://[::0001]:{port}/"),
    *("http://[::ffff:127.0.0.1]:{port}/", "http://[::FFFF:7F00:1]:{port}/", "http://[::ffff:7f00:0001]:{port}/"),
    *("http://[0:0:0:0:0:ffff:127.0.0.1]:{port}/", "http://[0::ffff:0x7f.0.0.1]:{port}/"),
    *("http://[::127.0.0.1]:{port}/", "http://[::7f00:1]:{port}/", "http://[::ffff:0:127.0.0.1]:{port}/"),
    *("http://[64:ff9b::127.0.0.1]:{port}/", "http://[64:FF9B::7F00:1]:{port}/"),
    *("http://[64:ff9b:1::127.0.0.1]:{port}/", "http://[64:ff9b:1:ffff:ffff:ffff:127.0.0.1]:{port}/"),
    *("http://[2002:7f00:1::]:{port}/", "http://[2002:7f00:0001:0:0:0:0:1]:{port}/", "http://[2002:a9fe:a9fe::]/"),
    *("http://[2001:0:7f00:1::]:{port}/", "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]:{port}/"),
    *("http://[fe80::5efe:127.0.0.1]:{port}/", "http://[fe80::200:5efe:7f00:1]:{port}/"),
    *("http://[::1%lo]:{port}/", "http://[::1%25lo]:{port}/", "http://[::1%1]:{port}/", "http://[fe80::1%25lo]/"),
    *("http://[::1]x:{port}/", "http://[::1:{port}/", "http://::1:{port}/", "http://[::ffff:127.0.0.1/"),
    *("http://[::ffff:１２７.0.0.1]:{port}/", "http://[0:0:0:0:0:0:0:0:1]:{port}/"),
    # what stands inside clouds and houses
    *("http://169.254.169.254:{port}/latest/meta-data/", "http://[::ffff:169.254.169.254]:{port}/"),
    *("http://[::ffff:a9fe:a9fe]:{port}/", "http://[fd00:ec2::254]:{port}/latest/", "http://2852039166:{port}/"),
    *("http://0xa9fea9fe:{port}/", "http://0251.0376.0251.0376:{port}/", "http://169.254.43518:{port}/"),
    *("http://[fd20:ce::254]:{port}/computeMetadata/v1/", "http://168.63.129.16:{port}/machine?comp=goalstate"),
    *("http://100.100.100.200:{port}/latest/", "http://192.0.0.192:{port}/opc/v2/", "http://169.254.170.2:{port}/"),
    *("http://[::ffff:168.63.129.16]:{port}/", "http://[::ffff:100.100.100.200]:{port}/"),
    *("http://10.0.0.1:{port}/", "http://172.17.0.1:{port}/", "http://192.168.1.1:{port}/", "http://10.1:{port}/"),
    *("http://[fc00::1]:{port}/", "http://[FD12:3456:789A::1]:{port}/", "http://[fec0::1]:{port}/"),
    *("http://[ff02::1]:{port}/", "http://224.0.0.251:{port}/", "http://255.255.255.255:{port}/"),
    # other digits and dots, which IDNA would turn into these
    *("http://１２７.0.0.1:{port}/", "http://①②⑦.⓪.⓪.①:{port}/", "http://127。0。0。1:{port}/"),
    *("http://127．0．0．1:{port}/", "http://127｡0｡0｡1:{port}/", "http://𝟭𝟮𝟳.𝟬.𝟬.𝟭:{port}/", "http://١٢٧.0.0.1:{port}/"),
    *("http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/", "http://ｌｏｃａｌｈｏｓｔ:{port}/", "http://loca\u00adlhost:{port}/"),
    *("http://local\u200bhost:{port}/", "http://localho\u017ft:{port}/", "http://127.0.0.1\u2044@evil.example/"),
    "http://[\uff1a\uff1a1]:{port}/",
    # percent-encoded hosts
    *("http://%31%32%37.0.0.1:{port}/", "http://127%2e0%2e0%2e1:{port}/", "http://%6c%6f%63alhost:{port}/"),
    *("http://localhost%00.evil.example:{port}/", "http://127.0.0.1%2f@evil.example:{port}/"),
    *("http://127.0.0.1%23.evil.example:{port}/", "http://%5b::1%5d:{port}/", "http://127.0.0.1%20:{port}/"),
    # two hosts in one URL
    *("http://evil.example@127.0.0.1:{port}/", "http://127.0.0.1:{port}@evil.example/", "http://a:b@127.0.0.1:{port}/"),
    *("http://@127.0.0.1:{port}/", "http://evil.example:80@127.0.0.1:{port}/", "http://a@b@127.0.0.1:{port}/"),
    *("http://127.0.0.1:{port}#@evil.example/", "http://evil.example#@127.0.0.1:{port}/", "http://127.0.0.1:{port}#"),
    *("http://evil.example\\@127.0.0.1:{port}/", "http://127.0.0.1:{port}\\@evil.example/", "http:\\\\127.0.0.1:80"),
    *("http:/127.0.0.1:{port}/", "http:127.0.0.1:{port}/", "http:///127.0.0.1:{port}/", "http:////127.0.0.1:{port}/"),
    *("//127.0.0.1:{port}/", "http://evil.example;@127.0.0.1:{port}/", "http://127.0.0.1;evil.example:{port}/"),
    *("http://evil.example&@127.0.0.1:{port}/", "http://127.0.0.1,evil.example:{port}/"),
    *("http://evil.example:80:127.0.0.1:{port}/", "http://127.0.0.1:{port}:443/", "http://127.0.0.1 evil.example/"),
    # blanks and lines where some parsers drop them
    *("http://127.0.0.1\t:{port}/", "http://127.0.\n0.1:{port}/", "ht\ntp://127.0.0.1:{port}/", "\x00http://127.0.0.1/"),
    *(" http://127.0.0.1:{port}/", "http://127.0.0.1:{port}/\r\nHost: evil.example", "http://\r127.0.0.1:{port}/"),
    *("http://evil.example\r\n@127.0.0.1:{port}/", "http://127.0.0.1:{port}/ HTTP/1.1\r\nX: y"),
    # ports
    *("http://127.0.0.1:0{port}/", "http://127.0.0.1:+{port}/", "http://127.0.0.1:-1/", "http://127.0.0.1:/"),
    *("http://127.0.0.1:0/", "http://127.0.0.1:65536/", "http://127.0.0.1:99999999999/", "http://127.0.0.1:１２/"),
    *("http://127.0.0.1:{port} /", "http://127.0.0.1:{port}a/", "http://127.0.0.1:0x50/", "http://127.0.0.1:22/"),
    # schemes
    *("file:///etc/passwd", "file://127.0.0.1/etc/passwd", "gopher://127.0.0.1:{port}/_POST", "dict://127.0.0.1:{port}/"),
    *("ftp://127.0.0.1:{port}/", "ldap://127.0.0.1:{port}/", "ws://127.0.0.1:{port}/", "wss://127.0.0.1:{port}/"),
    *("unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun%2Fdocker.sock/", "data:,x", "jar:http://127.0.0.1!/"),
    *("tcp://127.0.0.1:{port}", "javascript:alert(1)", "httpx://127.0.0.1:{port}/", "tftp://127.0.0.1:{port}/x"),
    # too long for somebody
    "http://127.0.0.1:{port}/" + "a" * 2_048,
    "http://" + "a" * 64 + ".example:{port}/",
    "http://" + "a." * 127 + "example:{port}/",
    "http://" + "0" * 300 + "127.0.0.1:{port}/",
)  # fmt: skip

HIDDEN_BY_A_NAME: dict[str, Step] = {
    **{
        f"A {address}": [f"A {address}"]
        for address in (
            *("127.0.0.1", "127.0.0.53", "0.0.0.0", "10.0.0.1", "169.254.169.254", "100.100.100.200", "168.63.129.16"),
            *("192.0.0.192", "169.254.170.2", "172.17.0.1", "192.168.0.1", "224.0.0.1", "255.255.255.255"),
        )
    },
    **{
        f"AAAA {address}": [f"AAAA {address}"]
        for address in (
            *("::1", "::", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1"),
            *("::ffff:0:7f00:1", "64:ff9b::7f00:1", "64:ff9b:1::a9fe:a9fe", "2002:7f00:1::1", "2001:0:7f00:1::1"),
            *("fe80::1", "fe80::5efe:7f00:1", "fec0::1", "fd00:ec2::254", "fd20:ce::254", "2001:db8::1", "3fff::1"),
            *("5f00::1", "100::1", "ff02::1", "4000::1"),
        )
    },
    "a good one first": [f"A {PUBLIC}", "A 127.0.0.1"],
    "a bad one first": ["A 127.0.0.1", f"A {PUBLIC}"],
    "a bad one in the middle": [f"A {PUBLIC}", "A 10.0.0.1", f"A {PUBLIC_TOO}"],
    "good on IPv4, bad on IPv6": [f"A {PUBLIC}", "AAAA ::1"],
    "bad on IPv4, good on IPv6": ["A 127.0.0.1", f"AAAA {PUBLIC_IPV6}"],
    "good on IPv4, the bad one mapped": [f"A {PUBLIC}", "AAAA ::ffff:127.0.0.1"],
    "a bad one behind those that are dialled": [*(f"A 93.184.215.{n}" for n in range(100, 110)), "A 127.0.0.1"],
    "a bad one behind two hundred": [*(f"A 93.184.{n}.1" for n in range(200)), "A 192.168.0.1"],
    "a thousand bad ones": [f"A 10.0.{n // 250}.{n % 250}" for n in range(1_000)],
    "an alias of localhost": ["CNAME localhost", "A 127.0.0.1"],
    "an alias of a cloud's metadata": ["CNAME metadata.google.internal", "A 169.254.169.254"],
    "a chain of aliases": [*(f"CNAME hop{n}.evil.example" for n in range(10)), "A 127.0.0.1"],
    "an alias on IPv6": ["CNAME inside.evil.example", f"A {PUBLIC}", "AAAA fd00::1"],
    "an alias whose name is an address": ["CNAME 127.0.0.1", "A 127.0.0.1"],
}

INSIDE_NAMES = (
    *("localhost", "localhost.", "LOCALHOST", "a.localhost", "localhost.localdomain", "ip6-localhost"),
    *("metadata.google.internal", "metadata.goog", "metadata", "instance-data.ec2.internal", "rancher-metadata"),
    *("kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "host.docker.internal", "postgres", "wpad"),
    *("127.0.0.1.nip.io", "169-254-169-254.sslip.io", "localtest.me", "printer.local", "router.lan", "_gateway"),
    *("1.0.0.127.in-addr.arpa", "xn--lclhst-q9a3c.example", "7f000001.rebind.example"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A notifier for the open internet, the attacker's name server, and what must not be reached."""

    notifier: HttpNotifier
    names: NameServer
    trap: Listener
    there: Internet

    async def assert_nobody_was_reached(self) -> None:
        assert self.there.dialled == []
        assert await self.trap.visits() == 0


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with listening() as trap, name_server({}) as names:
        guard = AddressGuard(allow_http=True, ports=frozenset({80, 443, trap.port}))
        async with notifier_of(guard, names.look_up) as notifier:
            with internet() as there:
                yield World(notifier=notifier, names=names, trap=trap, there=there)


class TestUrls:
    async def test_the_trap_notices_whoever_is_let_in(self, world: World) -> None:
        loopback = AddressGuard(allowed_networks=(IPv4Network("127.0.0.0/8"),))
        async with notifier_of(loopback) as let_in:
            assert isinstance(await send(let_in, f"http://127.0.0.1:{world.trap.port}/"), Answered)
        assert world.there.dialled == [("127.0.0.1", world.trap.port)]
        assert await world.trap.visits() == 1

    @pytest.mark.parametrize("url", LITERALS, ids=ascii)
    async def test_no_spelling_of_an_inside_address_is_dialled_or_looked_up(self, world: World, url: str) -> None:
        outcome = await unreached(
            world.notifier, url.replace("{port}", str(world.trap.port)), "invalid_url", "blocked_address"
        )
        await world.assert_nobody_was_reached()
        assert not world.names.asked
        assert outcome.milliseconds == 0

    @pytest.mark.parametrize("network", BLOCKED_NETWORKS)
    async def test_a_blocked_network_is_closed_from_its_first_address_to_its_last(
        self, world: World, network: str
    ) -> None:
        parsed = ip_network(network)
        for address in {parsed[0], parsed[parsed.num_addresses // 2], parsed[-1]}:
            host = f"[{address}]" if address.version == 6 else str(address)
            kind = "AAAA" if address.version == 6 else "A"
            name = f"at-{str(address).replace('.', '-').replace(':', '-')}-x.evil.example"
            world.names.zone[name] = [[f"{kind} {address}"]]
            for scheme in ("http", "https"):
                await unreached(world.notifier, f"{scheme}://{host}:{world.trap.port}/", "blocked_address")
                await unreached(world.notifier, f"{scheme}://{name}:{world.trap.port}/", "blocked_address")
        await world.assert_nobody_was_reached()

    @pytest.mark.parametrize("address", NEXT_TO_BLOCKED)
    async def test_an_address_just_outside_is_dialled_as_it_stands(self, world: World, address: str) -> None:
        host = f"[{address}]" if ":" in address else address
        await unreached(world.notifier, f"http://{host}:{world.trap.port}/", "connect")
        assert world.there.dialled == [(address, world.trap.port)]


class TestNames:
    @pytest.mark.parametrize("step", HIDDEN_BY_A_NAME.values(), ids=HIDDEN_BY_A_NAME.keys())
    async def test_a_name_that_leads_inside_by_any_of_its_addresses_is_refused(self, world: World, step: Step) -> None:
        world.names.zone["hook.evil.example"] = [step]
        world.there.servers[PUBLIC] = world.trap.port
        outcome = await unreached(world.notifier, f"http://hook.evil.example:{world.trap.port}/", "blocked_address")
        assert world.names.asked
        assert outcome.milliseconds == 0, "the time that a name takes tells of the inside"
        await world.assert_nobody_was_reached()

    @pytest.mark.parametrize("name", INSIDE_NAMES)
    async def test_a_name_of_the_inside_gives_nothing_away(self, world: World, name: str) -> None:
        world.names.zone[name.lower().removesuffix(".")] = [["A 127.0.0.1", "AAAA ::1"]]
        outcome = await unreached(world.notifier, f"http://{name}:{world.trap.port}/", "blocked_address")
        assert "127.0.0.1" not in outcome.message
        await world.assert_nobody_was_reached()

    @pytest.mark.parametrize(
        ("step", "code"),
        [
            (["NXDOMAIN"], "dns"),
            (["SERVFAIL"], "dns"),
            (["REFUSED"], "dns"),
            (["NOTIMP"], "dns"),
            ([], "dns"),
            (["CNAME nowhere.evil.example"], "dns"),
            (["CNAME hook.evil.example"], "dns"),
            (["CNAME a.evil.example", "CNAME hook.evil.example"], "dns"),
            ([GARBAGE], "timeout"),
            ([SILENCE], "timeout"),
        ],
        ids=str,
    )
    async def test_a_name_server_that_fails_leads_nowhere(self, world: World, step: Step, code: str) -> None:
        world.names.zone["hook.evil.example"] = [step]
        guard = AddressGuard(allow_http=True, ports=frozenset({80}))
        patience = SHORT_SECONDS if code == "timeout" else PATIENCE_SECONDS
        async with notifier_of(guard, world.names.look_up, connect_seconds=patience) as notifier:
            await unreached(notifier, "http://hook.evil.example/", code)
        await world.assert_nobody_was_reached()


class TestRebinding:
    @pytest.mark.parametrize(
        "inside",
        [
            *("A 127.0.0.1", "A 0.0.0.0", "A 10.0.0.1", "A 169.254.169.254", "AAAA ::1", "AAAA ::ffff:127.0.0.1"),
            *("AAAA fd00:ec2::254", "AAAA 64:ff9b::7f00:1"),
        ],
    )
    async def test_a_name_that_was_good_when_it_was_checked_is_dialled_where_it_was_checked(
        self, world: World, inside: str
    ) -> None:
        async with listening() as shop:
            world.there.servers[PUBLIC] = shop.port
            world.names.zone["hook.evil.example"] = [[f"A {PUBLIC}"], [inside]]
            url = f"http://hook.evil.example:{world.trap.port}/"
            await answered(world.notifier, url)
            # One question of each type and no other: what is dialled was not asked for again.
            assert set(world.names.asked.values()) == {1}
            assert world.there.dialled == [(PUBLIC, world.trap.port)]
            await unreached(world.notifier, url, "blocked_address")
            assert world.there.dialled == [(PUBLIC, world.trap.port)]
        assert await world.trap.visits() == 0

    async def test_a_name_that_changes_with_each_question_is_judged_by_each_attempts_answer(self, world: World) -> None:
        async with listening() as shop:
            world.there.servers[PUBLIC] = shop.port
            steps: Sequence[Step] = [[f"A {PUBLIC}"], ["A 127.0.0.1"]] * 4
            world.names.zone["hook.evil.example"] = steps
            outcomes = [await send(world.notifier, f"http://hook.evil.example:{world.trap.port}/") for _ in steps]
        assert [isinstance(outcome, Answered) for outcome in outcomes] == [True, False] * 4
        assert world.there.dialled == [(PUBLIC, world.trap.port)] * 4
        assert await world.trap.visits() == 0

    async def test_a_good_address_that_refuses_is_no_reason_to_ask_again(self, world: World) -> None:
        world.names.zone["hook.evil.example"] = [[f"A {PUBLIC}"], ["A 127.0.0.1"]]
        await unreached(world.notifier, f"http://hook.evil.example:{world.trap.port}/", "connect")
        assert world.there.dialled == [(PUBLIC, world.trap.port)]
        assert await world.trap.visits() == 0

    async def test_a_name_with_very_many_addresses_is_no_port_scan(self, world: World) -> None:
        world.names.zone["hook.evil.example"] = [[f"A 93.184.{n}.1" for n in range(250)]]
        await unreached(world.notifier, f"http://hook.evil.example:{world.trap.port}/", "connect")
        assert len({address for address, _ in world.there.dialled}) <= ADDRESSES_DIALLED_MAX
        assert len(world.there.dialled) <= ADDRESSES_DIALLED_MAX**2


class TestHeldUp:
    async def test_names_that_are_never_answered_hold_up_nobody_elses(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        silent, speaks = 2 * DELIVERIES_IN_FLIGHT_FAILING_MAX, threading.Event()

        def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
            if host.startswith("silent"):
                speaks.wait(PATIENCE_SECONDS)
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (PUBLIC, 0))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        guard = AddressGuard(allow_http=True, ports=frozenset({80}))
        async with listening() as shop, notifier_of(guard) as notifier:
            world.there.servers[PUBLIC] = shop.port
            urls = [f"http://silent-{number}.evil.example/" for number in range(silent)]
            waiting = [asyncio.create_task(send(notifier, url)) for url in urls]
            await few_turns()
            try:
                await answered(notifier, "http://hook.example/")
                assert not any(task.done() for task in waiting)
            finally:
                speaks.set()
                await asyncio.gather(*waiting)
