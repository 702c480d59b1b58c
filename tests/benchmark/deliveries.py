"""Webhooks: how many one worker delivers to a fast receiver, and whether bad endpoints delay the good ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import httpx

from tests.benchmark.case import Case, Tell
from tests.benchmark.end_to_end import SUCCEEDED, paced, received_rate, waits_of, whole_service
from tests.benchmark.figures import Figure, Outcome, Target, share
from tests.benchmark.loader import Loaded
from tests.benchmark.loading import run_load
from tests.benchmark.merchants import listen
from tests.benchmark.options import Options
from tests.benchmark.pay import errors_of
from tests.benchmark.receiving import FAILS, HANGS, Receiver
from tests.benchmark.seeding import seeded
from tests.benchmark.store import SCHEMA, Store
from tests.benchmark.world import World

RATE: Final = Target(least=2500)
OTHERS_P99: Final = Target(most=1)
LOOK_SECONDS: Final = 0.25
EDGE: Final = 0.1
"""Of the deliveries, at the beginning and at the end, that are not looked at: the worker warms up, and runs dry."""
GOOD: Final = 20
HANGING_RATE: Final = 100.0
"""Payments a second while endpoints hang and fail: a moderate load."""


async def measure_deliveries(world: World, options: Options, tell: Tell) -> Outcome:
    """Have one worker deliver what is pending for all merchants, each with an endpoint."""
    queued = options.form.queued_deliveries
    async with world.store("deliveries") as store:
        tell(f"queueing {queued:,} deliveries")
        async with store.fleet.api() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for number, merchant in enumerate(world.merchants):
                await listen(client, merchant, world.receiver.url(f"/{number}"), [SUCCEEDED])
        await _queue(world, store, queued)
        await world.receiver.forget()
        before = await store.count("deliveries", "status = 'delivered'")
        async with store.fleet.worker():
            tell("delivering them")
            await _until_count(world.receiver, queued, options.form.wait_seconds_max)
            written = await world.receiver.written()
        left = await store.count("deliveries", "status = 'pending'")
        done = await store.count("deliveries", "status = 'delivered'") - before
    came = sorted(webhook.at for webhook in written)
    inner = came[round(len(came) * EDGE) : round(len(came) * (1 - EDGE))]
    again = len(written) - len({webhook.transaction for webhook in written})
    return Outcome(
        figures=(
            Figure(name="deliveries by one worker", value=received_rate(inner), unit="/s", target=RATE),
            Figure(name="delivered", value=len(written), unit=""),
            Figure(name="delivered more than once", value=again, unit=""),
        ),
        notes=(
            f"{queued:,} deliveries of {SUCCEEDED} due, {len(world.merchants)} merchants with an endpoint each;"
            " the first and the last tenth are not looked at",
        ),
        faults=[] if done + left == queued else [f"{queued:,} queued, {done:,} done, {left:,} left"],
    )


async def _queue(world: World, store: Store, queued: int) -> None:
    """Make events like the sample's, and a delivery of each that is due, for all merchants in turn."""
    events, deliveries = await store.columns("events"), await store.columns("deliveries")
    count = len(world.merchants)
    body = f"convert_to(replace(convert_from(s.body, 'UTF8'), s.transaction_id, {seeded('txn', 'n')}), 'UTF8')"
    own_event = {
        "merchant_id": "e.merchant_id",
        "id": seeded("evt", "n"),
        "transaction_id": seeded("txn", "n"),
        "position": f"1 + n / {count}",
        "body": body,
    }
    own_delivery = {
        "merchant_id": "e.merchant_id",
        "endpoint_id": "e.id",
        "id": seeded("dlv", "n"),
        "event_id": seeded("evt", "n"),
        "status": "'pending'",
        "due_at": "now()",
        "tries": "0",
        "attempts": "'[]'",
        "lease_token": "0",
        "lease_expires_at": "NULL",
        "version": "1",
    }
    numbered = (
        f"(SELECT merchant_id, id, row_number() OVER (ORDER BY merchant_id) - 1 AS number FROM {SCHEMA}.endpoints"
        " WHERE merchant_id <> %s) e"
    )
    for table, columns, own in (("events", events, own_event), ("deliveries", deliveries, own_delivery)):
        which = f"s.{'type' if table == 'events' else 'event_type'} = '{SUCCEEDED}'"
        await store.do(
            f"INSERT INTO {SCHEMA}.{table} ({', '.join(columns)})"
            f" SELECT {', '.join(own.get(column, f's.{column}') for column in columns)}"
            f" FROM {SCHEMA}.{table} s, generate_series(0, {queued - 1}) n"
            f" JOIN {numbered} ON e.number = mod(n, {count})"
            f" WHERE s.merchant_id = %s AND {which}",
            world.sample.id,
            world.sample.id,
        )
    await store.do(
        f"UPDATE {SCHEMA}.merchant_revisions r SET events = c.count FROM"
        f" (SELECT merchant_id, count(*) FROM {SCHEMA}.events GROUP BY merchant_id) c"
        " WHERE c.merchant_id = r.merchant_id"
    )
    await store.do("VACUUM ANALYZE")
    await store.do("CHECKPOINT")


