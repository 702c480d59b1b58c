"""Answers, ready to be sent: bytes, with headers that were written once; and long ones, made while they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from entrypoints.http.request_context import RequestContext

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]
_log: Final = structlog.stdlib.get_logger(__name__)

NO_STORE: Final = (b"cache-control", b"no-store")
EVERYWHERE: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""What the application puts on each answer, whoever made it."""
_OF_DOCUMENTS: Final = (
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"permissions-policy",
        b"camera=(), clipboard-read=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
)
_NOTHING_RUNS: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
JSON: Final = ((b"content-type", b"application/json"), _NOTHING_RUNS)
PROBLEM: Final = ((b"content-type", b"application/problem+json"), _NOTHING_RUNS, NO_STORE)
BARE: Final = (_NOTHING_RUNS,)
PAGE: Final = (
    (b"content-type", b"text/html; charset=utf-8"),
    *_OF_DOCUMENTS,
    (b"content-security-policy", b"default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"),
)
# The viewer writes its styles into the page, and asks this server alone.
DOCS: Final = (
    (b"content-type", b"text/html; charset=utf-8"),
    *_OF_DOCUMENTS,
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        b"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
)
# Its own scripts and styles alone; what htmx would evaluate is switched off as well.
CONSOLE: Final = (
    (b"content-type", b"text/html; charset=utf-8"),
    *_OF_DOCUMENTS,
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
)


class Reply:
    """One answer: an ASGI application that sends it."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes = b"") -> None:
        self.status = status
        self.headers = [*headers]
        self.body = body

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it. 204 and 304 have no body and say nothing of its length (RFC 9110, sections 8.6 and 15.4.5)."""
        if self.status not in (204, 304):
            self.headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class StreamedReply(Reply):
    """One long answer, which is never held whole: its next piece is made when the client has taken most of the last.

    What cannot be brought to its end is cut off: the connection closes without the chunk that would end the body
    (RFC 9112, section 7.1), so that no client takes a part for the whole. Once the client is gone nothing more is made.
    """

    __slots__ = ("_rest",)

    def __init__(self, status: int, headers: Headers, first: bytes, rest: AsyncGenerator[bytes]) -> None:
        super().__init__(status, headers, first)
        self._rest = rest

    @classmethod
    async def begin(cls, status: int, headers: Headers, pieces: AsyncGenerator[bytes]) -> StreamedReply:
        """Return the answer with its first piece made: what goes wrong until then can still be answered for itself."""
        return cls(status, headers, await anext(pieces, b""), pieces)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, as far as it can be made and somebody reads it."""
        context = RequestContext.of(scope)
        async with aclosing(self._rest):
            await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
            try:
                if context.only_head or await self._send_pieces(receive, send):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            except Exception as error:
                _log.error("answer cut off", request_id=context.request_id, exc_info=error)
            except asyncio.CancelledError:
                # The server ends, and the time that it gives to requests under way is over. This is the last of them.
                _log.warning("answer cut off", request_id=context.request_id, error="the server ended before it did")

    async def _send_pieces(self, receive: Receive, send: Send) -> bool:
        """Send piece after piece; say whether somebody was there until the last."""
        # A server takes what is sent to nobody without a word, and would have all of it made.
        gone = asyncio.create_task(_hang_up(receive))
        try:
            await send({"type": "http.response.body", "body": self.body, "more_body": True})
            async for piece in self._rest:
                if gone.done():
                    return False
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(0)  # a client that reads fast would have this one request alone go on
            return True
        finally:
            gone.cancel()


async def _hang_up(receive: Receive) -> None:
    """Return when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
