"""Exchange a refresh token for a new pair (RFC 9700, section 4.14.2)."""

from __future__ import annotations

from typing import Final

from payments_core.audit import Action, Actor, ActorKind, Origin
from payments_core.describe import JsonObject
from payments_core.errors import InvalidCredentials
from payments_core.ids import MerchantId, Moment
from payments_core.keys import SECRET_BYTES, digest
from payments_core.merchant import ACCESS_TOKEN_LIFETIME, REFRESH_IDLE_LIFETIME, RefreshToken, Session
from payments_core.ports import AccessClaims, AccessTokens, UnitOfWork
from payments_core.units import Made
from payments_core.use_cases.record_audit import audit_entry
from payments_core.use_cases.require_active import refuse_suspended

PREFIX: Final = "rt_"
LENGTH_MAX: Final = 200
TOKEN_ID_BYTES: Final = 16


async def refresh_session(
    work: UnitOfWork, moment: Moment, *, refresh: str, tokens: AccessTokens, origin: Origin
) -> Made | MerchantId:
    """Spend a refresh token for a new pair. Where it was spent before, revoke its family and return whose it is.

    Raises InvalidCredentials for a token that is unknown, expired or of an ended session; Forbidden (`suspended`).
    """
    well_formed = refresh.startswith(PREFIX) and len(refresh) <= LENGTH_MAX
    token = await work.sessions.refresh_token(digest(refresh)) if well_formed else None
    if token is None:
        raise InvalidCredentials("The refresh token is not valid.")
    session = await work.sessions.get(token.merchant, token.session)
    if not session.is_valid(moment.now):
        raise InvalidCredentials("The refresh token is not valid.")
    if token.spent_at is not None:
        work.sessions.save(session.revoke(moment.now))
        thief = Actor(kind=ActorKind.REFRESH_TOKEN, id=session.id)
        merchant = token.merchant
        work.audit.add(
            audit_entry(moment, Action.SESSION_STOLEN, thief, merchant=merchant, origin=origin, subject=session.id)
        )
        return merchant
    if moment.now >= token.expires_at:
        raise InvalidCredentials("The refresh token is not valid.")
    refuse_suspended((await work.merchants.get(token.merchant)).suspended_at is not None)
    work.expect(session)
    work.sessions.save_refresh_token(token.spend(moment.now))
    return Made(answer=issue_pair(work, moment, session, tokens), resource=session.id)


def issue_pair(work: UnitOfWork, moment: Moment, session: Session, tokens: AccessTokens) -> JsonObject:
    """Remember the session's next refresh token, and return it with an access token as an answer."""
    refresh = PREFIX + moment.secret(SECRET_BYTES).hex()
    work.sessions.add_refresh_token(
        RefreshToken(
            digest=digest(refresh),
            session=session.id,
            merchant=session.merchant,
            created_at=moment.now,
            expires_at=min(moment.now + REFRESH_IDLE_LIFETIME, session.expires_at),
        )
    )
    expires_at = min(moment.now + ACCESS_TOKEN_LIFETIME, session.expires_at)
    access = tokens.issue(
        AccessClaims(
            merchant=session.merchant,
            session=session.id,
            livemode=session.livemode,
            token_id=moment.secret(TOKEN_ID_BYTES).hex(),
            issued_at=moment.now,
            expires_at=expires_at,
        )
    )
    return {
        "access": access,
        "refresh": refresh,
        "token_type": "Bearer",
        "expires_in": int((expires_at - moment.now).total_seconds()),
    }
