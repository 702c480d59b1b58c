"""Where a webhook may go: public addresses, https, few ports. Modelled on Smokescreen and Svix.

Merchants choose these URLs, so each is an attempt to make us talk to ourselves until shown otherwise. The guard
is asked three times: when an endpoint is registered (what the text alone shows), when its name was resolved, and
when a socket is made, which is the one place that sees every final address.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from adapters.http.destination import BeginningRefused, UrlRefused, destination_of
from adapters.http.failure import Failure

DEFAULT_PORTS: Final = frozenset({443, 8443})

BLOCKED_IPV4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network (RFC 791)
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # carrier NAT (RFC 6598)
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host agent, a public address inside every machine there
        "169.254.0.0/16",  # link-local, cloud metadata (RFC 3927)
        "172.16.0.0/12",  # private (RFC 1918)
        "192.0.0.0/24",  # protocol assignments (RFC 6890)
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "192.168.0.0/16",  # private (RFC 1918)
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "198.51.100.0/24",  # documentation (RFC 5737)
        "203.0.113.0/24",  # documentation (RFC 5737)
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)

GLOBAL_IPV6: Final = IPv6Network("2000::/3")
"""All that IANA has given out as global unicast. Everything else is blocked, and with it every form that hides an
IPv4 address or an inside one: ::/96, 64:ff9b::/96 and 64:ff9b:1::/48 (NAT64), ::ffff:0:0:0/96 (RFC 2765), 100::/64,
5f00::/16, fc00::/7, fe80::/10, fec0::/10, ff00::/8."""

BLOCKED_GLOBAL_IPV6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo (RFC 2928, RFC 4380)
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4: holds an IPv4 address (RFC 3056)
        "3fff::/20",  # documentation (RFC 9637)
    )
)

_LOOPBACK_NAME: Final = re.compile(r"(?:.*\.)?localhost\.?")
"""Loopback wherever it is resolved (RFC 6761, section 6.3)."""

_BLOCKED: Final = Failure(
    code="blocked_address", message="the host is, or resolves to, an address that webhooks may not reach"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressGuard:
    """The rules of one installation.

    Inside `allowed_networks` (development, demo) no other rule holds: any port, http as well.
    """

    allowed_networks: Sequence[IPv4Network | IPv6Network] = ()
    allow_http: bool = False
    ports: frozenset[int] = DEFAULT_PORTS

    def refuses(self, url: str) -> str | None:
        """Return why an endpoint with this URL cannot be registered, or None. Nothing is resolved."""
        failure = self.judge_url(url)
        return failure.message if failure else None

    def judge_url(self, url: str) -> Failure | None:
        """Return what is wrong with the URL itself.

        Where some networks are allowed, scheme and port of a *name* are judged once its addresses are known.
        """
        try:
            destination = destination_of(url)
        except BeginningRefused:
            schemes = "https:// or http://" if self.allow_http or self.allowed_networks else "https://"
            return Failure(code="invalid_url", message=f"the URL must start with {schemes} and a host")
        except UrlRefused as refusal:
            return Failure(code="invalid_url", message=str(refusal))
        if destination.address is not None:
            return self.judge_address(destination.address, scheme=destination.scheme, port=destination.port)
        if self.allowed_networks:
            return None
        if _LOOPBACK_NAME.fullmatch(destination.host):
            return _BLOCKED
        return self._judge_manner(destination.scheme, destination.port)

    def judge_address(self, address: str | IPv4Address | IPv6Address, *, scheme: str, port: int) -> Failure | None:
        """Return why this final address must not be dialled with this scheme and port, or None."""
        final = _final(address)
        if final is None:
            return _BLOCKED
        if self._is_allowed(final):
            return None
        if _is_inside(final):
            return _BLOCKED
        return self._judge_manner(scheme, port)

    def _is_allowed(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.allowed_networks)

    def _judge_manner(self, scheme: str, port: int) -> Failure | None:
        if scheme != "https" and not (scheme == "http" and self.allow_http):
            return Failure(code="invalid_url", message="the URL must start with https://")
        if port not in self.ports:
            allowed = ", ".join(str(port) for port in sorted(self.ports))
            return Failure(code="invalid_url", message=f"the URL's port must be one of {allowed}")
        return None


def _final(address: str | IPv4Address | IPv6Address) -> IPv4Address | IPv6Address | None:
    """Return the address that the kernel will talk to, or None for text that is none.

    An IPv4-mapped address is the IPv4 address inside it. An address with a zone (fe80::1%eth0) is none: zones name
    links of this machine.
    """
    if isinstance(address, str):
        try:
            address = ip_address(address)
        except ValueError:
            return None
    if isinstance(address, IPv4Address):
        return address
    if address.scope_id is not None:
        return None
    return address.ipv4_mapped or address


def _is_inside(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return any(address in network for network in BLOCKED_IPV4)
    return address not in GLOBAL_IPV6 or any(address in network for network in BLOCKED_GLOBAL_IPV6)
