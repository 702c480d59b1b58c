"""A store that is full: the sample's rows again and again, in all tables that a payment leaves rows in.

Each of these payments has gone its whole way: a succeeded transaction, its three events, its attempt, a webhook that
was delivered, and the answer that is kept for its key. Their ids sort by number, below those that are made now. Their
events are spread over a year, a day each in turn: the database makes daily totals of them as they are written.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import psycopg

from adapters.postgres.mapping import endpoint_context
from adapters.security.vault import AeadVault
from entrypoints.secret import Secret
from entrypoints.wiring.services import keys_of
from payments_core.webhook import SECRET_BYTES, make_secret
from tests.benchmark.case import Tell
from tests.benchmark.options import Form
from tests.benchmark.store import SCHEMA, Store
from tests.benchmark.world import World
from tests.processes import SECRET_KEY

FULL: Final = "full"
BATCH_ROWS: Final = 50_000
"""Of transactions at once: the progress is seen, and no commit is large."""
BYTES_EACH: Final = 8_000
"""That one payment takes in all tables and indices, rounded up."""
BYTES_LEFT: Final = 4 * 2**30
"""For the write-ahead log and everything else."""
FILLERS: Final = 2
"""Connections that fill at the same time."""
SEEDED_MERCHANTS: Final = 20
DAYS: Final = 365

EVENTS: Final = ("transaction.created", "transaction.processing", "transaction.succeeded")


def seeded(prefix: str, number: str) -> str:
    """Return SQL for the id of a number, which is SQL too."""
    return f"'{prefix}_' || lpad(({number})::text, 26, '0')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What is copied of a table: which of the sample's rows, and the values that each copy has of its own.

    In these, `n` is the payment's number, and `m` has its merchant's `id`, that one's `endpoint`, and the payment's
    `place` among the merchant's.
    """

    table: str
    which: str
    own: Mapping[str, str]


_TRANSACTION: Final = seeded("txn", "n")
COPIES: Final = (
    Copy(table="transactions", which="true", own={"id": _TRANSACTION}),
    Copy(table="attempts", which="true", own={"id": seeded("att", "n"), "transaction_id": _TRANSACTION}),
    Copy(
        table="idempotency_records",
        which="true",
        own={"key": "'seeded-' || n", "resource": _TRANSACTION},
    ),
    *(
        Copy(
            table="events",
            which=f"type = '{type}'",
            own={
                "id": seeded("evt", f"n * {len(EVENTS)} + {place}"),
                "transaction_id": _TRANSACTION,
                "at": f"s.at - make_interval(days => mod(n, {DAYS}))",
                "position": f"m.place * {len(EVENTS)} + {place + 1}",
            },
        )
        for place, type in enumerate(EVENTS)
    ),
    Copy(
        table="deliveries",
        which="true",
        own={
            "id": seeded("dlv", "n"),
            "endpoint_id": "m.endpoint",
            "event_id": seeded("evt", f"n * {len(EVENTS)} + {len(EVENTS) - 1}"),
        },
    ),
)


@asynccontextmanager
async def full_store(world: World, form: Form, tell: Tell) -> AsyncGenerator[Store]:
    """Have the store that is full. It is filled once in a run; its cases do not mind what others leave in it."""
    if FULL not in world.kept:
        async with world.store(FULL, keep=True) as store:
            await _fill(world, store, form, tell)
    async with world.opened(FULL) as store:
        yield store


