"""`nox -s chaos`: break everything at random, let it heal, and hold the service to its promises."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.chaos.campaign import Outcome, run_campaign
from tests.chaos.judge import Verdict, judge
from tests.chaos.latency import verdicts_on_redis_away
from tests.chaos.options import Options, read_options
from tests.chaos.report import write_report

BROKEN: Final = 1
INTERRUPTED: Final = 130


def main(arguments: Sequence[str]) -> int:
    """Run a campaign; return 0 where every rule held."""
    options = read_options(arguments)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"Seed {options.seed}: {options.command}")
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        folder = Path(scratch)
        try:
            outcome = asyncio.run(_until_terminated(options, folder))
        except (KeyboardInterrupt, asyncio.CancelledError):
            console.print("Interrupted; everything has ended.")
            return INTERRUPTED
        except BaseException:
            console.print(f"The campaign itself failed; its logs are in {_keep_logs(options, folder)}.")
            raise
        verdicts = _verdicts(outcome)
        broken = [verdict for verdict in verdicts if verdict.broken]
        logs = _keep_logs(options, folder) if broken or options.keep_logs else None
    write_report(options, outcome, verdicts, logs)
    for verdict in verdicts:
        mark = "✗" if verdict.broken else "✓"
        console.print(f"{mark} {verdict.rule}: {verdict.looked_at} looked at, {len(verdict.broken)} broken")
    console.print(f"{outcome.tally.total} faults in {outcome.seconds:.0f} s; the report is in {options.report}.")
    return BROKEN if broken else 0


def _verdicts(outcome: Outcome) -> list[Verdict]:
    verdicts = judge(outcome.evidence)
    if outcome.away is not None:
        verdicts += verdicts_on_redis_away(outcome.evidence, *outcome.away)
    return verdicts


async def _until_terminated(options: Options, folder: Path) -> Outcome:
    """Run the campaign; SIGTERM ends it in good order, as Ctrl-C does."""
    campaign = asyncio.current_task()
    assert campaign is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, campaign.cancel)
    return await run_campaign(options, folder)


def _keep_logs(options: Options, folder: Path) -> str:
    """Copy the processes' and the servers' logs beside the report; return the directory's name."""
    kept = options.report.with_name(f"{options.report.stem}-logs")
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for log in (*folder.glob("logs/*.log"), *folder.glob("*/server.log"), *folder.glob("postgres/data/log/*.log")):
        with contextlib.suppress(OSError):
            shutil.copyfile(log, kept / f"{log.relative_to(folder).parts[0]}-{log.name}")
    return kept.name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
