"""HTTP/1.1 on the wire, bounded: what uvicorn's protocol leaves open is closed here, before a request is made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from entrypoints.http.connection_refusals import (
    NO_PLACE,
    NO_TARGET,
    NOT_HTTP,
    NOT_ONE_HOST,
    TOO_FAST,
    TOO_LARGE,
    TOO_LATE,
    TOO_LONG,
    TOO_MANY,
    TRAILERS,
    UNKNOWN_CODING,
    UPGRADE_WITH_BODY,
    ConnectionRefusal,
)
from entrypoints.http.connections import Connections

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

HEAD_BYTES_MAX: Final = 32 * 1024
"""Of the path, the names and the values of all headers together."""
HEADERS_MAX: Final = 100
TARGET_BYTES_MAX: Final = 8 * 1024
"""Of path and query. RFC 9110, section 4.1, asks for 8,000 at least."""
PIPELINED_MAX: Final = 32
"""Requests without a body that were sent ahead of the answer to an earlier one; each is held whole."""
HEAD_SECONDS: Final = 10.0
"""From a request's first byte to the end of its headers."""
REST_SECONDS: Final = 5.0
"""For the rest of a body whose request was answered already: time to read the answer, not to hold the connection."""
SILENCE_SECONDS: Final = 75.0
"""From the opening of a connection to its first byte; between requests uvicorn's own keep-alive time holds."""
TOLD_SECONDS: Final = 1.0
"""For a client that is refused a connection to read why."""


def _do_nothing() -> None:
    pass