async def _until_count(receiver: Receiver, count: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and await receiver.count() < count:  # noqa: ASYNC110 - no event here
        await asyncio.sleep(LOOK_SECONDS)


async def measure_one_hangs(world: World, options: Options, tell: Tell) -> Outcome:
    """Pay for many merchants, of whom one has an endpoint that never answers and one has one that always fails."""
    seconds, merchants = options.form.hanging_seconds, world.merchants[: GOOD + 2]
    bad, good = merchants[:2], merchants[2:]
    urls = [
        *zip(bad, (world.receiver.url(HANGS), world.receiver.url(FAILS)), strict=True),
        *((merchant, world.receiver.url(f"/{number}")) for number, merchant in enumerate(good)),
    ]
    async with whole_service(world, "one_hangs", urls, [SUCCEEDED]) as (store, port):
        tell(f"{HANGING_RATE:g} payments/s for {seconds:g} s")
        load = paced(port, merchants, options, seconds=seconds, rate=HANGING_RATE)
        loaded = await run_load(load, world.folder, own=True)
        others = await _of_merchants(store, loaded, [merchant.id for merchant in good])
        tell("waiting for the last webhooks of the others")
        await _until_count(world.receiver, len(others.ids), options.form.wait_seconds_max)
        waits = waits_of(others, await world.receiver.written())
    return Outcome(
        figures=(
            Figure(name="others' webhooks, p99", value=share(waits, 0.99), unit="s", target=OTHERS_P99, digits=3),
            Figure(name="others' webhooks, p50", value=share(waits, 0.5), unit="s", digits=3),
            Figure(name="others' webhooks, the longest", value=share(waits, 1.0), unit="s", digits=3),
        ),
        notes=(
            f"{HANGING_RATE:g} payments/s for {seconds:g} s of {len(merchants)} merchants: one endpoint never answers,"
            f" one answers 500, {len(waits):,} webhooks of the others, from the 201 to the receipt; API, one worker",
        ),
        faults=errors_of(loaded),
    )


async def _of_merchants(store: Store, loaded: Loaded, merchants: Sequence[str]) -> Loaded:
    """Return the load with the payments of these merchants only."""
    found = await store.rows("SELECT id FROM payments.transactions WHERE merchant_id = ANY(%s)", list(merchants))
    theirs = {id for (id,) in found}
    return replace(loaded, ids=[each for each in loaded.ids if each[0] in theirs])


DELIVERIES: Final = Case(
    name="deliveries", what="webhook deliveries to a fast receiver, one worker", measure=measure_deliveries
)
ONE_HANGS: Final = Case(
    name="one-hangs",
    what="other merchants' deliveries while one endpoint hangs and one fails",
    measure=measure_one_hangs,
)
