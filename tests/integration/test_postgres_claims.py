"""Claims on Postgres: what cannot be read stops nobody else's work, long queues cost little, whose turn it is."""

import logging
import os
import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import ClauseElement, Executable, Select, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from adapters.memory import MemoryStore
from adapters.postgres import PostgresStore
from adapters.postgres.turns import due_deliveries, parameters
from adapters.security.vault import AeadVault
from payments_core.ids import DeliveryId, delivery_id
from payments_core.job import Job
from payments_core.ports import Room
from payments_core.testing.builders import NOW, SECOND, a_job, a_merchant, a_room, a_transaction, an_endpoint, an_event
from payments_core.testing.subject import Shop, open_shop, put
from payments_core.webhook import Delivery, DeliveryAttempt, DeliveryStatus
from tests.integration.plans import Said, hearing, pages, plans

LEASE = timedelta(seconds=60)
LATER = NOW + LEASE + SECOND
CLAIMS = "adapters.postgres.claims"


@pytest.fixture
def store(engine: AsyncEngine) -> PostgresStore:
    return PostgresStore(engine, vault=AeadVault([b"k" * 32], entropy=os.urandom))


async def _break(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def _delivery(store: PostgresStore, shop: Shop) -> DeliveryId:
    """Store an endpoint with a delivery that is due, and return its id."""
    endpoint = an_endpoint(shop.merchant)
    await put(store, endpoint)
    event = an_event(shop.merchant, only=endpoint, at=NOW)
    await put(store, event)
    return delivery_id(event.id, endpoint.id)


async def _claim_deliveries(store: PostgresStore, at: datetime, *, limit: int = 100) -> list[Delivery]:
    claimed = await store.claims.claim_deliveries(at=at, room=a_room(limit=limit), lease=LEASE)
    return [each.delivery for each in claimed]


async def _deliver(store: PostgresStore, delivery: Delivery) -> None:
    attempt = DeliveryAttempt(number=1, at=NOW, milliseconds=1, status_code=200)
    async with store.begin() as work:
        work.deliveries.save(delivery.deliver(attempt))
    async with store.begin() as work:
        read = await work.deliveries.get(delivery.merchant, delivery.endpoint, delivery.id)
    assert read.status is DeliveryStatus.DELIVERED


async def _claim_jobs(store: PostgresStore, at: datetime, *, limit: int = 100) -> list[Job]:
    return list(await store.claims.claim_jobs(at=at, limit=limit, lease=LEASE))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payments.endpoints SET secret_sealed = 'sealed by a key that is lost' WHERE merchant_id = '{merchant}'",
        "UPDATE payments.endpoints SET old_secrets_sealed = 'torn' WHERE merchant_id = '{merchant}'",
        "UPDATE payments.deliveries SET event_type = 'of.a.later.version' WHERE merchant_id = '{merchant}'",
        "UPDATE payments.deliveries SET attempts = '[{{}}]' WHERE merchant_id = '{merchant}'",
    ],
)
async def test_a_delivery_that_cannot_be_read_stops_nobody_elses(
    store: PostgresStore, engine: AsyncEngine, caplog: pytest.LogCaptureFixture, statement: str
) -> None:
    broken, sound = await open_shop(store), await open_shop(store)
    bad, other_bad, good = [await _delivery(store, shop) for shop in (broken, broken, sound)]
    await _break(engine, statement.format(merchant=broken.merchant.id))
    with caplog.at_level(logging.ERROR, CLAIMS):
        (claimed,) = await _claim_deliveries(store, NOW)
    assert claimed.id == good
    (record,) = caplog.records
    assert bad in record.getMessage()
    assert other_bad in record.getMessage()
    assert not any(held in caplog.text for held in ("sealed", "torn", "later.version", "example.com"))
    await _deliver(store, claimed)
    assert await _claim_deliveries(store, NOW) == [], "what cannot be read waits for its lease to run out"


async def test_a_delivery_that_can_be_read_again_is_claimed_when_its_lease_has_run_out(
    store: PostgresStore, engine: AsyncEngine
) -> None:
    delivery = await _delivery(store, await open_shop(store))
    await _break(engine, "UPDATE payments.deliveries SET event_type = 'of.a.later.version'")
    assert await _claim_deliveries(store, NOW) == []
    await _break(engine, "UPDATE payments.deliveries SET event_type = 'transaction.created'")
    (claimed,) = await _claim_deliveries(store, LATER)
    assert claimed.id == delivery


