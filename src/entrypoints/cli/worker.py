"""`payments worker`: do what was promised."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import click

from entrypoints.cli.failure import Stopped

if TYPE_CHECKING:
    from entrypoints.settings import Settings


EXAMPLE: Final = """\b
Example:
  payments worker
"""


@click.command(short_help="Process payments and refunds, deliver webhooks.", epilog=EXAMPLE)
def worker() -> None:
    """Process payments and refunds and deliver webhooks; any number of workers share the work.

    Needs PAYMENTS_DATABASE_URL and PAYMENTS_SECRET_KEY; without PAYMENTS_REDIS_URL new work is found within a second
    instead of at once. SIGTERM and Ctrl-C hand back what cannot be finished within 5 s.
    """
    from entrypoints.cli.configuration import deployed_settings
    from entrypoints.cli.running import run

    settings = deployed_settings()
    with contextlib.suppress(Stopped):
        run(_worker(settings))


async def _worker(settings: Settings) -> None:
    from entrypoints.cli.configuration import start_logging
    from entrypoints.cli.screen import Screen
    from entrypoints.cli.serve import require_vital
    from entrypoints.wiring import wire
    from entrypoints.worker import run_worker

    start_logging(settings)
    async with wire(settings, hears_rings=True, serves_metrics=True) as services:
        await require_vital(services)
        Screen().progress.print("Working")
        await run_worker(services)
