"""Money depends on the merchant not being suspended: looked at in the unit, and held to by its commit."""

from __future__ import annotations

from payments_core.errors import Forbidden
from payments_core.ids import MerchantId
from payments_core.merchant import Merchant
from payments_core.ports import UnitOfWork


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
