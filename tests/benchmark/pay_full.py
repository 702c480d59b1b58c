"""`POST pay` on a store that is full, against the same on an empty one, in turn."""

from __future__ import annotations

from typing import Final

from tests.benchmark.case import Case, Tell
from tests.benchmark.figures import Figure, Outcome, Target, median
from tests.benchmark.loading import loader_name
from tests.benchmark.options import Options
from tests.benchmark.pay import Paying
from tests.benchmark.seeding import full_store
from tests.benchmark.world import World

RATIO: Final = Target(least=0.9)


async def measure_full(world: World, options: Options, tell: Tell) -> Outcome:
    """Pay on both stores in turn, for one merchant: in the full store the one with the most transactions."""
    form, merchants = options.form, world.merchants[:1]
    rates: dict[str, list[float]] = {"empty": [], "full": []}
    faults: list[str] = []
    counted: list[str] = []
    async with (
        full_store(world, form, tell) as full,
        world.store("pay_empty") as empty,
        full.fleet.api() as full_port,
        empty.fleet.api() as empty_port,
    ):
        stored = await full.count("transactions")
        both = {
            "empty": Paying(world, options, empty, empty_port),
            "full": Paying(world, options, full, full_port),
        }
        for name, paying in both.items():
            tell(f"warming up the {name} store")
            await paying.load(merchants, form.warm_up_seconds, options.connections)
        for number in range(form.rounds):
            for name, paying in both.items():
                tell(f"round {number + 1} of {form.rounds}: the {name} store")
                rates[name].append((await paying.load(merchants, form.seconds, options.connections)).rate)
        for name, paying in both.items():
            counted.append(f"{name} store: {await paying.count()}")
            faults += paying.faults
    full_rate, empty_rate = median(rates["full"]), median(rates["empty"])
    return Outcome(
        figures=(
            Figure(name="full store ÷ empty store", value=full_rate / empty_rate, unit="x", target=RATIO, digits=2),
            Figure(name=f"pay, {stored:,} transactions in the store", value=full_rate, unit="/s"),
            Figure(name="pay, empty store", value=empty_rate, unit="/s"),
        ),
        notes=(
            f"{options.connections} connections, {loader_name(own=options.own_loader)}; one API process for each store;"
            f" medians of {form.rounds} of {form.seconds:g} s in turn; {form.stored_of_one:,} of the transactions are"
            " the merchant's that is paid",
            *counted,
        ),
        faults=faults,
    )


PAY_FULL: Final = Case(name="pay-full", what="`POST pay` with many transactions in the store", measure=measure_full)
