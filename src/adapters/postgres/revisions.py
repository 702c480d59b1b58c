"""Merchants' revisions for requests: whatever is asked at once is read by one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Text, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.errors import translated
from adapters.postgres.tables import merchant_revisions
from payments_core.errors import NotFound
from payments_core.gathered import Gathered
from payments_core.ids import MerchantId

MERCHANTS_MAX: Final = 1_000
"""Of one statement."""

_columns: Final = merchant_revisions.c
_READ: Final = select(_columns.merchant_id, _columns.revision).where(
    _columns.merchant_id == any_(bindparam("merchants", type_=ARRAY(Text)))
)


class Revisions:
    """Reads each revision by a statement that began after it was asked for, so that none is older than its question."""

    def __init__(self, single: AsyncEngine) -> None:
        self._single: Final = single
        self._gathered: Final = Gathered(self._read, keys_max=MERCHANTS_MAX)

    async def of(self, merchant: MerchantId, /) -> int:
        """Return the merchant's revision, or raise NotFound."""
        revision = await self._gathered.get(merchant)
        if revision is None:
            raise NotFound("There is no such merchant.")
        return revision

    async def _read(self, merchants: Sequence[MerchantId]) -> Mapping[MerchantId, int]:
        with translated():
            async with self._single.connect() as connection:
                rows = await connection.execute(_READ, {"merchants": merchants})
                return {MerchantId(merchant): revision for merchant, revision in rows.all()}
