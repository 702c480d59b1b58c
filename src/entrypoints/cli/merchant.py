"""`payments merchant`: open an account where registration by HTTP is closed, reset a password, list and suspend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from entrypoints.cli.data_dir_option import data_dir_option
from entrypoints.cli.errors import CommandFailed
from entrypoints.cli.passwords import check_address, read_password
from entrypoints.cli.staff import staff_of, wired
from entrypoints.cli.suspension import list_command, suspend, unsuspend

if TYPE_CHECKING:
    from entrypoints.settings import Settings
    from payments_core.describe import JsonObject
    from payments_core.merchant import Merchant


EXAMPLE: Final = """\b
Example:
  openssl rand -base64 18 | tee password | payments merchant create --email shop@example.com --password-stdin
"""


RESET_EXAMPLE: Final = """\b
Example:
  openssl rand -base64 18 | tee password | payments merchant reset-password --email shop@example.com --password-stdin
"""


@click.group(short_help="Open, list, suspend accounts, reset passwords.")
def merchant() -> None:
    """Manage merchants' accounts."""


@merchant.command(short_help="Open an account and print its API key, once.", epilog=EXAMPLE)
@click.option("--email", required=True, callback=check_address, help="The account's name at log-in.")
@click.option("--name", help="What the shop is called.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the standard input instead of asking.")
@data_dir_option()
def create(email: str, name: str | None, password_stdin: bool, data_dir: Path) -> None:
    """Open an account, also where registration by HTTP is closed, and print its API key: it is shown this once."""
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.screen import Screen
    from entrypoints.cli.signals import run

    settings = settings_of_running(data_dir)
    password = read_password(password_stdin)
    made = run(_create(settings, email, name, password))
    screen = Screen()
    screen.line(f"Merchant {made['id']} {made['email']}")
    screen.line(f"API key  {made['api_key']} (shown this once)")


async def _create(settings: Settings, email: str, name: str | None, password: str) -> JsonObject:
    from payments_core import Register
    from payments_core.audit import Actor, ActorKind

    command = Register(email=email, password=password, name=name)
    async with wired(settings) as services:
        answer = await services.payments.register(command, by=Actor(kind=ActorKind.STAFF, id=staff_of(services).name))
    return answer.json


@merchant.command("reset-password", short_help="Give an account a new password.", epilog=RESET_EXAMPLE)
@click.option("--email", required=True, callback=check_address, help="The account's name at log-in.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the standard input instead of asking.")
@data_dir_option()
def reset_password(email: str, password_stdin: bool, data_dir: Path) -> None:
    """Give an account whose password is lost or known to others a new one, and end all of its sessions.

    Its API keys go on: whoever had the account may have made some. `payments audit list --merchant` shows which.
    """
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.screen import Screen
    from entrypoints.cli.signals import run

    settings = settings_of_running(data_dir)
    reset = run(_reset(settings, email, read_password(password_stdin)))
    Screen().line(f"Merchant {reset.id} {reset.email} has a new password; its sessions are ended.")


async def _reset(settings: Settings, email: str, password: str) -> Merchant:
    from payments_core.errors import NotFound

    async with wired(settings) as services:
        try:
            return await staff_of(services).reset_password(email, password)
        except NotFound:
            raise CommandFailed(f"There is no merchant with the e-mail address {email}.") from None


for command in (list_command, suspend, unsuspend):
    merchant.add_command(command)
