"""The root secrets of an installation, and the keys that are derived from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Purpose = Literal["access-token", "vault", "fingerprint"]

ROOT_LENGTH_MIN_BYTES: Final = 32
"""RFC 7518 §3.2 and RFC 8725 §3.5: a key for HMAC-SHA256 has at least 256 bits."""
KEY_LENGTH_BYTES: Final = 32
ROOTS_MAX: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretKeys:
    """The roots named by `PAYMENTS_SECRET_KEY`: the first signs and seals, all of them verify and open.

    Nothing is ever signed with a root itself: every purpose has a key of its own (HKDF-SHA256, RFC 5869), so that
    a key that leaks from one place is worth nothing in another.
    """

    roots: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> SecretKeys:
        """Return the roots of a comma-separated list, or raise a ValueError of one line that shows no value."""
        roots = tuple(part.strip().encode() for part in text.split(","))
        if len(roots) > ROOTS_MAX:
            raise ValueError(f"PAYMENTS_SECRET_KEY: {len(roots)} keys are more than the {ROOTS_MAX} allowed")
        for position, root in enumerate(roots, start=1):
            if len(root) < ROOT_LENGTH_MIN_BYTES:
                raise ValueError(
                    f"PAYMENTS_SECRET_KEY: key {position} of {len(roots)} has {len(root)} bytes, "
                    f"at least {ROOT_LENGTH_MIN_BYTES} are needed (try: openssl rand -base64 32)"
                )
        return cls(roots=roots)

    def derive(self, purpose: Purpose) -> list[bytes]:
        """Return the 32-byte keys for one purpose, in the order of the roots."""
        return [_derived(root, purpose) for root in self.roots]


def _derived(root: bytes, purpose: Purpose) -> bytes:
    info = f"payments-core/v1/{purpose}".encode()
    return HKDF(algorithm=SHA256(), length=KEY_LENGTH_BYTES, salt=None, info=info).derive(root)
