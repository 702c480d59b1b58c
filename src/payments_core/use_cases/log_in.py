"""Log in by e-mail address and password: a session key for a day, or a family of refresh tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from payments_core import describe
from payments_core.audit import Action, Actor, ActorKind, Origin
from payments_core.describe import JsonObject
from payments_core.ids import Moment, SessionId
from payments_core.merchant import (
    CONSOLE_SESSION_LIFETIME,
    SESSION_KEY_LIFETIME,
    SESSION_KEYS_MAX,
    SESSION_LIFETIME,
    SESSIONS_MAX,
    ApiKeyKind,
    Merchant,
    Session,
)
from payments_core.ports import AccessTokens, UnitOfWork
from payments_core.units import Made
from payments_core.use_cases.hold_account import hold_checked_account
from payments_core.use_cases.make_api_key import new_api_key
from payments_core.use_cases.record_audit import audit_entry
from payments_core.use_cases.refresh_session import issue_pair
from payments_core.values import format_time


@dataclass(frozen=True, slots=True, kw_only=True)
class LogIn:
    """What somebody sends who wants to be recognised by e-mail address and password."""

    email: str
    password: str = field(repr=False)
    livemode: bool = False


async def open_session_key(
    work: UnitOfWork, moment: Moment, *, checked: Merchant, livemode: bool, origin: Origin
) -> Made:
    """Make an API key for a day; beyond SESSION_KEYS_MAX the oldest goes. Raises PasswordMoved."""
    merchant = await hold_checked_account(work, checked)
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
    _record_login(work, moment, merchant, origin, key.id, livemode=livemode)
    answer: JsonObject = {
        "api_key": secret,
        "expires_at": format_time(moment.now + SESSION_KEY_LIFETIME),
        "merchant": describe.merchant(merchant),
    }
    return Made(answer=answer, resource=key.id)


async def open_session(
    work: UnitOfWork, moment: Moment, *, checked: Merchant, livemode: bool, tokens: AccessTokens, origin: Origin
) -> Made:
    """Begin a family of refresh tokens; beyond SESSIONS_MAX the oldest goes. Raises PasswordMoved."""
    session = await _begin(work, moment, checked, origin, lasting=SESSION_LIFETIME, livemode=livemode)
    return Made(answer=issue_pair(work, moment, session, tokens), resource=session.id)


async def open_console(
    work: UnitOfWork, moment: Moment, *, checked: Merchant, livemode: bool, origin: Origin
) -> Session:
    """Begin a sign-in to the console; beyond SESSIONS_MAX the oldest session goes. Raises PasswordMoved."""
    return await _begin(work, moment, checked, origin, lasting=CONSOLE_SESSION_LIFETIME, livemode=livemode)


async def _begin(
    work: UnitOfWork, moment: Moment, checked: Merchant, origin: Origin, *, lasting: timedelta, livemode: bool
) -> Session:
    merchant = await hold_checked_account(work, checked)
    valid = await work.sessions.valid_of(merchant.id, at=moment.now)
    for oldest in valid[: max(0, len(valid) + 1 - SESSIONS_MAX)]:
        work.sessions.save(oldest.revoke(moment.now))
    session = Session(
        id=SessionId(moment.id("ses")),
        merchant=merchant.id,
        livemode=livemode,
        created_at=moment.now,
        expires_at=moment.now + lasting,
    )
    work.sessions.add(session)
    _record_login(work, moment, merchant, origin, session.id, livemode=livemode)
    return session


def _record_login(
    work: UnitOfWork, moment: Moment, merchant: Merchant, origin: Origin, opened: str, *, livemode: bool
) -> None:
    who = Actor(kind=ActorKind.PASSWORD)
    work.audit.add(
        audit_entry(
            moment,
            Action.LOGIN_SUCCEEDED,
            who,
            merchant=merchant.id,
            origin=origin,
            subject=opened,
            detail={"livemode": livemode},
        )
    )
