"""Money depends on the merchant not being suspended: looked at in the unit, and held to by its commit."""

from __future__ import annotations

from payments_core.errors import Forbidden
from payments_core.ids import MerchantId
from payments_core.merchant import Merchant
from payments_core.ports import UnitOfWork


async def require_active(work: UnitOfWork, id: MerchantId) -> Merchant:
    """Return the merchant, or raise Forbidden (`suspended`); the commit fails if that changes meanwhile."""
    merchant = await work.merchants.get(id)
    if merchant.suspended_at is not None:
        raise Forbidden("This account is suspended.", code="suspended")
    work.expect(merchant)
    return merchant
