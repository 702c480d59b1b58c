"""What authentication looks up."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import RowMapping, Select, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.errors import translated
from adapters.postgres.mapping import Kinds
from adapters.postgres.tables import api_keys, merchants, sessions
from payments_core.ids import ApiKeyId, MerchantId, SessionId
from payments_core.merchant import USES_NOTED_EVERY
from payments_core.ports import KeyHolder, SessionHolder

_SUSPENDED: Final = merchants.c.suspended_at.is_not(None).label("suspended")


class PostgresCredentials:
    """Credentials as they are now; nothing is remembered, so that there is nothing to forget."""

    def __init__(self, single: AsyncEngine, kinds: Kinds) -> None:
        self._single: Final = single
        self._kinds: Final = kinds

    async def api_key(self, digest: str, /) -> KeyHolder | None:
        """Return the API key with this digest, valid or not, if there is one."""
        statement = select(api_keys, _SUSPENDED).join(merchants, merchants.c.id == api_keys.c.merchant_id)
        row = await self._first(statement.where(api_keys.c.digest == digest))
        return None if row is None else KeyHolder(key=self._kinds.api_keys.of_row(row), suspended=row["suspended"])

    async def session(self, merchant: MerchantId, id: SessionId, /) -> SessionHolder | None:
        """Return the merchant's session, valid or not, if there is one."""
        statement = select(sessions, _SUSPENDED).join(merchants, merchants.c.id == sessions.c.merchant_id)
        row = await self._first(statement.where(sessions.c.merchant_id == merchant, sessions.c.id == id))
        return (
            None if row is None else SessionHolder(session=self._kinds.sessions.of_row(row), suspended=row["suspended"])
        )

    async def touch(self, merchant: MerchantId, id: ApiKeyId, /, *, at: datetime) -> None:
        """Note the key's last use, unless a later one is noted, or one shortly before it."""
        used = api_keys.c.last_used_at
        statement = (
            update(api_keys)
            .where(api_keys.c.merchant_id == merchant, api_keys.c.id == id)
            .where(or_(used.is_(None), used <= at - USES_NOTED_EVERY))
            .values(last_used_at=at)
        )
        with translated():
            async with self._single.connect() as connection:
                await connection.execute(statement)

    def forget(self, merchant: MerchantId, /) -> None:
        """Do nothing: what is asked next is looked up."""

    async def _first(self, statement: Select[Any]) -> RowMapping | None:
        with translated():
            async with self._single.connect() as connection:
                row: RowMapping | None = (await connection.execute(statement)).mappings().first()
                return row
