"""A campaign from its first process to the evidence: load, faults, healing, and reading what there is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos import books
from tests.chaos.clients import Clients
from tests.chaos.decks import Deck, Tally
from tests.chaos.evidence import Evidence
from tests.chaos.faults import Faults
from tests.chaos.kinds import RECEPTIONS, SCRIPTED, Kind
from tests.chaos.options import Options
from tests.chaos.plan import Plan, make_plan
from tests.chaos.progress import Progress
from tests.chaos.redis_away import take_away
from tests.chaos.world import DELIVERY_SCHEDULE, SHOPS, World, running_world
from tests.processes import run

LOOK_SECONDS: Final = 0.2
TELL_SECONDS_MAX: Final = 60.0
"""After the last fault, for clients to be told of what they still ask."""
HEAL_SECONDS_MAX: Final = 240.0
"""After the last fault, for everything to be done."""
STRAGGLERS_SHARE: Final = 1.0
"""Of the campaign's minutes, in addition, for dealt faults that were not dealt by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a campaign left behind. `away` is when Redis was stopped, where that was the campaign."""

    evidence: Evidence
    planned: Mapping[Kind, int]
    tally: Tally
    seconds: float
    heal_seconds: float
    away: tuple[float, float] | None = None


async def run_campaign(options: Options, folder: Path) -> Outcome:
    """Run the campaign of these options in a folder, and return what came of it."""
    begun = time.monotonic()
    planned = dict.fromkeys(Kind, 0) if options.redis_away else options.counts
    plan = make_plan(options.seed, planned, seconds=options.form.minutes * 60, receivers=SHOPS)
    tally, receptions, methods = Tally(), Deck(plan.receptions), Deck(plan.methods)
    async with running_world(folder, receptions, tally) as world:
        clients = Clients(world.apis, world.shops, methods, tally, options.seed)
        progress = Progress(planned, tally, lambda: clients.accepted)
        async with asyncio.TaskGroup() as shown:
            showing = shown.create_task(progress.show())
            progress.phase = "breaking"
            receptions.begin()
            methods.begin()
            away = await _break(options, plan, planned, world, clients, tally)
            last_fault_at = time.monotonic()
            progress.phase = "healing"
            receptions.throw_away()
            await books.until_nothing_is_due(world.postgres.dsn, HEAL_SECONDS_MAX)
            heal_seconds = time.monotonic() - last_fault_at
            progress.phase = "judging"
            evidence = await _evidence(world, clients, planned, tally)
            showing.cancel()
        return Outcome(
            evidence=evidence,
            planned=planned,
            tally=tally,
            seconds=time.monotonic() - begun,
            heal_seconds=heal_seconds,
            away=away,
        )


async def _break(
    options: Options, plan: Plan, planned: Mapping[Kind, int], world: World, clients: Clients, tally: Tally
) -> tuple[float, float] | None:
    """Commit all faults under load; return when Redis was away, where that is the campaign.

    The load ends after the last fault, and when each client was told what it still asked for.
    """
    form, ended = options.form, asyncio.Event()
    async with asyncio.TaskGroup() as load:
        asking = [
            load.create_task(clients.act(number, form.pause_seconds, ended.is_set)) for number in range(form.clients)
        ]
        away = await take_away(world.valkey, form.minutes * 60) if options.redis_away else None
        faults = Faults(
            plan,
            tally,
            fleet=world.fleet,
            postgres=world.postgres,
            valkey=world.valkey,
            receivers={name: shop.unreliable for name, shop in world.shops.items()},
        )
        await faults.commit()
        await _until_dealt(planned, tally, form.minutes * 60 * STRAGGLERS_SHARE)
        ended.set()
        await asyncio.wait(asking, timeout=TELL_SECONDS_MAX)
        for each in asking:
            each.cancel()
    return away


async def _until_dealt(planned: Mapping[Kind, int], tally: Tally, seconds: float) -> None:
    """Wait until the faults that are dealt to payments and webhooks have come to be, at most so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if all(tally.done[kind] >= planned[kind] for kind in (*RECEPTIONS, *SCRIPTED)):
            return
        await asyncio.sleep(LOOK_SECONDS)


async def _evidence(world: World, clients: Clients, planned: Mapping[Kind, int], tally: Tally) -> Evidence:
    dsn, api, shops = world.postgres.dsn, world.apis[0], list(world.shops.values())
    return Evidence(
        asks=clients.asks,
        reads=clients.reads,
        stale_reads=clients.stale_reads,
        endpoints={r.endpoint: shop.merchant for shop in shops for r in (shop.steady, shop.unreliable)},
        received=world.book.received,
        forged=world.book.forged,
        differing=world.book.differing,
        entries=await books.read_entries(dsn),
        transactions=[each for shop in shops for each in await books.shown_transactions(api, shop)],
        refunds=[each for shop in shops for each in await books.shown_refunds(api, shop)],
        events={shop.merchant: await books.shown_events(api, shop) for shop in shops},
        positions=await books.read_positions(dsn),
        deliveries=await books.read_deliveries(dsn),
        jobs=await books.read_jobs(dsn),
        tries_max=len(DELIVERY_SCHEDULE),
        started=world.fleet.started,
        ended_alone=world.fleet.ended_alone,
        unverified=await _unverified(world),
        planned=sum(planned.values()),
        left_undone=[
            f"{kind.value}: {tally.done[kind]} of {count}"
            for kind, count in planned.items()
            if tally.done[kind] < count
        ],
    )


async def _unverified(world: World) -> list[str]:
    """Ask the service itself; return what it says where it finds something wrong."""
    verified = await asyncio.to_thread(run, "verify", settings=world.settings, cwd=world.folder)
    return (verified.stdout + verified.stderr).splitlines() if verified.returncode else []