async def _fill(world: World, store: Store, form: Form, tell: Tell) -> None:
    free, needed = shutil.disk_usage(world.folder).free, form.stored * BYTES_EACH + BYTES_LEFT
    if free < needed:
        gibibytes = f"{free / 2**30:.0f} GiB are free where TMPDIR is, and {needed / 2**30:.0f} are needed"
        raise OSError(f"{gibibytes} for a store with {form.stored:,} payments: --stored takes fewer")
    await store.do(*_endpoints(world, await store.columns("endpoints")))
    await _seal_secrets(store)
    columns = {copy.table: await store.columns(copy.table) for copy in COPIES}
    batches = iter(range(0, form.stored, BATCH_ROWS))

    async def fill() -> None:
        async with await psycopg.AsyncConnection.connect(store.dsn, autocommit=True) as connection:
            own = replace(store, connection=connection)
            await own.do("SET synchronous_commit = off")
            for begin in batches:
                end = min(begin + BATCH_ROWS, form.stored)
                tell(f"filling a store, {begin:,} of {form.stored:,} payments")
                for copy in COPIES:
                    await own.do(_statement(world, copy, columns[copy.table], begin, end, form), world.sample.id)

    await asyncio.gather(*(fill() for _ in range(FILLERS)))
    tell("counting and vacuuming it")
    await store.do(
        f"UPDATE {SCHEMA}.merchant_revisions r SET events = c.count, revision = r.revision + c.count"
        f" FROM (SELECT merchant_id, count(*) FROM {SCHEMA}.events GROUP BY merchant_id) c"
        " WHERE c.merchant_id = r.merchant_id AND c.merchant_id <> %s",
        world.sample.id,
    )
    await store.do("VACUUM ANALYZE")
    await store.do("CHECKPOINT")


def _endpoints(world: World, columns: list[str]) -> tuple[str, list[str], str]:
    """Return the insert of an endpoint for each merchant: deliveries have been made to it, and none will be."""
    own = {"merchant_id": "m.id", "id": seeded("whk", "m.n"), "enabled": "false"}
    statement = (
        f"INSERT INTO {SCHEMA}.endpoints ({', '.join(columns)})"
        f" SELECT {', '.join(own.get(column, f's.{column}') for column in columns)}"
        f" FROM {SCHEMA}.endpoints s, unnest(%s::text[]) WITH ORDINALITY m(id, n) WHERE s.merchant_id = %s"
    )
    return statement, [merchant.id for merchant in world.merchants[:SEEDED_MERCHANTS]], world.sample.id


async def _seal_secrets(store: Store) -> None:
    """Give each endpoint a secret that the service can open: what is sealed is bound to the endpoint's id."""
    vault = AeadVault(keys_of(Secret(SECRET_KEY)).derive("vault"), entropy=os.urandom)
    for (id,) in await store.rows(f"SELECT id FROM {SCHEMA}.endpoints WHERE id LIKE 'whk\\_0000%'"):
        sealed = vault.seal(make_secret(os.urandom(SECRET_BYTES)).encode(), context=endpoint_context(id))
        await store.do(f"UPDATE {SCHEMA}.endpoints SET secret_sealed = %s WHERE id = %s", sealed, id)


def _statement(world: World, copy: Copy, columns: list[str], begin: int, end: int, form: Form) -> str:
    """Return the insert of a batch: each so manieth payment is the first merchant's, the others' take turns."""
    own = {"merchant_id": "m.id", **copy.own}
    values = ", ".join(own.get(column, f"s.{column}") for column in columns)
    period, others = form.stored // form.stored_of_one, SEEDED_MERCHANTS - 1
    ids = ", ".join(f"'{merchant.id}'" for merchant in world.merchants[:SEEDED_MERCHANTS])
    return (
        f"INSERT INTO {SCHEMA}.{copy.table} ({', '.join(columns)}) SELECT {values}"
        f" FROM {SCHEMA}.{copy.table} s, generate_series({begin}, {end - 1}) n,"
        f" LATERAL (SELECT mod(n, {period}) = 0 AS first, n - n / {period} - 1 AS other) t,"
        f" LATERAL (SELECT CASE WHEN first THEN 1 ELSE 2 + mod(other, {others}) END AS number,"
        f" CASE WHEN first THEN n / {period} ELSE other / {others} END AS place) p,"
        f" LATERAL (SELECT (ARRAY[{ids}])[p.number] AS id, {seeded('whk', 'p.number')} AS endpoint, p.place) m"
        f" WHERE s.merchant_id = %s AND {copy.which.replace('type', 's.type')}"
    )
