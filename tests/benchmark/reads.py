"""Reads: the first page of a long list, and one transaction, as often as 64 connections can ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.benchmark import requests
from tests.benchmark.case import Case, Tell
from tests.benchmark.figures import MILLISECONDS, Figure, Outcome, Target, median
from tests.benchmark.loader import Load, Loaded
from tests.benchmark.loading import loader_name, run_load
from tests.benchmark.options import Options
from tests.benchmark.pay import errors_of
from tests.benchmark.seeding import full_store
from tests.benchmark.world import World

LIST_RATE: Final = Target(least=4000)
ONE_RATE: Final = Target(least=5000)
LIST: Final = "/api/transactions/"
READ_IDS: Final = 100
"""Different transactions that are read in turn: each is asked of the database once, and found in the cache then."""


async def measure_list(world: World, options: Options, tell: Tell) -> Outcome:
    """Read the first page of the merchant with the longest list."""
    loads, stored = await _read(world, options, tell, ids=False)
    return _outcome("list, first page of 20", LIST_RATE, loads, stored, options)


async def measure_one(world: World, options: Options, tell: Tell) -> Outcome:
    """Read single transactions of that merchant."""
    loads, stored = await _read(world, options, tell, ids=True)
    return _outcome(f"one transaction of {READ_IDS}", ONE_RATE, loads, stored, options)


async def _read(world: World, options: Options, tell: Tell, *, ids: bool) -> tuple[Sequence[Loaded], int]:
    form, merchant = options.form, world.merchants[0]
    async with full_store(world, form, tell) as store, store.fleet.api() as port:
        targets = [LIST]
        if ids:
            found = await store.rows(
                "SELECT id FROM payments.transactions WHERE merchant_id = %s ORDER BY id DESC LIMIT %s",
                merchant.id,
                READ_IDS,
            )
            targets = [f"{LIST}{id}/" for (id,) in found]
        stored = await store.count("transactions", f"merchant_id = '{merchant.id}'")
        gets = requests.as_values([requests.get(merchant, target) for target in targets])
        loads: list[Loaded] = []
        for number in range(form.rounds + 1):
            tell("warming up" if number == 0 else f"round {number} of {form.rounds}")
            seconds = form.seconds if number else form.warm_up_seconds
            load = Load(port=port, connections=options.connections, seconds=seconds, status=200, requests=gets)
            loads.append(await run_load(load, world.folder, own=options.own_loader))
    return loads, stored


def _outcome(name: str, target: Target, loads: Sequence[Loaded], stored: int, options: Options) -> Outcome:
    timed = loads[1:]
    return Outcome(
        figures=(
            Figure(name=name, value=median([each.rate for each in timed]), unit="/s", target=target),
            Figure(name=f"{name}, p50", value=median([each.p50 * MILLISECONDS for each in timed]), unit="ms", digits=1),
            Figure(name=f"{name}, p99", value=median([each.p99 * MILLISECONDS for each in timed]), unit="ms", digits=1),
        ),
        notes=(
            f"{options.connections} connections, {loader_name(own=options.own_loader)}; one API process;"
            f" a merchant with {stored:,} transactions; the revision stands still, so that the cache answers;"
            f" medians of {options.form.rounds} of {options.form.seconds:g} s",
        ),
        faults=[fault for each in loads for fault in errors_of(each)],
    )


LIST_CASE: Final = Case(name="list", what="first page of 20 of a merchant with many transactions", measure=measure_list)
ONE_CASE: Final = Case(name="one", what="one transaction", measure=measure_one)
