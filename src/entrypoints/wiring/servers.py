"""The servers themselves: the schema of the database, what it tells of itself, and private ones of a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from adapters.postgres import migrate as migrate_core
from adapters.postgres.health import lacking, see_server
from adapters.sandbox.postgres_ledger import PostgresLedger
from entrypoints.secret import Secret
from entrypoints.services import DatabaseSeen
from entrypoints.settings import Settings, needed
from entrypoints.wiring.database import engine_of, is_pooled

POSTGRES: Final = "postgres"
VALKEY: Final = "valkey"


async def migrate(settings: Settings) -> None:
    """Bring the database up to date, the sandbox's schema included; safe to run at any time. Raises SettingsError."""
    (url,) = needed(settings, "database_url")
    await migrate_core(url.reveal(), pooled=is_pooled(settings))
    ledger = PostgresLedger(url.reveal())
    try:
        await ledger.prepare()
    finally:
        await ledger.close()


async def missing(settings: Settings) -> list[str]:
    """Return the migrations that the database lacks, the oldest first. Raises SettingsError, Unavailable."""
    (url,) = needed(settings, "database_url")
    engine = engine_of(settings, url.reveal())
    try:
        return await lacking(engine)
    finally:
        await engine.dispose()


async def see_database(settings: Settings) -> DatabaseSeen:
    """Return the version and the clock of the database. Raises SettingsError; Unavailable with the cause, in words."""
    (url,) = needed(settings, "database_url")
    return await see_server(url.reveal())


def embedded_postgres(directory: Path, *, durable: bool = True) -> EmbeddedPostgres:
    """Return the Postgres of a data directory, which runs while an `async with` block does."""
    return EmbeddedPostgres(directory / POSTGRES, durable=durable)


def embedded_valkey(directory: Path) -> EmbeddedValkey:
    """Return the Valkey of a data directory, which runs while an `async with` block does."""
    return EmbeddedValkey(directory / VALKEY)


def embedded_urls(directory: Path) -> tuple[Secret, Secret]:
    """Return the URLs of a data directory's Postgres and Valkey, the same while they run and while they don't."""
    return Secret(embedded_postgres(directory).url), Secret(embedded_valkey(directory).url)
