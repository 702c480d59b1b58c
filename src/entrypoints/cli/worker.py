"""`payments worker`: do what was promised."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from entrypoints.cli.errors import CommandFailed

if TYPE_CHECKING:
    from entrypoints.settings import Settings

TOUCH_EVERY_SECONDS: Final = 1.0
"""A busy worker looks for work many times a second."""

EXAMPLE: Final = """\b
Example:
  payments worker
  payments worker --health-file /tmp/worker
"""


@click.command(short_help="Process payments and refunds, deliver webhooks.", epilog=EXAMPLE)
@click.option(
    "--health-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Touch this file every second or so, as long as work is looked for and the database answers: "
    "where it is older than 15 s, the worker is stuck or the database away.",
)
def worker(health_file: Path | None) -> None:
    """Process payments and refunds and deliver webhooks; any number of workers share the work.

    Needs PAYMENTS_DATABASE_URL and PAYMENTS_SECRET_KEY; without PAYMENTS_REDIS_URL new work is found within a second
    instead of at once. SIGTERM and Ctrl-C hand back what cannot be finished within 5 s.
    """
    from entrypoints.cli.command_settings import deployed_settings
    from entrypoints.cli.signals import ended_by_signals, run

    settings = deployed_settings("database_url", "secret_key")
    with ended_by_signals():
        run(_worker(settings, None if health_file is None else HealthFile(health_file)))


async def _worker(settings: Settings, health_file: HealthFile | None) -> None:
    from entrypoints.cli.command_settings import start_logging
    from entrypoints.cli.screen import Screen
    from entrypoints.cli.watch import require_vital
    from entrypoints.collector import spare_what_is_loaded
    from entrypoints.wiring import wire
    from entrypoints.worker import run_worker

    start_logging(settings)
    async with wire(settings, hears_rings=True, serves_metrics=True) as services:
        await require_vital(services)
        if health_file is None:
            swept = None
        else:
            health_file.make()
            swept = health_file.touch
        spare_what_is_loaded()
        Screen().progress.print("Working")
        await run_worker(services, swept=swept)


class HealthFile:
    """A file whose age says when work was last looked for, which a health check reads without a library or a port."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._touched = time.monotonic()

    def make(self) -> None:
        """Make the file; raise CommandFailed where it can't be written."""
        try:
            self._path.touch()
        except OSError as error:
            cure = "choose another with --health-file"
            raise CommandFailed(
                f"The health file {self._path} cannot be written ({error.strerror}): {cure}."
            ) from error

    def touch(self) -> None:
        """Renew the file's time, at most every TOUCH_EVERY_SECONDS; a file that can't be touched only warns."""
        now = time.monotonic()
        if now - self._touched < TOUCH_EVERY_SECONDS:
            return
        self._touched = now
        try:
            self._path.touch()
        except OSError as error:
            logging.getLogger(__name__).warning("the health file cannot be touched: %s", error.strerror)
