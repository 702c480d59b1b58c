"""Money depends on the merchant not being suspended: looked at in the unit, and held to by its commit."""

from __future__ import annotations

from payments_core.errors import Forbidden
from payments_core.ids import MerchantId, Moment
from payments_core.merchant import Merchant
from payments_core.ports import UnitOfWork
from payments_core.recent import Recent


def refuse_suspended(suspended: bool) -> None:
    """Raise Forbidden (`suspended`) for a merchant that is."""
    if suspended:
        raise Forbidden("This account is suspended.", code="suspended")


async def require_active(work: UnitOfWork, id: MerchantId) -> Merchant:
    """Return the merchant, or raise Forbidden (`suspended`); the commit fails if that changes meanwhile."""
    merchant = await work.merchants.get(id)
    refuse_suspended(merchant.suspended_at is not None)
    work.expect(merchant)
    return merchant


async def is_suspended(work: UnitOfWork, moment: Moment, id: MerchantId, recent: Recent) -> bool:
    """Say whether the merchant is suspended; the commit fails if that changes meanwhile.

    An active one that was read lately is not read again, unless it has turned out to have moved. Raises NotFound.
    """
    merchant = None if moment.is_again else recent.merchant(id)
    if merchant is None:
        merchant = await work.merchants.get(id)
        if merchant.suspended_at is None:
            recent.note_merchant(merchant)
        else:
            recent.forget_merchant(id)
    work.expect(merchant)
    return merchant.suspended_at is not None
