"""Password hashes with the standard library alone."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import Final

from payments_core.ports import Entropy

PREFIX: Final = "scrypt"
SALT_BYTES: Final = 16
COST: Final = 2**14
BLOCK_SIZE: Final = 8
"""RFC 7914's parameters for interactive logins: 16 MiB, some 50 ms."""


class MemoryPasswords:
    """scrypt in a thread. It knows no list of common passwords; `adapters.security` does."""

    def __init__(self, *, entropy: Entropy, cost: int = COST) -> None:
        self._entropy = entropy
        self._cost = cost
        self._nobody = f"{PREFIX}${cost}${'00' * SALT_BYTES}${'00' * 64}"

    async def hash(self, password: str, /) -> str:
        """Return `scrypt$cost$salt$digest`, the last two in hexadecimal digits."""
        salt = self._entropy(SALT_BYTES)
        digest = await asyncio.to_thread(_scrypt, password, salt, self._cost)
        return f"{PREFIX}${self._cost}${salt.hex()}${digest.hex()}"

    async def verify(self, password_hash: str | None, password: str, /) -> bool:
        """Say whether the password is right; for nobody's it takes as long and is wrong."""
        _, cost, salt, digest = (password_hash or self._nobody).split("$")
        given = await asyncio.to_thread(_scrypt, password, bytes.fromhex(salt), int(cost))
        return hmac.compare_digest(given.hex(), digest) and password_hash is not None

    def is_stale(self, password_hash: str, /) -> bool:
        """Say whether the hash was made with another cost."""
        return not password_hash.startswith(f"{PREFIX}${self._cost}$")

    def is_common(self, password: str, /) -> bool:  # noqa: ARG002 - the port gives it
        """Say no: there is no list here."""
        return False


def _scrypt(password: str, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(password.encode(errors="surrogatepass"), salt=salt, n=cost, r=BLOCK_SIZE, p=1)
