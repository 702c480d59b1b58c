"""`payments serve`: the API alone."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from entrypoints.settings import Settings

WORKERS_MAX: Final = 64

EXAMPLE: Final = """\b
Example:
  payments migrate && payments serve --host 0.0.0.0
  payments serve --workers 4
"""


@click.command(short_help="Answer HTTP; workers run apart.", epilog=EXAMPLE)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 in a container.")
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, WORKERS_MAX),
    help="API processes on this port, each with its own database connections; no `payments worker` is among them.",
)
@click.option("--as-one-of-several", type=(int, int), hidden=True, help="What one process is given by its parent.")
def serve(port: int, host: str, workers: int, as_one_of_several: tuple[int, int] | None) -> None:
    """Answer HTTP. Payments are accepted here and processed by `payments worker`.

    Needs PAYMENTS_DATABASE_URL and PAYMENTS_SECRET_KEY, and a database that `payments migrate` brought up to date.
    SIGTERM and Ctrl-C let requests under way end, within 5 s. With --workers one process more watches over those that
    answer: one that dies is replaced.
    """
    from entrypoints.cli.app import debug_is_on
    from entrypoints.cli.command_settings import deployed_settings
    from entrypoints.cli.signals import ended_by_signals, run
    from entrypoints.http.server import bind, bind_several

    settings = deployed_settings("database_url", "secret_key")
    if as_one_of_several is not None:
        _serve_for_the_parent(settings, *as_one_of_several)
    elif workers == 1:
        with contextlib.closing(bind(host, port)) as listener, ended_by_signals():
            run(_serve_alone(settings, listener))
    else:
        with contextlib.ExitStack() as stack:
            listeners = bind_several(host, port, sockets=workers)
            for listener in listeners:
                stack.enter_context(contextlib.closing(listener))
            stack.enter_context(ended_by_signals())
            run(_serve_together(settings, listeners, debug=debug_is_on()))


async def _serve_alone(settings: Settings, listener: socket.socket) -> None:
    from entrypoints.cli.command_settings import start_logging

    start_logging(settings)
    await _serve(settings, listener, lambda: _say_where(listener))


async def _serve_together(settings: Settings, listeners: Sequence[socket.socket], *, debug: bool) -> None:
    from entrypoints.cli.command_settings import start_logging
    from entrypoints.cli.serve.several import keep_answering

    start_logging(settings)  # what weakens this installation is said here, once
    await keep_answering(listeners, debug=debug, all_answer=lambda: _say_where(listeners[0]))


def _serve_for_the_parent(settings: Settings, listening: int, line: int) -> None:
    from entrypoints.cli.command_settings import log_to_standard_error
    from entrypoints.cli.serve.parent import Parent
    from entrypoints.cli.signals import run
    from entrypoints.http.server import inherited

    parent = Parent(line)
    parent.watch()
    log_to_standard_error(settings)
    with contextlib.closing(inherited(listening)) as listener:
        run(_serve(settings, listener, parent.tell_ready))


async def _serve(settings: Settings, listener: socket.socket, ready: Callable[[], None]) -> None:
    from entrypoints.cli.watch import require_vital, until_one_ends
    from entrypoints.collector import spare_what_is_loaded
    from entrypoints.http.app import create_app
    from entrypoints.http.connections import Connections
    from entrypoints.http.server import serving
    from entrypoints.wiring import wire

    async with wire(settings, serves_metrics=True) as services:
        await require_vital(services)
        places = Connections(settings.http_connections, settings.trusted_proxies)
        async with serving(create_app(services), listener, places=places) as server:
            spare_what_is_loaded()
            ready()
            await until_one_ends([server])


def _say_where(listener: socket.socket) -> None:
    from entrypoints.cli.screen import Screen
    from entrypoints.http.server import url_of

    Screen().progress.print(f"Answering on {url_of(listener)}")
