"""`payments staff`: who may see every merchant in the console."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from entrypoints.cli.data_dir_option import data_dir_option
from entrypoints.cli.errors import CommandFailed
from entrypoints.cli.passwords import check_address, read_password
from entrypoints.cli.staff import json_option, minute, print_json, staff_of, wired
from payments_core.errors import NotFound

if TYPE_CHECKING:
    from entrypoints.settings import Settings
    from payments_core.staff import Staff
    from payments_core.staff_member import StaffMember

CREATE_EXAMPLE: Final = """\b
Example:
  openssl rand -base64 18 | tee password | payments staff create --email ada@example.com --name Ada --password-stdin
"""
LIST_EXAMPLE: Final = """\b
Example:
  payments staff list
"""
DISABLE_EXAMPLE: Final = """\b
Example:
  payments staff disable --email ada@example.com
"""
RESET_EXAMPLE: Final = """\b
Example:
  openssl rand -base64 18 | tee password | payments staff reset-password --email ada@example.com --password-stdin
"""


@click.group("staff", short_help="Say who may see every merchant.")
def staff() -> None:
    """Manage the accounts of those who run the service: in the console they see every merchant.

    These commands themselves need no account: whoever runs them has the database.
    """


@staff.command(short_help="Open an account for one of the staff.", epilog=CREATE_EXAMPLE)
@click.option("--email", required=True, callback=check_address, help="The account's name at sign-in and in the log.")
@click.option("--name", required=True, help="What the person is called.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the standard input instead of asking.")
@data_dir_option()
def create(email: str, name: str, password_stdin: bool, data_dir: Path) -> None:
    """Open an account for one of the staff."""
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.screen import Screen, printable
    from entrypoints.cli.signals import run

    settings = settings_of_running(data_dir)
    password = read_password(password_stdin)
    made = run(_act(settings, lambda staff: staff.create_member(email, name, password)))
    Screen().line(f"Staff {made.id} {made.email} ({printable(made.name)})")


@staff.command("list", short_help="List the accounts of the staff.", epilog=LIST_EXAMPLE)
@json_option()
@data_dir_option()
def list_command(as_json: bool, data_dir: Path) -> None:
    """List the accounts of the staff, those that are disabled too, the oldest first."""
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.screen import Screen
    from entrypoints.cli.signals import run
    from payments_core import describe_staff

    found = run(_members(settings_of_running(data_dir)))
    if as_json:
        for member in found:
            print_json(describe_staff.staff_member(member))
    elif found:
        rows = [
            (
                one.id,
                minute(one.created_at),
                "-" if one.disabled_at is None else minute(one.disabled_at),
                one.email,
                one.name,
            )
            for one in found
        ]
        Screen().columns(("STAFF", "SINCE (UTC)", "DISABLED (UTC)", "E-MAIL", "NAME"), rows)
    else:
        Screen().line("Nobody of the staff has an account: `payments staff create` opens one.")


async def _members(settings: Settings) -> Sequence[StaffMember]:
    async with wired(settings) as services:
        return await staff_of(services).members()


@staff.command(short_help="Shut one of the staff out.", epilog=DISABLE_EXAMPLE)
@click.option("--email", required=True, callback=check_address, help="Of the account.")
@data_dir_option()
def disable(email: str, data_dir: Path) -> None:
    """Shut one of the staff out, at once and for good; the account stays, as the audit log names it."""
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.screen import Screen
    from entrypoints.cli.signals import run

    member = run(_act(settings_of_running(data_dir), lambda staff: staff.disable_member(email)))
    Screen().line(f"Staff {member.id} {member.email} is disabled.")


@staff.command("reset-password", short_help="Give one of the staff a new password.", epilog=RESET_EXAMPLE)
@click.option("--email", required=True, callback=check_address, help="Of the account.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the standard input instead of asking.")
@data_dir_option()
def reset_password(email: str, password_stdin: bool, data_dir: Path) -> None:
    """Give one of the staff whose password is lost or known to others a new one, and end all of their sessions."""
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.screen import Screen
    from entrypoints.cli.signals import run

    settings = settings_of_running(data_dir)
    password = read_password(password_stdin)
    reset = run(_act(settings, lambda staff: staff.reset_member_password(email, password)))
    Screen().line(f"Staff {reset.id} {reset.email} has a new password; the sessions are ended.")


async def _act(settings: Settings, act: Callable[[Staff], Awaitable[StaffMember]]) -> StaffMember:
    async with wired(settings) as services:
        try:
            return await act(staff_of(services))
        except NotFound as error:
            raise CommandFailed(error.message) from None
