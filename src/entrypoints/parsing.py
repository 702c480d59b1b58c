"""How each kind of setting is read from its text; a ValueError says what is right, and what was given."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from payments_core.limits import Limit

Network: TypeAlias = IPv4Network | IPv6Network

PORT_MAX: Final = 65_535
LIMIT_AMOUNT_MAX: Final = 1_000_000
LIMIT_SECONDS_MAX: Final = 24 * 60 * 60
LATENCY_SECONDS_MAX: Final = 60.0
SECRETS_MAX: Final = 16
SECRET_BYTES_MIN: Final = 32
"""RFC 7518, section 3.2: a key for HMAC-SHA256 has at least 256 bits."""

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_DECIMAL: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")
_LIMIT: Final = re.compile(r"([0-9]{1,9})/([0-9]{1,9})([smh])")
_LATENCY: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(?:-([0-9]{1,9}(?:\.[0-9]{1,9})?))?")
_SECONDS: Final = {"s": 1, "m": 60, "h": 60 * 60}
_SWITCH: Final = {
    "on": True,
    "true": True,
    "yes": True,
    "1": True,
    "off": False,
    "false": False,
    "no": False,
    "0": False,
}


def switch(text: str) -> bool:
    """Read `on` or `off`."""
    try:
        return _SWITCH[text.lower()]
    except KeyError:
        raise ValueError(f'"{text}" is neither on nor off') from None


def one_of(*words: str) -> Callable[[str], str]:
    """Return the reader of one of a few words, case ignored."""

    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f'"{text}" is not one of {", ".join(words)}')
        return text.lower()

    return read


def number(least: int, most: int) -> Callable[[str], int]:
    """Return the reader of a whole number within bounds."""

    def read(text: str) -> int:
        if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
            raise ValueError(f'"{text}" is not a number from {least} to {most}')
        return int(text)

    return read


def share(text: str) -> float:
    """Read a number from 0 to 1."""
    if not _DECIMAL.fullmatch(text) or not 0 <= float(text) <= 1:
        raise ValueError(f'"{text}" is not a number from 0 to 1')
    return float(text)


def latency(text: str) -> tuple[float, float]:
    """Read seconds such as `0.2`, or a range of them such as `3-5`: the least and the most."""
    found = _LATENCY.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text}" is neither seconds such as 0.2 nor a range of them such as 3-5')
    least, most = float(found[1]), float(found[2] or found[1])
    if not least <= most <= LATENCY_SECONDS_MAX:
        raise ValueError(f'"{text}" is not from 0 to {LATENCY_SECONDS_MAX:g} seconds, the smaller number first')
    return least, most


def secret_keys(text: str) -> str:
    """Check secrets, comma-separated, each long enough; the refusal shows nothing of them."""
    secrets = _parts(text)
    if len(secrets) > SECRETS_MAX:
        raise ValueError(f"{len(secrets)} keys are more than the {SECRETS_MAX} allowed")
    for position, secret in enumerate(secrets, start=1):
        length = len(secret.encode())
        if length < SECRET_BYTES_MIN:
            raise ValueError(
                f"key {position} of {len(secrets)} has {length} bytes, at least {SECRET_BYTES_MIN} are needed; "
                "make one with `openssl rand -base64 32`"
            )
    return text


def host(text: str) -> str:
    """Read an address or a name to listen on."""
    if not re.fullmatch(r"[A-Za-z0-9.:_-]{1,253}", text):
        raise ValueError(f'"{text}" is neither an address nor a host name')
    return text


def networks(text: str) -> tuple[Network, ...]:
    """Read networks in CIDR form, comma-separated."""
    return tuple(_network(part) for part in _parts(text))


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(f'"{text}" is not a network such as 10.0.0.0/8 or ::1/128') from None


def ports(text: str) -> frozenset[int]:
    """Read port numbers, comma-separated."""
    return frozenset(map(number(1, PORT_MAX), _parts(text)))


def _parts(text: str) -> Sequence[str]:
    return [part.strip() for part in text.split(",")]


def limit(default: Limit) -> Callable[[str], Limit]:
    """Return the reader of a rate such as `10/15m`: so many in so many seconds, minutes or hours."""

    def read(text: str) -> Limit:
        found = _LIMIT.fullmatch(text)
        if found is None:
            raise ValueError(f'"{text}" is not a rate such as 10/15m: a number, a slash, a time in s, m or h')
        amount, per_seconds = int(found[1]), int(found[2]) * _SECONDS[found[3]]
        if not (1 <= amount <= LIMIT_AMOUNT_MAX and 1 <= per_seconds <= LIMIT_SECONDS_MAX):
            raise ValueError(f'"{text}" is not a rate from 1 to {LIMIT_AMOUNT_MAX} in 1 s to 24 h')
        return replace(default, amount=amount, per_seconds=per_seconds)

    return read


def url(*schemes: str) -> Callable[[str], str]:
    """Return the reader of a URL that begins with one of the schemes; its refusal shows nothing of it."""

    def read(text: str) -> str:
        try:
            right = urlsplit(text).scheme in schemes and "://" in text
        except ValueError:
            right = False
        if not right:
            raise ValueError(f"is not a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return text

    return read
