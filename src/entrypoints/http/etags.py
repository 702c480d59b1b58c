"""Names of answers. A stored page's is made of the merchant's revision, so that a stale one cannot be found."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from payments_core import Caller

TTL_SECONDS: Final = 300
IF_NONE_MATCH_LENGTH_MAX: Final = 4_096
SHARED_HEADERS: Final = ((b"cache-control", b"private, no-cache"), (b"vary", b"authorization"))
ANY: Final = "*"
"""The If-None-Match that asks whether there is anything at all; only a look at it can tell."""
BUILD: Final = version("payments-core")
_DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked by whom: the part of a page's name that doesn't move."""

    merchant: str
    livemode: bool
    target: str

    @classmethod
    def of(cls, caller: Caller, target: str) -> Question:
        """Return the question of a caller; `target` is path and query in their normal form."""
        return cls(caller.merchant, caller.livemode, target)

    def name_at(self, revision: int) -> str:
        """Return the name of the answer at a revision: no two questions, merchants, modes or builds share one."""
        named = f"{BUILD}\n{self.merchant}\n{self.livemode}\n{revision}\n{self.target}"
        return hashlib.blake2b(named.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def name_of(body: bytes) -> str:
    """Return the name of an answer that depends on more than the revision, and is made anew for each request."""
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES).hexdigest()


def key_of(name: str) -> str:
    """Return the cache's key for an answer."""
    return f"page:{name}"


def etag_of(name: str) -> bytes:
    """Return the strong entity tag of an answer."""
    return f'"{name}"'.encode()


def matches(if_none_match: list[str], name: str) -> bool:
    """Say whether If-None-Match names this answer, weakly compared (RFC 9110, section 13.1.2)."""
    listed = ",".join(if_none_match)
    if len(listed) > IF_NONE_MATCH_LENGTH_MAX:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in listed.split(",")]
    return f'"{name}"' in tags
