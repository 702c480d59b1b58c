"""What the database keeps sealed, for those who change the key that seals it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from adapters.postgres.resealing import PostgresSeals
from adapters.security.vault import AeadVault
from entrypoints.services import Seals
from entrypoints.settings import Settings, needed
from entrypoints.wiring.database import engine_of
from entrypoints.wiring.services import keys_of


@asynccontextmanager
async def seals_of(settings: Settings) -> AsyncGenerator[Seals]:
    """Give what is sealed in the database while the block runs. Raises SettingsError."""
    url, secret = needed(settings, "database_url", "secret_key")
    vault = AeadVault(keys_of(secret).derive("vault"), entropy=os.urandom)
    engine = engine_of(settings, url.reveal())
    try:
        yield PostgresSeals(engine, vault)
    finally:
        await engine.dispose()
