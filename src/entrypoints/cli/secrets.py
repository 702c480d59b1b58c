"""`payments secrets`: what the secret key seals in the database, and the way from one key to the next."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from entrypoints.cli.data_dir_option import data_dir_option
from entrypoints.cli.errors import CommandFailed
from entrypoints.cli.staff import staff_of

if TYPE_CHECKING:
    from entrypoints.cli.screen import Screen
    from entrypoints.services import Sealed, Seals
    from entrypoints.settings import Settings

WALKS_MAX: Final = 5
"""Each after the first looks for what was held, or written by others, during the one before it."""
TOKENS: Final = "access tokens last 5 minutes"
ROTATED_ELSEWHERE: Final = (
    "somebody still seals with an older key: start every process with the same PAYMENTS_SECRET_KEY, then say "
    "`payments secrets rotate` again"
)

ROTATE_EXAMPLE: Final = """\b
Example:
  PAYMENTS_SECRET_KEY=new,old payments secrets rotate
"""
CHECK_EXAMPLE: Final = """\b
Example:
  payments secrets check
"""


@click.group(short_help="Change the secret key.")
def secrets() -> None:
    """Change the key that seals webhook secrets and kept answers.

    Put the new key in front of the old one in PAYMENTS_SECRET_KEY, start all processes with it, say `payments secrets
    rotate`, and take the old key out when it says that nothing needs it any more. Where processes are restarted one
    after another, start all of them with `old,new` first: those that are still to come could not read otherwise what
    the first ones seal and sign with the new key.
    """


@secrets.command(short_help="Seal everything again under the first key.", epilog=ROTATE_EXAMPLE)
@data_dir_option()
def rotate(data_dir: Path) -> None:
    """Seal again, under the first key of PAYMENTS_SECRET_KEY, all that an older one sealed.

    Safe while the service runs, and at any time: what was broken off is taken up again by the next run. The exit
    status is 1 where something is left under an older key, or where no key opens it.
    """
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.signals import run

    run(_rotate(settings_of_running(data_dir)))


@secrets.command(short_help="Say how much is sealed under which key.", epilog=CHECK_EXAMPLE)
@data_dir_option()
def check(data_dir: Path) -> None:
    """Count what is sealed under each key of PAYMENTS_SECRET_KEY, and change nothing.

    It tells keys by a mark in front of what they sealed; `rotate` also opens what an older one sealed. The exit status
    is 1 where a key that is needed is not there.
    """
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.signals import run

    run(_check(settings_of_running(data_dir)))


async def _rotate(settings: Settings) -> None:
    from entrypoints.cli.screen import Screen
    from entrypoints.wiring import seals_of

    screen = Screen()
    await _require_store(settings)
    await _note(settings, {"stage": "begun"})
    async with seals_of(settings) as seals:
        found = await _walk(seals, screen, reseal=True)
        resealed = {place.name: place.resealed for place in found}
        for _ in range(1, WALKS_MAX):
            if not any(_older(place, seals) for place in found):
                break
            found = await _walk(seals, screen, reseal=True)
            resealed = {place.name: place.resealed + resealed[place.name] for place in found}
    await _note(settings, {"stage": "ended", **resealed})
    for name, number in resealed.items():
        screen.line(f"Sealed again: {number:,} {name}.")
    _refuse_unreadable(found)
    left = sum(_older(place, seals) for place in found)
    if left:
        raise CommandFailed(f"{left:,} are under an older key: {ROTATED_ELSEWHERE}.")
    screen.line("Nothing is sealed under an older key.")
    screen.line(_what_may_go(seals))


async def _note(settings: Settings, detail: Mapping[str, int | str]) -> None:
    """Keep in the audit log that everything is sealed again, by whom, and how much it was."""
    from entrypoints.wiring import wire
    from payments_core.audit import Action

    async with wire(settings) as services:
        await staff_of(services).note(Action.SECRETS_RESEALED, detail)


async def _check(settings: Settings) -> None:
    from entrypoints.cli.screen import Screen
    from entrypoints.wiring import seals_of

    screen = Screen()
    await _require_store(settings)
    async with seals_of(settings) as seals:
        found = await _walk(seals, screen, reseal=False)
    numbers = range(1, len(seals.headers) + 1)
    headings = ("SEALED", *(f"KEY {number}" for number in numbers), "NO KEY OPENS")
    rows = [
        (place.name, *(f"{place.rows.get(header, 0):,}" for header in seals.headers), f"{place.unreadable:,}")
        for place in found
    ]
    screen.columns(headings, rows)
    _refuse_unreadable(found)
    if any(_older(place, seals) for place in found):
        screen.line("Keys behind the first one are needed until `payments secrets rotate`.")
    else:
        screen.line(_what_may_go(seals))


async def _require_store(settings: Settings) -> None:
    """Raise CommandFailed where the database is away or lacks tables; what it holds need not open."""
    from entrypoints.cli.watch import require_database
    from entrypoints.wiring import missing

    await require_database(settings)
    lacking = await missing(settings)
    if lacking:
        raise CommandFailed(f"The database lacks {', '.join(lacking)}; run `payments migrate`.")


async def _walk(seals: Seals, screen: Screen, *, reseal: bool) -> Sequence[Sealed]:
    from payments_core.errors import Unavailable

    try:
        with _progress(screen) as told:
            return await seals.walk(reseal=reseal, told=told)
    except Unavailable as error:
        raise CommandFailed(f"{error.message}. What was done is done: say it again for the rest.") from None


def _older(place: Sealed, seals: Seals) -> int:
    """Return how many rows were met under an older key that opens them."""
    return sum(place.rows.values()) - place.rows.get(seals.headers[0], 0) - place.unreadable


def _what_may_go(seals: Seals) -> str:
    if len(seals.headers) == 1:
        return "PAYMENTS_SECRET_KEY has one key, and needs it."
    return (
        "PAYMENTS_SECRET_KEY needs its first key alone, from 5 minutes after the last process with another one in "
        f"front has ended: {TOKENS}."
    )


def _refuse_unreadable(found: Sequence[Sealed]) -> None:
    """Raise CommandFailed where something is opened by no key, with the rows, or the first ones, above it."""
    from entrypoints.cli.screen import printable

    unreadable = sum(place.unreadable for place in found)
    for place in found:
        for row in place.named:
            click.echo(f"No key opens: {place.name} of {printable(' '.join(map(str, row)))}", err=True)
        if place.unreadable > len(place.named):
            click.echo(f"… and {place.unreadable - len(place.named):,} more {place.name}", err=True)
    if unreadable:
        raise CommandFailed(
            f"{unreadable:,} are opened by no key of PAYMENTS_SECRET_KEY, or were changed: put the key by which they "
            "were sealed behind the others."
        )


@contextmanager
def _progress(screen: Screen) -> Generator[Callable[[int], None], None, None]:
    """Show how many rows were looked at, where somebody looks; how many there are nobody has counted."""
    if not screen.progress.is_terminal:
        yield lambda _rows: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("Looking"), BarColumn(), TextColumn("{task.completed:,} rows"), TimeElapsedColumn())
    with Progress(*columns, console=screen.progress, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda rows: progress.update(task, advance=rows)
