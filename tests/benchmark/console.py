"""What the console shows first, read from a store that is full: its part of a page's server time, without the page.

`uv run python -m tests.benchmark --short --only console --stored 1500000` has a merchant with a million transactions;
the store has a year of daily totals then, which the trigger makes of the events as they are seeded. Pages are measured
over HTTP when there are any: `full_store` gives the store, and `store.fleet.api()` the process.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from entrypoints.settings import read_settings
from entrypoints.wiring import wire
from payments_core import Caller
from payments_core.ids import MerchantId
from payments_core.totals import SPAN_DAYS_MAX
from tests.benchmark.case import Case, Tell
from tests.benchmark.figures import MILLISECONDS, Figure, Outcome, Target, share
from tests.benchmark.options import Options
from tests.benchmark.seeding import FULL, full_store
from tests.benchmark.world import World, settings

P95: Final = Target(most=50)
"""Of a whole page: these are parts of it."""
PART: Final = 0.95


async def measure_console(world: World, options: Options, tell: Tell) -> Outcome:
    """Read each part again and again, one at a time, for the merchant with the most transactions."""
    merchant = world.merchants[0]
    async with full_store(world, options.form, tell) as store:
        stored = await store.count("transactions", f"merchant_id = '{merchant.id}'")
        environ = settings(world.postgres, world.valkey, FULL)
        async with wire(read_settings(environ, env_file=None)) as services:
            read, caller = services.payments.read, Caller(merchant=MerchantId(merchant.id))
            last = datetime.now(UTC).date()
            parts: dict[str, Callable[[], Awaitable[object]]] = {
                "a year of daily totals": lambda: read.totals(caller, last - timedelta(days=SPAN_DAYS_MAX - 1), last),
                "what waits": lambda: read.waiting(caller),
                "endpoints' health": lambda: read.endpoints_health(caller),
            }
            figures = [await _figure(name, part, options, tell) for name, part in parts.items()]
    return Outcome(
        figures=figures,
        notes=(f"one at a time, {options.form.pairs} of each; a merchant with {stored:,} transactions; no HTTP",),
    )


async def _figure(name: str, part: Callable[[], Awaitable[object]], options: Options, tell: Tell) -> Figure:
    tell(name)
    taken: list[float] = []
    for _ in range(options.form.pairs):
        begun = time.perf_counter()
        await part()
        taken.append(time.perf_counter() - begun)
    return Figure(name=f"{name}, p95", value=share(sorted(taken), PART) * MILLISECONDS, unit="ms", target=P95, digits=1)


CONSOLE: Final = Case(
    name="console", what="what the console shows first, over many transactions", measure=measure_console
)
