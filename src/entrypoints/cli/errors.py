"""What a person reads when a command fails: one line, which names the cure where there is one."""

from __future__ import annotations

import asyncio

import click

from entrypoints.cli import INSTALL
from payments_core.errors import PaymentsError

OURS = frozenset({"payments_core", "adapters", "entrypoints"})


class CommandFailed(click.ClickException):
    """A command cannot do what it was asked for; the message is one line with the cure."""


class Stopped(Exception):
    """A signal ended the command before its work was done."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number


def first_of(error: BaseException) -> BaseException:
    """Return the error itself, or what a task group wraps: the first that is no mere cancellation."""
    while isinstance(error, BaseExceptionGroup):
        inner = [each for each in error.exceptions if not isinstance(each, asyncio.CancelledError)]
        error = (inner or list(error.exceptions))[0]
    return error


def line_of(error: BaseException) -> str:
    """Return what went wrong in one line, or in one for each setting that is wrong.

    Errors of our own packages carry a message for people; those of others get their type's name beside it.
    """
    if isinstance(error, PaymentsError):
        return error.message
    message = "\n".join(line.strip() for line in str(error).splitlines() if line.strip())
    if isinstance(error, ModuleNotFoundError) and error.name:
        root = error.name.partition(".")[0]
        if root in OURS:
            return f"{error.name} is missing: another package may hide ours; `payments doctor` says so."
        return f"The package {root} is not installed: {INSTALL}"
    if type(error).__module__.partition(".")[0] in OURS and message:
        return message
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    name = type(error).__name__
    return f"{name}: {message} (`payments --debug …` shows where)" if message else f"{name} (use `payments --debug …`)"
