"""`payments serve`: the API alone."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    import socket

    from entrypoints.settings import Settings


EXAMPLE: Final = """\b
Example:
  payments migrate && payments serve --host 0.0.0.0
"""


@click.command(short_help="Answer HTTP; workers run apart.", epilog=EXAMPLE)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 in a container.")
def serve(port: int, host: str) -> None:
    """Answer HTTP. Payments are accepted here and processed by `payments worker`.

    Needs PAYMENTS_DATABASE_URL and PAYMENTS_SECRET_KEY, and a database that `payments migrate` brought up to date.
    SIGTERM and Ctrl-C let requests under way end, within 5 s.
    """
    from entrypoints.cli.command_settings import deployed_settings
    from entrypoints.cli.signals import ended_by_signals, run
    from entrypoints.http.server import bind

    settings = deployed_settings("database_url", "secret_key")
    with contextlib.closing(bind(host, port)) as listener, ended_by_signals():
        run(_serve(settings, listener))


async def _serve(settings: Settings, listener: socket.socket) -> None:
    from entrypoints.cli.command_settings import start_logging
    from entrypoints.cli.screen import Screen
    from entrypoints.cli.watch import require_vital, until_one_ends
    from entrypoints.http.app import create_app
    from entrypoints.http.server import serving, url_of
    from entrypoints.wiring import wire

    start_logging(settings)
    async with wire(settings, serves_metrics=True) as services:
        await require_vital(services)
        async with serving(create_app(services), listener) as server:
            Screen().progress.print(f"Answering on {url_of(listener)}")
            await until_one_ends([server])
