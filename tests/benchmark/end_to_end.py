"""From the acceptance of a payment to the webhook that says that it has succeeded: API, one worker, receiver."""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import httpx

from tests.benchmark import requests
from tests.benchmark.case import Case, Tell
from tests.benchmark.figures import MILLISECONDS, Figure, Outcome, Target, share
from tests.benchmark.loader import Load, Loaded
from tests.benchmark.loading import run_load
from tests.benchmark.merchants import Merchant, listen, made
from tests.benchmark.options import Options
from tests.benchmark.pay import errors_of
from tests.benchmark.receiving import Webhook
from tests.benchmark.store import Store
from tests.benchmark.world import World
from tests.patience import until

RATE: Final = Target(least=1000)
P99: Final = Target(most=2)
BACKLOG: Final = Target(most=0.02)
ONE_P50: Final = Target(most=50)
SUCCEEDED: Final = "transaction.succeeded"
MERCHANTS: Final = 20
"""An endpoint has at most ten deliveries in flight in one worker."""
LOOK_SECONDS: Final = 0.25
IDLE_SECONDS: Final = 0.02
"""Between two payments, for the system to be idle again."""

LEFT: Final = """
SELECT (SELECT count(*) FROM payments.jobs WHERE dead_at IS NULL)
     + (SELECT count(*) FROM payments.deliveries WHERE status = 'pending')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """How much was left to do at a moment of the monotonic clock: jobs, and deliveries that are pending."""

    at: float
    count: int


@asynccontextmanager
async def whole_service(
    world: World, name: str, urls: Sequence[tuple[Merchant, str]], events: list[str]
) -> AsyncGenerator[tuple[Store, int]]:
    """Have API and one worker on a new store, with an endpoint for each merchant and URL; the store and the port."""
    async with world.store(name) as store, store.fleet.both() as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for merchant, url in urls:
                await listen(client, merchant, url, events)
        await world.receiver.forget()
        yield store, port


def paced(port: int, merchants: Sequence[Merchant], options: Options, *, seconds: float, rate: float) -> Load:
    """Return a load of so many payments a second, of the merchants in turn."""
    return Load(
        port=port,
        connections=options.connections,
        seconds=seconds,
        status=201,
        requests=requests.as_values([requests.pay(merchant) for merchant in merchants]),
        key=secrets.token_hex(8),
        rate=rate,
        keeps_ids=True,
        drain_seconds=options.form.wait_seconds_max,
    )


async def measure_end_to_end(world: World, options: Options, tell: Tell) -> Outcome:
    """Have payments come at a steady rate, whatever becomes of those before."""
    seconds, rate = options.form.end_to_end_seconds, options.rate
    events = ["*"] if options.all_events else [SUCCEEDED]
    merchants = world.merchants[:MERCHANTS]
    urls = [(merchant, world.receiver.url(f"/{number}")) for number, merchant in enumerate(merchants)]
    async with whole_service(world, "end_to_end", urls, events) as (store, port):
        tell("warming up")
        warm = paced(port, merchants, options, seconds=options.form.warm_up_seconds, rate=rate)
        await until_received(world, await run_load(warm, world.folder, own=True), options.form.wait_seconds_max)
        await world.receiver.forget()
        tell(f"{rate:g} payments/s for {seconds:g} s")
        load = paced(port, merchants, options, seconds=seconds, rate=rate)
        async with looking(store) as lefts:
            loaded = await run_load(load, world.folder, own=True)
        tell("waiting for the last webhooks")
        waits = await until_received(world, loaded, options.form.wait_seconds_max)
        faults = [*errors_of(loaded), *await lost(store, loaded, waits)]
        receipts = [*first_receipts(await world.receiver.written()).values()]
    growth = growth_of([left for left in lefts if left.at >= lefts[-1].at - seconds])
    return Outcome(
        figures=(
            Figure(name=f"{SUCCEEDED} received", value=received_rate(receipts), unit="/s", target=RATE),
            Figure(name="end to end, p99", value=share(waits, 0.99), unit="s", target=P99, digits=3),
            Figure(name="backlog's growth ÷ accepted", value=growth / loaded.rate, unit="x", target=BACKLOG, digits=3),
            Figure(name="end to end, p50", value=share(waits, 0.5), unit="s", digits=3),
            Figure(name="accepted", value=loaded.rate, unit="/s"),
            Figure(name="acceptance, p99", value=loaded.p99 * MILLISECONDS, unit="ms", digits=1),
            Figure(name="left to do when the load ended", value=lefts[-1].count, unit=""),
        ),
        notes=(
            f"{rate:g} payments/s offered for {seconds:g} s, {len(merchants)} merchants with an endpoint each, which"
            f" listens to {'everything' if options.all_events else SUCCEEDED}; gateway without latency",
            f"{len(loaded.ids):,} accepted, {len(receipts):,} received; end to end is from the 201 to the receipt",
        ),
        faults=faults,
    )


@asynccontextmanager
async def looking(store: Store) -> AsyncGenerator[list[Left]]:
    """Look now and then how much is left to do, while the block runs and once after it."""
    lefts: list[Left] = []
    ended = asyncio.Event()

    async def look() -> None:
        while not ended.is_set():
            lefts.append(Left(at=time.monotonic(), count=int(await store.value(LEFT))))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await ended.wait()
        lefts.append(Left(at=time.monotonic(), count=int(await store.value(LEFT))))

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        try:
            yield lefts
        finally:
            ended.set()


async def until_received(world: World, loaded: Loaded, seconds: float) -> list[float]:
    """Wait so long for the webhook of each accepted payment; return the sorted waits, infinity for what is late."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and await world.receiver.count() < len(loaded.ids):  # noqa: ASYNC110 - no event here
        await asyncio.sleep(LOOK_SECONDS)
    return waits_of(loaded, await world.receiver.written())


