"""Recognise a caller by what it shows: an API key, or an access token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from payments_core.audit import HERE, Origin
from payments_core.errors import InvalidCredentials
from payments_core.ids import MerchantId, SessionId
from payments_core.keys import digest, is_api_key
from payments_core.merchant import ApiKeyKind, Caller, CredentialKind, Session
from payments_core.ports import AccessTokens, Clock, Credentials
from payments_core.use_cases.require_active import refuse_suspended

_NO_API_KEY: Final = "No valid API key: it is mistyped, unknown, expired or revoked."
_NO_TOKEN: Final = "No valid access token: it is malformed or expired, or its session has ended."  # noqa: S105 - words
_NO_SESSION: Final = "This session has ended: sign in again."
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
        session = await self._session(claims.merchant, claims.session, _NO_TOKEN)
        if session.livemode != claims.livemode:
            raise InvalidCredentials(_NO_TOKEN)
        return _caller(session, CredentialKind.ACCESS_TOKEN, origin)

    async def by_console_session(self, merchant: MerchantId, id: SessionId, *, origin: Origin = HERE) -> Caller:
        """Return the caller who signed in to the console; raise InvalidCredentials, Forbidden (`suspended`).

        Whoever calls this has seen to it that the ids are ours: they are in a signed cookie.
        """
        return _caller(await self._session(merchant, id, _NO_SESSION), CredentialKind.CONSOLE, origin)

    async def _session(self, merchant: MerchantId, id: SessionId, refusal: str) -> Session:
        holder = await self.credentials.session(merchant, id)
        if holder is None or not holder.session.is_valid(self.clock.now()):
            raise InvalidCredentials(refusal)
        refuse_suspended(holder.suspended)
        return holder.session


def _caller(session: Session, kind: CredentialKind, origin: Origin) -> Caller:
    return Caller(
        merchant=session.merchant,
        livemode=session.livemode,
        kind=kind,
        credential=session.id,
        request_id=origin.request_id,
        address=origin.address,
    )
