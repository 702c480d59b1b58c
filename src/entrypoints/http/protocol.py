"""HTTP/1.1 on the wire, bounded: what uvicorn's protocol leaves open is closed here, before a request is made of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, NoReturn

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES_MAX: Final = 32 * 1024
"""Of the request line and all headers together, to within one read."""
HEADERS_MAX: Final = 100
HEAD_SECONDS: Final = 10.0
"""From a request's first byte to the end of its headers."""
REST_SECONDS: Final = 5.0
"""For the rest of a body whose request was answered already: time to read the answer, not to hold the connection."""
SILENCE_SECONDS: Final = 75.0
"""From the opening of a connection to its first byte; between requests uvicorn's own keep-alive time holds."""
ANSWER: Final = (
    b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a connection is closed: a status line's end, and a sentence."""

    status: bytes
    message: bytes


TOO_LARGE: Final = Refusal(status=b"431 Request Header Fields Too Large", message=b"The headers are too large.")
TOO_MANY: Final = Refusal(status=b"431 Request Header Fields Too Large", message=b"There are too many headers.")
TOO_LATE: Final = Refusal(status=b"408 Request Timeout", message=b"The headers took too long.")
NOT_HTTP: Final = Refusal(status=b"400 Bad Request", message=b"This is not HTTP/1.1.")
UPGRADE_WITH_BODY: Final = Refusal(
    status=b"400 Bad Request", message=b"A request with a body cannot ask for an upgrade."
)
NOT_ONE_HOST: Final = Refusal(status=b"400 Bad Request", message=b"A request has exactly one Host.")
UNKNOWN_CODING: Final = Refusal(status=b"501 Not Implemented", message=b"The only transfer-encoding is chunked.")


class _Refused(Exception):
    """Stops the parser, which wraps it; what is refused and why is in the protocol."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a bound on the head in bytes, headers and seconds.

    It refuses requests that two readers could read differently (RFC 9112, sections 3.2, 6.1 and 9.6): an upgrade that
    carries a body, which the parser would take for the next request; more or fewer than one `Host`; a
    transfer-encoding other than `chunked`.
    """

    _head_bytes: int = 0
    _in_head: bool = True
    _in_body: bool = False
    _deadline: asyncio.TimerHandle | None = None
    _refusal: Refusal | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(SILENCE_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, within the bounds of a head."""
        self._unset_keepalive_if_required()
        if self._in_head:
            if self._head_bytes == 0:
                self._stop_clock()
                self._deadline = self.loop.call_later(HEAD_SECONDS, self._close_with, TOO_LATE)
            # Of what comes in one read, only as much is the head's as may be.
            if self._head_bytes > HEAD_BYTES_MAX:
                self._close_with(TOO_LARGE)
                return
            self._head_bytes += len(data)
        assert self.parser is not None, "data after the end of the connection"
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Without a body; it is answered as if it had not asked, and the connection carries nothing after it.
            return
        except httptools.HttpParserError:
            self._close_with(self._refusal or NOT_HTTP)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, unless there are too many; the blanks around its value are not part of it."""
        if len(self.headers) >= HEADERS_MAX:
            self._refuse(TOO_MANY)
        super().on_header(name, value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        """Refuse what is ambiguous; otherwise have the request answered."""
        self._in_head = False
        self._head_bytes = 0
        self._stop_clock()
        names = [name for name, _ in self.headers]
        assert self.parser is not None, "the parser calls"
        if self.parser.should_upgrade() and (b"content-length" in names or b"transfer-encoding" in names):
            self._refuse(UPGRADE_WITH_BODY)
        if self.parser.get_http_version() == "1.1" and names.count(b"host") != 1:
            self._refuse(NOT_ONE_HOST)
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings and codings != [b"chunked"]:
            self._refuse(UNKNOWN_CODING)
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request, and wait for the next."""
        super().on_message_complete()
        self._stop_clock()
        self._in_head = True
        self._in_body = False

    def on_response_complete(self) -> None:
        """Go on to the next request; a body that is still to come has a moment."""
        super().on_response_complete()
        if self._in_body and not self.transport.is_closing():
            self._stop_clock()
            self._deadline = self.loop.call_later(REST_SECONDS, self.transport.close)

    def _refuse(self, refusal: Refusal) -> NoReturn:
        self._refusal = refusal
        raise _Refused(refusal.status)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close_with(self, refusal: Refusal) -> None:
        self._stop_clock()
        if not self.transport.is_closing():
            self.transport.write(ANSWER % (refusal.status, len(refusal.message), refusal.message))
            self.transport.close()
