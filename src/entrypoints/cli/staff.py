"""What the commands of the staff share: their options, in whose name they act, and what they read and print."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from payments_core.audit import NAME_LENGTH_MAX
from payments_core.page import IDS

if TYPE_CHECKING:
    from entrypoints.services import Services
    from entrypoints.settings import Settings
    from payments_core.describe import JsonObject
    from payments_core.page import Slice
    from payments_core.ports import Window
    from payments_core.staff import Staff

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

KINDS: Final = {
    "job": "a job",
    "att": "an attempt",
    "txn": "a transaction",
    "rfn": "a refund",
    "mer": "a merchant",
    "evt": "an event",
    "dlv": "a delivery",
}
SHOWN: Final = 20
SHOWN_MAX: Final = 10_000
PAGE: Final = 100
ALL: Final = "all"


def check_id(prefix: str) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """Return the callback of an option or argument that is an id of one kind; it says what another text is instead."""

    def check(_ctx: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
        return None if text is None else _id(prefix, text)

    return check


def check_ids(prefix: str) -> Callable[[click.Context, click.Parameter, Sequence[str]], Sequence[str]]:
    """Return the callback of an argument that is any number of ids of one kind, which it gives once each."""

    def check(_ctx: click.Context, _parameter: click.Parameter, texts: Sequence[str]) -> Sequence[str]:
        return list(dict.fromkeys(_id(prefix, text) for text in texts))

    return check


def _id(prefix: str, text: str) -> str:
    found = IDS.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"it is no id of {KINDS[prefix]}: `{prefix}_` and 26 digits and capital letters.")
    kind = text.partition("_")[0]
    if kind != prefix:
        raise click.BadParameter(f"{text} is {KINDS.get(kind, 'of another kind')}, and not {KINDS[prefix]}.")
    return text


def list_options(states: type[StrEnum], default: StrEnum) -> Callable[[Command], Command]:
    """Return the options of a list: `state`, `merchant`, `limit`, `as_json`."""

    def add(command: Command) -> Command:
        for option in (
            json_option(),
            click.option(
                "--limit",
                default=SHOWN,
                show_default=True,
                type=click.IntRange(1, SHOWN_MAX),
                help="Show so many at most.",
            ),
            click.option("--merchant", callback=check_id("mer"), metavar="ID", help="Those of this merchant alone."),
            click.option(
                "--state",
                default=str(default),
                show_default=True,
                type=click.Choice([*(str(state) for state in states), ALL]),
                help="Those in this state alone.",
            ),
        ):
            command = option(command)
        return command

    return add


def json_option() -> Callable[[Command], Command]:
    """Return the option --json, which gives its command `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line, for scripts.")


@contextlib.asynccontextmanager
async def wired(settings: Settings) -> AsyncGenerator[Services]:
    """Give the services while the block runs. Raises CommandFailed where the store is away or lacks migrations."""
    from entrypoints.cli.watch import require_vital
    from entrypoints.wiring import wire

    async with wire(settings) as services:
        await require_vital(services)
        yield services


def who() -> str:
    """Return what the audit log calls whoever runs the command: the name of their user on this machine, or its number.

    Not what the environment says it is. Who is root by `sudo` is said so.
    """
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = f"uid {number}"
    before = os.environ.get("SUDO_USER", "")
    return (f"{name}, sudo by {before}" if number == 0 and before.isprintable() and before else name)[:NAME_LENGTH_MAX]


def staff_of(services: Services) -> Staff:
    """Return what staff can do, in the name of whoever runs the command."""
    return services.payments.staff.named(who())


async def first_of_list(read: Callable[[Window], Awaitable[Slice[T]]], limit: int) -> tuple[list[T], bool]:
    """Return at most so many items from the start of a list, and whether there are more."""
    from payments_core.page import Position
    from payments_core.ports import Window

    items: list[T] = []
    position: Position | None = None
    while len(items) <= limit:
        found = await read(Window(limit=min(PAGE, limit + 1 - len(items)), position=position))
        items.extend(found.items)
        if found.after is None:
            break
        position = Position(key=found.after)
    return items[:limit], len(items) > limit


def print_json(value: JsonObject) -> None:
    """Print an object on a line of its own. It is for programs: what would steer a terminal is escaped."""
    click.echo(json.dumps(value))


def print_thing(name: str, described: JsonObject, about: JsonObject, *, as_json: bool) -> None:
    """Print one thing, and what it is about as far as that is there."""
    if as_json:
        print_json({**described, "about": about})
        return
    from entrypoints.cli.screen import Screen

    screen = Screen()
    screen.thing(name, described)
    there = {its: value for its, value in about.items() if isinstance(value, Mapping)}
    for its, value in there.items():
        screen.thing(f"its {its}", value)
    if not there:
        screen.line("what it is about is not there")


def say_more(limit: int) -> None:
    """Say that a list goes on, where results are not."""
    click.echo(f"There are more than these {limit}: --limit shows more.", err=True)


def minute(at: datetime) -> str:
    """Return a time as lists show it, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"
