"""Answers, ready to be sent: bytes, with headers that were written once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]

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
