"""The cookie that says who visits: signed, out of scripts' reach, and over after an hour without a page."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from litestar.types import HTTPScope

from entrypoints.http.request_context import RequestContext, comes_by_https
from entrypoints.services import Services

IDLE: Final = timedelta(hours=1)
"""Without a page for so long, whoever signed in has to do it again (ASVS 5.0, 7.3.1)."""
RENEWED_AFTER: Final = timedelta(minutes=5)
SKEW: Final = timedelta(seconds=5)
"""How far the clocks of two of our processes may differ."""
SECURE_NAME: Final = "__Host-payments"
PLAIN_NAME: Final = "payments"
"""Its name where pages go over plain HTTP, as on a developer's machine: browsers take the other one by TLS alone."""
_VISITOR_BYTES: Final = 16


class Who(StrEnum):
    """Whom a cookie is of."""

    VISITOR = "visitor"
    """Somebody who has not signed in."""
    MERCHANT = "merchant"
    STAFF = "staff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """Who visits: the id of the merchant or of the staff member, and of their session; a visitor's is random."""

    who: Who
    subject: str
    session: str
    seen_at: datetime


def new_visitor(at: datetime) -> Cookie:
    """Return the cookie of somebody who comes for the first time."""
    return Cookie(who=Who.VISITOR, subject="", session=os.urandom(_VISITOR_BYTES).hex(), seen_at=at)


def read_cookie(services: Services, context: RequestContext, *, secure: bool) -> Cookie | None:
    """Return the cookie of a request, or None: none came, or it is forged, of another installation, or too old."""
    name = SECURE_NAME if secure else PLAIN_NAME
    for header in context.all(b"cookie"):
        for pair in header.split(";"):
            given, separator, text = pair.strip().partition("=")
            if separator and given == name and (found := _read(services, text)) is not None:
                return found
    return None


def _read(services: Services, text: str) -> Cookie | None:
    now = services.clock.now()
    match services.cookies.read(text):
        case {"who": str(who), "sub": str(subject), "sid": str(session), "iat": int(seconds)} if who in list(Who):
            seen_at = datetime.fromtimestamp(seconds, now.tzinfo)
            if -SKEW <= now - seen_at < IDLE:
                return Cookie(who=Who(who), subject=subject, session=session, seen_at=seen_at)
        case _:
            pass
    return None


def cookie_header(services: Services, cookie: Cookie, *, secure: bool) -> tuple[bytes, bytes]:
    """Return the header that keeps a cookie until the browser ends."""
    text = services.cookies.sign(
        {
            "who": cookie.who,
            "sub": cookie.subject,
            "sid": cookie.session,
            "iat": int(cookie.seen_at.timestamp()),
        }
    )
    name, more = (SECURE_NAME, "; Secure") if secure else (PLAIN_NAME, "")
    return (b"set-cookie", f"{name}={text}; Path=/; HttpOnly; SameSite=Lax{more}".encode())


def is_secure(services: Services, connection: HTTPScope, context: RequestContext) -> bool:
    """Say whether the cookie is one for TLS alone: in production always, else where the request came by it."""
    settings = services.settings
    return settings.env == "production" or comes_by_https(connection, context, settings.trusted_proxies)
