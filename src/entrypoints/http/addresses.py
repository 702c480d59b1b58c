"""Where a request comes from, for rate limits."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from litestar.types import Scope

from entrypoints.http.arrivals import Arrival

Networks: TypeAlias = Sequence[IPv4Network | IPv6Network]

UNKNOWN: Final = "unknown"
HOPS_MAX: Final = 20
IPV6_PREFIX_LENGTH: Final = 64
"""What one subscriber has: counting single addresses of it would count nothing."""


def client_address(scope: Scope, arrival: Arrival, trusted: Networks) -> str:
    """Return the peer's address, or, where trusted proxies lie between, the rightmost one that is none of them."""
    peer = scope.get("client")
    address = _parse(peer[0]) if peer else None
    if trusted and address is not None and _is_in(address, trusted):
        hops = ",".join(arrival.all(b"x-forwarded-for")).split(",")[-HOPS_MAX:]
        for hop in reversed(hops):
            forwarded = _parse(hop.strip())
            if forwarded is None:
                break
            address = forwarded
            if not _is_in(address, trusted):
                break
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_PREFIX_LENGTH), strict=False))
    return UNKNOWN if address is None else str(address)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_in(address: IPv4Address | IPv6Address, networks: Networks) -> bool:
    return any(address in network for network in networks)
