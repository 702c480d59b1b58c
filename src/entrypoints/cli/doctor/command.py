"""`payments doctor`: what is wrong, and the cure."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from entrypoints.cli.data_dir_option import data_dir_option

if TYPE_CHECKING:
    from entrypoints.cli.doctor.diagnosis import Finding
    from entrypoints.cli.screen import Screen


EXAMPLE: Final = """\b
Example:
  payments doctor
"""


@click.command(short_help="Say what is wrong, and the cure.", epilog=EXAMPLE)
@data_dir_option()
@click.pass_context
def doctor(ctx: click.Context, data_dir: Path) -> None:
    """Look at packages, settings, database, migrations, clock, Redis, queue and data directory.

    ✓ is well, - works but is weaker than it could be, ✗ is wrong. The exit status is 1 where something is wrong.
    """
    from entrypoints.cli.screen import Screen
    from entrypoints.cli.signals import run

    screen = Screen()
    findings = run(_look(data_dir, screen))
    screen.table([(finding.good, finding.name, finding.text) for finding in findings])
    if any(finding.good is False for finding in findings):
        ctx.exit(1)


async def _look(data_dir: Path, screen: Screen) -> list[Finding]:
    from entrypoints.cli.doctor.diagnosis import diagnose

    logging.getLogger().addHandler(logging.NullHandler())  # what is away is a finding, told once
    with screen.working("Looking at everything", "Looked at everything"):
        return [finding async for finding in diagnose(data_dir)]
