"""What is sealed is sealed again under another key, beside those who write: nothing is lost, and nobody feels it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import pytest
from sqlalchemy import LargeBinary, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import PostgresStore
from adapters.postgres.resealing import PLACES, ROWS_MAX, Place, PostgresSeals, Sealed
from adapters.postgres.tables import metadata
from adapters.security.vault import AeadVault
from payments_core.errors import Unreadable
from payments_core.idempotency import Record
from payments_core.testing.builders import NOW, a_record, an_endpoint
from payments_core.testing.subject import Shop, open_shop, put
from payments_core.webhook import Endpoint, make_secret

OLD: Final = b"o" * 32
NEW: Final = b"n" * 32
RECORDS: Final = 2 * ROWS_MAX + 3


def _vault(*keys: bytes) -> AeadVault:
    return AeadVault(keys, entropy=os.urandom)


def _untold(_rows: int) -> None:
    pass


async def _walked(engine: AsyncEngine, *, reseal: bool = True) -> Mapping[str, Sealed]:
    found = await PostgresSeals(engine, _vault(NEW, OLD)).walk(reseal=reseal, told=_untold)
    return {place.name: place for place in found}


def _resealed(found: Mapping[str, Sealed]) -> Sequence[int]:
    return [place.resealed for place in found.values()]


@pytest.fixture
def old_store(engine: AsyncEngine) -> PostgresStore:
    return PostgresStore(engine, vault=_vault(OLD))


@pytest.fixture
def new_store(engine: AsyncEngine) -> PostgresStore:
    return PostgresStore(engine, vault=_vault(NEW))


@pytest.fixture
async def shop(old_store: PostgresStore) -> Shop:
    return await open_shop(old_store)


@pytest.fixture
async def endpoint(old_store: PostgresStore, shop: Shop) -> Endpoint:
    """An endpoint whose secret was changed once, as it is stored."""
    made = an_endpoint(shop.merchant).rotate_secret(make_secret(b"2" * 32), at=NOW)
    await put(old_store, made)
    return replace(made, version=1)


async def _endpoint_of(store: PostgresStore, endpoint: Endpoint) -> Endpoint:
    async with store.begin() as work:
        return await work.endpoints.get(endpoint.merchant, endpoint.livemode, endpoint.id)


async def _record_of(store: PostgresStore, record: Record) -> Record | None:
    async with store.begin() as work:
        return await work.idempotency.get(record.merchant, record.livemode, record.key, at=record.created_at)


async def _records(store: PostgresStore, shop: Shop, number: int = RECORDS) -> Sequence[Record]:
    made = [replace(a_record(shop.merchant, key=f"key {n:04}"), body=b"answer %d" % n) for n in range(number)]
    await put(store, *made)
    return made


def test_every_sealed_column_has_a_place() -> None:
    sealed = {
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.c
        if isinstance(column.type, LargeBinary) and column.name.endswith("_sealed")
    }
    assert {f"{place.table.name}.{place.column.name}" for place in PLACES} == sealed


async def test_the_new_key_alone_opens_all_of_it_and_no_version_or_revision_moves(
    engine: AsyncEngine, old_store: PostgresStore, new_store: PostgresStore, shop: Shop, endpoint: Endpoint
) -> None:
    records = await _records(old_store, shop)
    revision = await old_store.revision(shop.merchant.id)
    with pytest.raises(Unreadable):
        await _endpoint_of(new_store, endpoint)
    assert _resealed(await _walked(engine)) == [1, 1, RECORDS]
    assert await _endpoint_of(new_store, endpoint) == endpoint
    for record in records:
        assert await _record_of(new_store, record) == record
    assert await new_store.revision(shop.merchant.id) == revision
    again = await _walked(engine)
    assert _resealed(again) == [0, 0, 0]
    assert [place.rows for place in again.values()] == [{_vault(NEW).headers[0]: n} for n in (1, 1, RECORDS)]


async def test_a_look_counts_and_changes_nothing(
    engine: AsyncEngine, old_store: PostgresStore, new_store: PostgresStore, shop: Shop, endpoint: Endpoint
) -> None:
    await _records(old_store, shop, 2)
    await put(new_store, a_record(shop.merchant, key="of a process that has the new key"))
    found = await _walked(engine, reseal=False)
    new, old = _vault(NEW, OLD).headers
    assert [place.rows for place in found.values()] == [{old: 1}, {old: 1}, {old: 2, new: 1}]
    assert _resealed(found) == [0, 0, 0]
    assert await _endpoint_of(old_store, endpoint) == endpoint


async def test_what_no_key_opens_is_named_and_the_rest_is_sealed_again(
    engine: AsyncEngine, old_store: PostgresStore, new_store: PostgresStore, shop: Shop
) -> None:
    records = await _records(old_store, shop, 3)
    lost = PostgresStore(engine, vault=_vault(b"lost" * 8))
    await put(lost, a_record(shop.merchant, key="lost"))
    async with engine.begin() as connection:
        damage = "UPDATE payments.idempotency_records SET body_sealed = body_sealed || '!' WHERE key = 'key 0001'"
        await connection.execute(text(damage))
    answers = (await _walked(engine))["kept answers"]
    assert answers.unreadable == 2
    assert answers.named == [(shop.merchant.id, False, "key 0001"), (shop.merchant.id, False, "lost")]
    assert answers.resealed == 2
    assert await _record_of(new_store, records[2]) == records[2]


async def test_a_row_that_somebody_holds_is_passed_over_and_met_by_the_next_walk(
    engine: AsyncEngine, old_store: PostgresStore, shop: Shop, endpoint: Endpoint
) -> None:
    await _records(old_store, shop, 3)
    async with engine.begin() as connection:
        await connection.execute(text("SELECT FROM payments.endpoints FOR NO KEY UPDATE"))
        await connection.execute(text("SELECT FROM payments.idempotency_records WHERE key = 'key 0001' FOR UPDATE"))
        assert _resealed(await _walked(engine)) == [0, 0, 2]
    assert _resealed(await _walked(engine)) == [1, 1, 1]
    assert await _endpoint_of(PostgresStore(engine, vault=_vault(NEW)), endpoint) == endpoint


class _Interrupted(PostgresSeals):
    """Somebody else writes between what is read and what is written."""

    def __init__(self, engine: AsyncEngine, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__(engine, _vault(NEW, OLD))
        self._meanwhile = meanwhile

    async def _write(self, place: Place, anew: Sequence[Mapping[str, object]]) -> int:
        await self._meanwhile()
        return await super()._write(place, anew)


async def test_a_secret_that_is_changed_meanwhile_is_not_put_back(
    engine: AsyncEngine, old_store: PostgresStore, new_store: PostgresStore, endpoint: Endpoint
) -> None:
    changes = 0

    async def change() -> None:
        nonlocal changes
        changes += 1
        async with old_store.begin() as work:
            stored = await work.endpoints.get(endpoint.merchant, endpoint.livemode, endpoint.id)
            work.endpoints.save(stored.rotate_secret(make_secret(bytes([changes]) * 32), at=NOW))

    found = await _Interrupted(engine, change).walk(reseal=True, told=_untold)
    assert [place.resealed for place in found] == [0, 0, 0]
    assert changes == 2
    stored = await _endpoint_of(old_store, endpoint)
    assert stored.secrets_at(NOW)[:3] == (make_secret(b"\2" * 32), make_secret(b"\1" * 32), endpoint.secret)
    assert _resealed(await _walked(engine)) == [1, 1, 0]
    assert await _endpoint_of(new_store, endpoint) == stored


async def test_a_commit_that_read_an_endpoint_before_it_was_sealed_again_goes_through(
    engine: AsyncEngine, old_store: PostgresStore, endpoint: Endpoint
) -> None:
    both = PostgresStore(engine, vault=_vault(NEW, OLD))
    async with both.begin() as work:
        stored = await work.endpoints.get(endpoint.merchant, endpoint.livemode, endpoint.id)
        await _walked(engine)
        work.endpoints.save(replace(stored, description="changed meanwhile"))
    assert (await _endpoint_of(both, endpoint)).description == "changed meanwhile"


async def test_a_record_that_is_removed_meanwhile_stays_away(
    engine: AsyncEngine, old_store: PostgresStore, shop: Shop
) -> None:
    (record,) = await _records(old_store, shop, 1)

    async def remove() -> None:
        assert await old_store.leftovers.remove(expired_before=record.expires_at + (NOW - record.created_at), limit=1)

    await _Interrupted(engine, remove).walk(reseal=True, told=_untold)
    assert await _record_of(old_store, record) is None
