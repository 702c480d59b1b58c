"""End the session that calls, or all that the account has."""

from __future__ import annotations

from payments_core.audit import Action
from payments_core.errors import Forbidden
from payments_core.ids import ApiKeyId, MerchantId, Moment, SessionId
from payments_core.merchant import ApiKeyKind, Caller, CredentialKind
from payments_core.ports import UnitOfWork
from payments_core.use_cases.hold_account import hold_account
from payments_core.use_cases.record_audit import record_deed


async def log_out(work: UnitOfWork, moment: Moment, *, caller: Caller) -> None:
    """End the session key, token family or sign-in to the console that calls; raise Forbidden for a server key."""
    if caller.kind is CredentialKind.SESSION_KEY and caller.credential is not None:
        key = await work.api_keys.get(caller.merchant, ApiKeyId(caller.credential))
        work.api_keys.save(key.revoke(moment.now))
    elif caller.kind in (CredentialKind.ACCESS_TOKEN, CredentialKind.CONSOLE) and caller.credential is not None:
        session = await work.sessions.get(caller.merchant, SessionId(caller.credential))
        work.sessions.save(session.revoke(moment.now))
    else:
        raise Forbidden("A server key does not log out; revoke it with DELETE /api/auth/api_keys/{id}/.")
    record_deed(work, moment, Action.SESSION_ENDED, caller, subject=caller.credential, of_account=True)


async def log_out_everywhere(work: UnitOfWork, moment: Moment, *, caller: Caller) -> None:
    """End every session of the caller's account, its own among them; server keys stay."""
    merchant = await hold_account(work, caller.merchant)
    await end_sessions(work, moment, merchant.id)
    record_deed(work, moment, Action.SESSIONS_ENDED, caller, of_account=True)


async def end_sessions(work: UnitOfWork, moment: Moment, merchant: MerchantId) -> None:
    """End the session keys, token families and sign-ins to the console of an account that is held."""
    for key in await work.api_keys.valid_of(merchant, at=moment.now):
        if key.kind is ApiKeyKind.SESSION:
            work.api_keys.save(key.revoke(moment.now))
    for session in await work.sessions.valid_of(merchant, at=moment.now):
        work.sessions.save(session.revoke(moment.now))
