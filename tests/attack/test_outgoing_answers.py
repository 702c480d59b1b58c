"""Attempts by what a receiver answers: to lead elsewhere, to hold a worker, to fill its memory, to write into logs."""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest

from adapters.http.guard import AddressGuard
from adapters.http.notifier import HttpNotifier
from payments_core.ports import Answered, Unreached
from payments_core.webhook import EXCERPT_LENGTH_MAX
from tests.attack.certificates import DAY, OURS, authority, server_context
from tests.attack.internet import (
    PUBLIC,
    SHORT_SECONDS,
    Handle,
    answer_of,
    answered,
    answering,
    few_turns,
    internet,
    listening,
    notifier_of,
    send,
    unreached,
)
from tests.attack.name_server import name_server

OPEN = AddressGuard(allow_http=True, ports=frozenset({80, 443}))
URL = f"http://{PUBLIC}/hook"
CARD = "4242424242424242"
BOMB_BYTES = 20_000_000

ELSEWHERE = (
    *("http://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "http://[::1]:{port}/", "http://localhost:{port}/"),
    *("http://169.254.169.254/latest/", "https://evil.example/", "file:///etc/passwd", "gopher://127.0.0.1:{port}/x"),
    *("/hook", "http://93.184.215.14/hook", "data:text/html,x", ""),
)


@pytest.fixture
async def notifier() -> AsyncIterator[HttpNotifier]:
    async with notifier_of(OPEN) as made:
        yield made


@pytest.fixture
async def hasty() -> AsyncIterator[HttpNotifier]:
    async with notifier_of(OPEN, total_seconds=SHORT_SECONDS) as made:
        yield made


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def answer_to(notifier: HttpNotifier, handle: Handle | bytes) -> Answered | Unreached:
    """Return the outcome of an attempt at a public address where this handle answers."""
    async with listening(answering(handle) if isinstance(handle, bytes) else handle) as receiver:
        with internet() as there:
            there.servers[PUBLIC] = receiver.port
            outcome = await send(notifier, URL)
    assert there.dialled == [(PUBLIC, 80)]
    return outcome


class TestLedElsewhere:
    @pytest.mark.parametrize(
        ("status", "location"),
        [*product((301, 302, 303, 307, 308), ELSEWHERE), (300, "/"), (305, "http://127.0.0.1:{port}/")],
    )
    async def test_a_redirect_is_an_answer_and_nothing_else(
        self, notifier: HttpNotifier, status: int, location: str
    ) -> None:
        async with listening() as trap:
            answer = answer_of(b"", f"Location: {location.format(port=trap.port)}", status=f"{status} Go")
            outcome = await answer_to(notifier, answer)
            assert await trap.visits() == 0
        assert isinstance(outcome, Answered)
        assert outcome.status_code == status

    @pytest.mark.parametrize(
        "header",
        [
            *("Refresh: 0; url=http://127.0.0.1:{port}/", "Content-Location: http://127.0.0.1:{port}/"),
            *("Link: <http://127.0.0.1:{port}/>; rel=preload", 'Alt-Svc: http/1.1="127.0.0.1:{port}"; ma=3600'),
            *("Strict-Transport-Security: max-age=31536000", "Set-Cookie: sid=1; Domain=93.184.215.14; Path=/"),
            *("Connection: keep-alive", "Proxy-Authenticate: Basic realm=x", "WWW-Authenticate: Basic realm=x"),
            *("Upgrade: h2c", "Clear-Site-Data: *", 'Report-To: {{"url": "http://127.0.0.1:{port}/"}}'),
        ],
    )
    @pytest.mark.parametrize("status", ["200 OK", "401 Say Who", "407 Say Who", "503 Later"])
    async def test_no_header_leads_to_another_request_or_changes_the_next_one(
        self, notifier: HttpNotifier, header: str, status: str
    ) -> None:
        async with listening() as trap:
            handle = answering(answer_of(b"", header.format(port=trap.port), status=status))
            async with listening(handle) as receiver:
                with internet() as there:
                    there.servers[PUBLIC] = receiver.port
                    await answered(notifier, URL)
                    await answered(notifier, URL)
            assert await trap.visits() == 0
        assert there.dialled == [(PUBLIC, 80)] * 2
        assert receiver.connections == 2
        assert receiver.requests[0] == receiver.requests[1]

    async def test_switched_protocols_are_no_answer(self, notifier: HttpNotifier) -> None:
        answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        outcome = await answer_to(notifier, answer)
        assert not isinstance(outcome, Answered) or not 200 <= outcome.status_code < 300


class TestHeldUp:
    @pytest.mark.parametrize(
        ("start", "drop"),
        [
            (b"HTTP/1.1 200 OK\r\n", b"X-%d: y\r\n"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"%d"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n%.1d\r\n"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;a=%d"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer-%d: y\r\n"),
            (b"", b"HTTP/1.1 103 Early Hints\r\nLink: <%d>\r\n\r\n"),
            (b"", b"HTTP/1.1 102 Processing %d\r\n\r\n"),
            (b"HTTP/1.1 200 ", b"OK %d"),
            (b"HTTP/1.1 200 OK\r\n\r\n", b"%d"),
        ],
        ids=[
            "headers",
            "body",
            "chunks",
            "chunk extension",
            "trailers",
            "early hints",
            "processing",
            "reason",
            "no end",
        ],
    )
    async def test_who_drips_is_left_when_the_time_is_over(
        self, hasty: HttpNotifier, start: bytes, drop: bytes
    ) -> None:
        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(start)
            number = 0
            while True:
                number = (number + 1) % 10
                writer.write(drop % number)
                await writer.drain()
                await asyncio.sleep(SHORT_SECONDS / 10)

        outcome = await answer_to(hasty, drip)
        assert isinstance(outcome, Unreached)
        assert outcome.code == "timeout"
        assert outcome.milliseconds >= SHORT_SECONDS * 1000 - 1

    @pytest.mark.parametrize(
        "start",
        [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            b"HTTP/1.1 200 ",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\nX-Long: ",
            b"HTTP/1.1 200 OK\r\nX-Folded: a",
            b"",
        ],
        ids=["trailers", "chunk extension", "reason", "headers", "header", "folded header", "version"],
    )
    async def test_who_never_ends_is_left_after_so_many_bytes(self, notifier: HttpNotifier, start: bytes) -> None:
        more = {
            b"0\r\n": b"X-T: y\r\n" * 1_000,
            b"OK\r\n": b"X-H: y\r\n" * 1_000,
            b": a": b"\r\n b" * 1_000,
        }.get(start[-3:] if start.endswith((b"0\r\n", b": a")) else start[-4:], b"x" * 8_000)

        async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(start)
            while True:
                writer.write(more)
                await writer.drain()

        outcome = await answer_to(notifier, flood)
        assert isinstance(outcome, Unreached)
        assert outcome.code in {"too_large", "protocol"}

    @pytest.mark.parametrize("encoding", ["deflate", "br", "zstd", "gzip, gzip", "x-gzip", "identity"])
    async def test_a_bomb_is_kept_as_it_came(self, notifier: HttpNotifier, encoding: str) -> None:
        bomb = zlib.compress(b"A" * BOMB_BYTES, 9)
        outcome = await answer_to(notifier, answer_of(bomb, f"Content-Encoding: {encoding}"))
        assert isinstance(outcome, Answered)
        assert "AAAA" not in outcome.excerpt

    @pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
    async def test_who_never_says_goodbye_in_tls_keeps_none_of_our_sockets(self, tmp_path: Path) -> None:
        async def answer_and_stop_listening(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answer_of(b"fine"))
            await writer.drain()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.Event().wait()

        server = server_context(tmp_path, names=[f"ip:{PUBLIC}"])
        async with (
            listening(answer_and_stop_listening, tls=server) as receiver,
            notifier_of(OPEN, tls=authority(OURS).client) as notifier,
        ):
            with internet() as there:
                there.servers[PUBLIC] = receiver.port
                await answered(notifier, f"https://{PUBLIC}/")
                await few_turns()
                before = open_files()
                for _ in range(5):
                    await answered(notifier, f"https://{PUBLIC}/")
                await few_turns()
                assert open_files() == before + 5, "the receiver's own are open, and nothing else"


class TestMalformed:
    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n0123456789",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nab\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nab\r\n",
            b"HTTP/1.1 200 OK\r\nX\x00Y: z\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nNo colon here\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 -20 OK\r\n\r\n",
            b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK\r\n\r\n",
            b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"-ERR unknown command 'POST'\r\n",
            b"<html>HTTP/0.9</html>",
        ],
    )
    async def test_a_malformed_answer_is_never_taken_for_success(self, notifier: HttpNotifier, answer: bytes) -> None:
        outcome = await answer_to(notifier, answer)
        assert isinstance(outcome, Unreached), outcome
        assert outcome.code == "protocol"
        assert len(outcome.message) < 100

    async def test_more_than_was_announced_is_not_read(self, notifier: HttpNotifier) -> None:
        outcome = await answer_to(
            notifier, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 500 Second\r\n\r\n"
        )
        assert isinstance(outcome, Answered)
        assert (outcome.status_code, outcome.excerpt) == (200, "ab")


