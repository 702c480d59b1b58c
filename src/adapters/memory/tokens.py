"""Access tokens that are remembered rather than signed: they hold in the process that issued them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from payments_core.errors import InvalidCredentials
from payments_core.ports import AccessClaims

TOKENS_MAX: Final = 10_000


class MemoryAccessTokens:
    """Opaque tokens; beyond TOKENS_MAX the oldest is forgotten."""

    def __init__(self) -> None:
        self._claims: dict[str, AccessClaims] = {}

    def issue(self, claims: AccessClaims, /) -> str:
        """Return a token for these claims."""
        if len(self._claims) >= TOKENS_MAX:
            del self._claims[next(iter(self._claims))]
        token = f"at_{claims.token_id}"
        self._claims[token] = claims
        return token

    def read(self, token: str, /, *, at: datetime) -> AccessClaims:
        """Return what the token was issued for, or raise InvalidCredentials."""
        claims = self._claims.get(token)
        if claims is None or not claims.issued_at <= at < claims.expires_at:
            raise InvalidCredentials("The access token is not valid.")
        return claims