async def lost(store: Store, loaded: Loaded, waits: Sequence[float]) -> list[str]:
    """Return what was lost, in words: payments that are not there, webhooks that nothing is left to bring about."""
    ids = [id for id, _, _ in loaded.ids]
    left = int(await store.value(LEFT))
    there = int(await store.value("SELECT count(*) FROM payments.transactions WHERE id = ANY(%s)", ids))
    faults = [f"{len(ids) - there} accepted payments are not in the store"] if there != len(ids) else []
    missing = sum(math.isinf(wait) for wait in waits)
    if missing and not left:
        faults.append(f"{missing} accepted payments had no webhook, and nothing is left to do")
    return faults


def waits_of(loaded: Loaded, webhooks: Sequence[Webhook]) -> list[float]:
    """Return how long each accepted payment's first webhook took from the answer on, sorted; without one, infinity.

    A webhook that overtakes the answer took no time.
    """
    first = first_receipts(webhooks)
    return sorted(max(0.0, first.get(id, math.inf) - at) for id, _, at in loaded.ids)


def first_receipts(webhooks: Sequence[Webhook]) -> Mapping[str, float]:
    """Return when each transaction's success was first received."""
    receipts: dict[str, float] = {}
    for webhook in webhooks:
        if webhook.type == SUCCEEDED:
            receipts.setdefault(webhook.transaction, webhook.at)
    return receipts


def received_rate(receipts: Sequence[float]) -> float:
    """Return how many came a second between the first and the last; NaN where there are not two."""
    if len(receipts) < 2 or max(receipts) == min(receipts):
        return math.nan
    return (len(receipts) - 1) / (max(receipts) - min(receipts))


def growth_of(lefts: Sequence[Left]) -> float:
    """Return by how many a second the backlog grew: the last quarter of the looks against the second one."""
    quarter = len(lefts) // 4
    if quarter == 0:
        return math.nan
    before, after = lefts[quarter : 2 * quarter], lefts[-quarter:]
    seconds = _mean([left.at for left in after]) - _mean([left.at for left in before])
    return (_mean([left.count for left in after]) - _mean([left.count for left in before])) / seconds


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


async def measure_one_at_a_time(world: World, options: Options, tell: Tell) -> Outcome:
    """Make one payment after the other, each when the one before was told of."""
    merchant = world.merchants[0]
    waits: list[float] = []
    urls = [(merchant, world.receiver.url("/0"))]
    async with whole_service(world, "end_to_end_one", urls, [SUCCEEDED]) as (_, port):
        tell("one payment at a time")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for number in range(options.form.singles + 1):
                headers = {**merchant.headers, "Idempotency-Key": f"single-{number}"}
                begun = time.monotonic()
                await made(client, "/api/transactions/pay", requests.payment(merchant), headers)
                await until(partial(_has_come, world, number + 1))
                waits.append((await world.receiver.written())[-1].at - begun)
                await asyncio.sleep(IDLE_SECONDS)
    timed = sorted(waits[1:])  # the first one finds nothing warm
    return Outcome(
        figures=(
            Figure(
                name="end to end, one payment alone, p50",
                value=share(timed, 0.5) * MILLISECONDS,
                unit="ms",
                target=ONE_P50,
                digits=1,
            ),
            Figure(
                name="end to end, one payment alone, p99", value=share(timed, 0.99) * MILLISECONDS, unit="ms", digits=1
            ),
        ),
        notes=(f"{len(timed)} payments, each alone, from the request to the receipt of {SUCCEEDED}; API, one worker",),
    )


async def _has_come(world: World, count: int) -> bool:
    return await world.receiver.count() >= count


END_TO_END: Final = Case(
    name="end-to-end", what="accepted, processed, `transaction.succeeded` received", measure=measure_end_to_end
)
END_TO_END_ONE: Final = Case(
    name="end-to-end-one", what="one payment on an idle system, end to end", measure=measure_one_at_a_time
)
