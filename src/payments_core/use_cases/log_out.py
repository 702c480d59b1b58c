"""End the session that calls."""

from __future__ import annotations

from payments_core.audit import Action
from payments_core.errors import Forbidden
from payments_core.ids import ApiKeyId, Moment, SessionId
from payments_core.merchant import Caller, CredentialKind
from payments_core.ports import UnitOfWork
from payments_core.use_cases.record_audit import record_deed


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
    record_deed(work, moment, Action.SESSION_ENDED, caller, subject=caller.credential, of_account=True)
