"""Changes to what an account holds come one after another: its keys, channels, endpoints, sessions and password."""

from __future__ import annotations

from payments_core.errors import PaymentsError
from payments_core.ids import MerchantId
from payments_core.merchant import Merchant
from payments_core.ports import UnitOfWork


class PasswordMoved(PaymentsError):
    """The password, or the form in which it is kept, is another than the one that was checked: check it again."""

    code = "password_moved"


async def hold_account(work: UnitOfWork, id: MerchantId) -> Merchant:
    """Return the merchant, and have the commit fail against every other that holds or changes the same account.

    It is saved as it is, which moves its version: counts that were read in this unit are still right at its commit.
    """
    merchant = await work.merchants.get(id)
    work.merchants.save(merchant)
    return merchant


async def hold_checked_account(work: UnitOfWork, checked: Merchant) -> Merchant:
    """Hold the account whose password was checked; raise PasswordMoved where it has another one by now."""
    merchant = await hold_account(work, checked.id)
    if merchant.password_hash != checked.password_hash:
        raise PasswordMoved("the password was changed meanwhile")
    return merchant
