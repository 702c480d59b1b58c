"""Change the password; every session ends with the old one."""

from __future__ import annotations

from payments_core.ids import Moment
from payments_core.merchant import ApiKeyKind, Merchant
from payments_core.ports import UnitOfWork
from payments_core.use_cases.hold_account import hold_checked_account


async def change_password(work: UnitOfWork, moment: Moment, *, checked: Merchant, password_hash: str) -> None:
    """Give the merchant, whose old password was checked, a new one, and end all sessions. Raises PasswordMoved."""
    merchant = await hold_checked_account(work, checked)
    work.merchants.save(merchant.change_password(password_hash))
    for key in await work.api_keys.valid_of(merchant.id, at=moment.now):
        if key.kind is ApiKeyKind.SESSION:
            work.api_keys.save(key.revoke(moment.now))
    for session in await work.sessions.valid_of(merchant.id, at=moment.now):
        work.sessions.save(session.revoke(moment.now))


async def rehash_password(work: UnitOfWork, _moment: Moment, *, checked: Merchant, password_hash: str) -> Merchant:
    """Keep the same password under today's parameters, and return the merchant so. Raises PasswordMoved."""
    merchant = (await hold_checked_account(work, checked)).change_password(password_hash)
    work.merchants.save(merchant)
    return merchant
