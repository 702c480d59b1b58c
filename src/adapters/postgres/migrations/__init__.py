"""The schema and its way there: Alembic's revisions, inside the package, without an `alembic.ini`.

A new one is written by `alembic.command.revision(configuration(connection), message, autogenerate=True)` and read over
by a person; a test holds the sum of all to `tables.py`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import Bounds, create_engine
from adapters.postgres.errors import translated
from adapters.postgres.migrations.daily_totals import add_some
from adapters.postgres.role import bound_role, bound_transaction
from adapters.postgres.tables import SCHEMA

MIGRATION_LOCK: Final = 7_307_189_026_411
"""The advisory lock that one migration at a time holds; any number that nobody else uses."""
MIGRATION_SECONDS_MAX: Final = 3_600.0
LOCK_SECONDS_MAX: Final = 60.0
"""How long a statement waits for a lock, and a migration for another one to end."""

_log: Final = logging.getLogger(__name__)


async def migrate(url: str, *, pooled: bool = False) -> None:
    """Bring the schema `payments` of the database to this version; harmless where it is, and safe to run twice at once.

    Each revision is a database transaction of its own: it is done, or nothing of it was, and those before it stay.
    Long work between two revisions is done in many short ones; broken off, it goes on where it was. A database of a
    later version is left as it is, for those who go back to an earlier one. `pooled` is that of `create_engine`: then
    the role has its bounds from now on. Raises Unavailable.
    """
    bounds = Bounds(
        connections_max=1,
        connections_kept=1,
        statement_seconds=MIGRATION_SECONDS_MAX,
        lock_seconds=LOCK_SECONDS_MAX,
        idle_in_transaction_seconds=MIGRATION_SECONDS_MAX,
    )
    engine = create_engine(url, bounds=bounds, application_name="payments-migrate", pooled=pooled)
    try:
        more = True
        while more:
            with translated():
                async with engine.begin() as connection:
                    if pooled:
                        await bound_transaction(connection, bounds)
                    more = await connection.run_sync(_go_on)
        if pooled:
            await bound_role(engine)
    finally:
        await engine.dispose()


async def missing_migrations(engine: AsyncEngine) -> list[str]:
    """Return the revisions that the database lacks, the oldest first. Raises Unavailable."""
    with translated():
        async with engine.connect() as connection:
            present = set(await connection.run_sync(_heads))
    script = ScriptDirectory.from_config(configuration())
    found = _revisions(script)
    # A database of a later version has heads that are unknown here: nothing of ours is missing.
    if present - set(found):
        return []
    applied = {revision.revision for head in present for revision in script.iterate_revisions(head, "base")}
    return [revision for revision in reversed(found) if revision not in applied]


def configuration(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration; `env.py` runs on the connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _go_on(connection: Connection) -> bool:
    """Do the next step in the connection's transaction; say whether there was one."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{SCHEMA}"'))
    config = configuration(connection)
    script = ScriptDirectory.from_config(config)
    present = set(_heads(connection))
    if present - set(_revisions(script)):
        _log.warning("the database is of a later version than this program, and left as it is")
        return False
    if present == set(script.get_heads()):
        return False
    if not add_some(connection):
        command.upgrade(config, "+1")
    return True


def _revisions(script: ScriptDirectory) -> list[str]:
    """Return the revisions of this version, the latest first."""
    return [revision.revision for revision in script.walk_revisions()]


def _heads(connection: Connection) -> tuple[str, ...]:
    context = MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA})
    return context.get_current_heads()
