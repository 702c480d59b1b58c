"""A gateway that takes four seconds for each answer, one worker, and a queue that is full from the beginning."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Final

from tests.benchmark import requests
from tests.benchmark.case import Case, Tell
from tests.benchmark.figures import Figure, Outcome, Target
from tests.benchmark.loader import Load
from tests.benchmark.loading import run_load
from tests.benchmark.options import Options
from tests.benchmark.pay import errors_of
from tests.benchmark.store import Store
from tests.benchmark.world import World

RATE: Final = Target(least=500)
LATENCY_SECONDS: Final = 4.0
MERCHANTS: Final = 20
LOOK_SECONDS: Final = 0.25
STEADY_SHARE: Final = 0.8
"""Of the queue, after which fewer calls than the worker could make are left."""

SETTLED: Final = "SELECT count(*) FROM payments.transactions WHERE status = 'succeeded'"


async def measure_slow_gateway(world: World, options: Options, tell: Tell) -> Outcome:
    """Fill the queue, then have a worker empty it, and look how many were settled."""
    queued, latency = options.form.queued_payments, f"{LATENCY_SECONDS:g}"
    merchants = world.merchants[:MERCHANTS]
    async with world.store("slow_gateway") as store:
        tell(f"queueing {queued:,} payments")
        async with store.fleet.api() as port:
            load = Load(
                port=port,
                connections=options.connections,
                seconds=options.form.wait_seconds_max,
                status=201,
                requests=requests.as_values([requests.pay(merchant) for merchant in merchants]),
                key="queued",
                limit=queued,
            )
            loaded = await run_load(load, world.folder, own=True)
        before = int(await store.value(SETTLED))
        async with store.fleet.worker(PAYMENTS_SANDBOX_LATENCY_SECONDS=latency):
            tell(f"settling them, {LATENCY_SECONDS:g} s each")
            seen = await _watched(store, before, loaded.answered, 2 * LATENCY_SECONDS + options.form.wait_seconds_max)
    rate, seconds = steady_rate(seen, total=loaded.answered)
    return Outcome(
        figures=(
            Figure(name="gateway of 4 s, settled by one worker", value=rate, unit="/s", target=RATE),
            Figure(name="settled in all", value=seen[-1][1], unit=""),
        ),
        notes=(
            f"{loaded.answered:,} payments of {len(merchants)} merchants queued, the gateway takes"
            f" {LATENCY_SECONDS:g} s; over {seconds:.1f} s in steady state",
        ),
        faults=errors_of(loaded),
    )


async def _watched(store: Store, before: int, total: int, seconds: float) -> Sequence[tuple[float, int]]:
    """Look until all are settled, or for a while: the moments, and how many were settled by then."""
    deadline = time.monotonic() + seconds
    seen: list[tuple[float, int]] = []
    while not seen or (seen[-1][1] < total and time.monotonic() < deadline):
        seen.append((time.monotonic(), int(await store.value(SETTLED)) - before))
        await asyncio.sleep(LOOK_SECONDS)
    return seen


def steady_rate(seen: Sequence[tuple[float, int]], *, total: int) -> tuple[float, float]:
    """Return how many were settled a second in the steady state, and how long that was.

    It is from the first outcome until most of the queue is settled, or all the time where that leaves nothing. Calls
    that began together end together, again and again: the rate is the slope of the line through all looks (least
    squares), which no look between two waves bends much. NaN where nothing was settled.
    """
    some = [(at, count) for at, count in seen if count > 0]
    steady = [(at, count) for at, count in some if count <= total * STEADY_SHARE]
    looks = steady if len(steady) > 1 else some
    if len(looks) < 2:
        return math.nan, 0.0
    middle = sum(at for at, _ in looks) / len(looks)
    slope = sum((at - middle) * count for at, count in looks) / sum((at - middle) ** 2 for at, _ in looks)
    return slope, looks[-1][0] - looks[0][0]


SLOW_GATEWAY: Final = Case(name="slow-gateway", what="gateway that takes 4 s, one worker", measure=measure_slow_gateway)
