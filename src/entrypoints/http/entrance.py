"""What a request is by where it was sent to, from which page, and over what: host, origin and scheme.

Nothing but these rules looks at a request's `Host`, `Origin` and `X-Forwarded-Proto`; no stored page depends on them,
and no body but the console's, which shows calls at the address that the viewer's browser used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence, Set
from typing import Final

from litestar.types import HTTPScope

from entrypoints.http.request_context import RequestContext, comes_by_https
from entrypoints.http.responses import Headers
from entrypoints.settings import Settings

API_ROOT: Final = "/api"
HEALTH_ROOT: Final = "/health/"
_LABEL: Final = re.compile(r"[a-z0-9_-]{1,63}")
_HOST: Final = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
HOST_UNKNOWN: Final = "localhost"
PREFLIGHT_SECONDS: Final = 600
"""How long a browser keeps what a preflight said."""
_MAY_BE_SENT: Final = b"authorization, content-type, idempotency-key, if-none-match, x-request-id"
_MAY_BE_READ: Final = b"etag, location, retry-after, ratelimit, ratelimit-policy, idempotent-replayed, x-request-id"
_ALLOWED_ORIGIN: Final = b"access-control-allow-origin"


def is_for_us(path: str, hosts: Sequence[str], allowed: Set[str]) -> bool:
    """Say whether we answer for the host that a request names (RFC 9110, section 7.4).

    `allowed` are names in lower case, `*.` before one for any one label; none are all. Load balancers ask for health
    by addresses of their own, and get it.
    """
    if not allowed or path.startswith(HEALTH_ROOT):
        return True
    if len(hosts) != 1:
        return False
    name = _name_of(hosts[0])
    label, _, rest = name.partition(".")
    return (name in allowed and label != "*") or (f"*.{rest}" in allowed and _LABEL.fullmatch(label) is not None)


def _name_of(host: str) -> str:
    """Return the name without its port, in lower case and without the dot that ends a full name."""
    name, separator, port = host.rpartition(":")
    if not separator or host.endswith("]"):
        name = host
    elif port and not (port.isascii() and port.isdigit()):
        return ""
    return name.lower().removesuffix(".")


def address_of(hosts: Sequence[str], *, secure: bool) -> str:
    """Return the address at which we are, as the `Host` of a request says; nothing in it means anything to a shell."""
    host = hosts[0] if len(hosts) == 1 and _HOST.fullmatch(hosts[0]) is not None else HOST_UNKNOWN
    return f"{'https' if secure else 'http'}://{host}"


def add_headers(request: HTTPScope, context: RequestContext, settings: Settings) -> None:
    """Add what answers to this request carry because of its scheme and its origin."""
    if settings.hsts_seconds and comes_by_https(request, context, settings.trusted_proxies):
        policy = f"max-age={settings.hsts_seconds}; includeSubDomains"
        context.added.append((b"strict-transport-security", policy.encode()))
    path = request["path"]
    if settings.cors_origins and (path.startswith(f"{API_ROOT}/") or path == API_ROOT):
        # Also where no origin was named: a cache would give that answer to a page that names one.
        context.added.append((b"vary", b"origin"))
        given = context.all(b"origin")
        if len(given) == 1 and given[0] in settings.cors_origins:
            context.added += [
                (_ALLOWED_ORIGIN, given[0].encode()),
                (b"access-control-expose-headers", _MAY_BE_READ),
            ]


def preflight_headers(answer: Iterable[tuple[bytes, bytes]], context: RequestContext) -> Headers:
    """Return what an answer to OPTIONS says to a browser that asks before it calls; `answer` are its headers so far."""
    asks = context.all(b"access-control-request-method")
    if not asks or not any(name == _ALLOWED_ORIGIN for name, _ in context.added):
        return ()
    methods = next((value for name, value in answer if name == b"allow"), b"")
    return (
        (b"access-control-allow-methods", methods),
        (b"access-control-allow-headers", _MAY_BE_SENT),
        (b"access-control-max-age", str(PREFLIGHT_SECONDS).encode()),
    )
