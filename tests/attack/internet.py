"""The world around a notifier: public addresses lead to servers of the test, loopback to what is really there."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

from adapters.http.guard import AddressGuard
from adapters.http.notifier import HttpNotifier
from adapters.http.proxy import Proxy
from adapters.http.resolver import Lookup
from payments_core.ports import Answered, Notification, Unreached
from tests.patience import PATIENCE_SECONDS

PUBLIC: Final = "93.184.215.14"
PUBLIC_TOO: Final = "93.184.215.15"
PUBLIC_IPV6: Final = "2606:4700:4700::1111"
SHORT_SECONDS: Final = 0.3
"""For tests in which a time is to run out; in all others none does."""

NO_AUTHORITIES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading the usual ones takes longer than most of these tests."""

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Listener:
    """A server on loopback that counts who comes."""

    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    async def visits(self) -> int:
        """Return how many came before this call: whoever stands in the queue comes before our own knock."""
        before = self.connections
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.connections == before:  # noqa: ASYNC110  # the server tells nobody
                await asyncio.sleep(0)
        writer.close()
        return self.connections - 1


def answer_of(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = "".join(f"{line}\r\n" for line in (*headers, f"Content-Length: {len(body)}"))
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def answering(answer: bytes) -> Handle:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return handle


OK: Final = answering(answer_of(b"fine"))


@asynccontextmanager
async def listening(handle: Handle = OK, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    """Serve on loopback: read a request, then do as the handle does."""
    made = Listener()
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                head = await reader.readuntil(b"\r\n\r\n")
                made.requests.append(head)
                await handle(reader, writer)
                await writer.drain()
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        writers.append(writer)
        tasks.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()  # goodbyes in TLS would last longer than the test
        await few_turns()


async def few_turns() -> None:
    """Let the event loop do what it has to do at once."""
    for _ in range(20):
        await asyncio.sleep(0)


@dataclass(slots=True, kw_only=True)
class Internet:
    """Stands where the event loop dials. What is not public is dialled for real, and so would spring a trap."""

    dialled: list[tuple[str, int]] = field(default_factory=list)
    servers: dict[str, int] = field(default_factory=dict)
    """The loopback port behind each public address; nobody is at the others."""

    async def dial(self, real: Callable[..., Awaitable[None]], made: socket.socket, address: Sequence[Any]) -> None:
        host, port = str(address[0]), int(address[1])
        self.dialled.append((host, port))
        if host in self.servers:
            loopback = ("127.0.0.1",) if made.family == socket.AF_INET else ("::ffff:127.0.0.1",)
            return await real(made, (*loopback, self.servers[host]))
        if not ip_address(host).is_loopback:
            raise OSError(errno.ECONNREFUSED, "nobody is there")
        return await real(made, address)


@contextmanager
def internet() -> Iterator[Internet]:
    """Put a world around the running event loop, with nobody in it yet."""
    world, loop = Internet(), asyncio.get_running_loop()
    real = loop.sock_connect

    async def dial(made: socket.socket, address: Sequence[Any]) -> None:
        await world.dial(real, made, address)

    loop.sock_connect = dial  # type: ignore[method-assign, assignment]
    try:
        yield world
    finally:
        del loop.sock_connect  # the instance's, so that its class's shows again


def notifier_of(
    guard: AddressGuard,
    look_up: Lookup | None = None,
    *,
    tls: ssl.SSLContext = NO_AUTHORITIES,
    proxy: Proxy | None = None,
    connect_seconds: float = PATIENCE_SECONDS,
    total_seconds: float = PATIENCE_SECONDS,
) -> HttpNotifier:
    return HttpNotifier(
        guard,
        look_up=look_up,
        tls=tls,
        proxy=proxy,
        connect_timeout_seconds=connect_seconds,
        total_timeout_seconds=total_seconds,
    )


async def send(notifier: HttpNotifier, url: str) -> Answered | Unreached:
    headers = {"webhook-id": "evt_1", "content-type": "application/json"}
    return await notifier.send(Notification(url=url, headers=headers, body=b'{"id": "evt_1"}'))


async def answered(notifier: HttpNotifier, url: str) -> Answered:
    outcome = await send(notifier, url)
    assert isinstance(outcome, Answered), outcome
    return outcome


async def unreached(notifier: HttpNotifier, url: str, *codes: str) -> Unreached:
    outcome = await send(notifier, url)
    assert isinstance(outcome, Unreached), outcome
    assert outcome.code in codes, outcome
    return outcome
