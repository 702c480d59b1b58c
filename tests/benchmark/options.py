"""What is measured, and how long: the long form, the short one, and the numbers that an option changes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

CONNECTIONS_MAX: Final = 1000
"""Of the load; the service takes as many as the system lets it."""
SECONDS_MAX: Final = 3600.0
MERCHANTS: Final = 64
"""That exist; a load has one of them or all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The numbers of a run.

    `seconds` is how long a load lasts, `rounds` how often loads that are compared take turns. `stored` transactions are
    in the full store, `stored_of_one` of them one merchant's; a page is read at `depth` of these.
    """

    name: str
    seconds: float
    warm_up_seconds: float
    rounds: int
    stored: int
    stored_of_one: int
    depth: int
    pairs: int
    """Of pages that are compared, the first one and one at `depth`."""
    singles: int
    """Of payments made one after the other on an idle system."""
    end_to_end_seconds: float
    queued_payments: int
    """For the gateway that is slow."""
    queued_deliveries: int
    hanging_seconds: float
    wait_seconds_max: float
    """For a queue to be filled or emptied. What is left then is looked at where it is, and is no fault."""
    with_unit: bool


LONG: Final = Form(
    name="long",
    seconds=10.0,
    warm_up_seconds=3.0,
    rounds=3,
    stored=5_000_000,
    stored_of_one=1_000_000,
    depth=10_000,
    pairs=500,
    singles=100,
    end_to_end_seconds=20.0,
    queued_payments=15_000,
    queued_deliveries=50_000,
    hanging_seconds=30.0,
    wait_seconds_max=120.0,
    with_unit=True,
)
SHORT: Final = Form(
    name="short",
    seconds=2.0,
    warm_up_seconds=1.0,
    rounds=1,
    stored=30_000,
    stored_of_one=20_000,
    depth=10_000,
    pairs=50,
    singles=20,
    end_to_end_seconds=4.0,
    queued_payments=4_000,
    queued_deliveries=8_000,
    hanging_seconds=4.0,
    wait_seconds_max=5.0,
    with_unit=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for. `command` is how to ask for it again; `only` is empty where everything was."""

    form: Form
    only: Sequence[str]
    connections: int
    merchants: int
    rate: float
    all_events: bool
    own_loader: bool
    out: Path
    publish: bool
    command: str


def read_options(arguments: Sequence[str], cases: Sequence[str]) -> Options:
    """Return the options of a command line; what is wrong with it ends the program with a line that says so."""
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", type=_names(cases), default=(), metavar="CASE[,CASE]", help=", ".join(cases))
    parser.add_argument("--short", action="store_true", help="all of it within two minutes, with a small store")
    parser.add_argument("--seconds", type=_seconds, help="that each load lasts")
    parser.add_argument("--stored", type=_count, help="transactions in the full store")
    parser.add_argument("--connections", type=_connections, default=64, help="of the load (%(default)s)")
    parser.add_argument("--merchants", type=_merchants, default=1, help="that `pay` is of, beside all (%(default)s)")
    parser.add_argument("--rate", type=_rate, default=1020.0, help="payments/s of `end-to-end` (%(default)g)")
    parser.add_argument("--all-events", action="store_true", help="endpoints of `end-to-end` listen to everything")
    parser.add_argument("--own-loader", action="store_true", help="no wrk, even where it is installed")
    parser.add_argument("--out", type=Path, default=Path(".benchmark"), metavar="DIR", help="results (%(default)s)")
    parser.add_argument("--publish", action="store_true", help="write the results to docs/ too")
    given = parser.parse_args(arguments)
    form = SHORT if given.short else LONG
    if given.seconds is not None:
        form = replace(form, seconds=given.seconds, end_to_end_seconds=given.seconds, hanging_seconds=given.seconds)
    if given.stored is not None:
        form = replace(form, stored=max(given.stored, 2 * form.depth), stored_of_one=_of_one(given.stored, form))
    if given.publish and (given.only or given.short):
        parser.error("--publish is for a whole run in the long form")
    return Options(
        form=form,
        only=given.only,
        connections=given.connections,
        merchants=given.merchants,
        rate=given.rate,
        all_events=given.all_events,
        own_loader=given.own_loader,
        out=given.out,
        publish=given.publish,
        command=" ".join(["uv run nox -s bench", *(["--", *arguments] if arguments else [])]),
    )


def _of_one(stored: int, form: Form) -> int:
    """Return how many of the stored transactions are one merchant's: the same part as before, and a deep list."""
    return max(round(stored * form.stored_of_one / form.stored), 2 * form.depth)


class _names:  # noqa: N801 - a type of an argument, named as such in messages
    def __init__(self, known: Sequence[str]) -> None:
        self._known = known

    def __call__(self, text: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in text.split(",") if name.strip())
        unknown = [name for name in names if name not in self._known]
        if unknown or not names:
            raise argparse.ArgumentTypeError(f"{text!r}: there are {', '.join(self._known)}")
        return names


def _count(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of things")
    return int(text)


def _connections(text: str) -> int:
    number = _count(text)
    if number > CONNECTIONS_MAX:
        raise argparse.ArgumentTypeError(f"{number} are more than {CONNECTIONS_MAX}")
    return number


def _merchants(text: str) -> int:
    number = _count(text)
    if number > MERCHANTS:
        raise argparse.ArgumentTypeError(f"{number} are more than the {MERCHANTS} that there are")
    return number


def _rate(text: str) -> float:
    return _positive(text, "a rate")


def _seconds(text: str) -> float:
    number = _positive(text, "a number of seconds")
    if number > SECONDS_MAX:
        raise argparse.ArgumentTypeError(f"{text} s are more than {SECONDS_MAX:.0f}")
    return number


def _positive(text: str, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return number
