"""What the URL of a server says about how safe it is: whether its password is anybody's, and who may listen."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

PLACEHOLDERS: Final = ("development", "change", "example", "insecure", "secret", "test")
"""How secrets begin that somebody copied rather than made."""
DEFAULTS: Final = frozenset(
    {"admin", "default", "guest", "payments", "postgres", "postgresql", "redis", "root", "user", "valkey"}
)
"""Passwords that images, tutorials and arrangements of ours come with, and everybody tries first; so is `password`, in
whatever spelling, and the name of the user."""
PASSWORD: Final = ("passw", "pa55w", "p@ssw")
DECORATION: Final = "0123456789!?.@#$*_-"
"""What people append, or put in front, to please a rule."""
PASSWORD_LENGTH_MIN: Final = 8
DIGITS_LENGTH_MIN: Final = 16
"""Of one that is digits and marks alone."""
DISTINCT_CHARACTERS_MIN: Final = 5
ENCRYPTED: Final = frozenset({"require", "verify-ca", "verify-full"})
"""libpq's `sslmode`: with each other one, its own default included, a connection may be unencrypted."""


def weakness_of_password(url: str) -> str | None:
    """Return what is wrong with the password of a URL, or None; also where it has none.

    Without one it may be a client certificate that the server asks for, libpq's file of passwords, or a socket's owner.
    """
    parts = urlsplit(url)
    user = unquote(parts.username or "").casefold()
    given = (unquote(parts.password or ""), *parse_qs(parts.query).get("password", ()))
    for password in filter(None, given):
        if _is_guessable(password, user=user):
            return "its password is a default or a placeholder, which production refuses"
        if len(password) < PASSWORD_LENGTH_MIN:
            return f"its password has fewer than {PASSWORD_LENGTH_MIN} characters, which production refuses"
    return None


def _is_guessable(password: str, *, user: str) -> bool:
    folded = password.casefold()
    word = folded.strip(DECORATION)
    if len(set(folded)) < DISTINCT_CHARACTERS_MIN or (not word and len(folded) < DIGITS_LENGTH_MIN):
        return True
    return word in {*DEFAULTS, user or None} or folded == user or word.startswith(PLACEHOLDERS + PASSWORD)


def may_be_overheard(url: str) -> bool:
    """Say whether what is said to this server may pass a network unencrypted: it is another host's, and without TLS."""
    parts = urlsplit(url)
    if parts.scheme in {"unix", "rediss"} or _is_here(parts):
        return False
    return parts.scheme == "redis" or parse_qs(parts.query).get("sslmode", [""])[-1] not in ENCRYPTED


def _is_here(parts: SplitResult) -> bool:
    """Say whether the server is on this host: by a socket, or by an address of the loopback."""
    host = parts.hostname or parse_qs(parts.query).get("host", [""])[-1]
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