class _Refused(Exception):
    """Stops the parser, which wraps it; what is refused and why is in the protocol."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a bound on the head in bytes, headers and seconds.

    It refuses requests that two readers could read differently (RFC 9112, sections 3.2, 6.1 and 9.6): an upgrade that
    carries a body, which the parser would take for the next request; more or fewer than one `Host`, or another one in
    the target; a transfer-encoding other than `chunked`, or one that the version doesn't know.
    """

    places: Connections
    """Where it is counted with the others of its server, which sets it."""

    _bytes: int = 0
    """Received since a request began or a piece of its body came: what the parser may be holding of a line."""
    _head_bytes: int = 0
    """Of what the parser gave out of this head."""
    _in_head: bool = False
    _in_body: bool = False
    _answered: RequestResponseCycle | None = None
    """The request that is being answered, or was the last to be."""
    _taken: int = 0
    """How often its client has read nearly all that waited for it, so that more could be written."""
    _deadline: asyncio.TimerHandle | None = None
    _refusal: ConnectionRefusal | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for a request, if there is a place for one connection more."""
        super().connection_made(transport)
        if self.places.take_place(self, self.client[0] if self.client else ""):
            self._start_clock(SILENCE_SECONDS, self.transport.close)
        else:
            self._turn_away()

    def _turn_away(self) -> None:
        """Say that there is no place, and close behind that: at once, what the client sends would undo the saying."""
        self._refusal = NO_PLACE
        if not self.places.may_be_told(self):
            self.transport.abort()
            return
        self.transport.write(NO_PLACE.answer)
        self.transport.write_eof()
        self._start_clock(TOLD_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_clock()
        self.places.leave(self)
        super().connection_lost(exc)
        # uvicorn leaves its timer where a client hung up rudely, which would keep all of this for as long.
        self._unset_keepalive_if_required()
        if self._answered is not None:
            self._answered.disconnected = True  # uvicorn tells the newest request alone, which may wait behind this one
        for cycle, _ in self.pipeline:
            cycle.on_response = _do_nothing  # it would keep this connection until the garbage collector looks
        self.pipeline.clear()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    @property
    def unsent(self) -> object | None:
        """The newest answer and how far it was read, where something of the answers waits for the client to read.

        A long answer is written as it is read: who goes on reading it is slow with no part of it.
        """
        return (self._newest or self, self._taken) if self.transport.get_write_buffer_size() else None

    def resume_writing(self) -> None:
        """Write on, as the client has read nearly all that waited for it."""
        self._taken += 1
        super().resume_writing()

    def give_way(self) -> None:
        """Close, as nothing is under way; an answer that is still being read has a moment."""
        self._start_clock(REST_SECONDS, self.transport.abort)
        self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse what came, within bounds."""
        if self._refusal is not None:
            return
        assert self.parser is not None, "data after the end of the connection"
        self._unset_keepalive_if_required()
        if self._bytes > HEAD_BYTES_MAX:
            self._close_with(TOO_LARGE)
            return
        self._bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Without a body; it is answered as if it had not asked, and the connection carries nothing after it.
            return
        except httptools.HttpParserError:
            self._close_with(self._why)
        self._wait_for_the_next()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0
        self._start_clock(HEAD_SECONDS, partial(self._close_with, TOO_LATE))

    def on_url(self, url: bytes) -> None:
        """Take a piece of the path and its query."""
        self._count_head(len(url))
        super().on_url(url)
        if len(self.url) > TARGET_BYTES_MAX:
            self._refuse(TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, unless there are too many; the blanks around its value are not part of it.

        What comes behind a chunked body is no header (RFC 9110, section 6.5.1).
        """
        if not self._in_head:
            self._refuse(TRAILERS)
        if len(self.headers) >= HEADERS_MAX:
            self._refuse(TOO_MANY)
        self._count_head(len(name) + len(value))
        super().on_header(name, value.strip(b" \t"))

    def _count_head(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Refuse what is ambiguous; otherwise have the request answered."""
        self._in_head = False
        self._bytes = 0
        self._stop_clock()
        assert self.parser is not None, "the parser calls"
        self._check_framing(self.parser)
        self._check_target()
        if len(self.pipeline) >= PIPELINED_MAX or (self._is_behind_another and self._has_body):
            self._refuse(TOO_FAST)
        self._in_body = True
        self.places.works(self)
        super().on_headers_complete()

    @property
    def _is_behind_another(self) -> bool:
        return self._newest is not None and not self._newest.response_complete

    @property
    def _has_body(self) -> bool:
        """Whether a body follows the head: sent ahead it would be held here for as long as answers are not read.

        RFC 9112, section 9.3.2, has clients send ahead what can be repeated, and such requests have no bodies.
        """
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
            for name, value in self.headers
        )

    def _check_framing(self, parser: httptools.HttpRequestParser) -> None:
        version = parser.get_http_version()
        names = [name for name, _ in self.headers]
        coded = b"transfer-encoding" in names
        # HTTP/1.0 knows no codings, and whatever stands between may not know them either (RFC 9112, section 6.1).
        if version not in ("1.0", "1.1") or (coded and version == "1.0"):
            self._refuse(NOT_HTTP)
        if parser.should_upgrade() and (coded or b"content-length" in names):
            self._refuse(UPGRADE_WITH_BODY)
        hosts = names.count(b"host")
        if hosts > 1 or (not hosts and version == "1.1"):
            self._refuse(NOT_ONE_HOST)
        if coded and [value.lower() for name, value in self.headers if name == b"transfer-encoding"] != [b"chunked"]:
            self._refuse(UNKNOWN_CODING)

    def _check_target(self) -> None:
        """Refuse what is no path and no URL of the one host that `Host` names (RFC 9112, section 3.2)."""
        if b"#" in self.url:
            self._refuse(NO_TARGET)
        if self.url.startswith(b"/"):
            return
        hosts = [value.lower() for name, value in self.headers if name == b"host"]
        authority = self.url.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]
        if hosts != [authority.lower()]:
            self._refuse(NO_TARGET)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body; its client is waited for no longer, until it stalls again."""
        self._bytes = 0
        self.places.works(self)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request, and wait for the next."""
        super().on_message_complete()
        self._stop_clock()
        self._bytes = 0
        self._in_body = False
        self.places.works(self)

    def on_response_complete(self) -> None:
        """Go on to the next request; a body that is still to come, though it was answered, has a moment."""
        super().on_response_complete()
        if self._refusal is not None:
            self._close_with(self._refusal)
        elif not self.cycle.response_complete:
            return
        elif not self._in_body:
            self.places.waits(self)
        elif not self.transport.is_closing():
            self._start_clock(REST_SECONDS, self.transport.close)

    def _wait_for_the_next(self) -> None:
        """Let uvicorn's keep-alive time run where nothing is under way, also after what was no request.

        While a body is still to come nothing is done with its request: who stalls there has no better right to a place.
        """
        cycle = self._newest
        if self._in_body and self._answered is cycle:
            self.places.waits(self)
        idle = not self._in_head and not self._in_body and cycle is not None and cycle.response_complete
        if idle and not self.transport.is_closing():
            self.places.waits(self)
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    @property
    def _why(self) -> ConnectionRefusal:
        return self._refusal or NOT_HTTP

    @property
    def _newest(self) -> RequestResponseCycle | None:
        """The newest request with its answer; None before the first, which uvicorn's own types don't say."""
        return self.cycle

    def _refuse(self, refusal: ConnectionRefusal) -> NoReturn:
        self._refusal = refusal
        raise _Refused(refusal.status)

    def _start_clock(self, seconds: float, then: Callable[[], None]) -> None:
        self._stop_clock()
        self._deadline = self.loop.call_later(seconds, then)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close_with(self, refusal: ConnectionRefusal) -> None:
        """Refuse and close: at once, or behind the answer to an earlier request that is still being made."""
        self._stop_clock()
        self._refusal = refusal
        if self.transport.is_closing():
            return
        cycle = self._newest
        unanswered = cycle is not None and not cycle.response_complete
        if unanswered and not self._in_body:
            self.flow.pause_reading()
            return
        # Where an answer has begun, or one before it is due, nothing may be written into it.
        if not unanswered or not (self.cycle.response_started or self.pipeline):
            self.transport.write(refusal.answer)
        self.transport.close()
        # A peer that reads nothing would keep what was written, and the connection with it.
        self._start_clock(REST_SECONDS, self.transport.abort)
