"""`payments merchant`: open an account where registration by HTTP is closed; give one a new password."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from entrypoints.cli.data_dir_option import data_dir_option
from entrypoints.cli.errors import CommandFailed
from entrypoints.cli.staff import staff_of, wired

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


@click.group(short_help="Open accounts, reset passwords.")
def merchant() -> None:
    """Manage merchants' accounts."""


def _address(_ctx: click.Context, _parameter: click.Parameter, email: str) -> str:
    """Refuse what cannot be an address before anything is asked; the core, whose rule it is, looks closer."""
    from payments_core.merchant import EMAIL_LENGTH_MAX

    local, _, domain = email.strip().rpartition("@")
    if not local or "." not in domain or len(email.strip()) > EMAIL_LENGTH_MAX:
        raise click.BadParameter(f"must be an e-mail address of at most {EMAIL_LENGTH_MAX} characters.")
    return email


@merchant.command(short_help="Open an account and print its API key, once.", epilog=EXAMPLE)
@click.option("--email", required=True, callback=_address, help="The account's name at log-in.")
@click.option("--name", help="What the shop is called.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the standard input instead of asking.")
@data_dir_option()
def create(email: str, name: str | None, password_stdin: bool, data_dir: Path) -> None:
    """Open an account, also where registration by HTTP is closed, and print its API key: it is shown this once."""
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.screen import Screen
    from entrypoints.cli.signals import run

    settings = settings_of_running(data_dir)
    password = _password(password_stdin)
    made = run(_create(settings, email, name, password))
    screen = Screen()
    screen.line(f"Merchant {made['id']} {made['email']}")
    screen.line(f"API key  {made['api_key']} (shown this once)")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return _long_enough(sys.stdin.readline().rstrip("\r\n"))
    if not sys.stdin.isatty():
        raise CommandFailed("No terminal to ask for the password: use --password-stdin.")
    from payments_core.merchant import PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN

    asked = f"Password ({PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters)"
    password: str = click.prompt(asked, hide_input=True, confirmation_prompt="Again", value_proc=_long_enough)
    return password


def _long_enough(password: str) -> str:
    """Refuse a length that the core refuses, before anything slow; at the prompt it is asked for again."""
    from payments_core.merchant import PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN

    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise click.UsageError(f"The password must have {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters.")
    return password


async def _create(settings: Settings, email: str, name: str | None, password: str) -> JsonObject:
    from payments_core import Register
    from payments_core.audit import Actor, ActorKind

    command = Register(email=email, password=password, name=name)
    async with wired(settings) as services:
        answer = await services.payments.register(command, by=Actor(kind=ActorKind.STAFF, id=staff_of(services).name))
    return answer.json


@merchant.command("reset-password", short_help="Give an account a new password.", epilog=RESET_EXAMPLE)
@click.option("--email", required=True, callback=_address, help="The account's name at log-in.")
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
    reset = run(_reset(settings, email, _password(password_stdin)))
    Screen().line(f"Merchant {reset.id} {reset.email} has a new password; its sessions are ended.")


async def _reset(settings: Settings, email: str, password: str) -> Merchant:
    from payments_core.errors import NotFound

    async with wired(settings) as services:
        try:
            return await staff_of(services).reset_password(email, password)
        except NotFound:
            raise CommandFailed(f"There is no merchant with the e-mail address {email}.") from None
