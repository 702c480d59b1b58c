"""Memory under load: all payments that 64 connections can make, and their processing and webhooks at once."""

from __future__ import annotations

import math
from typing import Final

from tests.benchmark.case import Case, Tell
from tests.benchmark.end_to_end import SUCCEEDED, whole_service
from tests.benchmark.figures import Figure, Outcome, Target
from tests.benchmark.fleet import API, WORKER
from tests.benchmark.options import Options
from tests.benchmark.pay import Paying
from tests.benchmark.world import World

MOST: Final = Target(most=150)
MERCHANTS: Final = 20


async def measure_memory(world: World, options: Options, tell: Tell) -> Outcome:
    """Load both processes, and return the most that either took in this case or in one before."""
    merchants = world.merchants[:MERCHANTS]
    urls = [(merchant, world.receiver.url(f"/{number}")) for number, merchant in enumerate(merchants)]
    async with whole_service(world, "memory", urls, [SUCCEEDED]) as (store, port):
        paying = Paying(world, options, store, port)
        tell(f"payments of {options.connections} connections, with a worker")
        await paying.load(merchants, options.form.seconds, options.connections)
        await paying.count()
    most = world.peaks.megabytes
    return Outcome(
        figures=tuple(
            Figure(name=f"memory of the {kind}, at most", value=most.get(kind, math.nan), unit="MB", target=MOST)
            for kind in (API, WORKER)
        ),
        notes=(
            "the largest proportional set size (Pss), seen every half second, of all processes of this run:"
            " this load and the cases before it",
        ),
        faults=paying.faults,
    )


MEMORY: Final = Case(name="memory", what="memory under load", measure=measure_memory)
