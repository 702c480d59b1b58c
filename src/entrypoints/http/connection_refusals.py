"""What a connection is closed with where no request can be made of what came: a status and a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from entrypoints.http.responses import BARE, EVERYWHERE, NO_STORE

RETRY_AFTER_SECONDS: Final = 1
_HEADERS: Final = b"".join(b"%b: %b\r\n" % pair for pair in (*EVERYWHERE, *BARE, NO_STORE))
ANSWER: Final = (
    b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" + _HEADERS + b"%b"
    b"connection: close\r\n\r\n%b"
)
_RETRY_AFTER: Final = b"retry-after: %d\r\n" % RETRY_AFTER_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRefusal:
    """Why a connection is closed: a status line's end, and a sentence; `headers` are whole lines."""

    status: bytes
    message: bytes
    headers: bytes = b""

    @property
    def answer(self) -> bytes:
        """The whole answer."""
        return ANSWER % (self.status, len(self.message), self.headers, self.message)


TOO_LARGE: Final = ConnectionRefusal(
    status=b"431 Request Header Fields Too Large", message=b"The headers are too large."
)
TOO_MANY: Final = ConnectionRefusal(
    status=b"431 Request Header Fields Too Large", message=b"There are too many headers."
)
TOO_LONG: Final = ConnectionRefusal(status=b"414 URI Too Long", message=b"The path and its query are too long.")
TOO_FAST: Final = ConnectionRefusal(
    status=b"429 Too Many Requests",
    message=b"Too many requests were sent ahead of their answers.",
    headers=_RETRY_AFTER,
)
NO_PLACE: Final = ConnectionRefusal(
    status=b"503 Service Unavailable", message=b"There are too many connections.", headers=_RETRY_AFTER
)
TOO_LATE: Final = ConnectionRefusal(status=b"408 Request Timeout", message=b"The headers took too long.")
NOT_HTTP: Final = ConnectionRefusal(status=b"400 Bad Request", message=b"This is not HTTP/1.1.")
UPGRADE_WITH_BODY: Final = ConnectionRefusal(
    status=b"400 Bad Request", message=b"A request with a body cannot ask for an upgrade."
)
NOT_ONE_HOST: Final = ConnectionRefusal(status=b"400 Bad Request", message=b"A request has exactly one Host.")
NO_TARGET: Final = ConnectionRefusal(
    status=b"400 Bad Request", message=b"The target is neither a path nor a URL of its Host."
)
TRAILERS: Final = ConnectionRefusal(status=b"400 Bad Request", message=b"Nothing is taken behind a chunked body.")
UNKNOWN_CODING: Final = ConnectionRefusal(
    status=b"501 Not Implemented", message=b"The only transfer-encoding is chunked."
)
