"""`POST pay`: accepted and durable. No worker runs, so that it is acceptance alone that is measured."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from tests.benchmark import requests
from tests.benchmark.case import Case, Tell
from tests.benchmark.figures import MILLISECONDS, Figure, Outcome, Target, median
from tests.benchmark.floor import run_floor, write_script
from tests.benchmark.loader import Load, Loaded
from tests.benchmark.loading import loader_name, run_load
from tests.benchmark.merchants import Merchant
from tests.benchmark.options import Options
from tests.benchmark.store import SCHEMA, Store
from tests.benchmark.world import World

RATE: Final = Target(least=5000)
FLOOR_RATIO: Final = Target(least=0.8)
P99: Final = Target(most=40)
ONE_P50: Final = Target(most=2)

# Of which tables' rows a payment's acceptance writes one, whatever is done with it later.
ONE_EACH: Final[Mapping[str, str]] = {
    "transactions": "transactions",
    "idempotency records": "idempotency_records",
    "first events": "events WHERE type = 'transaction.created'",
}


class Paying:
    """Payments on one store, counted, so that what was answered can be held against what is there."""

    def __init__(self, world: World, options: Options, store: Store, port: int) -> None:
        self._world = world
        self._options = options
        self._store = store
        self._port = port
        self._answered = 0
        self._unfinished_max = 0
        self._before: Mapping[str, int] | None = None
        self.faults: list[str] = []

    async def load(
        self, merchants: Sequence[Merchant], seconds: float, connections: int, *, own_loader: bool = False
    ) -> Loaded:
        """Pay for so long."""
        if self._before is None:
            self._before = await self._written()
        await self._store.do("CHECKPOINT")
        load = Load(
            port=self._port,
            connections=connections,
            seconds=seconds,
            status=201,
            requests=requests.as_values([requests.pay(merchant) for merchant in merchants]),
            key=secrets.token_hex(8),
        )
        loaded = await run_load(load, self._world.folder, own=own_loader or self._options.own_loader)
        self._answered += loaded.answered
        self._unfinished_max += loaded.unfinished_max
        self.faults += errors_of(loaded)
        return loaded

    async def count(self) -> str:
        """Hold the answers against the rows; return what was found, in words."""
        assert self._before is not None, "nothing was paid"
        written = {what: count - self._before[what] for what, count in (await self._written()).items()}
        stored = written["transactions"]
        said = f"{self._answered:,} answers of 201, {stored:,} transactions in the store"
        if self._unfinished_max:
            said += f" ({self._unfinished_max} requests at most were cut off by the loader after they were sent)"
        if not self._answered <= stored <= self._answered + self._unfinished_max:
            self.faults.append(f"as many transactions as answers must be there: {said}")
        if len(set(written.values())) != 1:
            self.faults.append(f"each payment has one of each: {written}")
        return said

    async def _written(self) -> Mapping[str, int]:
        """Return how many rows there are of which each payment writes one, all at one moment."""
        counts = ", ".join(f"(SELECT count(*) FROM {SCHEMA}.{table})" for table in ONE_EACH.values())
        ((*found,),) = await self._store.rows(f"SELECT {counts}")
        return dict(zip(ONE_EACH, map(int, found), strict=True))


def errors_of(loaded: Loaded) -> list[str]:
    """Return what went wrong in a load, in words."""
    return [f"{loaded.errors} errors: {'; '.join(loaded.shown_errors)}"] if loaded.errors else []


async def measure_pay(world: World, options: Options, tell: Tell) -> Outcome:
    """Pay and pgbench in turn, for one merchant (or some) and for all."""
    form, connections = options.form, options.connections
    script = write_script(world)
    few = world.merchants[: options.merchants]
    named = "one merchant" if options.merchants == 1 else f"{options.merchants} merchants"
    hot: list[Loaded] = []
    spread: list[Loaded] = []
    floors: list[float] = []
    async with world.store("pay") as store, world.store("floor") as floor_store, store.fleet.api() as port:
        paying = Paying(world, options, store, port)
        tell("warming up")
        await paying.load(world.merchants, form.warm_up_seconds, connections)
        for number in range(form.rounds):
            round_of = f"round {number + 1} of {form.rounds}"
            tell(f"{round_of}: pgbench")
            await floor_store.do("CHECKPOINT")
            floor = await run_floor(floor_store, script, connections=connections, seconds=form.seconds, number=number)
            floors.append(floor.rate)
            tell(f"{round_of}: {named}")
            hot.append(await paying.load(few, form.seconds, connections))
            tell(f"{round_of}: {len(world.merchants)} merchants")
            spread.append(await paying.load(world.merchants, form.seconds, connections))
        counted = await paying.count()
    rate, many, floor_rate = (median(values) for values in (_rates(hot), _rates(spread), floors))
    return Outcome(
        figures=(
            Figure(name=f"pay, {named}", value=rate, unit="/s", target=RATE),
            Figure(name="pay ÷ pgbench", value=rate / floor_rate, unit="x", target=FLOOR_RATIO, digits=2),
            Figure(name="pay, p99", value=_p99(hot), unit="ms", target=P99, digits=1),
            Figure(name="pay, p50", value=_p50(hot), unit="ms", digits=1),
            Figure(name=f"pay, {len(world.merchants)} merchants", value=many, unit="/s"),
            Figure(
                name=f"pay, {len(world.merchants)} merchants ÷ pgbench", value=many / floor_rate, unit="x", digits=2
            ),
            Figure(name=f"pay, {len(world.merchants)} merchants, p99", value=_p99(spread), unit="ms", digits=1),
            Figure(name="pgbench, the same rows, one transaction each", value=floor_rate, unit="/s"),
        ),
        notes=(
            f"{connections} connections, {loader_name(own=options.own_loader)}; one API process, no worker;"
            f" medians of {form.rounds} of {form.seconds:g} s in turn",
            f"pgbench -M prepared -c {connections} -j 2, a merchant for each client",
            counted,
        ),
        faults=paying.faults,
    )


async def measure_one_connection(world: World, options: Options, tell: Tell) -> Outcome:
    """Pay on one connection."""
    form = options.form
    async with world.store("pay_one") as store, store.fleet.api() as port:
        paying = Paying(world, options, store, port)
        tell("warming up")
        await paying.load(world.merchants[:1], form.warm_up_seconds, 1, own_loader=True)
        tell("one connection")
        loaded = await paying.load(world.merchants[:1], form.seconds, 1, own_loader=True)
        counted = await paying.count()
    return Outcome(
        figures=(
            Figure(name="pay, one connection, p50", value=_p50([loaded]), unit="ms", target=ONE_P50, digits=2),
            Figure(name="pay, one connection, p99", value=_p99([loaded]), unit="ms", digits=2),
        ),
        notes=(f"{loader_name(own=True)}, {form.seconds:g} s", counted),
        faults=paying.faults,
    )


def _rates(loads: Sequence[Loaded]) -> list[float]:
    return [loaded.rate for loaded in loads]


def _p50(loads: Sequence[Loaded]) -> float:
    return median([loaded.p50 * MILLISECONDS for loaded in loads])


def _p99(loads: Sequence[Loaded]) -> float:
    return median([loaded.p99 * MILLISECONDS for loaded in loads])


PAY: Final = Case(name="pay", what="`POST pay`, accepted and durable, one API process", measure=measure_pay)
PAY_ONE: Final = Case(name="pay-one", what="`POST pay` on one connection", measure=measure_one_connection)
