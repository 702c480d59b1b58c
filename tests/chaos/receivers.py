"""Receivers of webhooks: a steady one and an unreliable one for each merchant, and the book of what they got."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from standardwebhooks import Webhook, WebhookVerificationError

from tests.chaos.decks import Deck, Tally
from tests.chaos.evidence import Received
from tests.chaos.kinds import Kind
from tests.chaos.ports import HeldPort

HEAD_BYTES_MAX: Final = 64 * 1024
REQUEST_SECONDS: Final = 30.0
HANG_SECONDS: Final = 20.0
"""Longer than the service waits for an answer."""
DRIP_SECONDS: Final = 0.4
DRIPS_MAX: Final = 12

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
FAILED: Final = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\nConnection: close\r\n\r\noops"
ELSEWHERE: Final = (
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)
Heard = Callable[[str, Mapping[str, Any]], None]


def digest_of(event: Mapping[str, Any]) -> bytes:
    """Return what tells two bodies of an event apart, whatever the order and the spacing of their JSON."""
    return hashlib.blake2b(json.dumps(event, sort_keys=True).encode(), digest_size=12).digest()


class Book:
    """What all receivers got, verified by the library of Standard Webhooks. `heard` is told of each event."""

    def __init__(self, heard: Heard) -> None:
        self.received: dict[tuple[str, str], Received] = {}
        self.forged: list[str] = []
        self.differing: list[str] = []
        self._heard = heard

    def write(self, endpoint: str, secret: str, headers: dict[str, str], body: bytes) -> Received | None:
        """Write down a webhook; None where its signature doesn't hold."""
        try:
            event = Webhook(secret).verify(body, headers)
        except WebhookVerificationError as error:
            self.forged.append(f"{headers.get('webhook-id')} at {endpoint}: {error}")
            return None
        id, digest = str(event["id"]), digest_of(event)
        known = self.received.get((endpoint, id))
        if known is None:
            known = self.received[endpoint, id] = Received(
                type=event["type"],
                transaction=_transaction_of(event),
                sequence=event["sequence"],
                digest=digest,
                first_at=time.monotonic(),
            )
        if known.digest != digest or headers["webhook-id"] != id:
            self.differing.append(f"{id} at {endpoint}")
        known.times += 1
        self._heard(endpoint, event)
        return known


def _transaction_of(event: Mapping[str, Any]) -> str | None:
    kind, data = str(event["type"]).partition(".")[0], event["data"]
    return {"transaction": data.get("id"), "refund": data.get("transaction")}.get(kind)


class Receiver:
    """One endpoint's server. With a `deck` it is unreliable, as the cards say; without one it answers 200."""

    def __init__(self, book: Book, deck: Deck[Kind] | None, tally: Tally) -> None:
        self._book = book
        self._deck = deck
        self._tally = tally
        self._port = HeldPort()
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self.endpoint = ""
        self.secret = ""

    @property
    def url(self) -> str:
        """Where to send webhooks."""
        return f"http://127.0.0.1:{self._port.number}/"

    async def listen(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(self._called, sock=self._port.socket(), limit=HEAD_BYTES_MAX)

    async def refuse(self) -> None:
        """Take no connections until told to listen again."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def close(self) -> None:
        """Break everything off."""
        await self.refuse()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        self._port.release()

    async def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.current_task()
        assert call is not None
        self._calls.add(call)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
                await self._answer(reader, writer)
        finally:
            self._calls.discard(call)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(REQUEST_SECONDS):
            headers, body = await _request(reader)
        received = self._book.write(self.endpoint, self.secret, headers, body)
        if received is None:
            writer.write(FAILED)
        elif (fault := None if self._deck is None else self._deck.deal()) is None:
            writer.write(OK)
            await writer.drain()
            received.welcomed += 1
        else:
            self._tally.count(fault)
            await _misbehave(fault, reader, writer)


async def _request(reader: asyncio.StreamReader) -> tuple[dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:-2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head)}
    return headers, await reader.readexactly(int(headers.get("content-length", "0")))


async def _misbehave(fault: Kind, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    match fault:
        case Kind.RECEIVER_HANGS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HANG_SECONDS):
                    await reader.read(1)  # it ends when the caller has lost patience
        case Kind.RECEIVER_DRIPS:
            for byte in OK[:DRIPS_MAX]:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(DRIP_SECONDS)
        case Kind.RECEIVER_REDIRECTS:
            writer.write(ELSEWHERE)
        case Kind.RECEIVER_CUTS:
            writer.transport.abort()
        case _:
            writer.write(FAILED)
