"""`payments demo`: the life of one payment on private, temporary servers."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from entrypoints.cli.errors import CommandFailed
from entrypoints.secret import Secret

if TYPE_CHECKING:
    from entrypoints.cli.demo.story import Story
    from entrypoints.cli.screen import Screen

HOST = "127.0.0.1"
SECRET_KEY_BYTES = 32


EXAMPLE: Final = """\b
Example:
  payments demo
"""


@click.command(short_help="Show the life of one payment, and leave nothing behind.", epilog=EXAMPLE)
def demo() -> None:
    """Show the life of one payment over real HTTP: register, pay, process, replay, refund, webhooks.

    It runs on a private Postgres and Valkey in a temporary directory, which is gone at the end, and says of each step
    what came and in what time. The exit status is 1 where something is not as promised.
    """
    from entrypoints.cli.signals import run

    run(_demo(begun=time.perf_counter()))


async def _demo(*, begun: float) -> None:
    from entrypoints.cli.command_settings import LOCAL
    from entrypoints.cli.screen import Screen
    from entrypoints.http.server import bind

    screen = Screen()
    await screen.load("entrypoints.cli.up.embedded_servers", "Starting")
    from entrypoints.cli.up.embedded_servers import own_servers

    settings = replace(
        LOCAL, secret_key=Secret(secrets.token_urlsafe(SECRET_KEY_BYTES)), metrics_port=0, log_level="warning"
    )
    with (
        tempfile.TemporaryDirectory(prefix="payments-demo-") as directory,
        contextlib.closing(bind(HOST, 0)) as api,
        contextlib.closing(bind(HOST, 0)) as hook,
    ):
        async with own_servers(settings, Path(directory), screen, durable=False) as servers:
            from entrypoints.cli.command_settings import start_logging
            from entrypoints.cli.demo.story import Story
            from entrypoints.cli.up.whole_service import running
            from entrypoints.http.server import serving, url_of
            from entrypoints.wiring import migrate

            settings = servers.settings
            start_logging(settings)
            with screen.working("Migrating the database", "Database migrated"):
                await migrate(settings)
            async with (
                running(settings, api),
                Story.over(url_of(api), listens_at=url_of(hook) + "/webhooks") as story,
                serving(story.receiver, hook),
            ):
                await tell(story, screen)
    seconds = time.perf_counter() - begun
    screen.line(f"Everything as promised, in {seconds:.1f} s with start and end; nothing is left behind.")


async def tell(story: Story, screen: Screen) -> None:
    """Do each step and print what came and in what time; raise CommandFailed at the first that isn't as promised."""
    import httpx

    from entrypoints.cli.demo.story import PromiseBroken
    from entrypoints.cli.screen import DONE, FAILED

    for title, step in story.steps:
        begun = time.perf_counter()
        try:
            came = await step()
        except (PromiseBroken, httpx.HTTPError) as error:
            screen.line(f"{FAILED} {title}", style="bold red")
            raise CommandFailed(f"{title}: {error}") from error
        screen.line(f"{DONE} {title} ({(time.perf_counter() - begun) * 1000:.0f} ms): {came}", style="green")
