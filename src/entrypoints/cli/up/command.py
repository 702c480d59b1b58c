"""`payments up`: the whole service in one process, with servers of its own."""

from __future__ import annotations

import contextlib
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from entrypoints.cli.data_dir_option import data_dir_option
from entrypoints.cli.data_directory import DataDirectory
from entrypoints.secret import Secret

if TYPE_CHECKING:
    import socket

    from entrypoints.cli.screen import Screen
    from entrypoints.cli.up.demo_merchant import DemoMerchant
    from entrypoints.cli.up.embedded_servers import OwnServers
    from entrypoints.settings import Settings

SERVICE_CLOSE_SECONDS: Final = 2.0
"""From the signal, for API and worker: a server that is frozen takes 2.5 s after that, and the whole 5 s at most."""

EXAMPLE: Final = """\b
Example:
  payments up
  payments up --port 8001 --data-dir /tmp/trial
"""


@click.command(short_help="Run everything here: API, worker, Postgres and Valkey.", epilog=EXAMPLE)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@click.option("--host", default="127.0.0.1", show_default=True)
@data_dir_option("What is there on the next start: the database, the secret key, the demo merchant.")
def up(port: int, host: str, data_dir: Path) -> None:
    """Run the whole service on this machine: API and worker in one process, with a Postgres and a Valkey of its own.

    Nothing has to be there first. PAYMENTS_DATABASE_URL and PAYMENTS_REDIS_URL name other servers, if they are set.
    Ctrl-C ends everything; the next start has the same data.
    """
    from entrypoints.cli.command_settings import local_settings
    from entrypoints.cli.signals import ended_by_signals, run
    from entrypoints.http.server import bind

    settings = local_settings()
    directory = DataDirectory(data_dir)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(contextlib.closing(bind(host, port)))
        directory.make()
        if settings.database_url is None or settings.redis_url is None:
            stack.enter_context(directory.held())
        if settings.secret_key is None:
            settings = replace(settings, secret_key=Secret(directory.secret_key()))
        stack.enter_context(ended_by_signals(f"Stopped; the data stays in {data_dir}."))
        run(_up(settings, listener, directory))


async def _up(settings: Settings, listener: socket.socket, directory: DataDirectory) -> None:
    from entrypoints.cli.screen import Screen
    from entrypoints.cli.signals import ending_within
    from entrypoints.cli.watch import require_database

    screen = Screen()
    await screen.load("entrypoints.cli.up.embedded_servers", "Starting")
    from entrypoints.cli.up.embedded_servers import own_servers

    if settings.database_url is not None:
        await require_database(settings)
    async with own_servers(settings, directory.path, screen) as servers:
        await ending_within(_serve(servers, listener, directory, screen), seconds=SERVICE_CLOSE_SECONDS)


async def _serve(servers: OwnServers, listener: socket.socket, directory: DataDirectory, screen: Screen) -> None:
    from entrypoints.cli.command_settings import start_logging
    from entrypoints.cli.up.demo_merchant import demo_merchant
    from entrypoints.cli.up.whole_service import running
    from entrypoints.cli.watch import require_vital, until_one_ends
    from entrypoints.http.server import url_of
    from entrypoints.wiring import migrate

    settings = servers.settings
    start_logging(settings)
    with screen.working("Migrating the database", "Database migrated"):
        await migrate(settings)
    async with contextlib.AsyncExitStack() as stack:
        with screen.working("Starting API and worker", "API and worker started"):
            service = await stack.enter_async_context(running(settings, listener))
            await require_vital(service.services)
            # A key that opens everything, kept in a file, is nothing for production.
            demo = settings.env != "production"
            merchant = await demo_merchant(service.services.payments, directory) if demo else None
        _greet(screen, url_of(listener), merchant, directory)
        await until_one_ends((*service.parts, *servers.watches))


def _greet(screen: Screen, api: str, merchant: DemoMerchant | None, directory: DataDirectory) -> None:
    from entrypoints.cli.up.demo_merchant import FILE

    screen.line()
    screen.line(f"API      {api}/api", style="bold")
    screen.line(f"Console  {api}/console")
    screen.line(f"Docs     {api}/docs")
    screen.line(f"Data     {directory.path}")
    if merchant is None:
        create = f"payments merchant create --data-dir {shlex.quote(str(directory.path))} --email …"
        screen.line(f"Merchant none, as this is production: {create}")
    else:
        screen.line(f"Merchant {merchant.email}, its password is in {directory.path / FILE}")
        _show_calls(screen, api, merchant)
    screen.line()
    screen.line("Ctrl-C ends everything; the data stays.")


def _show_calls(screen: Screen, api: str, merchant: DemoMerchant) -> None:
    """Print what the calls do, and then the calls alone: zsh would take a comment among them for a command."""
    from entrypoints.cli.up.curl_lines import curl_lines

    calls = curl_lines(api, api_key=merchant.api_key, payment_key=merchant.payment_key)
    screen.line()
    screen.line("Its first calls, to paste into another terminal, one by one or all together:", style="dim")
    for number, (what, _) in enumerate(calls, start=1):
        screen.line(f"{number}. {what}", style="dim")
    for _, line in calls:
        screen.line()
        screen.line(line)
