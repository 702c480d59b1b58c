"""The root secrets of an installation, and the keys that are derived from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Purpose = Literal["access-token", "vault", "fingerprint", "console"]

KEY_LENGTH_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretKeys:
    """The roots of an installation: the first signs and seals, all of them verify and open.

    How long they are is for the settings to see to; whoever makes them otherwise uses 32 random bytes or more.

    Nothing is ever signed with a root itself: every purpose has a key of its own (HKDF-SHA256, RFC 5869), so that
    a key that leaks from one place is worth nothing in another.
    """

    roots: tuple[bytes, ...] = field(repr=False)

    def derive(self, purpose: Purpose) -> list[bytes]:
        """Return the 32-byte keys for one purpose, in the order of the roots."""
        return [_derived(root, purpose) for root in self.roots]


def _derived(root: bytes, purpose: Purpose) -> bytes:
    info = f"payments-core/v1/{purpose}".encode()
    return HKDF(algorithm=SHA256(), length=KEY_LENGTH_BYTES, salt=None, info=info).derive(root)
