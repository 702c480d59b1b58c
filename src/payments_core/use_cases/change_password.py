"""Change the password; every session ends with the old one."""

from __future__ import annotations

from payments_core.audit import Action, Actor, AuditEntry, Origin, actor_of, origin_of
from payments_core.errors import NotFound
from payments_core.ids import MerchantId, Moment
from payments_core.merchant import Caller, Merchant
from payments_core.ports import UnitOfWork
from payments_core.use_cases.hold_account import hold_account, hold_checked_account
from payments_core.use_cases.log_out import end_sessions
from payments_core.use_cases.record_audit import audit_entry, record_deed


async def find_merchant(work: UnitOfWork, _moment: Moment, *, id: MerchantId) -> Merchant:
    """Return the merchant. Raises NotFound."""
    return await work.merchants.get(id)


def refused_password(moment: Moment, caller: Caller) -> AuditEntry:
    """Return the entry of a caller who does not know its own password."""
    who, origin = actor_of(caller), origin_of(caller)
    return audit_entry(moment, Action.PASSWORD_REFUSED, who, merchant=caller.merchant, origin=origin)


async def change_password(
    work: UnitOfWork, moment: Moment, *, caller: Caller, checked: Merchant, password_hash: str
) -> None:
    """Give the merchant, whose old password was checked, a new one, and end all sessions. Raises PasswordMoved."""
    merchant = await hold_checked_account(work, checked)
    await _replace(work, moment, merchant, password_hash)
    record_deed(work, moment, Action.PASSWORD_CHANGED, caller, of_account=True)


async def reset_password(
    work: UnitOfWork, moment: Moment, *, email: str, password_hash: str, by: Actor, origin: Origin
) -> Merchant:
    """Give the merchant with this address a new password without the old one, and end all sessions. Raises NotFound."""
    found = await work.merchants.by_email(email)
    if found is None:
        raise NotFound("There is no merchant with this e-mail address.")
    merchant = await hold_account(work, found.id)
    await _replace(work, moment, merchant, password_hash)
    work.audit.add(audit_entry(moment, Action.PASSWORD_RESET, by, merchant=merchant.id, origin=origin))
    return merchant


async def rehash_password(work: UnitOfWork, _moment: Moment, *, checked: Merchant, password_hash: str) -> Merchant:
    """Keep the same password under today's parameters, and return the merchant so. Raises PasswordMoved."""
    merchant = (await hold_checked_account(work, checked)).change_password(password_hash)
    work.merchants.save(merchant)
    return merchant


async def _replace(work: UnitOfWork, moment: Moment, merchant: Merchant, password_hash: str) -> None:
    work.merchants.save(merchant.change_password(password_hash))
    await end_sessions(work, moment, merchant.id)
