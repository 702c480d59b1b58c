"""Log in, refresh, log out, change the password: everything around sessions."""

from __future__ import annotations

from dataclasses import dataclass

from payments_core import describe
from payments_core.describe import JsonObject
from payments_core.errors import Forbidden, InvalidCredentials
from payments_core.ids import ApiKeyId, MerchantId, Moment, SessionId
from payments_core.keys import SECRET_BYTES, digest
from payments_core.merchant import (
    ACCESS_TOKEN_LIFETIME,
    REFRESH_IDLE_LIFETIME,
    SESSION_KEY_LIFETIME,
    SESSION_KEYS_MAX,
    SESSION_LIFETIME,
    ApiKeyKind,
    Caller,
    CredentialKind,
    Merchant,
    RefreshToken,
    Session,
)
from payments_core.ports import AccessClaims, AccessTokens, UnitOfWork
from payments_core.units import Made
from payments_core.use_cases.make_api_key import new_api_key
from payments_core.values import format_time

REFRESH_TOKEN_PREFIX = "rt_"  # noqa: S105 - the prefix of secrets, not one
REFRESH_TOKEN_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class LogIn:
    """What somebody sends who wants to be recognised by e-mail address and password."""

    email: str
    password: str
    livemode: bool = False


async def unchanged(work: UnitOfWork, checked: Merchant) -> Merchant:
    """Return the merchant as it is now, where it still has the password that was checked."""
    merchant = await work.merchants.get(checked.id)
    if merchant.password_hash != checked.password_hash:
        raise InvalidCredentials("The password was changed meanwhile.")
    return merchant


async def open_session_key(work: UnitOfWork, moment: Moment, *, merchant: Merchant, livemode: bool) -> Made:
    """Make an API key for a day; beyond SESSION_KEYS_MAX the oldest goes."""
    work.expect(await unchanged(work, merchant))
    key, secret = new_api_key(
        moment,
        merchant.id,
        livemode=livemode,
        kind=ApiKeyKind.SESSION,
        name="session",
        expires_at=moment.now + SESSION_KEY_LIFETIME,
    )
    valid = await work.api_keys.valid_of(merchant.id, at=moment.now)
    sessions = [other for other in valid if other.kind is ApiKeyKind.SESSION]
    for oldest in sessions[: max(0, len(sessions) + 1 - SESSION_KEYS_MAX)]:
        work.api_keys.save(oldest.revoke(moment.now))
    work.api_keys.add(key)
    assert key.expires_at is not None
    answer: JsonObject = {
        "api_key": secret,
        "expires_at": format_time(key.expires_at),
        "merchant": describe.merchant(merchant),
    }
    return Made(answer=answer, resource=key.id)


async def open_session(
    work: UnitOfWork, moment: Moment, *, merchant: Merchant, livemode: bool, tokens: AccessTokens
) -> Made:
    """Begin a family of refresh tokens with its first pair."""
    work.expect(await unchanged(work, merchant))
    session = Session(
        id=SessionId(moment.id("ses")),
        merchant=merchant.id,
        livemode=livemode,
        created_at=moment.now,
        expires_at=moment.now + SESSION_LIFETIME,
    )
    work.sessions.add(session)
    return Made(answer=_pair(work, moment, session, tokens), resource=session.id)


async def refresh_session(work: UnitOfWork, moment: Moment, *, refresh: str, tokens: AccessTokens) -> Made | MerchantId:
    """Spend a refresh token for a new pair. Where it was spent before, revoke its family and return whose it is.

    RFC 9700, section 4.14.2. Raises InvalidCredentials for a token that is unknown, expired or of an ended session.
    """
    token = None
    if refresh.startswith(REFRESH_TOKEN_PREFIX) and len(refresh) <= REFRESH_TOKEN_LENGTH_MAX:
        token = await work.sessions.refresh_token(digest(refresh))
    if token is None:
        raise InvalidCredentials("The refresh token is not valid.")
    session = await work.sessions.get(token.merchant, token.session)
    if token.spent_at is not None:
        work.sessions.save(session.revoke(moment.now))
        return token.merchant
    if not session.is_valid(moment.now) or moment.now >= token.expires_at:
        raise InvalidCredentials("The refresh token is not valid.")
    merchant = await work.merchants.get(token.merchant)
    refuse_suspended(merchant)
    work.expect(session)
    work.sessions.save_refresh_token(token.spend(moment.now))
    return Made(answer=_pair(work, moment, session, tokens), resource=session.id)


def _pair(work: UnitOfWork, moment: Moment, session: Session, tokens: AccessTokens) -> JsonObject:
    refresh = REFRESH_TOKEN_PREFIX + moment.secret(SECRET_BYTES).hex()
    work.sessions.add_refresh_token(
        RefreshToken(
            digest=digest(refresh),
            session=session.id,
            merchant=session.merchant,
            created_at=moment.now,
            expires_at=min(moment.now + REFRESH_IDLE_LIFETIME, session.expires_at),
        )
    )
    access = tokens.issue(
        AccessClaims(
            merchant=session.merchant,
            session=session.id,
            livemode=session.livemode,
            token_id=moment.secret(16).hex(),
            issued_at=moment.now,
            expires_at=min(moment.now + ACCESS_TOKEN_LIFETIME, session.expires_at),
        )
    )
    return {
        "access": access,
        "refresh": refresh,
        "token_type": "Bearer",
        "expires_in": int(ACCESS_TOKEN_LIFETIME.total_seconds()),
    }


async def log_out(work: UnitOfWork, moment: Moment, *, caller: Caller) -> None:
    """End the session key or token family that calls; raise Forbidden for a server key."""
    if caller.kind is CredentialKind.SESSION_KEY and caller.credential is not None:
        key = await work.api_keys.get(caller.merchant, ApiKeyId(caller.credential))
        work.api_keys.save(key.revoke(moment.now))
    elif caller.kind is CredentialKind.ACCESS_TOKEN and caller.credential is not None:
        session = await work.sessions.get(caller.merchant, SessionId(caller.credential))
        work.sessions.save(session.revoke(moment.now))
    else:
        raise Forbidden("A server key does not log out; revoke it with DELETE /api/auth/api_keys/{id}/.")


def refuse_suspended(merchant: Merchant) -> None:
    """Raise Forbidden (`suspended`) for a merchant that is."""
    if merchant.suspended_at is not None:
        raise Forbidden("This account is suspended.", code="suspended")


async def change_password(work: UnitOfWork, moment: Moment, *, checked: Merchant, password_hash: str) -> None:
    """Give the merchant, whose old password was checked, a new one, and end all sessions."""
    work.merchants.save((await unchanged(work, checked)).change_password(password_hash))
    for key in await work.api_keys.valid_of(checked.id, at=moment.now):
        if key.kind is ApiKeyKind.SESSION:
            work.api_keys.save(key.revoke(moment.now))
    for session in await work.sessions.valid_of(checked.id, at=moment.now):
        work.sessions.save(session.revoke(moment.now))
