"""Doing what the plan says: one lane for each victim, so that its faults never overlap and all others go on."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Final

import psycopg
from redis.asyncio import Redis

from adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.chaos.decks import Tally
from tests.chaos.fleet import Fleet, Slot
from tests.chaos.kinds import Kind
from tests.chaos.plan import POSTGRES, REDIS, Plan, Step
from tests.chaos.receivers import Receiver

CONNECTIONS_CUT_MAX: Final = 6
BREATH_SECONDS: Final = 4.0
"""At most, between the return of a victim and its next fault, where that is late already: on a machine on which a
process takes long to start, none would do any work otherwise."""
DOWN_SECONDS: Final = 0.02

CUT: Final = """
SELECT pg_terminate_backend(pid) FROM (
    SELECT pid FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> 'chaos'
    ORDER BY random() LIMIT %s
) AS chosen
"""


class Faults:
    """Commits the faults of a plan that have a moment."""

    def __init__(
        self,
        plan: Plan,
        tally: Tally,
        *,
        fleet: Fleet,
        postgres: EmbeddedPostgres,
        valkey: EmbeddedValkey,
        receivers: Mapping[str, Receiver],
    ) -> None:
        self._plan = plan
        self._tally = tally
        self._fleet = fleet
        self._postgres = postgres
        self._valkey = valkey
        self._receivers = receivers
        self._chance = random.Random(plan.seed + 1)

    async def commit(self) -> None:
        """Commit all of them; return after the last."""
        begun = time.monotonic()
        async with asyncio.TaskGroup() as lanes:
            for victim, steps in self._plan.lanes().items():
                lanes.create_task(self._lane(victim, steps, begun))

    async def _lane(self, victim: str, steps: Sequence[Step], begun: float) -> None:
        for step in steps:
            if victim in self._fleet.slots:
                await self._fleet.slots[victim].ready()
            late = time.monotonic() - begun - step.at
            await asyncio.sleep(-late if late < 0 else self._chance.uniform(0, BREATH_SECONDS))
            if victim == POSTGRES:
                await self._hurt_postgres(step)
            elif victim == REDIS:
                await self._hurt_redis(step)
            elif victim in self._receivers:
                await self._receivers[victim].refuse()
                await asyncio.sleep(step.seconds)
                await self._receivers[victim].listen()
            else:
                await _hurt_process(self._fleet.slots[victim], step)
            self._tally.count(step.kind)

    async def _hurt_postgres(self, step: Step) -> None:
        if step.kind is Kind.CONNECTIONS_CUT:
            connection = await psycopg.AsyncConnection.connect(
                self._postgres.dsn, autocommit=True, application_name="chaos"
            )
            async with connection:
                await connection.execute(CUT, [self._chance.randint(1, CONNECTIONS_CUT_MAX)])
            return
        process_id = self._postgres.process_id
        assert process_id is not None, "Postgres ended by itself"
        os.kill(process_id, signal.SIGQUIT)  # what `pg_ctl stop -m immediate` sends: no checkpoint, no farewell
        while self._postgres.process_id is not None:  # noqa: ASYNC110 - a process's end sets no event
            await asyncio.sleep(DOWN_SECONDS)
        await self._postgres.stop()  # gives its directory back
        await asyncio.sleep(step.seconds)
        await self._postgres.start()

    async def _hurt_redis(self, step: Step) -> None:
        match step.kind:
            case Kind.REDIS_FLUSHED:
                async with Redis.from_url(self._valkey.url) as client:
                    await client.flushall()
            case Kind.REDIS_FROZEN:
                process_id = self._valkey.process_id
                assert process_id is not None, "Valkey ended by itself"
                os.kill(process_id, signal.SIGSTOP)
                await asyncio.sleep(step.seconds)
                os.kill(process_id, signal.SIGCONT)
            case _:
                await self._valkey.stop()
                await asyncio.sleep(step.seconds)
                await self._valkey.start()


async def _hurt_process(slot: Slot, step: Step) -> None:
    match step.kind:
        case Kind.API_KILLED | Kind.WORKER_KILLED:
            await slot.end(signal.SIGKILL)
        case Kind.API_ENDED | Kind.WORKER_ENDED:
            await slot.end(signal.SIGTERM)
        case _:
            slot.send(signal.SIGSTOP)
            await asyncio.sleep(step.seconds)
            slot.send(signal.SIGCONT)
