"""Long answers on the wire: to clients that leave, that read slowly or not at all, and when they cannot be ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest

from entrypoints.http import connections
from entrypoints.http.connections import Connection, Connections
from entrypoints.http.request_context import RequestContext
from entrypoints.http.responses import StreamedReply
from entrypoints.http.server import bind, serving
from tests.attack.wire import deaf_client, get, rest_of
from tests.patience import PATIENCE_SECONDS, until

PIECE: Final = b"~" * 16_384
KERNEL_BYTES: Final = 16 * 1024 * 1024
"""More than the sockets of both ends and the server's own buffer hold."""
READ_BYTES: Final = KERNEL_BYTES // 4
"""So much that the server's system sees room again, which it says when a good part of its buffer is free."""
LOOKS: Final = 12
LAST_CHUNK: Final = b"0\r\n\r\n"


@dataclass(slots=True)
class Story:
    """A long answer that is told: how many pieces it has (None: it has no end), and how it goes on."""

    length: int | None
    then: Callable[[int], Awaitable[None]] | None = None
    told: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def pieces(self) -> AsyncGenerator[bytes]:
        try:
            while self.length is None or self.told < self.length:
                if self.then is not None:
                    await self.then(self.told)
                self.told += 1
                yield PIECE
        finally:
            self.ended.set()


class LookedAtByHand(Connections):
    """Connections among which slow readers are looked for when a test says so, at the time that it says."""

    _all: Iterable[Connection] = ()

    async def watch(self, connections: Iterable[Connection]) -> None:
        self._all = connections

    async def has_something_unsent(self) -> bool:
        return any(connection.unsent is not None for connection in self._all)

    def look(self, *, now: float) -> None:
        self.cut_off_slow(self._all, now=now)


@asynccontextmanager
async def telling(story: Story, places: Connections | None = None) -> AsyncGenerator[tuple[int, Connections]]:
    """Give the port of a server that answers each request with the story, and its connections."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for moment in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{moment}.complete"})
            return
        RequestContext.note(scope)
        reply = await StreamedReply.begin(200, [(b"content-type", b"text/plain")], story.pieces())
        await reply(scope, receive, send)

    listener, places = bind("127.0.0.1", 0), Connections() if places is None else places
    async with serving(app, listener, places=places):
        yield listener.getsockname()[1], places


async def test_a_long_answer_comes_whole_and_its_end_is_marked() -> None:
    story = Story(100)
    async with telling(story) as (port, _), httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/")
        assert answer.content == PIECE * 100
        assert answer.headers["transfer-encoding"] == "chunked"
    assert story.ended.is_set()


async def test_one_that_cannot_be_made_to_its_end_is_cut_off_where_everybody_sees_it() -> None:
    async def fails(number: int) -> None:
        if number == 3:
            raise OSError("the disk is gone")

    story = Story(None, fails)
    async with telling(story) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"/", close=False))
        said = await rest_of(reader)
        writer.close()
        assert said.startswith(b"HTTP/1.1 200")
        assert said.count(PIECE) == 3
        assert not said.endswith(LAST_CHUNK)
        story.told = 0
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                await client.get(f"http://127.0.0.1:{port}/")


async def test_one_that_cannot_begin_is_answered_for_itself() -> None:
    async def fails(number: int) -> None:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        await StreamedReply.begin(200, (), Story(None, fails).pieces())


async def test_head_has_the_first_piece_made_and_no_other() -> None:
    story = Story(None)
    async with telling(story) as (port, _), httpx.AsyncClient() as client:
        answer = await client.head(f"http://127.0.0.1:{port}/")
        assert (answer.status_code, answer.content) == (200, b"")
        await asyncio.wait_for(story.ended.wait(), PATIENCE_SECONDS)
    assert story.told == 1


async def test_nothing_more_is_made_for_a_client_that_left() -> None:
    async def waits(number: int) -> None:
        await asyncio.sleep(0.001)

    story = Story(None, waits)
    async with telling(story) as (port, places):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"/"))
        assert await reader.readexactly(len(PIECE))
        writer.close()
        await asyncio.wait_for(story.ended.wait(), PATIENCE_SECONDS)
        await until(lambda: _nobody(places))


async def test_no_more_is_made_than_a_client_takes_and_who_takes_nothing_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "UNSENT_SECONDS", 0.5)
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.05)
    story = Story(None)
    async with telling(story) as (port, places):
        client = deaf_client(port)
        client.sendall(get(b"/", close=False))
        await asyncio.wait_for(story.ended.wait(), PATIENCE_SECONDS)
        await until(lambda: _nobody(places))
        client.close()
    assert story.told * len(PIECE) < KERNEL_BYTES


async def test_who_reads_slowly_and_steadily_has_all_of_it() -> None:
    story, places = Story(LOOKS * READ_BYTES // len(PIECE)), LookedAtByHand()
    took, last = 0, b""
    async with telling(story, places) as (port, _):
        client = deaf_client(port)
        client.sendall(get(b"/"))
        client.setblocking(False)
        for look in range(LOOKS):
            await until(places.has_something_unsent)
            places.look(now=look * connections.UNSENT_SECONDS * 0.9)
            while took < (look + 1) * READ_BYTES and (
                said := await asyncio.get_running_loop().sock_recv(client, 262_144)
            ):
                took += said.count(PIECE[:1])
                last = (last + said)[-len(LAST_CHUNK) :]
        while said := await asyncio.get_running_loop().sock_recv(client, 262_144):
            last = (last + said)[-len(LAST_CHUNK) :]
        client.close()
    assert took == story.told * len(PIECE)
    assert last == LAST_CHUNK


async def test_one_that_is_under_way_when_the_server_ends_is_cut_off() -> None:
    async def waits(number: int) -> None:
        await asyncio.sleep(0.01)

    story = Story(None, waits)
    async with telling(story) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get(b"/", close=False))
        assert await reader.readexactly(len(PIECE))
    said = await rest_of(reader)
    writer.close()
    assert story.ended.is_set()
    assert not said.endswith(LAST_CHUNK)


async def _nobody(places: Connections) -> bool:
    return len(places) == 0
