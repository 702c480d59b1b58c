"""`payments audit`: who did what, over all merchants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from entrypoints.cli.data_dir_option import data_dir_option
from entrypoints.cli.staff import (
    SHOWN,
    SHOWN_MAX,
    check_id,
    first_of_list,
    json_option,
    print_json,
    say_more,
    staff_of,
    wired,
)
from payments_core.audit import Action
from payments_core.ids import MerchantId

if TYPE_CHECKING:
    from entrypoints.settings import Settings
    from payments_core.audit import AuditEntry
    from payments_core.ports import AuditFilter

DAYS_MAX: Final = 3_650
EXAMPLE: Final = """\b
Example:
  payments audit list --merchant mer_01ARZ3NDEKTSV4RRFFQ69G5FAV
  payments audit list --action login.failed --days 1 --json
"""


@click.group("audit", short_help="List who did what.")
def audit() -> None:
    """Look at the audit log: log-ins, keys, endpoints, refunds, and what staff saw and did.

    Nothing in it is ever changed or removed; the database refuses it.
    """


@audit.command("list", short_help="List entries, the newest first.", epilog=EXAMPLE)
@click.option("--merchant", callback=check_id("mer"), metavar="ID", help="Of this merchant alone.")
@click.option(
    "--action", type=click.Choice([str(action) for action in Action]), metavar="ACTION", help="Of this alone."
)
@click.option("--subject", metavar="ID", help="What was done to the thing with this id.")
@click.option("--days", type=click.IntRange(1, DAYS_MAX), help="Of so many days up to now.")
@click.option(
    "--limit", default=SHOWN, show_default=True, type=click.IntRange(1, SHOWN_MAX), help="Show so many at most."
)
@json_option()
@data_dir_option()
def list_command(
    merchant: str | None,
    action: str | None,
    subject: str | None,
    days: int | None,
    limit: int,
    as_json: bool,
    data_dir: Path,
) -> None:
    """List who did what, from where, of all merchants and of nobody's account, the newest first."""
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.signals import run
    from payments_core.ports import AuditFilter

    wanted = AuditFilter(
        action=None if action is None else Action(action),
        subject=subject,
        created_after=None if days is None else datetime.now(UTC) - timedelta(days=days),
    )
    of = None if merchant is None else MerchantId(merchant)
    run(_list(settings_of_running(data_dir), wanted, of, limit, as_json=as_json))


async def _list(
    settings: Settings, wanted: AuditFilter, merchant: MerchantId | None, limit: int, *, as_json: bool
) -> None:
    from entrypoints.cli.screen import Screen
    from payments_core import describe_staff

    async with wired(settings) as services:
        staff = staff_of(services)
        found, more = await first_of_list(lambda window: staff.log(window, wanted, merchant), limit)
    if as_json:
        for entry in found:
            print_json(describe_staff.audit_entry(entry))
    elif found:
        screen = Screen()
        for line in _lines(found):
            screen.line(line)
    else:
        Screen().line("There are no such entries.")
    if more:
        say_more(limit)


def _lines(found: Sequence[AuditEntry]) -> Iterator[str]:
    """Give the entries in columns: lines longer than a terminal rather than ids that are cut."""
    from entrypoints.cli.screen import printable

    rows = [("WHEN (UTC)", "ACTION", "WHO", "FROM", "MERCHANT", "SUBJECT"), *map(_row, found)]
    safe = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*safe, strict=True)]
    for row in safe:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(entry: AuditEntry) -> tuple[str, ...]:
    actor = entry.actor
    return (
        f"{entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        entry.action,
        str(actor.kind) if actor.id is None else f"{actor.kind} {actor.id}",
        entry.address or "-",
        entry.merchant or "-",
        entry.subject or "-",
    )
