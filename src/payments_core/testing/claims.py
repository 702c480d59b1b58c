"""What every store's leases must pass.

What the suite settles where the ports leave room:

- A lease guards by its token alone: a holder whose lease ran out may still write until somebody else has claimed.
- What is held does not wait: `backlog` leaves it out (a lease that ran out counts as none at `at`).
- Claims, extensions and hand-backs move no revision. A claim moves a delivery's version, an extension does not: the
  holder's copy stays good.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from payments_core.errors import LeaseLost, NotFound, StaleWrite
from payments_core.ids import EndpointId
from payments_core.job import FAILURES_MAX, Job
from payments_core.ports import ClaimedDelivery, Room
from payments_core.testing.builders import DAY, MINUTE, NOW, SECOND, a_job, a_room, a_transaction, an_endpoint, an_event
from payments_core.testing.subject import Shop, Store, open_shop, put, refused_unit, stored
from payments_core.webhook import DeliveryAttempt, DeliveryStatus, Endpoint

LEASE = timedelta(seconds=60)
WORKERS = 8


async def _jobs(store: Store, shop: Shop, *dues: datetime) -> list[Job]:
    """Store a job for each time."""
    transactions = [a_transaction(shop.key) for _ in dues]
    jobs = [a_job(transaction, due_at=due) for transaction, due in zip(transactions, dues, strict=True)]
    await put(store, *transactions, *jobs)
    return jobs


async def _claim(store: Store, at: datetime, limit: int = 100) -> Sequence[Job]:
    return await store.claims.claim_jobs(at=at, limit=limit, lease=LEASE)


async def _claim_deliveries(store: Store, at: datetime, room: Room | None = None) -> Sequence[ClaimedDelivery]:
    return await store.claims.claim_deliveries(at=at, room=room or a_room(), lease=LEASE)


def _count(claimed: Sequence[ClaimedDelivery]) -> dict[EndpointId, int]:
    """Count the deliveries of each endpoint."""
    return dict(Counter(one.endpoint.id for one in claimed))


async def _endpoint_with_deliveries(
    store: Store, shop: Shop, *dues: datetime, failing_since: datetime | None = None
) -> Endpoint:
    endpoint = replace(an_endpoint(shop.merchant), failing_since=failing_since)
    await put(store, endpoint, *(an_event(shop.merchant, only=endpoint, at=due) for due in dues))
    return endpoint


def _minutes_ago(*minutes: int) -> list[datetime]:
    return [NOW - number * MINUTE for number in minutes]


async def _done(store: Store, job: Job) -> None:
    async with store.begin() as work:
        work.jobs.done(job)


async def _save(store: Store, job: Job) -> None:
    async with store.begin() as work:
        work.jobs.save(job)


class ClaimsContract:
    """Adapters supply `store`."""

    # ── jobs

    async def test_due_jobs_are_claimed_the_longest_due_first(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        third, first = await _jobs(store, shop, NOW - SECOND, NOW - 3 * SECOND)
        second, future = await _jobs(store, other, NOW - 2 * SECOND, NOW + SECOND)
        claimed = await _claim(store, NOW)
        assert list(claimed) == [
            replace(job, lease_token=1, lease_expires_at=NOW + LEASE) for job in (first, second, third)
        ]
        assert [job.id for job in await _claim(store, NOW + SECOND)] == [future.id]

    async def test_a_job_is_due_at_its_time_and_not_before(self, store: Store) -> None:
        await _jobs(store, await open_shop(store), NOW)
        assert not await _claim(store, NOW - timedelta(microseconds=1))
        assert len(await _claim(store, NOW)) == 1

    async def test_no_more_are_claimed_than_asked_for(self, store: Store) -> None:
        jobs = await _jobs(store, await open_shop(store), *(NOW - number * SECOND for number in range(5, 0, -1)))
        first, rest = await _claim(store, NOW, limit=2), await _claim(store, NOW, limit=9)
        assert [job.id for job in (*first, *rest)] == [job.id for job in jobs]
        assert len(first) == 2

    async def test_a_job_that_is_held_is_not_claimed_again(self, store: Store) -> None:
        await _jobs(store, await open_shop(store), NOW)
        assert len(await _claim(store, NOW)) == 1
        assert not await _claim(store, NOW + LEASE - SECOND)

    async def test_a_job_whose_lease_ran_out_is_claimed_again_with_a_higher_token(self, store: Store) -> None:
        await _jobs(store, await open_shop(store), NOW)
        (first,) = await _claim(store, NOW)
        (second,) = await _claim(store, NOW + LEASE + SECOND)
        assert second.id == first.id
        assert second.lease_token > first.lease_token
        assert second.lease_expires_at == NOW + LEASE + SECOND + LEASE

    async def test_a_job_whose_lease_ran_out_is_due_from_then_on(self, store: Store) -> None:
        shop = await open_shop(store)
        (lost,) = await _jobs(store, shop, NOW - MINUTE)
        assert len(await _claim(store, NOW)) == 1
        end = NOW + LEASE
        later, before = await _jobs(store, shop, end + SECOND, end - SECOND)
        (first,) = await _claim(store, end + MINUTE, limit=1)
        assert [job.id for job in (first, *await _claim(store, end + MINUTE))] == [before.id, lost.id, later.id]

    async def test_concurrent_claims_share_no_job(self, store: Store) -> None:
        jobs = await _jobs(store, await open_shop(store), *([NOW] * 3 * WORKERS))
        claims = await asyncio.gather(*(_claim(store, NOW, limit=5) for _ in range(WORKERS)))
        rest = await _claim(store, NOW)
        claimed = [job.id for claim in (*claims, rest) for job in claim]
        assert sorted(claimed) == sorted(job.id for job in jobs)

    async def test_a_job_that_is_done_is_gone(self, store: Store) -> None:
        await _jobs(store, await open_shop(store), NOW)
        (job,) = await _claim(store, NOW)
        await _done(store, job)
        assert not await _claim(store, NOW + DAY)
        for refused in (_done(store, job), _save(store, job)):
            with pytest.raises(LeaseLost):
                await refused

    async def test_a_job_saved_for_later_is_claimed_then(self, store: Store) -> None:
        await _jobs(store, await open_shop(store), NOW)
        (job,) = await _claim(store, NOW)
        await _save(store, job.again(due_at=NOW + MINUTE))
        assert not await _claim(store, NOW + MINUTE - SECOND)
        (again,) = await _claim(store, NOW + MINUTE)
        expected = replace(job.again(due_at=NOW + MINUTE), lease_expires_at=NOW + MINUTE + LEASE)
        assert again == replace(expected, lease_token=again.lease_token)
        assert again.lease_token > job.lease_token

    async def test_a_dead_job_is_kept_but_passed_over(self, store: Store) -> None:
        await _jobs(store, await open_shop(store), NOW)
        (job,) = await _claim(store, NOW)
        dead = replace(job, failures=FAILURES_MAX - 1).fail(at=NOW, error="boom")
        assert dead.dead_at is not None
        await _save(store, dead)
        assert not await _claim(store, NOW + DAY)
        assert (await store.claims.backlog(at=NOW + DAY)).jobs_dead == 1

    async def test_a_holder_whose_lease_ran_out_may_write_while_nobody_else_has_claimed(self, store: Store) -> None:
        await _jobs(store, await open_shop(store), NOW)
        (job,) = await _claim(store, NOW)
        await _save(store, job.again(due_at=NOW + DAY))
        assert not await _claim(store, NOW + LEASE + SECOND)

    async def test_a_stale_holder_is_refused_and_nothing_of_its_unit_is_written(self, store: Store) -> None:
        shop = await open_shop(store)
        await _jobs(store, shop, NOW)
        (stale,) = await _claim(store, NOW)
        (fresh,) = await _claim(store, NOW + LEASE + SECOND)
        before = await store.revision(shop.merchant.id)
        for write in ("expect", "save", "done"):
            transaction = a_transaction(shop.key)
            async with refused_unit(store, LeaseLost) as work:
                work.transactions.add(transaction)
                if write == "expect":
                    work.jobs.expect(stale)
                elif write == "save":
                    work.jobs.save(stale.again(due_at=NOW))
                else:
                    work.jobs.done(stale)
            with pytest.raises(NotFound):
                await stored(store, transaction)
        assert await store.revision(shop.merchant.id) == before
        await _done(store, fresh)

    async def test_a_holder_who_expects_its_job_writes_beside_it_and_leaves_it_as_it_was(self, store: Store) -> None:
        shop = await open_shop(store)
        await _jobs(store, shop, NOW)
        (job,) = await _claim(store, NOW)
        transaction = a_transaction(shop.key)
        async with store.begin() as work:
            work.jobs.expect(job)
            work.transactions.add(transaction)
        await stored(store, transaction)
        async with store.begin() as work:
            work.jobs.expect(job)
        assert not await _claim(store, NOW + LEASE - SECOND)
        (again,) = await _claim(store, NOW + LEASE + SECOND)
        assert (again.id, again.due_at) == (job.id, job.due_at)

    async def test_a_stale_write_beside_a_job_leaves_the_job_as_it_was(self, store: Store) -> None:
        shop = await open_shop(store)
        await _jobs(store, shop, NOW)
        (job,) = await _claim(store, NOW)
        async with refused_unit(store, StaleWrite) as work:
            work.jobs.done(job)
            work.expect(replace(shop.merchant, version=99))
        await _done(store, job)

    async def test_extended_leases_keep_others_out_until_then(self, store: Store) -> None:
        shop = await open_shop(store)
        await _jobs(store, shop, NOW)
        endpoint = await _endpoint_with_deliveries(store, shop, NOW)
        (job,), (claimed,) = await _claim(store, NOW), await _claim_deliveries(store, NOW)
        await store.claims.extend([job], [claimed.delivery], until=NOW + DAY)
        assert not await _claim(store, NOW + DAY - SECOND)
        assert not await _claim_deliveries(store, NOW + DAY - SECOND)
        async with store.begin() as work:
            work.jobs.done(job)
            attempt = DeliveryAttempt(number=1, at=NOW, milliseconds=1, status_code=200)
            work.deliveries.save(claimed.delivery.deliver(attempt))
        async with store.begin() as work:
            read = await work.deliveries.get(shop.merchant.id, endpoint.id, claimed.delivery.id)
        assert read.status is DeliveryStatus.DELIVERED

    async def test_an_extended_lease_runs_out_too(self, store: Store) -> None:
        shop = await open_shop(store)
        await _jobs(store, shop, NOW)
        await _endpoint_with_deliveries(store, shop, NOW)
        (job,), (claimed,) = await _claim(store, NOW), await _claim_deliveries(store, NOW)
        await store.claims.extend([job], [claimed.delivery], until=NOW + DAY)
        assert len(await _claim(store, NOW + DAY + SECOND)) == 1
        assert len(await _claim_deliveries(store, NOW + DAY + SECOND)) == 1

    async def test_a_lost_lease_is_neither_extended_nor_handed_back(self, store: Store) -> None:
        shop = await open_shop(store)
        await _jobs(store, shop, NOW)
        await _endpoint_with_deliveries(store, shop, NOW)
        (job,), (claimed,) = await _claim(store, NOW), await _claim_deliveries(store, NOW)
        second = NOW + LEASE + SECOND
        assert len(await _claim(store, second)) == len(await _claim_deliveries(store, second)) == 1
        await store.claims.release([job], [claimed.delivery])
        assert not await _claim(store, second)
        assert not await _claim_deliveries(store, second)
        await store.claims.extend([job], [claimed.delivery], until=NOW + DAY)
        third = second + LEASE + SECOND
        assert len(await _claim(store, third)) == len(await _claim_deliveries(store, third)) == 1

    async def test_what_is_done_is_passed_over_by_extensions_and_hand_backs(self, store: Store) -> None:
        await _jobs(store, await open_shop(store), NOW, NOW)
        done, held = await _claim(store, NOW)
        await _done(store, done)
        await store.claims.extend([done, held], [], until=NOW + DAY)
        await store.claims.release([done, held], [])
        assert [job.id for job in await _claim(store, NOW)] == [held.id]

    async def test_what_is_handed_back_is_due_as_before(self, store: Store) -> None:
        shop = await open_shop(store)
        (first,) = await _jobs(store, shop, NOW - MINUTE)
        await _endpoint_with_deliveries(store, shop, NOW)
        (job,), (claimed,) = await _claim(store, NOW), await _claim_deliveries(store, NOW)
        await store.claims.release([job], [claimed.delivery])
        (again,), (claimed_again,) = await _claim(store, NOW), await _claim_deliveries(store, NOW)
        assert (again.id, again.due_at) == (first.id, first.due_at)
        assert again.lease_token > job.lease_token
        assert claimed_again.delivery.lease_token > claimed.delivery.lease_token
        assert claimed_again.delivery.due_at == claimed.delivery.due_at

    async def test_leases_move_no_revision(self, store: Store) -> None:
        shop = await open_shop(store)
        await _jobs(store, shop, NOW)
        await _endpoint_with_deliveries(store, shop, NOW)
        before = await store.revision(shop.merchant.id)
        (job,), (claimed,) = await _claim(store, NOW), await _claim_deliveries(store, NOW)
        await store.claims.extend([job], [claimed.delivery], until=NOW + DAY)
        await store.claims.release([job], [claimed.delivery])
        assert await store.revision(shop.merchant.id) == before

    # ── deliveries

    async def test_a_claimed_delivery_comes_with_all_that_it_takes(self, store: Store) -> None:
        shop = await open_shop(store)
        endpoint = an_endpoint(shop.merchant)
        await put(store, endpoint)
        event = an_event(shop.merchant, at=NOW)
        await put(store, event)
        (claimed,) = await _claim_deliveries(store, NOW)
        assert claimed.endpoint == await stored(store, endpoint)
        assert claimed.body == event.body
        assert claimed.delivery.event == event.id
        assert (claimed.delivery.lease_token, claimed.delivery.lease_expires_at) == (1, NOW + LEASE)
        async with store.begin() as work:
            read = await work.deliveries.get(shop.merchant.id, endpoint.id, claimed.delivery.id)
        assert read == claimed.delivery

    async def test_a_claim_makes_earlier_copies_of_a_delivery_stale(self, store: Store) -> None:
        shop = await open_shop(store)
        endpoint = await _endpoint_with_deliveries(store, shop, NOW)
        (first,) = await _claim_deliveries(store, NOW)
        (second,) = await _claim_deliveries(store, NOW + LEASE + SECOND)
        assert second.delivery.lease_token > first.delivery.lease_token
        attempt = DeliveryAttempt(number=1, at=NOW, milliseconds=1, status_code=200)
        async with refused_unit(store, StaleWrite) as work:
            work.deliveries.save(first.delivery.deliver(attempt))
        async with store.begin() as work:
            work.deliveries.save(second.delivery.fail(attempt, now=NOW, retry_after=None, jitter=0))
            read = await work.deliveries.get(shop.merchant.id, endpoint.id, second.delivery.id)
            assert read.attempts == (attempt,)

    async def test_a_delivery_is_due_at_its_time_and_held_until_its_lease_runs_out(self, store: Store) -> None:
        shop = await open_shop(store)
        await _endpoint_with_deliveries(store, shop, NOW)
        assert not await _claim_deliveries(store, NOW - timedelta(microseconds=1))
        assert len(await _claim_deliveries(store, NOW)) == 1
        assert not await _claim_deliveries(store, NOW + LEASE - SECOND)
        assert len(await _claim_deliveries(store, NOW + LEASE + SECOND)) == 1

    async def test_a_failed_delivery_is_claimed_again_when_it_is_due(self, store: Store) -> None:
        shop = await open_shop(store)
        await _endpoint_with_deliveries(store, shop, NOW)
        (claimed,) = await _claim_deliveries(store, NOW)
        attempt = DeliveryAttempt(number=1, at=NOW, milliseconds=1, error="timeout")
        failed = claimed.delivery.fail(attempt, now=NOW, retry_after=None, jitter=0)
        assert failed.due_at is not None
        async with store.begin() as work:
            work.deliveries.save(failed)
        assert not await _claim_deliveries(store, failed.due_at - SECOND)
        (again,) = await _claim_deliveries(store, failed.due_at)
        assert (again.delivery.tries, again.delivery.attempts) == (1, (attempt,))

    async def test_an_endpoint_with_much_to_do_leaves_room_for_the_others(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        busy = await _endpoint_with_deliveries(store, shop, *_minutes_ago(*range(1, 31)))
        quiet = await _endpoint_with_deliveries(store, shop, NOW - 2 * SECOND)
        stranger = await _endpoint_with_deliveries(store, other, NOW - SECOND, NOW)
        claimed = await _claim_deliveries(store, NOW, a_room(limit=10, limit_each=3))
        assert _count(claimed) == {busy.id: 3, quiet.id: 1, stranger.id: 2}
        busiest = [one.delivery.due_at for one in claimed if one.endpoint.id == busy.id]
        assert busiest == _minutes_ago(30, 29, 28)

    async def test_an_endpoint_gets_no_more_than_is_missing_to_its_share(self, store: Store) -> None:
        shop = await open_shop(store)
        over, full, partly, other = [
            await _endpoint_with_deliveries(store, shop, *_minutes_ago(*range(5))) for _ in range(4)
        ]
        room = a_room(limit_each=3, under_way={over: 4, full: 3, partly: 1})
        assert _count(await _claim_deliveries(store, NOW, room)) == {partly.id: 2, other.id: 3}

    async def test_an_endpoint_that_only_fails_gets_a_share_of_its_own(self, store: Store) -> None:
        shop = await open_shop(store)
        failing, full = [
            await _endpoint_with_deliveries(store, shop, *_minutes_ago(*range(5)), failing_since=NOW - DAY)
            for _ in range(2)
        ]
        well = await _endpoint_with_deliveries(store, shop, *_minutes_ago(*range(5)))
        room = a_room(limit_each=4, limit_each_failing=2, under_way={full: 3})
        assert _count(await _claim_deliveries(store, NOW, room)) == {failing.id: 2, well.id: 4}

    async def test_endpoints_that_only_fail_leave_room_for_those_that_are_well(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        failing = {
            (
                await _endpoint_with_deliveries(store, each, *_minutes_ago(30, 20), failing_since=NOW - DAY)
            ).id: each.merchant.id
            for each in (shop, shop, shop, other)
        }
        wells = [await _endpoint_with_deliveries(store, each, *_minutes_ago(2, 1)) for each in (shop, other)]
        counts = _count(await _claim_deliveries(store, NOW, a_room(limit_failing=3)))
        assert [counts.pop(well.id) for well in wells] == [2, 2]
        assert sum(counts.values()) == 3
        assert {failing[id] for id in counts} == {shop.merchant.id, other.merchant.id}
        assert _count(await _claim_deliveries(store, NOW, a_room(limit_failing=0))) == {}

    async def test_a_merchant_leaves_room_for_the_others(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        busy = [await _endpoint_with_deliveries(store, shop, *_minutes_ago(*range(20, 26))) for _ in range(3)]
        stranger = await _endpoint_with_deliveries(store, other, *_minutes_ago(2, 1))
        room = a_room(limit_each_merchant=7, under_way={busy[0]: 4, an_endpoint(shop.merchant): 1})
        counts = _count(await _claim_deliveries(store, NOW, room))
        assert counts == {busy[1].id: 1, busy[2].id: 1, stranger.id: 2}
        room = a_room(limit_each_merchant=7, under_way={busy[0]: 5, busy[1]: 2})
        assert _count(await _claim_deliveries(store, NOW, room)) == {}

    async def test_merchants_take_turns_and_so_do_endpoints_of_one_merchant(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        busy = await _endpoint_with_deliveries(store, shop, *_minutes_ago(*range(20, 30)))
        quiet = await _endpoint_with_deliveries(store, shop, *_minutes_ago(4))
        stranger = await _endpoint_with_deliveries(store, other, *_minutes_ago(2, 1))
        assert _count(await _claim_deliveries(store, NOW, a_room(limit=4))) == {
            busy.id: 1,
            quiet.id: 1,
            stranger.id: 2,
        }

    async def test_who_has_more_under_way_comes_behind_who_has_less(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        busy = await _endpoint_with_deliveries(store, shop, *_minutes_ago(*range(20, 30)))
        stranger = await _endpoint_with_deliveries(store, other, *_minutes_ago(3, 2, 1))
        room = a_room(limit=4, under_way={busy: 2})
        assert _count(await _claim_deliveries(store, NOW, room)) == {stranger.id: 3, busy.id: 1}

    async def test_no_more_deliveries_are_claimed_than_asked_for(self, store: Store) -> None:
        shop = await open_shop(store)
        await _endpoint_with_deliveries(store, shop, *(NOW - number * SECOND for number in range(6)))
        claims = [await _claim_deliveries(store, NOW, a_room(limit=4)) for _ in range(3)]
        assert [len(claim) for claim in claims] == [4, 2, 0]
        ids = [one.delivery.id for claim in claims for one in claim]
        assert len(set(ids)) == 6

    async def test_concurrent_claims_share_no_delivery(self, store: Store) -> None:
        shop = await open_shop(store)
        await _endpoint_with_deliveries(store, shop, *(NOW - number * SECOND for number in range(3 * WORKERS)))
        claims = await asyncio.gather(*(_claim_deliveries(store, NOW, a_room(limit=5)) for _ in range(WORKERS)))
        ids = [one.delivery.id for claim in (*claims, await _claim_deliveries(store, NOW)) for one in claim]
        assert len(ids) == len(set(ids)) == 3 * WORKERS

    # ── what waits

    async def test_the_backlog_counts_what_waits(self, store: Store) -> None:
        shop = await open_shop(store)
        empty = await store.claims.backlog(at=NOW)
        assert (empty.jobs_due, empty.jobs_dead, empty.deliveries_due, empty.oldest_due_seconds) == (0, 0, 0, 0)
        await _jobs(store, shop, NOW - MINUTE, NOW - 30 * SECOND, NOW - SECOND, NOW + SECOND)
        await _endpoint_with_deliveries(store, shop, NOW - SECOND, NOW, NOW + SECOND)
        full = await store.claims.backlog(at=NOW)
        assert (full.jobs_due, full.jobs_dead, full.deliveries_due) == (3, 0, 2)
        assert full.oldest_due_seconds == pytest.approx(60)
        await _claim(store, NOW, limit=1)
        await _claim_deliveries(store, NOW, a_room(limit=1))
        held = await store.claims.backlog(at=NOW)
        assert (held.jobs_due, held.deliveries_due) == (2, 1)
        assert held.oldest_due_seconds == pytest.approx(30)
        assert (await store.claims.backlog(at=NOW + LEASE + SECOND)).jobs_due == 4
