"""HTTP on the wire, by raw sockets: heads that have no end, and requests that two readers would read differently."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

import pytest

from entrypoints.http import protocol, server
from entrypoints.http.server import bind, serving
from tests.patience import PATIENCE_SECONDS

HOST: Final = b"Host: shop\r\n"


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer with the method, the path, the body and the value of `x`."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body, more = b"", scope["path"] != "/early"
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    x = dict(scope["headers"]).get(b"x", b"")
    text = b"|".join([scope["method"].encode(), scope["raw_path"], body, x])
    headers = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


@pytest.fixture
async def port() -> AsyncGenerator[int, None]:
    listener = bind("127.0.0.1", 0)
    number = int(listener.getsockname()[1])
    async with serving(echo, listener):
        yield number


async def answer_to(port: int, *pieces: bytes) -> bytes:
    """Send the pieces, each in a write of its own, and return all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            for piece in pieces:
                writer.write(piece)
                try:
                    await writer.drain()
                except ConnectionError:
                    break
            try:
                return await reader.read()
            except ConnectionError:
                return b"reset"
    finally:
        writer.close()


def get(*headers: bytes, close: bool = True) -> bytes:
    end = b"Connection: close\r\n" if close else b""
    return b"GET /a HTTP/1.1\r\n" + HOST + b"".join(headers) + end + b"\r\n"


async def test_a_request_within_all_bounds_is_answered(port: int) -> None:
    body = b"POST /a HTTP/1.1\r\n" + HOST + b"Connection: close\r\nContent-Length: 4\r\nX:  y \r\n\r\nbody"
    assert (await answer_to(port, body)).endswith(b"POST|/a|body|y")


async def test_a_large_body_is_not_taken_for_a_head(port: int) -> None:
    size = protocol.HEAD_BYTES_MAX * 4
    head = b"POST /a HTTP/1.1\r\n" + HOST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size
    assert b"200 OK" in await answer_to(port, head + b"b" * size)
    assert b"200 OK" in await answer_to(port, head, b"b" * size)


async def test_requests_on_one_connection_have_each_a_bound_of_their_own(port: int) -> None:
    filling = b"X: " + b"x" * (protocol.HEAD_BYTES_MAX // 2) + b"\r\n"
    requests = [get(filling, close=False)] * 5 + [get(filling)]
    assert (await answer_to(port, *requests)).count(b"200 OK") == 6


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET / HTTP/1.1\r\nX: "] + [b"a" * 65_536] * 50,
        [b"GET /"] + [b"a" * 65_536] * 50,
        [b"GET / HTTP/1.1\r\n"] + [b"X: y\r\n" * 10_000] * 5,
    ],
    ids=["a header", "a path", "headers"],
)
async def test_a_head_without_end_is_cut_off(port: int, pieces: list[bytes]) -> None:
    said = await answer_to(port, *pieces)
    assert said == b"reset" or said.startswith((b"HTTP/1.1 431", b"HTTP/1.1 414", b"HTTP/1.1 400"))


@pytest.mark.parametrize("over", [0, 1])
async def test_a_head_has_exactly_so_much_room(port: int, over: int) -> None:
    said = len(b"/a") + len(b"Host") + len(b"shop") + len(b"Connection") + len(b"close") + len(b"X")
    filling = b"X: " + b"y" * (protocol.HEAD_BYTES_MAX - said + over) + b"\r\n"
    assert (await answer_to(port, get(filling))).startswith(b"HTTP/1.1 431" if over else b"HTTP/1.1 200")


async def test_too_many_headers_are_refused(port: int) -> None:
    assert (await answer_to(port, get(b"X: y\r\n" * protocol.HEADERS_MAX))).startswith(b"HTTP/1.1 431")


async def test_a_head_that_takes_too_long_is_refused(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    assert (await answer_to(port, b"GET / HTTP/1.1\r\nX: y")).startswith(b"HTTP/1.1 408")


async def test_a_connection_on_which_nothing_comes_is_closed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SILENCE_SECONDS", 0.1)
    assert await answer_to(port) == b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /a HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\n", 400),
        (
            b"POST /a HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (b"GET /a HTTP/1.1\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
        (b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
    ],
)
async def test_what_two_readers_would_read_differently_is_refused_and_ends_the_connection(
    port: int, request_: bytes, status: int
) -> None:
    said = await answer_to(port, request_, b"GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 %d" % status), said
    assert b"smuggled" not in said


async def test_the_rest_of_a_body_that_was_answered_already_does_not_hold_the_connection(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "REST_SECONDS", 0.1)
    head = b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\n"
    assert (await answer_to(port, head, b"b")).endswith(b"POST|/early||")


async def test_a_body_that_comes_after_its_answer_leaves_the_connection_to_the_keep_alive_time(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", 1)
    listener = bind("127.0.0.1", 0)
    async with serving(echo, listener):
        head = b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", int(listener.getsockname()[1]))
        async with asyncio.timeout(PATIENCE_SECONDS):
            writer.write(head)
            assert (await reader.readuntil(b"||")).endswith(b"POST|/early||")
            writer.write(b"body")
            assert await reader.read() == b""
        writer.close()


async def test_lines_between_requests_are_passed_over(port: int) -> None:
    assert (await answer_to(port, get(close=False), b"\r\n", b"\r\n", get())).count(b"200 OK") == 2


async def test_what_follows_a_request_is_refused_behind_its_answer(port: int) -> None:
    slow = b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\nbody"
    said = await answer_to(port, slow + b"nonsense\r\n\r\n")
    assert said.index(b"POST|/a|body|") < said.index(b"HTTP/1.1 400")


@pytest.mark.parametrize("size", [1, 1_000_000])
async def test_nothing_is_taken_behind_a_chunked_body(port: int, size: int) -> None:
    head = b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n"
    pieces = [b"X: "] + [b"y" * min(size, 65_536)] * max(1, size // 65_536) + [b"\r\n\r\n"]
    said = await answer_to(port, head, *pieces)
    assert said == b"reset" or said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431")), said


async def test_an_upgrade_without_a_body_is_answered_as_if_it_had_not_asked(port: int) -> None:
    asked = b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n"
    assert (await answer_to(port, asked)).endswith(b"GET|/a||")
