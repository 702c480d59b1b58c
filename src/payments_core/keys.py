"""The form of API keys and payment keys: `sk_test_` + 43 characters of base 62 + 6 characters of checksum.

The checksum lets a typing error and a leaked-secret scanner be answered without a look-up (the form that GitHub gave
its tokens in 2021). Secrets are kept as SHA-256: 32 random bytes need no slow hash.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

SECRET_BYTES: Final = 32
PREFIX_SHOWN_LENGTH: Final = 12
LAST_SHOWN_LENGTH: Final = 4

_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY_LENGTH: Final = 43
_CHECK_LENGTH: Final = 6
_MODES: Final = {"test": False, "live": True}


def _base62(number: int, length: int) -> str:
    characters: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        characters.append(_BASE62[digit])
    return "".join(reversed(characters))


_PAIRS: Final = [a + b for a in _BASE62 for b in _BASE62]


def _checksum(text: str) -> str:
    # By pairs: it is made for each request.
    rest, last = divmod(zlib.crc32(text.encode()), 62**2)
    first, middle = divmod(rest, 62**2)
    return _PAIRS[first] + _PAIRS[middle] + _PAIRS[last]


def _make(kind: str, livemode: bool, random: bytes) -> str:
    text = f"{kind}_{'live' if livemode else 'test'}_{_base62(int.from_bytes(random, 'big'), _BODY_LENGTH)}"
    return text + _checksum(text)


def make_api_key(random: bytes, *, livemode: bool) -> str:
    """Return the secret of an API key made of 32 random bytes."""
    return _make("sk", livemode, random)


def make_payment_key(random: bytes, *, livemode: bool) -> str:
    """Return the public text of a payment key made of 32 random bytes."""
    return _make("pk", livemode, random)


def _is_well_formed(text: str, kind: str) -> bool:
    parts = text.split("_")
    if len(parts) != 3 or parts[0] != kind or parts[1] not in _MODES:
        return False
    body = parts[2]
    if len(body) != _BODY_LENGTH + _CHECK_LENGTH or not (body.isascii() and body.isalnum()):
        return False
    return text[-_CHECK_LENGTH:] == _checksum(text[:-_CHECK_LENGTH])


def is_api_key(text: str) -> bool:
    """Say whether this has the form and the checksum of an API key."""
    return _is_well_formed(text, "sk")


def is_payment_key(text: str) -> bool:
    """Say whether this has the form and the checksum of a payment key."""
    return _is_well_formed(text, "pk")


def digest(secret: str) -> str:
    """Return what is kept of a secret: its SHA-256 in hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()