async def test_jobs_of_a_kind_that_is_not_known_are_left_to_those_who_know_it(
    store: PostgresStore, engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    shop = await open_shop(store)
    transactions = [a_transaction(shop.key) for _ in range(3)]
    later, *known = [a_job(transaction, due_at=NOW) for transaction in transactions]
    await put(store, *transactions, later, *known)
    changed = "kind = 'of_a_later_version', due_at = due_at - interval '1 day'"
    await _break(
        engine,
        "ALTER TABLE payments.jobs DROP CONSTRAINT ck_jobs_kind",
        f"UPDATE payments.jobs SET {changed} WHERE id = '{later.id}'",
    )
    claimed = await _claim_jobs(store, NOW, limit=2)
    assert [job.id for job in claimed] == [job.id for job in known], "it takes nobody's place"
    for job in claimed:
        async with store.begin() as work:
            work.jobs.done(job)
    assert await _claim_jobs(store, LATER) == []
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT id, lease_token FROM payments.jobs"))).all()
    assert [tuple(row) for row in rows] == [(later.id, 0)]
    assert not caplog.records


@pytest.mark.parametrize("analyzed", [False, True])
async def test_a_claim_looks_at_a_few_pages_however_many_jobs_others_hold(
    store: PostgresStore, engine: AsyncEngine, database_url: str, analyzed: bool
) -> None:
    shop = await open_shop(store)
    transaction = a_transaction(shop.key)
    free = a_job(transaction, due_at=NOW)
    await put(store, transaction, free)
    keys = "merchant_id, id || number, livemode, kind, subject"
    await _break(
        engine,
        f"INSERT INTO payments.jobs SELECT {keys}, due_at - number * interval '1 millisecond', created_at, failures,"
        " last_error, dead_at, 1, due_at + interval '30 seconds', request_id"
        " FROM payments.jobs, generate_series(1, 20000) AS number",
    )
    if analyzed:
        await _break(engine, "ANALYZE payments.jobs")
    said: list[Said] = []
    with hearing(engine, said):
        claimed = await _claim_jobs(store, NOW)
    assert [job.id for job in claimed] == [free.id]
    await store.claims.release(claimed, [])
    with psycopg.connect(make_url(database_url).set(drivername="postgresql").render_as_string(False)) as connection:
        looked_at = [pages(plan) for plan in plans(connection, said[0])]
    assert max(looked_at) < 200, "twenty thousand rows lie on many hundred pages"


# ── whose turn it is ──────────────────────────────────────────────────────────────────────────────────────────────────


class _Explained(Executable, ClauseElement):
    """How a statement was run, as JSON."""

    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(_Explained)
def _explained(explained: _Explained, compiler: SQLCompiler, **more: Any) -> str:
    return "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + compiler.process(explained.statement, **more)


@pytest.mark.parametrize("analyzed", [False, True])
async def test_a_claim_looks_at_a_few_pages_however_long_an_endpoints_queue_is(
    store: PostgresStore, engine: AsyncEngine, analyzed: bool
) -> None:
    shop = await open_shop(store)
    await _delivery(store, shop)
    keys = "merchant_id, endpoint_id, id || number, livemode, event_id, event_type, status, created_at, updated_at"
    await _break(
        engine,
        f"INSERT INTO payments.deliveries SELECT {keys}, due_at - number * interval '1 second', tries, attempts,"
        " lease_token, lease_expires_at, version FROM payments.deliveries, generate_series(1, 20000) AS number",
    )
    if analyzed:
        await _break(engine, "ANALYZE payments.deliveries, payments.endpoints")
    room = a_room(limit_each=10)
    async with engine.connect() as connection:
        explained = _Explained(select(due_deliveries()))
        [plan] = (await connection.execute(explained, {"at": NOW, **parameters(room)})).scalar_one()
    top = plan["Plan"]
    assert top["Actual Rows"] == 10
    assert top["Shared Hit Blocks"] + top["Shared Read Blocks"] < 200, "twenty thousand rows lie on many hundred pages"


@pytest.mark.parametrize("seed", range(10))
async def test_memory_and_postgres_choose_the_same(store: PostgresStore, seed: int) -> None:
    chance, memory = random.Random(seed), MemoryStore()
    merchants = [a_merchant() for _ in range(4)]
    endpoints = [
        replace(an_endpoint(merchant), failing_since=NOW if chance.random() < 0.5 else None)
        for merchant in merchants
        for _ in range(chance.randint(1, 4))
    ]
    # No two are due at the same time: whose turn it is then is nobody's promise.
    seconds = iter(chance.sample(range(-20, 300), 200))
    events = [
        an_event(merchant, only=endpoint, at=NOW - next(seconds) * SECOND)
        for merchant in merchants
        for endpoint in endpoints
        if merchant.id == endpoint.merchant
        for _ in range(chance.randint(0, 8))
    ]
    for each in (memory, store):
        await put(each, *merchants)
        await put(each, *endpoints)
        await put(each, *events)
    for _ in range(10):
        room = Room(
            limit=chance.randint(1, 12),
            limit_failing=chance.randint(0, 5),
            limit_each=chance.randint(1, 4),
            limit_each_failing=chance.randint(1, 3),
            limit_each_merchant=chance.randint(1, 8),
            under_way={(each.merchant, each.id): chance.randint(1, 4) for each in endpoints if chance.random() < 0.3},
        )
        claims = [await each.claims.claim_deliveries(at=NOW, room=room, lease=LEASE) for each in (memory, store)]
        chosen = [[one.delivery.id for one in claimed] for claimed in claims]
        assert chosen[0] == chosen[1], room