class TestExcerpts:
    @pytest.mark.parametrize(
        "body",
        [
            CARD,
            "4242 4242 4242 4242",
            "4242-4242-4242-4242",
            "4242\u200b4242\u200b4242\u200b4242",
            "4242\x004242\x004242\x004242",
            "4242\u20604242\ufeff42424242",
            "378282246310005",
            f'{{"card": "{CARD}"}}',
            f"card={CARD}&x=1",
            "x" * (EXCERPT_LENGTH_MAX - 8) + " " + CARD,
            "x" * (EXCERPT_LENGTH_MAX - 1) + " " + CARD,
        ],
        ids=ascii,
    )
    async def test_no_card_number_is_kept_of_an_answer(self, notifier: HttpNotifier, body: str) -> None:
        outcome = await answer_to(notifier, answer_of(body.encode()))
        assert isinstance(outcome, Answered)
        digits = "".join(character for character in outcome.excerpt if character.isdigit())
        assert "42424242" not in digits
        assert "37828224" not in digits

    async def test_a_card_number_that_comes_in_pieces_is_not_kept_either(self, notifier: HttpNotifier) -> None:
        async def in_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for digit in CARD.encode():
                writer.write(b"1\r\n%c\r\n" % digit)
                await writer.drain()
            writer.write(b"0\r\n\r\n")

        outcome = await answer_to(notifier, in_pieces)
        assert isinstance(outcome, Answered)
        assert outcome.excerpt == "*" * 12 + "4242"

    @pytest.mark.parametrize(
        "bad",
        [
            *(
                "\x00",
                "\x07",
                "\x08",
                "\x1b]0;owned\x07",
                "\x1b[2J",
                "\x7f",
                "\x85",
                "\x9b31m",
                "\r",
                "\u2028",
                "\u2029",
            ),
            *("\u202e", "\u2066", "\u200f", "\ufeff", "\U000e0041", "\ud7ff\u0000", "\x0b\x0c", "\ue000"),
        ],
        ids=ascii,
    )
    async def test_no_character_that_moves_a_terminal_or_turns_a_text_is_kept(
        self, notifier: HttpNotifier, bad: str
    ) -> None:
        outcome = await answer_to(notifier, answer_of(f"before{bad}after".encode()))
        assert isinstance(outcome, Answered)
        assert outcome.excerpt.startswith("before")
        assert outcome.excerpt.endswith("after")
        assert all(character.isprintable() or character in "\n\t" for character in outcome.excerpt)

    @pytest.mark.parametrize(
        "body", [b"\xff\xfe\xfd", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80", b"\x80" * 5_000]
    )
    async def test_bytes_that_are_no_text_are_kept_as_text(self, notifier: HttpNotifier, body: bytes) -> None:
        outcome = await answer_to(notifier, answer_of(body))
        assert isinstance(outcome, Answered)
        outcome.excerpt.encode("utf-8")
        assert len(outcome.excerpt) <= EXCERPT_LENGTH_MAX


class TestTls:
    @pytest.mark.parametrize(
        ("names", "more"),
        [
            (["other.example"], {}),
            (["hook.example.evil.example"], {}),
            (["*.example.com"], {}),
            (["*.deep.hook.example"], {}),
            (["h*.example"], {}),
            ([f"ip:{PUBLIC}"], {}),
            ([], {"common_name": "hook.example"}),
            (["hook.example"], {"ends": -timedelta(hours=1), "begins": -2 * DAY}),
            (["hook.example"], {"begins": timedelta(hours=12)}),
            (["hook.example"], {"by": None}),
            (["hook.example"], {"by": "another authority"}),
        ],
        ids=str,
    )
    async def test_a_wrong_certificate_is_sent_nothing(
        self, tmp_path: Path, names: list[str], more: dict[str, object]
    ) -> None:
        server = server_context(tmp_path, names=names, **more)  # type: ignore[arg-type]
        async with (
            listening(tls=server) as receiver,
            name_server({"hook.example": [[f"A {PUBLIC}"]]}) as names_of_it,
            notifier_of(OPEN, names_of_it.look_up, tls=authority(OURS).client) as notifier,
        ):
            with internet() as there:
                there.servers[PUBLIC] = receiver.port
                outcome = await unreached(notifier, "https://hook.example/", "tls")
        assert "certificate is not valid" in outcome.message
        assert receiver.requests == []

    async def test_an_address_is_not_vouched_for_by_a_certificate_for_names(self, tmp_path: Path) -> None:
        server = server_context(tmp_path, names=["hook.example", PUBLIC])
        async with listening(tls=server) as receiver, notifier_of(OPEN, tls=authority(OURS).client) as notifier:
            with internet() as there:
                there.servers[PUBLIC] = receiver.port
                await unreached(notifier, f"https://{PUBLIC}/", "tls")
        assert receiver.requests == []

    async def test_the_right_certificate_is_sent_the_event(self, tmp_path: Path) -> None:
        server = server_context(tmp_path, names=["hook.example"])
        async with (
            listening(tls=server) as receiver,
            name_server({"hook.example": [[f"A {PUBLIC}"]]}) as names,
            notifier_of(OPEN, names.look_up, tls=authority(OURS).client) as notifier,
        ):
            with internet() as there:
                there.servers[PUBLIC] = receiver.port
                await answered(notifier, "https://hook.example/")
        assert len(receiver.requests) == 1
