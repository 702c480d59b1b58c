"""What every store's oversight must pass.

What the suite settles where the port leaves room: positions and keys work as in `payments_core.testing.lists`, with
keys that are the merchant's id, `/` and the thing's; a merchant that nobody knows has nothing, which is no error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pytest

from payments_core.attempt import Attempt, AttemptState
from payments_core.errors import NotFound
from payments_core.ids import AttemptId, JobId, MerchantId
from payments_core.job import FAILURES_MAX, Job, JobState
from payments_core.page import Position
from payments_core.ports import AttemptFilter, JobFilter, MerchantFilter, Window
from payments_core.testing.builders import (
    DAY,
    NEVER_STORED,
    NOW,
    SECOND,
    a_job,
    a_merchant,
    a_refund,
    a_transaction,
    an_attempt,
)
from payments_core.testing.overall import OverallContract
from payments_core.testing.subject import Shop, Store, open_shop, put, read_all, stored

LEASE: Final = 60 * SECOND
ANY_JOB: Final = JobFilter()
ANY_ATTEMPT: Final = AttemptFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """A job of a shop in each state at NOW."""

    dead: Job
    leased: Job
    due: Job
    waiting: Job

    @property
    def oldest_first(self) -> list[JobId]:
        return [self.dead.id, self.leased.id, self.due.id, self.waiting.id]


async def _jobs(store: Store, shop: Shop) -> Jobs:
    transactions = [a_transaction(shop.key) for _ in range(4)]
    dues = (NOW - 3 * SECOND, NOW - 2 * SECOND, NOW, NOW + SECOND)
    dead, leased, due, waiting = (a_job(one, due_at=at) for one, at in zip(transactions, dues, strict=True))
    await put(store, *transactions, dead)
    (claimed,) = await store.claims.claim_jobs(at=NOW, limit=1, lease=LEASE)
    async with store.begin() as work:
        work.jobs.save(replace(claimed, failures=FAILURES_MAX - 1).fail(at=NOW, error="boom"))
    await put(store, leased)
    await store.claims.claim_jobs(at=NOW, limit=1, lease=LEASE)
    await put(store, due, waiting)
    return Jobs(dead=dead, leased=leased, due=due, waiting=waiting)


async def _attempts(store: Store, shop: Shop, *states: AttemptState) -> list[Attempt]:
    transactions = [a_transaction(shop.key) for _ in states]
    attempts = [replace(an_attempt(one), state=state) for one, state in zip(transactions, states, strict=True)]
    await put(store, *transactions, *attempts)
    return attempts


async def _job_ids(store: Store, filter: JobFilter, *, limit: int = 2) -> Sequence[JobId]:
    found = await read_all(lambda window: store.oversight.jobs(window, filter, at=NOW), limit=limit)
    return [job.id for job in found]


async def _attempt_ids(store: Store, filter: AttemptFilter, *, limit: int = 2) -> Sequence[AttemptId]:
    found = await read_all(lambda window: store.oversight.attempts(window, filter), limit=limit)
    return [attempt.id for attempt in found]


class OversightContract(OverallContract):
    """Adapters supply `store`."""

    # ── lists

    async def test_jobs_of_all_merchants_are_listed_by_merchant_and_the_oldest_first(self, store: Store) -> None:
        one, other = await open_shop(store), await open_shop(store)
        of_other, of_one = await _jobs(store, other), await _jobs(store, one)
        assert await _job_ids(store, ANY_JOB, limit=3) == [*of_one.oldest_first, *of_other.oldest_first]

    async def test_jobs_are_found_by_what_they_wait_for(self, store: Store) -> None:
        one, other = await _jobs(store, await open_shop(store)), await _jobs(store, await open_shop(store))
        found = {state: await _job_ids(store, JobFilter(state=state), limit=1) for state in JobState}
        assert found == {
            JobState.DEAD: [one.dead.id, other.dead.id],
            JobState.LEASED: [one.leased.id, other.leased.id],
            JobState.DUE: [one.due.id, other.due.id],
            JobState.WAITING: [one.waiting.id, other.waiting.id],
        }

    async def test_what_is_listed_agrees_with_what_a_job_says_of_itself(self, store: Store) -> None:
        await _jobs(store, await open_shop(store))
        for at in (NOW, NOW + SECOND, NOW + LEASE, NOW + DAY):
            every = (await store.oversight.jobs(Window(limit=9), ANY_JOB, at=at)).items
            for state in JobState:
                listed = (await store.oversight.jobs(Window(limit=9), JobFilter(state=state), at=at)).items
                assert list(listed) == [job for job in every if job.state_at(at) is state]

    async def test_attempts_are_found_by_state_over_all_merchants(self, store: Store) -> None:
        one, other = await open_shop(store), await open_shop(store)
        theirs = await _attempts(store, other, *AttemptState)
        ours = await _attempts(store, one, *AttemptState)
        assert await _attempt_ids(store, ANY_ATTEMPT, limit=5) == [attempt.id for attempt in (*ours, *theirs)]
        for state in AttemptState:
            wanted = [attempt.id for attempt in (*ours, *theirs) if attempt.state is state]
            assert await _attempt_ids(store, AttemptFilter(state=state), limit=1) == wanted

    async def test_both_modes_are_seen(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.live_key)
        job, attempt = a_job(transaction), an_attempt(transaction)
        await put(store, transaction, job, attempt)
        assert await _job_ids(store, ANY_JOB) == [job.id]
        assert await _attempt_ids(store, ANY_ATTEMPT) == [attempt.id]

    async def test_a_merchants_own_are_listed_where_it_is_named(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        jobs, attempts = await _jobs(store, shop), await _attempts(store, shop, *AttemptState)
        await _jobs(store, other)
        await _attempts(store, other, *AttemptState)
        id = shop.merchant.id
        assert await _job_ids(store, JobFilter(merchant=id)) == jobs.oldest_first
        assert await _job_ids(store, JobFilter(merchant=id, state=JobState.DEAD)) == [jobs.dead.id]
        assert await _job_ids(store, JobFilter(merchant=id, state=JobState.DUE)) == [jobs.due.id]
        assert await _attempt_ids(store, AttemptFilter(merchant=id)) == [attempt.id for attempt in attempts]
        review = [attempt.id for attempt in attempts if attempt.state is AttemptState.NEEDS_REVIEW]
        assert await _attempt_ids(store, AttemptFilter(merchant=id, state=AttemptState.NEEDS_REVIEW)) == review

    @pytest.mark.parametrize("text", [*NEVER_STORED, "mer_nobody"])
    async def test_nobody_has_nothing(self, store: Store, text: str) -> None:
        shop = await open_shop(store)
        await _jobs(store, shop)
        await _attempts(store, shop, AttemptState.NEEDS_REVIEW)
        for merchant in (MerchantId(text), a_merchant().id):
            assert not await _job_ids(store, JobFilter(merchant=merchant))
            assert not await _attempt_ids(store, AttemptFilter(merchant=merchant))

    # ── pages

    async def test_a_page_names_its_neighbours_and_is_read_in_both_directions(self, store: Store) -> None:
        jobs = [*await self._dead_jobs(store, 2), *await self._dead_jobs(store, 3)]
        dead = JobFilter(state=JobState.DEAD)

        async def page(position: Position | None) -> tuple[list[Job], str | None, str | None]:
            found = await store.oversight.jobs(Window(limit=2, position=position), dead, at=NOW)
            return list(found.items), found.before, found.after

        first = await page(None)
        assert first == (jobs[:2], None, _key(jobs[1]))
        second = await page(Position(key=_key(jobs[1])))
        assert second == (jobs[2:4], _key(jobs[2]), _key(jobs[3]))
        assert await page(Position(key=_key(jobs[3]))) == (jobs[4:], _key(jobs[4]), None)
        assert await page(Position(key=_key(jobs[4]), backwards=True)) == second
        assert await page(Position(key=_key(jobs[2]), backwards=True)) == first

    async def _dead_jobs(self, store: Store, count: int) -> list[Job]:
        """Store so many dead jobs of a merchant of their own, and return them the oldest first."""
        shop = await open_shop(store)
        transactions = [a_transaction(shop.key) for _ in range(count)]
        await put(store, *transactions, *(a_job(one, due_at=NOW) for one in transactions))
        dead = [
            replace(job, failures=FAILURES_MAX - 1).fail(at=NOW, error="boom")
            for job in await store.claims.claim_jobs(at=NOW, limit=count, lease=LEASE)
        ]
        async with store.begin() as work:
            for job in dead:
                work.jobs.save(job)
        return sorted(dead, key=lambda job: job.id)

    # ── one

    async def test_one_is_found_by_its_id_alone(self, store: Store) -> None:
        shops = [await open_shop(store) for _ in range(3)]
        for shop in shops:
            transaction = a_transaction(shop.key)
            refund = a_refund(transaction)
            job, attempt = a_job(refund, due_at=NOW), an_attempt(refund)
            await put(store, transaction, refund, job, attempt)
            assert await store.oversight.job(job.id) == job
            assert await store.oversight.attempt(attempt.id) == await stored(store, attempt)

    @pytest.mark.parametrize("text", [*NEVER_STORED, "job_nobody"])
    async def test_what_is_not_there_is_not_found(self, store: Store, text: str) -> None:
        shop = await open_shop(store)
        jobs, attempts = await _jobs(store, shop), await _attempts(store, shop, AttemptState.NEEDS_REVIEW)
        for missing in (
            store.oversight.job(JobId(text)),
            store.oversight.job(JobId(attempts[0].id)),
            store.oversight.attempt(AttemptId(text)),
            store.oversight.attempt(AttemptId(jobs.due.id)),
        ):
            with pytest.raises(NotFound):
                await missing

    async def test_a_job_that_is_done_is_gone(self, store: Store) -> None:
        jobs = await _jobs(store, await open_shop(store))
        done = await store.oversight.job(jobs.leased.id)
        async with store.begin() as work:
            work.jobs.done(done)
        with pytest.raises(NotFound):
            await store.oversight.job(done.id)
        assert not await _job_ids(store, JobFilter(state=JobState.LEASED))

    # ── merchants

    async def test_merchants_are_listed_the_newest_first_and_both_ways(self, store: Store) -> None:
        merchants = [a_merchant() for _ in range(5)]
        await put(store, *merchants)
        newest_first = [one.id for one in merchants[::-1]]
        assert await _merchant_ids(store, MerchantFilter()) == newest_first
        place = Position(key=newest_first[3], backwards=True)
        back = await store.oversight.merchants(Window(limit=2, position=place), MerchantFilter())
        assert [one.id for one in back.items] == newest_first[1:3]

    async def test_a_merchant_is_found_by_its_id_and_by_a_part_of_its_address_or_name(self, store: Store) -> None:
        first = replace(a_merchant(email="zoë@corner-shop.example"), name="Größe 100% _b\\x")
        second = replace(a_merchant(email="bob@shop.example"), name=None)
        await put(store, first, second)
        for text, wanted in (
            (first.id, [first]),
            (first.id[:-1], []),
            ("mer_" + "0" * 26, []),
            ("SHOP.example", [second, first]),
            ("corner", [first]),
            ("oË@", []),
            ("oë@", [first]),
            ("grö", [first]),
            ("GRÖ", []),
            ("%", [first]),
            ("_", [first]),
            ("_B\\", [first]),
            ("b%", []),
            ("o_b", []),
        ):
            assert await _merchant_ids(store, MerchantFilter(text=text)) == [one.id for one in wanted], text

    async def test_suspended_merchants_are_told_from_others(self, store: Store) -> None:
        active, suspended = a_merchant(), replace(a_merchant(), suspended_at=NOW)
        await put(store, active, suspended)
        assert await _merchant_ids(store, MerchantFilter(suspended=True)) == [suspended.id]
        assert await _merchant_ids(store, MerchantFilter(suspended=False)) == [active.id]
        assert await _merchant_ids(store, MerchantFilter(text=active.id, suspended=True)) == []

    async def test_a_merchant_is_read_by_its_id(self, store: Store) -> None:
        merchant = a_merchant()
        await put(store, merchant)
        assert await store.oversight.merchant(merchant.id) == replace(merchant, version=1)
        for id in (a_merchant().id, *NEVER_STORED):
            with pytest.raises(NotFound):
                await store.oversight.merchant(MerchantId(id))


def _key(job: Job) -> str:
    return f"{job.merchant}/{job.id}"


async def _merchant_ids(store: Store, filter: MerchantFilter) -> Sequence[MerchantId]:
    found = await read_all(lambda window: store.oversight.merchants(window, filter), limit=2)
    return [one.id for one in found]
