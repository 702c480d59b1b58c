"""`payments merchant list`, `suspend` and `unsuspend`: find merchants, stop them, and let them go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from entrypoints.cli.data_dir_option import data_dir_option
from entrypoints.cli.errors import CommandFailed
from entrypoints.cli.staff import (
    SHOWN,
    SHOWN_MAX,
    check_id,
    first_of_list,
    json_option,
    minute,
    print_json,
    say_more,
    staff_of,
    wired,
)
from payments_core.errors import NotFound
from payments_core.ids import MerchantId

if TYPE_CHECKING:
    from entrypoints.settings import Settings
    from payments_core.ports import MerchantFilter
    from payments_core.staff import Staff
    from payments_core.use_cases.suspend_merchant import Suspension

LIST_EXAMPLE: Final = """\b
Example:
  payments merchant list --text shop@example.com
  payments merchant list --suspended --json
"""
SUSPEND_EXAMPLE: Final = """\b
Example:
  payments merchant suspend mer_01ARZ3NDEKTSV4RRFFQ69G5FAV --reason "chargebacks, see ticket 4711"
"""
UNSUSPEND_EXAMPLE: Final = """\b
Example:
  payments merchant unsuspend mer_01ARZ3NDEKTSV4RRFFQ69G5FAV
"""


@click.command("list", short_help="List merchants, the newest first.", epilog=LIST_EXAMPLE)
@click.option("--text", help="With this id, or with this in their e-mail address or name.")
@click.option("--suspended/--active", default=None, help="Those that are suspended, or are not.")
@click.option(
    "--limit", default=SHOWN, show_default=True, type=click.IntRange(1, SHOWN_MAX), help="Show so many at most."
)
@json_option()
@data_dir_option()
def list_command(text: str | None, suspended: bool | None, limit: int, as_json: bool, data_dir: Path) -> None:
    """List merchants, the newest first."""
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.signals import run
    from payments_core.ports import MerchantFilter

    wanted = MerchantFilter(text=text, suspended=suspended)
    run(_list(settings_of_running(data_dir), wanted, limit, as_json=as_json))


async def _list(settings: Settings, wanted: MerchantFilter, limit: int, *, as_json: bool) -> None:
    from entrypoints.cli.screen import Screen
    from payments_core import describe_staff

    async with wired(settings) as services:
        staff = staff_of(services)
        found, more = await first_of_list(lambda window: staff.merchants(window, wanted), limit)
    if as_json:
        for merchant in found:
            print_json(describe_staff.merchant(merchant))
    elif found:
        rows = [
            (
                one.id,
                minute(one.created_at),
                "-" if one.suspended_at is None else minute(one.suspended_at),
                one.email,
                one.name or "-",
            )
            for one in found
        ]
        Screen().columns(("MERCHANT", "SINCE (UTC)", "SUSPENDED (UTC)", "E-MAIL", "NAME"), rows)
    else:
        Screen().line("There are no such merchants.")
    if more:
        say_more(limit)


@click.command(short_help="Stop a merchant: its credentials, its pending payments.", epilog=SUSPEND_EXAMPLE)
@click.argument("id", callback=check_id("mer"))
@click.option("--reason", required=True, help="Why: a line that the merchant's audit log shows.")
@data_dir_option()
def suspend(id: str, reason: str, data_dir: Path) -> None:
    """Suspend a merchant: its credentials stop within a second, and its pending payments are canceled.

    Payments that are at the gateway go on to their end, and refunds that were promised are paid out. Said of a merchant
    that is suspended already, it cancels what is still pending, and leaves the reason as it was.
    """
    from entrypoints.cli.screen import Screen

    done = _run(data_dir, id, lambda staff: staff.suspend(MerchantId(id), reason))
    since = "" if done.merchant.suspended_at is None else minute(done.merchant.suspended_at)
    how = "is suspended" if done.changed else f"is suspended since {since} (UTC); its reason stays as it was"
    Screen().line(f"Merchant {id} {done.merchant.email} {how}; {_canceled(done)}.")


@click.command(short_help="Let a merchant go on.", epilog=UNSUSPEND_EXAMPLE)
@click.argument("id", callback=check_id("mer"))
@data_dir_option()
def unsuspend(id: str, data_dir: Path) -> None:
    """Lift a suspension: the merchant's credentials are good again, as far as they have not ended meanwhile.

    Its payments that were canceled stay canceled, and what was still pending is canceled first.
    """
    from entrypoints.cli.screen import Screen

    done = _run(data_dir, id, lambda staff: staff.unsuspend(MerchantId(id)))
    how = f"is suspended no longer; {_canceled(done)}" if done.changed else "is not suspended"
    Screen().line(f"Merchant {id} {done.merchant.email} {how}.")


def _canceled(done: Suspension) -> str:
    return f"{done.canceled} pending payment{' was' if done.canceled == 1 else 's were'} canceled"


def _run(data_dir: Path, id: str, act: Callable[[Staff], Awaitable[Suspension]]) -> Suspension:
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.signals import run

    return run(_act(settings_of_running(data_dir), id, act))


async def _act(settings: Settings, id: str, act: Callable[[Staff], Awaitable[Suspension]]) -> Suspension:
    async with wired(settings) as services:
        try:
            return await act(staff_of(services))
        except NotFound:
            raise CommandFailed(f"There is no merchant {id}.") from None
