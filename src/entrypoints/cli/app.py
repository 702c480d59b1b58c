"""The group of all commands, and how their failures are told."""

from __future__ import annotations

import os
import traceback
from typing import Final

import click

from entrypoints.cli import INTERRUPTED
from entrypoints.cli.attempts.command import attempts
from entrypoints.cli.audit import audit
from entrypoints.cli.demo.command import demo
from entrypoints.cli.doctor.command import doctor
from entrypoints.cli.errors import CommandFailed, Stopped, first_of, line_of
from entrypoints.cli.jobs.command import jobs
from entrypoints.cli.listen.command import listen
from entrypoints.cli.merchant import merchant
from entrypoints.cli.migrate import migrate_command
from entrypoints.cli.secrets import secrets
from entrypoints.cli.serve.command import serve
from entrypoints.cli.shell import shell
from entrypoints.cli.staff_accounts import staff
from entrypoints.cli.up.command import up
from entrypoints.cli.verify.command import verify
from entrypoints.cli.worker import worker

DEBUG: Final = "payments.debug"
"""Where all commands of one line find whether one of them was told to show tracebacks."""


def _note_debug(ctx: click.Context, _parameter: click.Parameter, debug: bool) -> None:
    ctx.meta[DEBUG] = debug or ctx.meta.get(DEBUG, False)


def debug_is_on() -> bool:
    """Say whether the command that runs was told to show tracebacks."""
    return bool(click.get_current_context().meta.get(DEBUG))


def with_debug(command: click.Command) -> click.Command:
    """Let the command, and those below it, take --debug too; only the help of the whole lists it."""
    option = click.Option(["--debug"], is_flag=True, hidden=True, expose_value=False, callback=_note_debug)
    command.params.append(option)
    if isinstance(command, click.Group):
        for below in command.commands.values():
            with_debug(below)
    return command


class Commands(click.Group):
    """A group that tells every failure in a line, in the order in which people need its commands."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; end with CommandFailed where it fails for a reason that click doesn't know."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.UsageError):
            raise
        except (KeyboardInterrupt, click.Abort):  # before the command's own handling of signals, or at a prompt
            raise click.exceptions.Exit(INTERRUPTED) from None
        except Stopped as stopped:
            raise click.exceptions.Exit(128 + stopped.signal_number) from None
        except Exception as error:
            if ctx.meta[DEBUG]:
                traceback.print_exception(error)
            if isinstance(error, click.ClickException):
                raise
            raise CommandFailed(line_of(first_of(error))) from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        """Return the commands' names as they were added."""
        return list(self.commands)


EXAMPLE: Final = """\b
Example:
  payments up
"""


@click.group(
    cls=Commands, epilog=EXAMPLE, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=_note_debug,
    default=lambda: os.environ.get("PAYMENTS_LOG_LEVEL", "").strip().lower() == "debug",
    help="Show the traceback of a failure (so does PAYMENTS_LOG_LEVEL=debug in the environment).",
)
@click.version_option(package_name="payments-core", prog_name="payments", message="%(prog)s %(version)s")
def payments() -> None:
    """A payment service: payments, refunds, signed webhooks.

    `payments up` runs everything on this machine and prints the first calls; `payments demo` shows the life of one
    payment and leaves nothing behind. `serve`, `worker` and `migrate` are for a deployment, with the settings of
    .env.example.

    Ctrl-C and SIGTERM are how `up`, `serve`, `worker` and `listen` end: their exit status is 0 then. Any other command
    was broken off, and so is one that is still loading: 130 and 143. A failure is 1, a wrong option 2.
    """


COMMANDS: Final = (
    up,
    demo,
    serve,
    worker,
    migrate_command,
    listen,
    merchant,
    staff,
    jobs,
    attempts,
    audit,
    shell,
    doctor,
    verify,
    secrets,
)
for command in COMMANDS:
    payments.add_command(with_debug(command))
