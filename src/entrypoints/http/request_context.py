"""What is noted of a request when it arrives: its id, the headers that anything here looks at, where it comes from."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final, TypeAlias, cast
from urllib.parse import quote

from payments_core.card_numbers import find_card_number
from payments_core.limits import counted_as

if TYPE_CHECKING:
    from litestar.types import Scope

REQUEST_ID_LENGTH_MAX: Final = 128
SECRET_PREFIXES: Final = ("sk_", "whsec_")
_TOKEN: Final = re.compile(r"(?<![A-Za-z0-9])rt_[A-Za-z0-9_-]{16}|eyJ[A-Za-z0-9_-]{8}")
"""A refresh token, or the beginning of a JSON Web Token, even of one that was cut."""
_REQUEST_ID: Final = re.compile(rf"[A-Za-z0-9._:/=+@-]{{1,{REQUEST_ID_LENGTH_MAX}}}")
_LOOKED_AT: Final = frozenset(
    {
        b"accept",
        b"access-control-request-method",
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"cookie",
        b"host",
        b"hx-request",
        b"idempotency-key",
        b"if-none-match",
        b"origin",
        b"sec-fetch-site",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-request-id",
    }
)
_STATE_KEY: Final = "context"

Networks: TypeAlias = Sequence[IPv4Network | IPv6Network]

UNKNOWN: Final = "unknown"
HOPS_MAX: Final = 20
ADDRESSES_KEPT: Final = 1_024
"""Whose reading is remembered: the same clients send many requests."""


@dataclass(slots=True)
class RequestContext:
    """A request, as far as it is known before anything is done.

    `added` goes on whatever answer it gets; `begun` says that a command was, which may have its effect; `only_head`
    that nobody gets the body of its answer.
    """

    request_id: str
    headers: dict[bytes, list[str]]
    added: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    begun: bool = False
    only_head: bool = False

    def all(self, name: bytes) -> list[str]:
        """Return all values of a header, in their order."""
        return self.headers.get(name, [])

    @classmethod
    def note(cls, scope: Scope) -> RequestContext:
        """Note a request that arrives; its id is its own where that is sane, else a new one."""
        headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            if name in _LOOKED_AT:
                headers.setdefault(name, []).append(value.decode("latin-1"))
        given = headers.get(b"x-request-id", [])
        context = cls(given[0] if len(given) == 1 and _is_sane(given[0]) else f"req_{os.urandom(16).hex()}", headers)
        context.only_head = scope.get("method") == "HEAD"
        context.added.append((b"x-request-id", context.request_id.encode()))
        scope.setdefault("state", {})[_STATE_KEY] = context
        return context

    @classmethod
    def of(cls, scope: Scope) -> RequestContext:
        """Return what was noted of this request."""
        return cast(RequestContext, scope["state"][_STATE_KEY])


def _is_sane(request_id: str) -> bool:
    """Say whether a request's own id may be logged and kept: it is short and plain, and no secret by mistake."""
    if _REQUEST_ID.fullmatch(request_id) is None or any(prefix in request_id for prefix in SECRET_PREFIXES):
        return False
    if _TOKEN.search(request_id) is not None:
        return False
    return find_card_number(request_id) is None


def path_as_sent(scope: Scope) -> bytes:
    """Return the path still percent-encoded; servers need not keep it, and some keep the query with it."""
    return scope.get("raw_path", b"").partition(b"?")[0] or quote(scope["path"]).encode()


def client_address(scope: Scope, context: RequestContext, trusted: Networks) -> str:
    """Return the peer's address, or, where trusted proxies lie between, the rightmost one that is none of them."""
    peer = scope.get("client")
    address = _parse(peer[0]) if peer else None
    if trusted and address is not None and _is_in(address, trusted):
        hops = ",".join(context.all(b"x-forwarded-for")).split(",")[-HOPS_MAX:]
        for hop in reversed(hops):
            forwarded = _parse(hop.strip())
            if forwarded is None:
                break
            address = forwarded
            if not _is_in(address, trusted):
                break
    return UNKNOWN if address is None else str(address)


def direct_address(peer: str, trusted: Networks) -> str | None:
    """Return under which address the connections of a peer are counted: None for those of trusted proxies."""
    address = _parse(peer)
    if address is None:
        return UNKNOWN
    return None if _is_in(address, trusted) else counted_as(str(address))


def comes_by_https(scope: Scope, context: RequestContext, trusted: Networks) -> bool:
    """Say whether a request came over TLS all the way, as a trusted proxy says that hands it to us.

    Each proxy says by what it was reached, in one value or a list, and a client may have begun that list: one word that
    is not `https` is enough against it. Nobody else's word counts.
    """
    given = context.all(b"x-forwarded-proto")
    if not given or not trusted:
        return False
    hops = ",".join(given).split(",")
    if len(hops) > HOPS_MAX or any(hop.strip().lower() != "https" for hop in hops):
        return False
    peer = scope.get("client")
    address = _parse(peer[0]) if peer else None
    return address is not None and _is_in(address, trusted)


@lru_cache(maxsize=ADDRESSES_KEPT)
def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    # Without its zone (`fe80::1%eth0`): that may be any text, and would be counted and kept as part of an address.
    return address.ipv4_mapped or IPv6Address(int(address))


def _is_in(address: IPv4Address | IPv6Address, networks: Networks) -> bool:
    return any(address in network for network in networks)
