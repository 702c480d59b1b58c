"""A proxy on loopback that makes tunnels by CONNECT, or answers otherwise where it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.attack.internet import Handle, Listener, listening

CHUNK_BYTES = 65_536


@dataclass(slots=True, kw_only=True)
class ConnectProxy:
    """Leads to loopback ports; an authority without one is answered with 502."""

    routes: dict[str, int] = field(default_factory=dict)
    instead: dict[str, Handle] = field(default_factory=dict)
    """What is done in place of a tunnel to an authority."""
    listener: Listener = field(default_factory=Listener)

    @property
    def port(self) -> int:
        return self.listener.port

    @property
    def asked(self) -> list[str]:
        """The request lines, in order."""
        return [head.split(b"\r\n", 1)[0].decode() for head in self.listener.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        authority = self.asked[-1].split(" ")[1]
        if authority in self.instead:
            await self.instead[authority](reader, writer)
        elif authority not in self.routes:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nX-Why: 10.9.8.7 is down\r\n\r\nproxy.inside says no")
        else:
            out_reader, out_writer = await asyncio.open_connection("127.0.0.1", self.routes[authority])
            writer.write(b"HTTP/1.1 200 Connection established\r\nVia: proxy.inside\r\n\r\n")
            try:
                await asyncio.gather(_pipe(reader, out_writer), _pipe(out_reader, writer))
            finally:
                out_writer.transport.abort()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def connect_proxy() -> AsyncIterator[ConnectProxy]:
    made = ConnectProxy()
    async with listening(made.serve) as listener:
        made.listener = listener
        yield made
