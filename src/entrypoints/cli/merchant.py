"""`payments merchant create`: open an account where registration by HTTP is closed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from entrypoints.cli.data_directory import DEFAULT

if TYPE_CHECKING:
    from entrypoints.settings import Settings
    from payments_core.describe import JsonObject


EXAMPLE: Final = """\b
Example:
  openssl rand -base64 18 | tee password | payments merchant create --email shop@example.com --password-stdin
"""


@click.group(short_help="Open accounts.")
def merchant() -> None:
    """Manage merchants' accounts."""


@merchant.command(short_help="Open an account and print its API key, once.", epilog=EXAMPLE)
@click.option("--email", required=True)
@click.option("--name")
@click.option("--password-stdin", is_flag=True, help="Read the password from the standard input instead of asking.")
@click.option(
    "--data-dir",
    default=DEFAULT,
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where `payments up` runs; counts where PAYMENTS_DATABASE_URL is not set.",
)
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
    if not from_stdin:
        return click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return sys.stdin.readline().rstrip("\r\n")


async def _create(settings: Settings, email: str, name: str | None, password: str) -> JsonObject:
    from entrypoints.cli.watch import require_vital
    from entrypoints.wiring import wire
    from payments_core import Register

    async with wire(settings) as services:
        await require_vital(services)
        answer = await services.payments.register(Register(email=email, password=password, name=name))
    return answer.json
