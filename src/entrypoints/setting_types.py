"""How each kind of setting is read from its text; a ValueError says what is right, and what was given."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, TypeAlias
from urllib.parse import SplitResult, parse_qs, urlsplit

from entrypoints.secret import Secret
from payments_core.limits import Limit
from payments_core.schedules import STEPS_MAX

Network: TypeAlias = IPv4Network | IPv6Network

PORT_MAX: Final = 65_535
LIMIT_AMOUNT_MAX: Final = 1_000_000
LIMIT_SECONDS_MAX: Final = 24 * 60 * 60
LATENCY_SECONDS_MAX: Final = 60.0
STEP_DAYS_MAX: Final = 30
SECRETS_MAX: Final = 16
SECRET_BYTES_MIN: Final = 32
"""RFC 7518, section 3.2: a key for HMAC-SHA256 has at least 256 bits."""
MAKE_ONE: Final = "make one with `openssl rand -base64 32`"

POSTGRES_SCHEMES: Final = ("postgresql", "postgres", "postgresql+psycopg")
REDIS_SCHEMES: Final = ("redis", "rediss", "unix")
PERCENT: Final = "in a name or a password, write / as %2F, @ as %40, : as %3A, # as %23 and ? as %3F"

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_DECIMAL: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")
_LIMIT: Final = re.compile(r"([0-9]{1,9})/([0-9]{1,9})([smh])")
_STEP: Final = re.compile(r"([0-9]{1,9})([smhd])")
_LATENCY: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(?:-([0-9]{1,9}(?:\.[0-9]{1,9})?))?")
_DATABASE: Final = re.compile(r"/?|/[^/@]+")
_REDIS_DATABASE: Final = re.compile(r"/?|/[0-9]{1,9}")
_PROXY_HOST: Final = re.compile(r"[a-z0-9._-]{1,253}|[0-9a-f:.]{2,45}")
_SECONDS: Final = {"s": 1, "m": 60, "h": 60 * 60, "d": 24 * 60 * 60}
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


def schedule(text: str) -> tuple[timedelta, ...]:
    """Read times such as `0s,5s,5m,1d`: how long to wait before each step."""
    steps = tuple(_step(part) for part in _parts(text))
    if len(steps) > STEPS_MAX:
        raise ValueError(f"{len(steps)} steps are more than the {STEPS_MAX} allowed")
    return steps


def delivery_schedule(text: str) -> tuple[timedelta, ...]:
    """Read a schedule of which the first step waits for nothing."""
    steps = schedule(text)
    if steps[0]:
        raise ValueError("the first attempt at a webhook is made at once: begin with 0s")
    return steps


def _step(text: str) -> timedelta:
    found = _STEP.fullmatch(text)
    step = None if found is None else timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
    if step is None or step > timedelta(days=STEP_DAYS_MAX):
        raise ValueError(f'"{text}" is not a time such as 5s, 30m, 2h or 1d, of at most {STEP_DAYS_MAX} days')
    return step


def hidden(read: Callable[[str], str]) -> Callable[[str], Secret]:
    """Return the reader of a value that may hold a password; `read` shows nothing of one that it refuses."""
    return lambda text: Secret(read(text))


def secret_keys(text: str) -> str:
    """Check secrets as `secret_roots` reads them, and return their text."""
    secret_roots(text)
    return text


def secret_roots(text: str) -> tuple[bytes, ...]:
    """Return secrets, comma-separated, each long enough; the refusal shows nothing of them."""
    secrets = tuple(part.encode() for part in _parts(text))
    if len(secrets) > SECRETS_MAX:
        raise ValueError(f"{len(secrets)} keys are more than the {SECRETS_MAX} allowed")
    for position, secret in enumerate(secrets, start=1):
        if len(secret) < SECRET_BYTES_MIN:
            raise ValueError(
                f"key {position} of {len(secrets)} has {len(secret)} bytes, at least {SECRET_BYTES_MIN} are needed; "
                f"{MAKE_ONE}"
            )
    return secrets


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


def postgres_url(text: str) -> str:
    """Check a URL of Postgres; a host that is missing is libpq's own, often a Unix socket."""
    parts = _split(text, "postgresql://user:password@host:5432/name", schemes=POSTGRES_SCHEMES)
    if not _DATABASE.fullmatch(parts.path):
        raise ValueError(f"has no name of a database at its end; {PERCENT}")
    return text


def redis_url(text: str) -> str:
    """Check a URL of Redis or Valkey, by TCP, TLS or a Unix socket."""
    parts = _split(text, "redis://:password@host:6379/0", schemes=REDIS_SCHEMES)
    if parts.scheme == "unix":
        if parts.hostname or len(parts.path) < 2:
            raise ValueError("is not a URL such as unix:///run/valkey.sock, with three slashes")
    elif not parts.hostname:
        raise ValueError(f"names no host; {PERCENT}")
    elif not _REDIS_DATABASE.fullmatch(parts.path):
        raise ValueError(f"must end with its host and port, or with the number of a database as in /0; {PERCENT}")
    if "socket_timeout" in parse_qs(parts.query, keep_blank_values=True):
        raise ValueError("must not set socket_timeout: every call is bounded as a whole")
    return text


def proxy_url(text: str) -> str:
    """Check a URL of an egress proxy."""
    example = "http://user:password@host:3128"
    parts = _split(text, example, schemes=("http",))
    if not parts.hostname or not parts.port:
        raise ValueError(f"names no host and port, as in {example}; {PERCENT}")
    if not _PROXY_HOST.fullmatch(parts.hostname) or parts.path not in {"", "/"} or parts.query:
        raise ValueError(f"must end with its host and port, as in {example}; {PERCENT}")
    if ":" in (parts.password or ""):
        raise ValueError(f"is not a URL such as {example}; {PERCENT}")
    return text


def _split(text: str, example: str, *, schemes: Sequence[str]) -> SplitResult:
    """Return the parts of a URL, or raise a ValueError that shows nothing of it: it may hold a password.

    Refused is what two parsers would read differently, and one of them might then print as a host or a port.
    """
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError(f"is not a URL such as {example}; {PERCENT}") from None
    if parts.scheme not in schemes or "://" not in text:
        raise ValueError(f"is not a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    user = parts.netloc.rpartition("@")[0]
    if "@" in user or "#" in text or not text.isprintable() or " " in text:
        raise ValueError(f"is not a URL such as {example}; {PERCENT}")
    return parts
