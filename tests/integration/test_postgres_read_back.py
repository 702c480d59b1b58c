"""What the store concludes about a commit from what is stored, where its answer was lost."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import RowMapping, Select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import PostgresStore
from adapters.postgres.changes import Replay
from adapters.postgres.lookups import Lookups
from adapters.postgres.mapping import kinds
from adapters.postgres.read_back import was_written
from adapters.postgres.unit import PostgresUnit
from adapters.security.vault import AeadVault
from payments_core.audit import AuditEntry
from payments_core.event import Event
from payments_core.idempotency import Record
from payments_core.job import Job
from payments_core.testing.builders import (
    DAY,
    MINUTE,
    NOW,
    SECOND,
    START,
    a_job,
    a_record,
    a_session,
    a_transaction,
    an_api_key,
    an_audit_entry,
    an_endpoint,
    an_event,
)
from payments_core.testing.subject import Kept, Shop, add, open_shop, put, save, stored, stored_endpoint, write
from payments_core.webhook import make_secret

VAULT = AeadVault([b"k" * 32], entropy=os.urandom)
LEASE = timedelta(seconds=60)


@pytest.fixture
def store(engine: AsyncEngine) -> PostgresStore:
    return PostgresStore(engine, vault=VAULT)


@pytest.fixture
async def shop(store: PostgresStore) -> Shop:
    return await open_shop(store)


class Commit:
    """Changes of a unit whose commit got no answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def __call__(self, fill: Callable[[PostgresUnit], None]) -> bool | None:
        """Return what is concluded about the changes that `fill` makes."""
        lookups = Lookups(self._engine)
        unit = PostgresUnit(kinds(VAULT), lookups.rows, self._read)
        fill(unit)
        return await was_written(lookups.rows, unit.changes)

    async def _read(self, statement: Select[Any]) -> Sequence[RowMapping]:
        async with self._engine.connect() as connection:
            rows: Sequence[RowMapping] = (await connection.execute(statement)).mappings().all()
            return rows


@pytest.fixture
def commit(engine: AsyncEngine) -> Commit:
    return Commit(engine)


async def _claimed_job(store: PostgresStore, shop: Shop) -> Job:
    transaction = a_transaction(shop.key)
    await put(store, transaction, a_job(transaction, due_at=NOW))
    (job,) = await store.claims.claim_jobs(at=NOW, limit=1, lease=LEASE)
    return job


async def _finish(store: PostgresStore, job: Job) -> None:
    async with store.begin() as work:
        work.jobs.done(job)


def _adding(thing: Kept | Event | Job | Record | AuditEntry) -> Callable[[PostgresUnit], None]:
    return lambda unit: add(unit, thing)


# ── inserted


async def test_what_was_inserted_is_there_or_was_not_committed(
    store: PostgresStore, shop: Shop, commit: Commit
) -> None:
    things: list[Kept | Event | AuditEntry] = [
        a_transaction(shop.key),
        a_session(shop.merchant),
        an_endpoint(shop.merchant),
        an_event(shop.merchant),
        an_audit_entry(shop.merchant),
    ]
    for thing in things:
        assert await commit(_adding(thing)) is False
        await put(store, thing)
        assert await commit(_adding(thing)) is True


async def test_a_record_is_the_units_own_or_a_twins(store: PostgresStore, shop: Shop, commit: Commit) -> None:
    record = a_record(shop.merchant)
    assert await commit(_adding(record)) is False
    await put(store, record)
    assert await commit(_adding(record)) is True
    for twin in (replace(record, body=b"another"), replace(record, created_at=record.created_at + SECOND)):
        assert await commit(_adding(twin)) is False


async def test_a_job_that_is_not_there_may_have_been_done(store: PostgresStore, shop: Shop, commit: Commit) -> None:
    transaction = a_transaction(shop.key)
    job = a_job(transaction)
    assert await commit(_adding(job)) is None
    await put(store, transaction, job)
    assert await commit(_adding(job)) is True


# ── updated


