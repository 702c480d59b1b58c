"""The notifier against receivers that misbehave: real sockets on loopback, short time-outs."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.http.answer import RETRY_AFTER_SECONDS_MAX, retry_after_seconds
from adapters.http.client import CONNECTION_BYTES_MAX, GuardedClient
from adapters.http.failure import explain
from adapters.http.guard import AddressGuard
from adapters.http.notifier import HttpNotifier
from adapters.http.resolver import ADDRESSES_DIALLED_MAX, Lookup
from payments_core.ports import Answered, Notification, Notifier, Unreached
from payments_core.testing.notifier import NotifierContract, NotifierUnderTest, Reply
from payments_core.webhook import EXCERPT_LENGTH_MAX
from tests.patience import PATIENCE_SECONDS

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CONNECT_TIMEOUT_SECONDS = 0.3
TOTAL_TIMEOUT_SECONDS = 0.6
"""For tests in which a time is to run out; in all others none does, whatever the machine is doing."""
SLACK_MILLISECONDS = PATIENCE_SECONDS * 1000
"""What a shared machine may add to a time-out before it is a failure."""
BYTES_BEYOND_KERNEL_BUFFERS = 16 * 1024 * 1024
BODY_BEYOND_KERNEL_BUFFERS = bytes(BYTES_BEYOND_KERNEL_BUFFERS)

ENDS_DURING_A_LOOK_UP = """
import asyncio, socket, threading
asked = threading.Event()
def hang(*_, **__):
    asked.set()
    threading.Event().wait()
socket.getaddrinfo = hang
from adapters.http import AddressGuard, HttpNotifier
from payments_core.ports import Notification, Unreached
async def main():
    async with HttpNotifier(AddressGuard(), connect_timeout_seconds=0.1) as notifier:
        answer = await notifier.send(Notification(url="https://slow.example.com/", headers={}, body=b"{}"))
    assert asked.is_set() and isinstance(answer, Unreached), answer
asyncio.run(main())
"""

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Receiver:
    """A server that reads a request and then does what its script says."""

    handle: Handle
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = (
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length")
                )
                length = next(lengths, 0)
                self.requests.append(head + await reader.readexactly(length))
                await self.handle(reader, writer)
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def receiver(
    handle: Handle, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    made = Receiver(handle=handle)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(made.serve(reader, writer)))

    server = await asyncio.start_server(accept, host, 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(answer: bytes) -> Handle:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return handle


def answer_of(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = "".join(f"{line}\r\n" for line in (*headers, f"Content-Length: {len(body)}"))
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading the usual ones takes longer than most of these tests."""

OK = answering(answer_of(b"fine"))
LOOPBACK = AddressGuard(allowed_networks=(IPv4Network("127.0.0.1/32"), IPv6Network("::1/128")))


def addresses(*found: str) -> Lookup:
    async def look_up(host: str) -> Sequence[str]:
        return found

    return look_up


def notifier_of(
    guard: AddressGuard = LOOPBACK,
    *,
    look_up: Lookup | None = None,
    tls: ssl.SSLContext = NO_AUTHORITIES,
    connect_seconds: float = PATIENCE_SECONDS,
    total_seconds: float = PATIENCE_SECONDS,
) -> HttpNotifier:
    return HttpNotifier(
        guard,
        connect_timeout_seconds=connect_seconds,
        total_timeout_seconds=total_seconds,
        look_up=look_up,
        tls=tls,
        now=lambda: NOW,
    )


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
async def notifier() -> AsyncIterator[HttpNotifier]:
    async with notifier_of() as made:
        yield made


@pytest.fixture
async def hasty() -> AsyncIterator[HttpNotifier]:
    async with notifier_of(total_seconds=TOTAL_TIMEOUT_SECONDS) as made:
        yield made


def notification(url: str, *, body: bytes = b'{"id": "evt_1"}') -> Notification:
    headers = {"webhook-id": "evt_1", "content-type": "application/json"}
    return Notification(url=url, headers=headers, body=body)


