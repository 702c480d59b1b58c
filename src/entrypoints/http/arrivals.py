"""What the application notes of a request when it arrives: its id, and the headers that anything here looks at."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Final, cast

from litestar.types import Scope

REQUEST_ID_LENGTH_MAX: Final = 128
_REQUEST_ID: Final = re.compile(rf"[A-Za-z0-9._:/=+@-]{{1,{REQUEST_ID_LENGTH_MAX}}}")
_LOOKED_AT: Final = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-type",
        b"idempotency-key",
        b"if-none-match",
        b"x-forwarded-for",
        b"x-request-id",
    }
)
_STATE_KEY: Final = "arrival"


@dataclass(slots=True)
class Arrival:
    """A request, as far as it is known before anything is done. `added` goes on whatever answer it gets."""

    request_id: str
    headers: dict[bytes, list[str]]
    added: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])

    def all(self, name: bytes) -> list[str]:
        """Return all values of a header, in their order."""
        return self.headers.get(name, [])

    @classmethod
    def note(cls, scope: Scope) -> Arrival:
        """Note a request that arrives; its id is its own where that is sane, else a new one."""
        headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            if name in _LOOKED_AT:
                headers.setdefault(name, []).append(value.decode("latin-1"))
        given = headers.get(b"x-request-id", [])
        sane = len(given) == 1 and _REQUEST_ID.fullmatch(given[0]) is not None
        arrival = cls(given[0] if sane else f"req_{os.urandom(16).hex()}", headers)
        arrival.added.append((b"x-request-id", arrival.request_id.encode()))
        scope.setdefault("state", {})[_STATE_KEY] = arrival
        return arrival

    @classmethod
    def of(cls, scope: Scope) -> Arrival:
        """Return what was noted of this request."""
        return cast(Arrival, scope["state"][_STATE_KEY])
