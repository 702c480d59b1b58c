"""How large a campaign is: the short form, the long one, and each number by an option."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.kinds import KILLS, RECEPTIONS, REDIS_FAULTS, SCRIPTED, Kind

SEED: Final = 3
RECEPTIONS_SHARE: Final = 0.6
"""Of the faults of receivers and gateway. A payment has many webhooks, and one payment method."""
REDIS_AWAY_MINUTES: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The numbers of a campaign. `others` are faults that no option counts; `pause_seconds` is a client's, on average.

    `faults` counts all of them: what the other numbers leave is for receivers and gateway.
    """

    minutes: float
    faults: int
    kills: int
    redis_faults: int
    postgres_stops: int
    others: Mapping[Kind, int]
    clients: int
    pause_seconds: float


SHORT: Final = Form(
    minutes=1.1,
    faults=240,
    kills=14,
    redis_faults=8,
    postgres_stops=3,
    others={
        Kind.API_ENDED: 2,
        Kind.API_STOPPED: 2,
        Kind.WORKER_ENDED: 2,
        Kind.WORKER_STOPPED: 2,
        Kind.WORKER_PAST_LEASE: 3,
        Kind.CONNECTIONS_CUT: 4,
        Kind.RECEIVER_REFUSES: 6,
    },
    clients=12,
    pause_seconds=1.5,
)
LONG: Final = Form(
    minutes=27.0,
    faults=10_400,
    kills=520,
    redis_faults=130,
    postgres_stops=55,
    others={
        Kind.API_ENDED: 30,
        Kind.API_STOPPED: 60,
        Kind.WORKER_ENDED: 30,
        Kind.WORKER_STOPPED: 60,
        Kind.WORKER_PAST_LEASE: 60,
        Kind.CONNECTIONS_CUT: 200,
        Kind.RECEIVER_REFUSES: 150,
    },
    clients=12,
    pause_seconds=1.7,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for. `command` is how to ask for it again."""

    seed: int
    form: Form
    redis_away: bool
    report: Path
    keep_logs: bool
    command: str

    @property
    def counts(self) -> dict[Kind, int]:
        """How many faults of each kind are planned."""
        form = self.form
        counts = {
            **_shared(form.kills, KILLS),
            **_shared(form.redis_faults, REDIS_FAULTS),
            Kind.POSTGRES_STOPPED: form.postgres_stops,
            **form.others,
        }
        left = max(0, form.faults - sum(counts.values()))
        receptions = round(left * RECEPTIONS_SHARE)
        counts |= _shared(receptions, RECEPTIONS) | _shared(left - receptions, SCRIPTED)
        return {kind: counts.get(kind, 0) for kind in Kind}


def read_options(arguments: Sequence[str]) -> Options:
    """Return the options of a command line; what is wrong with it ends the program with a line that says so."""
    parser = argparse.ArgumentParser(prog="nox -s chaos --", description=__doc__, allow_abbrev=False)
    parser.add_argument("--long", action="store_true", help="the whole campaign, about half an hour")
    parser.add_argument("--redis-away", action="store_true", help="no faults but one: Redis stopped under load")
    parser.add_argument("--seed", type=int, default=SEED, help="decides the faults, their victims and moments")
    parser.add_argument("--minutes", type=_positive, help="over which the faults are spread, or Redis is away")
    parser.add_argument(
        "--faults", type=_count, help="of all kinds together; other numbers that are not given follow it"
    )
    parser.add_argument("--kills", type=_count, help="of API and workers")
    parser.add_argument("--redis-faults", type=_count, help="flushes, stops and freezes")
    parser.add_argument("--postgres-stops", type=_count, help="immediate ones")
    parser.add_argument("--clients", type=_count, help="at once")
    parser.add_argument("--report", type=Path, default=Path("chaos-report.md"), metavar="FILE", help="to write")
    parser.add_argument("--keep-logs", action="store_true", help="of all processes, even where nothing broke")
    given = parser.parse_args(arguments)
    base = LONG if given.long else SHORT
    faults = base.faults if given.faults is None else given.faults
    scale = faults / base.faults
    form = Form(
        minutes=given.minutes or (REDIS_AWAY_MINUTES if given.redis_away else base.minutes),
        faults=faults,
        kills=_or(given.kills, base.kills * scale),
        redis_faults=_or(given.redis_faults, base.redis_faults * scale),
        postgres_stops=_or(given.postgres_stops, base.postgres_stops * scale),
        others={kind: round(count * scale) for kind, count in base.others.items()},
        clients=_or(given.clients, base.clients),
        pause_seconds=base.pause_seconds,
    )
    return Options(
        seed=given.seed,
        form=form,
        redis_away=given.redis_away,
        report=given.report,
        keep_logs=given.keep_logs,
        command=" ".join(["uv run nox -s chaos", *(["--", *arguments] if arguments else [])]),
    )


def _or(given: int | None, otherwise: float) -> int:
    return round(otherwise) if given is None else given


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of times")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes")
    return number


def _shared(total: int, weights: Mapping[Kind, int]) -> dict[Kind, int]:
    """Share a number out by weight, so that the shares' sum is the number."""
    shares: dict[Kind, int] = {}
    weight_left, left = sum(weights.values()), total
    for kind, weight in weights.items():
        shares[kind] = round(left * weight / weight_left)
        weight_left, left = weight_left - weight, left - shares[kind]
    return shares