async def send(notifier: Notifier, url: str) -> Answered | Unreached:
    return await notifier.send(notification(url))


async def answered(notifier: Notifier, url: str) -> Answered:
    outcome = await send(notifier, url)
    assert isinstance(outcome, Answered), outcome
    return outcome


async def unreached(notifier: Notifier, url: str, code: str) -> Unreached:
    outcome = await send(notifier, url)
    assert isinstance(outcome, Unreached), outcome
    assert outcome.code == code, outcome
    assert "127.0.0" not in outcome.message
    assert "10.0.0" not in outcome.message
    return outcome


class TestHttpNotifier(NotifierContract):
    @pytest.fixture
    async def subject(self, notifier: HttpNotifier) -> AsyncIterator[NotifierUnderTest]:
        reply: Reply | None = None

        def answer_with(new: Reply | None) -> None:
            nonlocal reply
            reply = new

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if reply is not None:
                location = [] if reply.location is None else [f"Location: {reply.location}"]
                writer.write(answer_of(reply.body.encode(), *location, status=f"{reply.status_code} Said"))

        async with receiver(handle) as there:
            yield NotifierUnderTest(
                notifier=notifier,
                url=there.url,
                answer_with=answer_with,
                received=lambda: [request.partition(b"\r\n\r\n")[2] for request in there.requests],
            )


