"""What a URL dials: read by the client's own parsers, after everything two parsers could read differently is gone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import httpx
from yarl import URL

URL_CHARACTERS_MAX: Final = 2_048
HOST_CHARACTERS_MAX: Final = 253
"""RFC 1035, section 2.3.4: 255 octets on the wire are 253 characters of text."""

KEPT_MAX: Final = 1_000
"""Readings of URLs that are kept, as each event for an endpoint would need its URL read again."""

_URI_CHARACTERS: Final = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*")
"""RFC 3986, section 2. ASCII alone: IDNA has variants that disagree, and some of them turn full-width digits
into an address."""

_SCHEME_AND_AUTHORITY: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)", re.IGNORECASE)
_AUTHORITY: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[1-9][0-9]{0,4})?",
)
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC_LABEL: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A host whose last label is a number is an IPv4 address or nothing (WHATWG URL, "ends in a number"): no top-level
domain is one, and inet_aton would make an address of it."""


class UrlRefused(ValueError):
    """The text is no URL that a webhook can be sent to; the message says why."""


class BeginningRefused(UrlRefused):
    """It begins with neither of the schemes; which of them are allowed is not known here."""

    def __init__(self) -> None:
        super().__init__("the URL must start with https:// or http:// and a host")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a request goes: `url` as it is dialled. `address` is None for a host that has to be resolved first."""

    url: URL
    scheme: str
    host: str
    port: int
    address: IPv4Address | IPv6Address | None


@lru_cache(maxsize=KEPT_MAX)
def destination_of(url: str) -> Destination:
    """Return what the client will dial for this URL, or raise UrlRefused.

    httpx parses the text and yarl parses what httpx prints. That is what the client dials, so that the guard judges the
    host that is dialled and no other reading of the same text.
    """
    _refuse_ambiguous(url)
    try:
        dialled = URL(str(httpx.URL(url)))
        host, port = dialled.raw_host, dialled.port
    except (httpx.InvalidURL, ValueError) as error:
        raise UrlRefused("the URL cannot be read") from error
    if not host or port is None:
        raise UrlRefused("the URL has no host")
    return Destination(url=dialled, scheme=dialled.scheme, host=host, port=port, address=_address_of(host))


def _refuse_ambiguous(url: str) -> None:
    if len(url) > URL_CHARACTERS_MAX:
        raise UrlRefused(f"the URL is longer than {URL_CHARACTERS_MAX:,} characters")
    if not _URI_CHARACTERS.fullmatch(url):
        raise UrlRefused(
            "the URL holds a character that RFC 3986 does not allow; write an international host as xn--…,"
            " and any other such character percent-encoded"
        )
    start = _SCHEME_AND_AUTHORITY.match(url)
    if start is None:
        raise BeginningRefused
    authority = start["authority"]
    if "@" in authority:
        raise UrlRefused("the URL must not hold a user name or a password")
    if "#" in url:
        raise UrlRefused("the URL must not hold a fragment")
    if not _AUTHORITY.fullmatch(authority):
        raise UrlRefused("the URL's host or port is malformed")


def _address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that the host spells, None for a name, or raise UrlRefused for a host that is neither."""
    if ":" in host:
        return IPv6Address(host)
    labels = host.removesuffix(".").split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        try:
            return IPv4Address(host)
        except ValueError as error:
            raise UrlRefused("the URL's host is a number, but not an address of the form 192.0.2.1") from error
    if len(host) > HOST_CHARACTERS_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlRefused("the URL's host is not a valid name")
    return None
