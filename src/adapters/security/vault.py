"""Secrets sealed at rest: webhook secrets, stored answers that hold a key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from payments_core.errors import Unreadable

VERSION: Final = b"\x01"
KEY_LENGTH_BYTES: Final = 32
KEY_ID_LENGTH_BYTES: Final = 4
NONCE_LENGTH_BYTES: Final = 12
TAG_LENGTH_BYTES: Final = 16
HEADER_LENGTH_BYTES: Final = len(VERSION) + KEY_ID_LENGTH_BYTES


class AeadVault:
    """Seals with AES-256-GCM under the first key; opens what any of the keys sealed.

    Sealed bytes are version (1), key id (4), nonce (12), then the ciphertext with its tag (16). Header and context
    are authenticated, so that neither can be exchanged. Nonces are random: one key serves 2³² seals (NIST SP 800-38D
    §8.3), which is why the first key can be changed at any time.
    """

    def __init__(self, keys: Sequence[bytes], *, entropy: Callable[[int], bytes]) -> None:
        if not keys or any(len(key) != KEY_LENGTH_BYTES for key in keys):
            raise ValueError(f"a vault needs at least one key, each of {KEY_LENGTH_BYTES} bytes")
        self._ciphers = [(VERSION + _key_id(key), AESGCM(key)) for key in keys]
        self._entropy = entropy

    @property
    def headers(self) -> Sequence[bytes]:
        """How that begins which each key sealed, in the order of the keys: the first one seals."""
        return [header for header, _ in self._ciphers]

    def seal(self, plain: bytes, /, *, context: str) -> bytes:
        """Return `plain` encrypted and bound to `context`: it opens under the same context only."""
        header, cipher = self._ciphers[0]
        nonce = self._entropy(NONCE_LENGTH_BYTES)
        return header + nonce + cipher.encrypt(nonce, plain, header + context.encode())

    def open(self, sealed: bytes, /, *, context: str) -> bytes:
        """Return what was sealed, or raise Unreadable: a key is missing, the context differs, or a byte was changed."""
        header, rest = sealed[:HEADER_LENGTH_BYTES], sealed[HEADER_LENGTH_BYTES:]
        nonce, body = rest[:NONCE_LENGTH_BYTES], rest[NONCE_LENGTH_BYTES:]
        for known, cipher in self._ciphers:
            if known == header and len(body) >= TAG_LENGTH_BYTES:
                try:
                    return cipher.decrypt(nonce, body, header + context.encode())
                except InvalidTag:
                    continue
        raise Unreadable("no key of this installation opens these bytes")


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"payments-core key id" + key).digest()[:KEY_ID_LENGTH_BYTES]