class TestWhatIsSent:
    async def test_the_receiver_gets_our_headers_and_the_body_byte_for_byte(self, notifier: HttpNotifier) -> None:
        body = b'{"a":  "\xc3\xa9"}\n'
        async with receiver(OK) as there:
            outcome = await notifier.send(notification(there.url, body=body))
        assert isinstance(outcome, Answered)
        assert (outcome.status_code, outcome.excerpt, outcome.retry_after_seconds) == (200, "fine", None)
        head, _, sent = there.requests[0].partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert sent == body
        assert lines[0] == "POST /hook HTTP/1.1"
        assert {line.lower() for line in lines[1:]} == {
            f"host: 127.0.0.1:{there.port}",
            "webhook-id: evt_1",
            "content-type: application/json",
            f"user-agent: payments-core/{version('payments-core')} (+webhooks)",
            "accept: */*",
            "accept-encoding: identity",
            "connection: close",
            f"content-length: {len(body)}",
        }

    async def test_a_cookie_of_one_answer_is_not_sent_with_the_next_event(self, notifier: HttpNotifier) -> None:
        async with receiver(answering(answer_of(b"", "Set-Cookie: a=b; Path=/"))) as there:
            await answered(notifier, there.url)
            await answered(notifier, there.url)
        assert len(there.requests) == 2
        assert b"cookie" not in there.requests[1].lower()

    async def test_each_attempt_has_a_connection_of_its_own(self, notifier: HttpNotifier) -> None:
        async with receiver(answering(answer_of(b"", "Connection: keep-alive"))) as there:
            await answered(notifier, there.url)
            await answered(notifier, there.url)
        assert there.connections == 2

    async def test_proxies_in_the_environment_are_not_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with receiver(OK) as proxy, receiver(OK) as there:
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
                monkeypatch.setenv(name, proxy.url)
            async with notifier_of() as notifier:
                await answered(notifier, there.url)
        assert (proxy.connections, there.connections) == (0, 1)

    async def test_a_password_in_netrc_is_not_sent(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login us password secret\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        async with receiver(OK) as there, notifier_of() as notifier:
            await answered(notifier, there.url)
        assert b"authorization" not in there.requests[0].lower()


class TestAnswers:
    async def test_retry_after_is_read(self, notifier: HttpNotifier) -> None:
        async with receiver(answering(answer_of(b"", "Retry-After: 120", status="503 Later"))) as there:
            assert (await answered(notifier, there.url)).retry_after_seconds == 120.0

    async def test_a_retry_after_beyond_all_time_is_as_if_it_were_not_there(self, notifier: HttpNotifier) -> None:
        beyond = "Retry-After: Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
        async with receiver(answering(answer_of(b"", beyond))) as there:
            assert (await answered(notifier, there.url)).retry_after_seconds is None

    async def test_a_redirect_to_nowhere_readable_is_an_answer_too(self, notifier: HttpNotifier) -> None:
        async with receiver(answering(answer_of(b"", "Location: https://[", status="302 Go"))) as there:
            assert (await answered(notifier, there.url)).status_code == 302

    async def test_an_endless_body_is_read_up_to_the_limit_and_left(self, notifier: HttpNotifier) -> None:
        written = 0

        async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal written
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
                written += 65_536

        async with receiver(flood) as there:
            outcome = await answered(notifier, there.url)
        assert outcome.excerpt == "x" * EXCERPT_LENGTH_MAX
        assert written < 64 * 1024 * 1024

    async def test_a_gzip_bomb_stays_packed(self, notifier: HttpNotifier) -> None:
        bomb = gzip.compress(b"0" * 20_000_000)
        async with receiver(answering(answer_of(bomb, "Content-Encoding: gzip"))) as there:
            outcome = await answered(notifier, there.url)
        assert "000000" not in outcome.excerpt

    @pytest.mark.parametrize(
        ("body", "excerpt"),
        [
            ("café".encode(), "café"),
            (b"caf\xe9", "caf\ufffd"),
            ("4242424242424242".encode("utf-16"), "\ufffd" * 2 + "*" * 12 + "4242"),
        ],
    )
    async def test_a_body_is_read_as_utf_8_whatever_it_is(
        self, notifier: HttpNotifier, body: bytes, excerpt: str
    ) -> None:
        async with receiver(answering(answer_of(body))) as there:
            assert (await answered(notifier, there.url)).excerpt == excerpt


class TestReceiversThatMisbehave:
    async def test_one_that_hangs_is_left_after_the_total_time(self, hasty: HttpNotifier) -> None:
        async with receiver(hang) as there:
            outcome = await unreached(hasty, there.url, "timeout")
        assert 0 <= outcome.milliseconds - TOTAL_TIMEOUT_SECONDS * 1000 < SLACK_MILLISECONDS

    @pytest.mark.parametrize(
        "start",
        [b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 "],
    )
    async def test_one_that_drips_gains_no_time_by_it(self, hasty: HttpNotifier, start: bytes) -> None:
        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(start)
            while True:
                writer.write(b"2")
                await writer.drain()
                await asyncio.sleep(TOTAL_TIMEOUT_SECONDS / 10)

        async with receiver(drip) as there:
            outcome = await send(hasty, there.url)
        assert isinstance(outcome, Unreached)
        # A status of too many digits is refused before the time is over.
        assert outcome.code == "timeout" or (start == b"HTTP/1.1 " and outcome.code == "protocol")
        assert outcome.milliseconds < TOTAL_TIMEOUT_SECONDS * 1000 + SLACK_MILLISECONDS

    async def test_one_that_says_continue_for_ever_is_left(self, hasty: HttpNotifier) -> None:
        async def never_begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)

        async with receiver(never_begin) as there:
            await unreached(hasty, there.url, "timeout")

    @pytest.mark.parametrize(
        ("start", "more"),
        [
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
            (b"", b"HTTP/1.1 103 Early Hints\r\n" + b"Link: %b\r\n" % (b"x" * 4_000) * 100 + b"\r\n"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;%b\r\nx\r\n" % (b"x" * 8_000)),
        ],
        ids=["continue", "early hints", "chunk extensions"],
    )
    async def test_one_that_floods_around_its_answer_is_left_after_so_many_bytes(
        self, notifier: HttpNotifier, start: bytes, more: bytes
    ) -> None:
        async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(start)
            for _ in range(BYTES_BEYOND_KERNEL_BUFFERS // len(more)):
                writer.write(more)
                await writer.drain()

        # Who took all of it would find at the end that the receiver hung up: another code.
        async with receiver(flood) as there:
            await unreached(notifier, there.url, "too_large")

    async def test_an_answer_that_comes_at_once_with_more_than_is_read_is_an_answer(
        self, notifier: HttpNotifier
    ) -> None:
        whole = answer_of(b"x" * (4 * CONNECTION_BYTES_MAX))
        async with receiver(answering(whole)) as there:
            assert (await answered(notifier, there.url)).excerpt == "x" * EXCERPT_LENGTH_MAX

    async def test_endless_headers_are_too_large(self, notifier: HttpNotifier) -> None:
        async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                writer.write(b"X-More: " + b"x" * 100 + b"\r\n")
                await writer.drain()

        async with receiver(flood) as there:
            await unreached(notifier, there.url, "too_large")

    async def test_one_endless_header_is_too_large(self, notifier: HttpNotifier) -> None:
        async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nX-More: ")
            while True:
                writer.write(b"x" * 4_096)
                await writer.drain()

        async with receiver(flood) as there:
            await unreached(notifier, there.url, "too_large")

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nab",
            b"220 smtp.example.com ESMTP ready\r\n",
            b"+OK\r\n",
            b"\x15\x03\x03\x00\x02\x02\x46",
        ],
    )
    async def test_an_answer_that_is_no_http_or_ends_too_soon_is_a_protocol_failure(
        self, notifier: HttpNotifier, answer: bytes
    ) -> None:
        async with receiver(answering(answer)) as there:
            await unreached(notifier, there.url, "protocol")

    async def test_a_reason_in_any_bytes_is_not_read(self, notifier: HttpNotifier) -> None:
        async with receiver(answering(b"HTTP/1.1 200 \xff\xfe\r\nContent-Length: 0\r\n\r\n")) as there:
            assert (await answered(notifier, there.url)).status_code == 200

    async def test_a_port_where_nobody_listens_is_no_connection(self, notifier: HttpNotifier) -> None:
        async with receiver(OK) as gone:
            url = gone.url
        outcome = await unreached(notifier, url, "connect")
        assert "refused" in outcome.message

    async def test_a_receiver_that_hangs_delays_nobody_else(self, notifier: HttpNotifier) -> None:
        async with receiver(hang) as slow, receiver(OK) as quick:
            waiting = [asyncio.create_task(send(notifier, slow.url)) for _ in range(50)]
            quick_ones = await asyncio.gather(*(answered(notifier, quick.url) for _ in range(10)))
            assert not any(task.done() for task in waiting)
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
        assert {outcome.status_code for outcome in quick_ones} == {200}

    async def test_a_cancelled_attempt_stays_cancelled(self, notifier: HttpNotifier) -> None:
        arrived = asyncio.Event()

        async def arrive_and_hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            arrived.set()
            await reader.read()

        async with receiver(arrive_and_hang) as there:
            attempt = asyncio.create_task(send(notifier, there.url))
            await arrived.wait()
            attempt.cancel()
            with pytest.raises(asyncio.CancelledError):
                await attempt

    @pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # only so much fills the kernel
    @pytest.mark.skipif(sys.platform != "linux", reason="needs TCP_USER_TIMEOUT and /proc")
    async def test_a_receiver_that_takes_no_bytes_cannot_keep_our_sockets(self, hasty: HttpNotifier) -> None:
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
            before = open_files()
            outcomes = await asyncio.gather(
                *(hasty.send(notification(url, body=BODY_BEYOND_KERNEL_BUFFERS)) for _ in range(3))
            )
            assert {outcome.code for outcome in outcomes if isinstance(outcome, Unreached)} == {"timeout"}
            assert open_files() > before, "nothing was left to send, so nothing is shown"
            async with asyncio.timeout(PATIENCE_SECONDS):
                while open_files() > before:  # noqa: ASYNC110  # the kernel tells nobody that it gave up
                    await asyncio.sleep(0.02)


class TestWhereItMayGo:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433"])
    async def test_nothing_inside_is_dialled_unless_a_setting_allows_it(self, host: str) -> None:
        async with receiver(OK) as there:
            guard = AddressGuard(allow_http=True, ports=frozenset({there.port}))
            async with notifier_of(guard) as notifier:
                outcome = await send(notifier, f"http://{host}:{there.port}/")
        assert isinstance(outcome, Unreached)
        assert outcome.code == ("invalid_url" if host in {"127.1", "2130706433"} else "blocked_address")
        assert there.connections == 0

    @pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]"])
    async def test_a_literal_address_that_got_as_far_as_the_socket_is_refused_there(self, host: str) -> None:
        async with receiver(OK) as there:
            guard = AddressGuard(allow_http=True, ports=frozenset({there.port}))
            client = GuardedClient(guard, addresses(), connect_timeout_seconds=1.0, unsent_timeout_seconds=1.0)
            async with aclosing(client):
                with pytest.raises(aiohttp.ClientError) as caught:
                    async with client.post(f"http://{host}:{there.port}/", headers={}, body=b"{}"):
                        raise AssertionError("the socket must not have been made")
        assert explain(caught.value).code == "blocked_address"
        assert there.connections == 0

    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_a_client_that_is_closed_takes_no_request_of_either_scheme(self, scheme: str) -> None:
        async with receiver(OK) as there:
            client = GuardedClient(LOOPBACK, addresses(), connect_timeout_seconds=1.0, unsent_timeout_seconds=1.0)
            async with aclosing(client), client.post(f"http://127.0.0.1:{there.port}/", headers={}, body=b"{}"):
                pass
            with pytest.raises(RuntimeError, match="closed"):
                async with client.post(f"{scheme}://127.0.0.1:{there.port}/", headers={}, body=b"{}"):
                    raise AssertionError("nobody would close the session of this request")
        assert there.connections == 1

    @pytest.mark.parametrize("bad", ["127.0.0.2", "10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fe80::1%lo"])
    async def test_one_blocked_address_among_good_ones_refuses_the_name(self, bad: str) -> None:
        async with receiver(OK) as there:
            url = f"http://receiver.example:{there.port}/"
            for found in (["127.0.0.1", bad], [bad, "127.0.0.1"], ["127.0.0.1"] * ADDRESSES_DIALLED_MAX + [bad]):
                async with notifier_of(look_up=addresses(*found)) as notifier:
                    await unreached(notifier, url, "blocked_address")
        assert there.connections == 0

    async def test_a_name_that_changes_its_mind_is_checked_at_each_attempt(self) -> None:
        answers = [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1"]]
        asked: list[str] = []

        async def rebinding(host: str) -> Sequence[str]:
            asked.append(host)
            return answers[len(asked) - 1]

        async with receiver(OK, host="0.0.0.0") as there, notifier_of(look_up=rebinding) as notifier:
            url = f"http://rebinding.example:{there.port}/"
            await answered(notifier, url)
            await unreached(notifier, url, "blocked_address")
            await answered(notifier, url)
        assert asked == ["rebinding.example"] * 3
        assert there.connections == 2

    async def test_the_next_good_address_is_tried_when_one_refuses(self) -> None:
        async with receiver(OK) as there, notifier_of(look_up=addresses("::1", "127.0.0.1")) as notifier:
            await answered(notifier, f"http://receiver.example:{there.port}/")
        assert f"receiver.example:{there.port}".encode() in there.requests[0]

    async def test_a_name_outside_the_allowed_networks_keeps_to_https_and_its_ports(self) -> None:
        async with notifier_of(look_up=addresses("93.184.215.14")) as notifier:
            await unreached(notifier, "http://receiver.example:443/", "invalid_url")
            await unreached(notifier, "https://receiver.example:9000/", "invalid_url")

    async def test_a_name_without_an_address_is_a_dns_failure(self) -> None:
        async def nothing(host: str) -> Sequence[str]:
            raise OSError("no such name")

        for look_up in (nothing, addresses()):
            async with notifier_of(look_up=look_up) as notifier:
                await unreached(notifier, "https://receiver.example/", "dns")

    async def test_a_name_server_that_never_answers_is_left_after_the_connect_time(self) -> None:
        async def never(host: str) -> Sequence[str]:
            await asyncio.Event().wait()
            return ()

        async with notifier_of(look_up=never, connect_seconds=CONNECT_TIMEOUT_SECONDS) as notifier:
            outcome = await unreached(notifier, "https://receiver.example/", "timeout")
        assert 0 <= outcome.milliseconds - CONNECT_TIMEOUT_SECONDS * 1000 < SLACK_MILLISECONDS

    def test_a_name_server_that_never_answers_does_not_hold_up_the_end_of_the_process(self) -> None:
        done = subprocess.run([sys.executable, "-c", ENDS_DURING_A_LOOK_UP], timeout=60, check=False)
        assert done.returncode == 0

    async def test_the_systems_resolver_is_asked_where_no_other_is_given(self, notifier: HttpNotifier) -> None:
        async with receiver(OK) as there:
            await answered(notifier, f"http://localhost:{there.port}/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """A server's TLS and the authorities that a client needs in order to believe it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    """`receiver.example` and 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver.example")])
    names = [x509.DNSName("receiver.example"), x509.IPAddress(ip_address("127.0.0.1"))]
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "receiver.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return Certified(server=server, client=ssl.create_default_context(cafile=str(pem)))


class TestTls:
    async def test_the_certificate_is_checked_for_the_name_and_the_name_is_sent(self, certified: Certified) -> None:
        asked: list[str | None] = []
        certified.server.sni_callback = lambda connection, name, context: asked.append(name)
        look_up = addresses("127.0.0.1")
        async with (
            receiver(OK, tls=certified.server) as there,
            notifier_of(look_up=look_up, tls=certified.client) as notifier,
        ):
            await answered(notifier, f"https://receiver.example:{there.port}/")
            await unreached(notifier, f"https://other.example:{there.port}/", "tls")
        assert asked == ["receiver.example", "other.example"]
        assert f"host: receiver.example:{there.port}".encode() in there.requests[0].lower()
        assert len(there.requests) == 1

    async def test_a_certificate_that_nobody_vouches_for_is_refused(self, certified: Certified) -> None:
        async with receiver(OK, tls=certified.server) as there, HttpNotifier(LOOPBACK) as notifier:
            outcome = await unreached(notifier, f"https://127.0.0.1:{there.port}/", "tls")
        assert "certificate is not valid" in outcome.message
        assert there.requests == []

    async def test_tls_to_a_plain_port_is_a_tls_failure(self, notifier: HttpNotifier) -> None:
        async def speak_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 plain text here\r\n")
            writer.close()

        server = await asyncio.start_server(speak_first, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await unreached(notifier, f"https://127.0.0.1:{port}/", "tls")

    async def test_a_receiver_that_never_finishes_the_handshake_is_left(self) -> None:
        async with receiver(hang) as there, notifier_of(connect_seconds=CONNECT_TIMEOUT_SECONDS) as notifier:
            outcome = await unreached(notifier, f"https://127.0.0.1:{there.port}/", "timeout")
        assert outcome.milliseconds < CONNECT_TIMEOUT_SECONDS * 1000 + SLACK_MILLISECONDS


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("99999999999999999999", RETRY_AFTER_SECONDS_MAX),
        ("9" * 500, None),
        ("Mon, 23 Nov 2026 12:01:00 GMT", 60.0),
        ("Mon, 23 Nov 2026 12:01:00 -0000", 60.0),
        ("Mon, 23 Nov 2026 14:01:00 +0200", 60.0),
        ("Monday, 23-Nov-26 12:01:00 GMT", 60.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_SECONDS_MAX),
        ("Mon, 99 Nov 2026 12:01:00 GMT", None),
        ("Mon, 23 Nov 2026 12:01:00 +9999", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 23 Nov 2026 12:01:00 +9999999999999999", None),
        *((nonsense, None) for nonsense in ("", "-5", "+5", "1.5", "1e3", "٣", "soon", "120, 120", "0x10")),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_bounds(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, now=NOW) == seconds
