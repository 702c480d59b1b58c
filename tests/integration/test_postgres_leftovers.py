"""What has expired goes from a real Postgres beside those who write: nothing is lost, and nobody feels it."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres import PostgresStore, create_engine
from adapters.postgres.engine import Bounds
from adapters.postgres.leftovers import PostgresLeftovers
from adapters.security.vault import AeadVault
from payments_core.errors import Duplicate
from payments_core.idempotency import Record
from payments_core.testing.builders import DAY, NOW, a_record
from payments_core.testing.leftovers import LeftoversContract
from payments_core.testing.subject import Shop, open_shop, put
from tests.patience import until

VAULT = AeadVault([b"k" * 32], entropy=os.urandom)
KEYS = 40
ROUNDS = 2
COPIES = 5_000
COPY = """
    INSERT INTO payments.idempotency_records SELECT merchant_id, livemode, key || '-' || number, route, status, digest,
        fields, body_sealed, resource, created_at, expires_at
    FROM payments.idempotency_records, generate_series(1, :copies) AS number
"""


@pytest.fixture
async def impatient(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine whose statements fail where they wait for a lock."""
    engine = create_engine(database_url, bounds=Bounds(lock_seconds=0.05))
    yield engine
    await engine.dispose()


@pytest.fixture
def store(engine: AsyncEngine) -> PostgresStore:
    return PostgresStore(engine, vault=VAULT)


@pytest.fixture
def leftovers(engine: AsyncEngine) -> PostgresLeftovers:
    return PostgresLeftovers(engine)


class TestPostgresLeftovers(LeftoversContract):
    """Supplies `store` and `leftovers`."""


def _expired(shop: Shop, key: str) -> Record:
    return replace(a_record(shop.merchant, key=key), expires_at=NOW - DAY)


async def _count(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(text("SELECT count(*) FROM payments.idempotency_records"))).scalar_one())


async def _waits(engine: AsyncEngine) -> bool:
    """Say whether a statement waits for another one's lock."""
    waiting = text(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    async with engine.connect() as connection:
        return bool(await connection.scalar(waiting))


async def test_records_that_are_replaced_while_the_expired_go_are_not_lost(
    store: PostgresStore, engine: AsyncEngine, leftovers: PostgresLeftovers
) -> None:
    shops = [await open_shop(store) for _ in range(4)]
    replaced: list[Record] = []

    async def use_again(shop: Shop, key: str) -> None:
        again = replace(a_record(shop.merchant, key=key, at=NOW), status=202)
        await put(store, again)
        replaced.append(again)

    async def remove_until_none() -> int:
        removed = 0
        while len(replaced) < len(shops) * KEYS:
            removed += await leftovers.remove(expired_before=NOW, limit=3)
        return removed

    for _ in range(ROUNDS):
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM payments.idempotency_records"))
        replaced.clear()
        for shop in shops:
            await put(store, *(_expired(shop, f"key-{number}") for number in range(KEYS)))
        uses = [use_again(shop, f"key-{number}") for number in reversed(range(KEYS)) for shop in shops]
        await asyncio.gather(remove_until_none(), remove_until_none(), *uses)
        async with store.begin() as work:
            kept = [await work.idempotency.get(each.merchant, False, each.key, at=NOW) for each in replaced]
        assert kept == replaced
        assert await _count(engine) == len(replaced), "and nothing expired is left"


async def test_a_record_that_is_just_being_replaced_is_passed_over(
    store: PostgresStore, engine: AsyncEngine, impatient: AsyncEngine
) -> None:
    shop = await open_shop(store)
    await put(store, *(_expired(shop, key) for key in ("held", "free")))
    async with engine.connect() as connection:
        await _replace(store, connection, shop, "held")
        assert await PostgresLeftovers(impatient).remove(expired_before=NOW, limit=100) == 1, "it waits for nobody"
        await connection.commit()
    assert await PostgresLeftovers(impatient).remove(expired_before=NOW, limit=100) == 0
    async with store.begin() as work:
        assert await work.idempotency.get(shop.merchant.id, False, "held", at=NOW) is not None
        assert await work.idempotency.get(shop.merchant.id, False, "free", at=NOW - 2 * DAY) is None


async def test_whoever_uses_a_key_whose_record_is_just_being_removed_inserts_as_if_there_had_been_none(
    store: PostgresStore, engine: AsyncEngine
) -> None:
    shop = await open_shop(store)
    await put(store, _expired(shop, "order-1"))
    again = replace(a_record(shop.merchant, key="order-1", at=NOW), status=202)
    async with engine.connect() as connection:
        await connection.execute(text("DELETE FROM payments.idempotency_records"))
        using = asyncio.create_task(put(store, again))

        async def waits() -> bool:
            return await _waits(engine)

        await until(waits)
        await connection.commit()
    await using
    async with store.begin() as work:
        assert await work.idempotency.get(shop.merchant.id, False, "order-1", at=NOW) == again
    with pytest.raises(Duplicate):
        await put(store, replace(again, status=203))


async def _replace(store: PostgresStore, connection: AsyncConnection, shop: Shop, key: str) -> None:
    async with store.begin_on(connection)() as work:
        work.idempotency.add(replace(a_record(shop.merchant, key=key, at=NOW), status=202))


async def test_nobody_who_writes_waits_for_removal_as_long_as_for_a_lock(
    store: PostgresStore, engine: AsyncEngine, impatient: AsyncEngine, leftovers: PostgresLeftovers
) -> None:
    shop = await open_shop(store)
    await put(store, _expired(shop, "order"))
    async with engine.begin() as connection:
        await connection.execute(text(COPY), {"copies": COPIES})
    writer = PostgresStore(impatient, vault=VAULT)
    written = 0

    async def write() -> None:
        nonlocal written
        while await _count(engine) > written:
            await put(writer, a_record(shop.merchant, key=f"new-{written}", at=NOW))
            written += 1

    async def remove() -> None:
        removed = 100
        while removed == 100:
            removed = await leftovers.remove(expired_before=NOW, limit=100)

    await asyncio.gather(remove(), remove(), write())
    assert written, "they wrote meanwhile, and none failed for a lock"
    assert await _count(engine) == written
