"""`nox -s bench`: measure the service on real processes, next to what Postgres does without it, against its targets."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.benchmark.case import Case
from tests.benchmark.cases import CASES
from tests.benchmark.figures import Outcome
from tests.benchmark.machine import look_at_machine
from tests.benchmark.options import Options, read_options
from tests.benchmark.progress import Shown
from tests.benchmark.publishing import write
from tests.benchmark.report import Measured, Run, show
from tests.benchmark.world import World, running_world

FAILED: Final = 1
INTERRUPTED: Final = 130
FAULT_LENGTH_MAX: Final = 600


def main(arguments: Sequence[str]) -> int:
    """Measure; return 0 where every case could be measured, whether or not it met its target."""
    options = read_options(arguments, [case.name for case in CASES])
    console = Console(highlight=False, markup=False)
    machine = look_at_machine()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        try:
            measured = asyncio.run(_until_terminated(options, Path(scratch)))
        except (KeyboardInterrupt, asyncio.CancelledError):
            console.print("Interrupted; everything has ended.")
            return INTERRUPTED
    run = Run(machine=machine, options=options, measured=measured)
    show(run, console)
    for path in write(run):
        console.print(f"Written: {path}")
    return FAILED if any(each.outcome.faults for each in measured) else 0


async def _until_terminated(options: Options, folder: Path) -> list[Measured]:
    """Measure; SIGTERM and a terminal that is closed end it in good order, as Ctrl-C does."""
    measuring = asyncio.current_task()
    assert measuring is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, measuring.cancel)
    return await _measure(options, folder)


def chosen(options: Options) -> list[Case]:
    """Return the cases that were asked for, or else those of the form."""
    if options.only:
        return [case for case in CASES if case.name in options.only]
    return [case for case in CASES if case.in_short or options.form.with_unit]


async def _measure(options: Options, folder: Path) -> list[Measured]:
    cases = chosen(options)
    measured: list[Measured] = []
    with Shown(len(cases)) as shown:
        shown.tell("starting the servers, making merchants")
        async with running_world(folder) as world:
            for case in cases:
                shown.tell(case.name)
                begun = time.monotonic()
                outcome = await _outcome(case, world, options, shown)
                measured.append(Measured(case=case, outcome=outcome, seconds=time.monotonic() - begun))
                shown.done()
    return measured


async def _outcome(case: Case, world: World, options: Options, shown: Shown) -> Outcome:
    """Measure a case. One that cannot be measured has failed, and keeps no other from being measured."""
    try:
        return await case.measure(world, options, partial(_tell, shown, case))
    except Exception as error:
        shown.console.print_exception()
        return Outcome(
            figures=(), faults=(f"could not be measured: {type(error).__name__}: {error}"[:FAULT_LENGTH_MAX],)
        )


def _tell(shown: Shown, case: Case, what: str) -> None:
    shown.tell(f"{case.name}: {what}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