async def test_an_update_is_told_by_version_and_values(store: PostgresStore, shop: Shop, commit: Commit) -> None:
    ours, theirs = replace(shop.merchant, name="Ours"), replace(shop.merchant, name="Theirs")
    assert await commit(lambda unit: unit.merchants.save(ours)) is False
    await write(store, ours)
    assert await commit(lambda unit: unit.merchants.save(ours)) is True
    assert await commit(lambda unit: unit.merchants.save(theirs)) is False
    await write(store, replace(theirs, version=2))
    assert await commit(lambda unit: unit.merchants.save(ours)) is None


async def test_a_secret_that_somebody_else_rotated_at_the_same_time_is_not_ours(
    store: PostgresStore, shop: Shop, commit: Commit
) -> None:
    await put(store, an_endpoint(shop.merchant))
    endpoint = an_endpoint(shop.merchant)
    await put(store, endpoint)
    read = await stored_endpoint(store, endpoint)
    ours, theirs = (read.rotate_secret(make_secret(bytes([number]) * 32), at=NOW) for number in (1, 2))
    await write(store, theirs)
    assert await commit(lambda unit: unit.endpoints.save(ours)) is False
    assert await commit(lambda unit: unit.endpoints.save(theirs)) is True


async def test_what_moves_without_a_version_is_no_part_of_an_update(
    store: PostgresStore, shop: Shop, commit: Commit
) -> None:
    key = an_api_key(shop.merchant)
    await put(store, key)
    revoked = replace(key, version=1).revoke(NOW)
    await write(store, revoked)
    await store.credentials.touch(shop.merchant.id, key.id, at=NOW)
    assert await stored(store, key) != replace(revoked, version=2)
    assert await commit(lambda unit: unit.api_keys.save(revoked)) is True


async def test_of_several_updates_one_that_never_happened_tells_and_all_have_to_stand(
    store: PostgresStore, shop: Shop, commit: Commit
) -> None:
    renamed, closed = replace(shop.merchant, name="Ours"), shop.key.deactivate()

    def fill(unit: PostgresUnit) -> None:
        save(unit, renamed)
        save(unit, closed)

    await write(store, renamed)
    assert await commit(fill) is False
    await write(store, closed)
    assert await commit(fill) is True
    await write(store, replace(renamed, version=2))
    assert await commit(fill) is None


# ── jobs


async def test_a_saved_job_is_told_by_its_lease_and_values(store: PostgresStore, shop: Shop, commit: Commit) -> None:
    job = await _claimed_job(store, shop)
    later = job.again(due_at=NOW + MINUTE)
    assert await commit(lambda unit: unit.jobs.save(later)) is False
    async with store.begin() as work:
        work.jobs.save(later)
    assert await commit(lambda unit: unit.jobs.save(later)) is True
    await store.claims.claim_jobs(at=NOW + MINUTE, limit=1, lease=LEASE)
    assert await commit(lambda unit: unit.jobs.save(later)) is None


async def test_a_job_that_is_still_there_was_not_done_and_one_that_is_gone_alone_proves_nothing(
    store: PostgresStore, shop: Shop, commit: Commit
) -> None:
    job = await _claimed_job(store, shop)
    ours = replace(shop.merchant, name="Ours")

    def fill(unit: PostgresUnit) -> None:
        unit.jobs.done(job)
        unit.merchants.save(ours)

    await write(store, ours)
    assert await commit(lambda unit: unit.jobs.done(job)) is False
    assert await commit(fill) is False
    await _finish(store, job)
    assert await commit(lambda unit: unit.jobs.done(job)) is None
    assert await commit(fill) is True


# ── neither


async def test_a_unit_that_writes_nothing_has_nothing_to_lose(shop: Shop, commit: Commit) -> None:
    assert await commit(lambda unit: unit.expect(shop.merchant)) is True


async def test_a_replay_alone_cannot_be_told(store: PostgresStore, shop: Shop, commit: Commit) -> None:
    endpoint = an_endpoint(shop.merchant)
    await put(store, endpoint)
    read = await stored_endpoint(store, endpoint)
    replay = Replay(endpoint=read, since=START, until=NOW, only_failed=False, at=NOW + DAY)
    assert await commit(lambda unit: unit.changes.replay(replay)) is None
