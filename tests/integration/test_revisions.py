"""Revisions that many requests ask for at once, on a real Postgres."""

from __future__ import annotations

import asyncio
import os

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import PostgresStore
from adapters.security.vault import AeadVault
from payments_core.errors import NotFound
from payments_core.ids import MerchantId
from payments_core.testing.builders import a_transaction
from payments_core.testing.subject import open_shop, put
from tests.integration.hearing import heard

READERS = 200
COMMITS = 20


@pytest.fixture
def store(engine: AsyncEngine) -> PostgresStore:
    return PostgresStore(engine, vault=AeadVault([b"k" * 32], entropy=os.urandom))


async def test_many_readers_share_few_statements_and_each_gets_its_own(
    store: PostgresStore, engine: AsyncEngine
) -> None:
    shops = [await open_shop(store) for _ in range(5)]
    for number, shop in enumerate(shops):
        for _ in range(number):
            await put(store, a_transaction(shop.key))
    merchants = [shop.merchant.id for shop in shops]
    alone = [await store.revision(merchant) for merchant in merchants]
    assert len(set(alone)) == len(shops)
    statements: list[str] = []
    with heard(engine, lambda statement, _parameters: statements.append(statement)):
        read = await asyncio.gather(*(store.revision(merchants[turn % 5]) for turn in range(READERS)))
    assert read == [alone[turn % 5] for turn in range(READERS)]
    assert 1 <= len(statements) <= 2


@pytest.mark.parametrize("name", ["mer_nobody", "mer_\0", "mer_\ud800"])
async def test_nobody_has_no_revision_and_takes_none_from_others(store: PostgresStore, name: str) -> None:
    shop = await open_shop(store)
    nobody = MerchantId(name)
    found = await asyncio.gather(store.revision(nobody), store.revision(shop.merchant.id), return_exceptions=True)
    assert isinstance(found[0], NotFound)
    assert isinstance(found[1], int)


async def test_a_reader_that_begins_after_a_commit_sees_it_however_many_read(store: PostgresStore) -> None:
    shop = await open_shop(store)
    done = asyncio.Event()

    async def read_on() -> None:
        while not done.is_set():
            await store.revision(shop.merchant.id)

    crowd = [asyncio.create_task(read_on()) for _ in range(20)]
    last = await store.revision(shop.merchant.id)
    for _ in range(COMMITS):
        await put(store, a_transaction(shop.key))
        now = await store.revision(shop.merchant.id)
        assert now > last
        last = now
    done.set()
    await asyncio.gather(*crowd)
