"""`payments migrate`: bring the database up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from entrypoints.settings import Settings


EXAMPLE: Final = """\b
Example:
  PAYMENTS_DATABASE_URL=postgresql://payments@localhost/payments payments migrate
"""


@click.command("migrate", short_help="Bring the database up to date.", epilog=EXAMPLE)
def migrate_command() -> None:
    """Bring the database of PAYMENTS_DATABASE_URL up to date; it says what it did.

    Safe at any time and twice at once: it is done wholly or not at all, and where nothing is missing nothing happens.
    """
    from entrypoints.cli.command_settings import deployed_settings
    from entrypoints.cli.signals import run

    run(_migrate(deployed_settings("database_url")))


async def _migrate(settings: Settings) -> None:
    from entrypoints.cli.screen import Screen
    from entrypoints.cli.watch import require_database
    from entrypoints.wiring import migrate, missing

    screen = Screen()
    with screen.working("Looking at the database", "Database looked at"):
        await require_database(settings)
        lacking = await missing(settings)
    with screen.working("Migrating the database", "Database migrated"):
        await migrate(settings)  # also where nothing is missing: the sandbox's schema has no revisions
    if not lacking:
        screen.line("The database is up to date; nothing was missing.")
    for name in lacking:
        screen.line(f"Applied {name}.")
