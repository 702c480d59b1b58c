"""The real server over the application over memory, and sockets that say to it what no client library would."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from entrypoints.http.app import create_app
from entrypoints.http.connections import Connections
from entrypoints.http.server import bind, serving
from entrypoints.settings import Settings
from tests.patience import PATIENCE_SECONDS, until
from tests.unit.http_shop import UNLIMITED, Api, open_api

HOST: Final = b"Host: shop.test\r\n"
CLOSE: Final = b"Connection: close\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A server that answers on a port of loopback."""

    api: Api
    port: int
    places: Connections

    async def say(self, *pieces: bytes) -> bytes:
        """Send the pieces, and return all that comes back until the server closes; `reset` where it did so rudely."""
        async with self.connected() as (reader, writer), asyncio.timeout(PATIENCE_SECONDS):
            for piece in pieces:
                writer.write(piece)
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
            return await rest_of(reader)

    @asynccontextmanager
    async def connected(
        self, address: str = "127.0.0.1"
    ) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
        """Give a connection from an address of loopback."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
        try:
            yield reader, writer
        finally:
            writer.close()

    async def has(self, connections: int) -> None:
        """Return when so many connections are open."""

        async def so_many() -> bool:
            return len(self.places) == connections

        await until(so_many)


@asynccontextmanager
async def open_wire(settings: Settings = UNLIMITED, places: Connections | None = None) -> AsyncGenerator[Wire, None]:
    """Give a server over an empty store."""
    counted = Connections() if places is None else places
    listener = bind("127.0.0.1", 0)
    async with open_api(settings) as api, serving(create_app(api.services), listener, places=counted):
        yield Wire(api=api, port=listener.getsockname()[1], places=counted)


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """Return all that comes until the server closes; `reset` where it did so rudely."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await reader.read()
    except ConnectionError:
        return b"reset"


def get(path: bytes, *headers: bytes, close: bool = True) -> bytes:
    """Return a request without a body."""
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"".join(headers) + (CLOSE if close else b"") + b"\r\n"


def deaf_client(port: int) -> socket.socket:
    """Return a connection whose system takes over little of what nobody reads."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.connect(("127.0.0.1", port))
    return client
