"""Commits that are shared, on a real Postgres: each unit stands or falls alone."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import PostgresStore, create_engine
from adapters.postgres.changes import Changes
from adapters.postgres.commit import Patience, Written, write
from adapters.postgres.errors import Rejected
from adapters.postgres.running import Runner
from adapters.postgres.tables import jobs, merchant_revisions
from adapters.security.vault import AeadVault
from payments_core.errors import Duplicate, NotFound, StaleWrite
from payments_core.ports import EventFilter, Window
from payments_core.testing.builders import a_job, a_record, a_session, a_transaction, an_endpoint, an_event
from payments_core.testing.subject import Kept, Shop, add, open_shop, put, stored, stored_transaction
from payments_core.transaction import Transaction
from tests.patience import until

VAULT = AeadVault([b"k" * 32], entropy=os.urandom)
UNITS = 30


@pytest.fixture
def store(engine: AsyncEngine) -> PostgresStore:
    return PostgresStore(engine, vault=VAULT)


async def _with_event(store: PostgresStore, shop: Shop, transaction: Transaction) -> None:
    async with store.begin() as work:
        work.expect(shop.key)
        work.transactions.add(transaction)
        work.events.add(an_event(shop.merchant))


async def test_of_units_that_share_a_commit_those_that_are_wrong_are_refused_and_the_others_stand(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await open_shop(store)
    taken, record = a_transaction(shop.key, reference="taken"), a_record(shop.merchant)
    await put(store, taken, record)
    sizes: list[int] = []

    async def noting(runner: Runner, group: Sequence[Changes], *, patience: Patience) -> Written:
        sizes.append(len(group))
        return await write(runner, group, patience=patience)

    monkeypatch.setattr("adapters.postgres.store.write", noting)

    async def stale() -> None:
        async with store.begin() as work:
            work.events.add(an_event(shop.merchant))
            work.transactions.save(replace(taken, version=7))

    async def twin() -> None:
        async with store.begin() as work:
            work.events.add(an_event(shop.merchant))
            add(work, record)

    broken = replace(a_transaction(shop.key), refunded_minor=99_999_999)
    good = [a_transaction(shop.key) for _ in range(UNITS)]
    wrong = [stale(), twin(), put(store, a_transaction(shop.key, reference="taken")), put(store, broken)]
    ends = await asyncio.gather(
        *wrong, *(_with_event(store, shop, transaction) for transaction in good), return_exceptions=True
    )
    assert [type(end) for end in ends[:4]] == [StaleWrite, Duplicate, Duplicate, Rejected]
    assert ends[4:] == [None] * UNITS
    assert max(sizes) > UNITS / 2, "they did not meet"
    for transaction in good:
        await stored_transaction(store, transaction)
    with pytest.raises(NotFound):
        await stored(store, broken)
    async with store.view(shop.merchant.id, False) as view:
        events = (await view.events(Window(limit=100), EventFilter())).items
    assert [event.position for event in events] == list(range(1, UNITS + 1))


async def test_things_of_several_kinds_that_are_read_at_one_moment_are_what_was_stored(store: PostgresStore) -> None:
    shop = await open_shop(store)
    things: list[Kept] = [a_transaction(shop.key), an_endpoint(shop.merchant), a_session(shop.merchant)]
    await put(store, *things)
    alone = [await stored(store, thing) for thing in things]
    assert await asyncio.gather(*(stored(store, thing) for thing in things)) == alone


async def test_what_writes_nothing_does_not_vouch_for_those_it_shared_a_lost_commit_with(
    store: PostgresStore, engine: AsyncEngine
) -> None:
    shop = await open_shop(store)
    looking, paying = Changes(store._kinds), Changes(store._kinds)
    looking.expect(shop.key)
    paying.of(store._kinds.transactions).add(a_transaction(shop.key))
    async with engine.connect() as connection:
        ended = str(await connection.scalar(text("SELECT pg_current_xact_id()")))
        await connection.rollback()
    assert not await store._was_committed([looking, paying], ended)
    assert await store._was_committed([looking], ended)


async def test_a_counter_that_somebody_holds_holds_up_its_merchant_alone(
    store: PostgresStore, engine: AsyncEngine
) -> None:
    held, free = await open_shop(store), await open_shop(store)
    lock = select(merchant_revisions).where(merchant_revisions.c.merchant_id == held.merchant.id)
    async with engine.connect() as somebody:
        await somebody.execute(lock.with_for_update(key_share=True))
        waiting = [asyncio.create_task(put(store, a_transaction(held.key))) for _ in range(5)]
        for _ in range(3):
            await asyncio.gather(*(put(store, a_transaction(free.key)) for _ in range(10)))
        assert not any(task.done() for task in waiting)
        await somebody.rollback()
    await asyncio.gather(*waiting)


async def test_rows_that_somebody_holds_hold_up_their_merchant_alone(store: PostgresStore, engine: AsyncEngine) -> None:
    held, free = await open_shop(store), await open_shop(store)
    transaction = a_transaction(held.key)
    job = a_job(transaction)
    await put(store, transaction, job)
    async with engine.connect() as somebody:
        await somebody.execute(select(jobs).where(jobs.c.id == job.id).with_for_update())

        async def end_job() -> None:
            async with store.begin() as work:
                work.jobs.done(job)

        waiting = asyncio.create_task(end_job())
        for _ in range(3):
            await asyncio.gather(*(put(store, a_transaction(free.key)) for _ in range(10)))
        assert not waiting.done()
        await somebody.rollback()
    await waiting


async def test_two_processes_that_pay_for_one_merchant_wait_for_each_other_and_lose_nothing(
    store: PostgresStore, database_url: str
) -> None:
    second = create_engine(database_url)
    stores = [store, PostgresStore(second, vault=VAULT)]
    shop = await open_shop(store)
    given = [a_transaction(shop.key) for _ in range(4 * UNITS)]
    await asyncio.gather(
        *(_with_event(stores[number % 2], shop, transaction) for number, transaction in enumerate(given))
    )
    async with store.view(shop.merchant.id, False) as view:
        first = await view.events(Window(limit=100), EventFilter())
    assert [event.position for event in first.items] == list(range(1, 101))
    assert await store.revision(shop.merchant.id) > len(given)
    await second.dispose()


async def test_a_lost_connection_is_not_used_again(store: PostgresStore, engine: AsyncEngine) -> None:
    shop = await open_shop(store)
    async with engine.connect() as observer:
        others = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND application_name = 'payments-core'"
        )
        await observer.execute(others)

    async def works() -> bool:
        transaction = a_transaction(shop.key)
        try:
            await put(store, transaction)
        except Exception:
            return False
        return await stored(store, transaction) is not None

    await until(works)
