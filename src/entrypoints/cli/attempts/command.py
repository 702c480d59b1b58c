"""`payments attempts`: each try to move money at the gateway, and those of which nobody knows what became."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from entrypoints.cli.attempts.resolve import known_attempt, resolve_command
from entrypoints.cli.data_dir_option import data_dir_option
from entrypoints.cli.staff import (
    ALL,
    check_id,
    first_of_list,
    json_option,
    list_options,
    minute,
    print_json,
    print_thing,
    say_more,
    staff_of,
    wired,
)
from payments_core.attempt import Attempt, AttemptState
from payments_core.ids import AttemptId, MerchantId

if TYPE_CHECKING:
    from entrypoints.settings import Settings
    from payments_core.ports import AttemptFilter

LIST_EXAMPLE: Final = """\b
Example:
  payments attempts list
  payments attempts list --state unknown --json
"""
SHOW_EXAMPLE: Final = """\b
Example:
  payments attempts show att_01ARZ3NDEKTSV4RRFFQ69G5FAV
"""


@click.group("attempts", short_help="List, show and resolve tries to move money.")
def attempts() -> None:
    """Look after attempts: each charge and refund has one, which was written down before the gateway was called.

    One of which the gateway said nothing final for days, or about which it contradicts itself, needs review: a person
    looks at the gateway and says what became of it.
    """


@attempts.command("list", short_help="List attempts: those that need review.", epilog=LIST_EXAMPLE)
@list_options(AttemptState, AttemptState.NEEDS_REVIEW)
@data_dir_option()
def list_command(state: str, merchant: str | None, limit: int, as_json: bool, data_dir: Path) -> None:
    """List attempts by merchant, and of each the oldest first.

    Only those that need review, unless --state says otherwise.
    """
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.signals import run
    from payments_core.ports import AttemptFilter

    wanted = AttemptFilter(
        state=None if state == ALL else AttemptState(state),
        merchant=None if merchant is None else MerchantId(merchant),
    )
    run(_list(settings_of_running(data_dir), wanted, limit, as_json=as_json))


async def _list(settings: Settings, wanted: AttemptFilter, limit: int, *, as_json: bool) -> None:
    from entrypoints.cli.screen import Screen
    from payments_core import describe_staff

    async with wired(settings) as services:
        staff = staff_of(services)
        found, more = await first_of_list(lambda window: staff.attempts(window, wanted), limit)
    if as_json:
        for attempt in found:
            print_json(describe_staff.attempt(attempt))
    elif found:
        Screen().columns(*_table(found, wanted))
    elif wanted.state is AttemptState.NEEDS_REVIEW:
        Screen().line("No attempt needs review.")
    else:
        Screen().line("There are no attempts." if wanted.state is None else f"No attempt is {wanted.state}.")
    if more:
        say_more(limit)


def _table(found: Sequence[Attempt], wanted: AttemptFilter) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return headings and rows; the state is a column where it isn't the same for all."""
    state = ("STATE",) if wanted.state is None else ()
    rows = [
        (
            attempt.id,
            str(attempt.kind),
            f"{attempt.amount.format()} {attempt.amount.currency.code}",
            *(str(attempt.state) for _ in state),
            minute(attempt.updated_at),
            attempt.detail or "-",
        )
        for attempt in found
    ]
    return ("ATTEMPT", "KIND", "AMOUNT", *state, "SINCE (UTC)", "WHY"), rows


@attempts.command("show", short_help="Show all of one attempt.", epilog=SHOW_EXAMPLE)
@click.argument("id", callback=check_id("att"))
@json_option()
@data_dir_option()
def show_command(id: str, as_json: bool, data_dir: Path) -> None:
    """Show an attempt, and the transaction or refund that it is about."""
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.signals import run

    run(_show(settings_of_running(data_dir), AttemptId(id), as_json=as_json))


async def _show(settings: Settings, id: AttemptId, *, as_json: bool) -> None:
    from payments_core import describe_staff

    async with wired(settings) as services:
        attempt, matter = await known_attempt(staff_of(services), id)
    # The attempt itself is known already.
    about = {name: value for name, value in describe_staff.matter(matter).items() if name != "attempt"}
    print_thing("attempt", describe_staff.attempt(attempt), about, as_json=as_json)


attempts.add_command(resolve_command)
