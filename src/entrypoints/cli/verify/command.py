"""`payments verify`: whether every rule holds, and the rows that break one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from entrypoints.cli.data_dir_option import data_dir_option
from entrypoints.cli.errors import CommandFailed
from entrypoints.cli.staff import check_id, wired

if TYPE_CHECKING:
    from entrypoints.cli.screen import Screen
    from entrypoints.settings import Settings
    from payments_core.verification import Report

OVERDUE_SECONDS: Final = 120
OVERDUE_SECONDS_MAX: Final = 366 * 24 * 60 * 60


EXAMPLE: Final = """\b
Example:
  payments verify
"""


@click.command(short_help="Say whether every rule holds, and which rows break one.", epilog=EXAMPLE)
@data_dir_option()
@click.option("--merchant", callback=check_id("mer"), metavar="ID", help="Verify this merchant alone.")
@click.option(
    "--overdue-after",
    metavar="SECONDS",
    type=click.IntRange(0, OVERDUE_SECONDS_MAX),
    default=OVERDUE_SECONDS,
    show_default=True,
    help="How long work may be due before somebody does it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON, with all rows.")
@click.pass_context
def verify(ctx: click.Context, data_dir: Path, merchant: str | None, overdue_after: int, as_json: bool) -> None:
    """Read the whole store, and the gateway's ledger, and judge them by the rules of which payments consist.

    It only reads, page by page, locks nothing, and may run while the service does, and be broken off. What looks wrong
    is looked at again before it counts. The exit status is 0 where all rules hold, and 1 where one is broken, or where
    not all could be read: then an error says so.
    """
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.screen import Screen
    from entrypoints.cli.signals import run
    from entrypoints.cli.verify.findings import as_values, show

    settings = settings_of_running(data_dir)
    screen = Screen()
    report = run(_verify(settings, screen, merchant, timedelta(seconds=overdue_after)))
    if as_json:
        screen.line(json.dumps(as_values(report), indent=2))
    else:
        show(report, screen)
    if not report.holds:
        ctx.exit(1)


async def _verify(settings: Settings, screen: Screen, merchant: str | None, overdue_after: timedelta) -> Report:
    from payments_core.errors import NotFound, Unavailable
    from payments_core.ids import MerchantId
    from payments_core.verification import Terms, Verification

    async with wired(settings) as services:
        with _progress(screen) as told:
            verification = Verification(
                books=services.books,
                ledgers=services.ledgers,
                clock=services.clock,
                terms=Terms(overdue_after=overdue_after, delivery_tries=len(settings.webhook_schedule)),
                told=told,
            )
            begun = time.perf_counter()
            try:
                report = await verification.run(None if merchant is None else MerchantId(merchant))
            except NotFound:
                raise CommandFailed(f"There is no merchant {merchant}.") from None
            except Unavailable as error:
                raise CommandFailed(f"Not all could be read, so that nothing is said of it: {error.message}.") from None
    seconds = time.perf_counter() - begun
    screen.progress.print(
        f"Read {report.transactions:,} transactions of {report.merchants:,} merchants ({seconds:.1f} s)"
    )
    return report


@contextmanager
def _progress(screen: Screen) -> Generator[Callable[[int], None], None, None]:
    """Show how many transactions have been judged, where somebody looks; how many there are nobody has counted."""
    if not screen.progress.is_terminal:
        yield lambda _transactions: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("Verifying"), BarColumn(), TextColumn("{task.completed:,} transactions"), TimeElapsedColumn())
    with Progress(*columns, console=screen.progress, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda transactions: progress.update(task, completed=transactions)
