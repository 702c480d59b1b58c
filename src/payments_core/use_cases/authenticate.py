"""Recognise a caller by what it shows: an API key, or an access token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from payments_core.audit import HERE, Origin
from payments_core.errors import InvalidCredentials
from payments_core.keys import digest, is_api_key
from payments_core.merchant import ApiKeyKind, Caller, CredentialKind
from payments_core.ports import AccessTokens, Clock, Credentials
from payments_core.use_cases.require_active import refuse_suspended

_NO_API_KEY: Final = "No valid API key: it is mistyped, unknown, expired or revoked."
_NO_TOKEN: Final = "No valid access token: it is malformed or expired, or its session has ended."  # noqa: S105 - words
_PAYMENT_KEY: Final = "Payment keys (`pk_…`) don't authenticate: use an API key (`sk_…`)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """Answers who is calling. Unknown, malformed, expired and revoked credentials get the same refusal."""

    credentials: Credentials
    tokens: AccessTokens
    clock: Clock

    async def by_api_key(self, secret: str, *, origin: Origin = HERE) -> Caller:
        """Return the caller with this key, for a request; raise InvalidCredentials, Forbidden (`suspended`)."""
        now = self.clock.now()
        holder = await self.credentials.api_key(digest(secret)) if is_api_key(secret) else None
        if holder is None or not holder.key.is_valid(now):
            raise InvalidCredentials(_PAYMENT_KEY if secret.startswith("pk_") else _NO_API_KEY)
        refuse_suspended(holder.suspended)
        key = holder.key
        await self.credentials.touch(key.merchant, key.id, at=now)
        return Caller(
            merchant=key.merchant,
            livemode=key.livemode,
            scopes=key.scopes,
            kind=CredentialKind.SESSION_KEY if key.kind is ApiKeyKind.SESSION else CredentialKind.SERVER_KEY,
            credential=key.id,
            request_id=origin.request_id,
            address=origin.address,
        )

    async def by_access_token(self, token: str, *, origin: Origin = HERE) -> Caller:
        """Return the caller with this token, for a request; raise InvalidCredentials, Forbidden (`suspended`)."""
        now = self.clock.now()
        try:
            claims = self.tokens.read(token, at=now)
        except InvalidCredentials:
            # In the words for an ended session: nobody learns from the refusal whether a token was ever one of ours.
            raise InvalidCredentials(_NO_TOKEN) from None
        holder = await self.credentials.session(claims.merchant, claims.session)
        if holder is None or not holder.session.is_valid(now) or holder.session.livemode != claims.livemode:
            raise InvalidCredentials(_NO_TOKEN)
        refuse_suspended(holder.suspended)
        return Caller(
            merchant=claims.merchant,
            livemode=claims.livemode,
            kind=CredentialKind.ACCESS_TOKEN,
            credential=claims.session,
            request_id=origin.request_id,
            address=origin.address,
        )
