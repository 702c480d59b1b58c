"""What every unit of work must pass with jobs that it reads by id; leases are in `payments_core.testing.claims`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from payments_core.errors import LeaseLost, NotFound
from payments_core.ids import JobId
from payments_core.job import FAILURES_MAX, Job
from payments_core.testing.builders import NEVER_STORED, NOW, SECOND, a_job, a_transaction
from payments_core.testing.subject import Store, open_shop, put, refused_unit


async def _job(store: Store) -> Job:
    """Store a job that is due."""
    transaction = a_transaction((await open_shop(store)).key)
    job = a_job(transaction, due_at=NOW)
    await put(store, transaction, job)
    return job


async def _read(store: Store, job: Job) -> Job:
    async with store.begin() as work:
        return await work.jobs.get(job.merchant, job.id)


async def _dead_job(store: Store) -> Job:
    await _job(store)
    (claimed,) = await store.claims.claim_jobs(at=NOW, limit=1, lease=60 * SECOND)
    dead = replace(claimed, failures=FAILURES_MAX - 1).fail(at=NOW, error="boom")
    async with store.begin() as work:
        work.jobs.save(dead)
    return dead


class JobsContract:
    """Adapters supply `store`."""

    async def test_a_job_is_read_as_it_is_stored(self, store: Store) -> None:
        job = await _job(store)
        assert await _read(store, job) == job
        (claimed,) = await store.claims.claim_jobs(at=NOW, limit=1, lease=60 * SECOND)
        assert await _read(store, job) == claimed

    async def test_a_job_of_another_merchant_is_not_found(self, store: Store) -> None:
        job, other = await _job(store), await open_shop(store)
        async with store.begin() as work:
            with pytest.raises(NotFound):
                await work.jobs.get(other.merchant.id, job.id)

    @pytest.mark.parametrize("text", NEVER_STORED)
    async def test_a_text_that_a_store_may_be_unable_to_hold_names_no_job(self, store: Store, text: str) -> None:
        job = await _job(store)
        async with store.begin() as work:
            with pytest.raises(NotFound):
                await work.jobs.get(job.merchant, JobId(text))

    async def test_a_unit_reads_its_own_writes_of_jobs(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.key)
        job = a_job(transaction, due_at=NOW)
        async with store.begin() as work:
            work.transactions.add(transaction)
            work.jobs.add(job)
            assert await work.jobs.get(job.merchant, job.id) == job
        later = job.again(due_at=NOW + SECOND)
        async with store.begin() as work:
            work.jobs.save(later)
            assert await work.jobs.get(job.merchant, job.id) == later
        async with store.begin() as work:
            work.jobs.done(later)
            with pytest.raises(NotFound):
                await work.jobs.get(job.merchant, job.id)

    async def test_a_revived_job_is_claimed_again_and_one_more_revival_does_no_harm(self, store: Store) -> None:
        dead = await _dead_job(store)
        for _ in range(2):
            async with store.begin() as work:
                work.jobs.save(dead.revive(at=NOW + SECOND))
        (claimed,) = await store.claims.claim_jobs(at=NOW + SECOND, limit=5, lease=60 * SECOND)
        assert (claimed.id, claimed.failures, claimed.dead_at) == (dead.id, 0, None)

    async def test_a_revival_of_what_somebody_has_claimed_since_is_refused(self, store: Store) -> None:
        dead = await _dead_job(store)
        async with store.begin() as work:
            work.jobs.save(dead.revive(at=NOW + SECOND))
        (claimed,) = await store.claims.claim_jobs(at=NOW + SECOND, limit=5, lease=60 * SECOND)
        async with refused_unit(store, LeaseLost) as work:
            work.jobs.save(dead.revive(at=NOW + 2 * SECOND))
        assert await _read(store, dead) == claimed
        async with store.begin() as work:
            work.jobs.done(claimed)
        async with refused_unit(store, LeaseLost) as work:
            work.jobs.save(dead.revive(at=NOW + 2 * SECOND))
