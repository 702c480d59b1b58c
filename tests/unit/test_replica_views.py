"""Which of two stores a view is of: the replica's where it shows what the merchant was told, else the primary's."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from adapters.memory.store import MemoryStore
from adapters.postgres.errors import Rejected
from adapters.postgres.replica import PAUSE_SECONDS, ReplicaViews
from payments_core.errors import NotFound, StaleWrite, Unavailable
from payments_core.ids import MerchantId
from payments_core.ports import View
from payments_core.testing.builders import a_transaction
from payments_core.testing.subject import Shop, open_shop, put
from payments_core.transaction import Transaction


class Replica:
    """A replica that is the primary as of now, until it is told to be something else."""

    def __init__(self, primary: MemoryStore) -> None:
        self.shows = primary
        self.fails: Exception | None = None
        self.asked = 0
        self.closed = 0

    @asynccontextmanager
    async def view(self, merchant: MerchantId, livemode: bool, /) -> AsyncGenerator[View]:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        async with self.shows.view(merchant, livemode) as view:
            try:
                yield view
            finally:
                self.closed += 1


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def primary() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def replica(primary: MemoryStore) -> Replica:
    return Replica(primary)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def views(primary: MemoryStore, replica: Replica, clock: Clock) -> ReplicaViews:
    return ReplicaViews(primary, replica.view, clock=clock)


async def sees(views: ReplicaViews, shop: Shop, transaction: Transaction) -> bool:
    async with views.view(shop.merchant.id, False) as view:
        try:
            await view.transaction(transaction.id)
        except NotFound:
            return False
        return True


async def test_a_replica_that_has_all_is_read_and_closed_behind_the_block(
    views: ReplicaViews, primary: MemoryStore, replica: Replica
) -> None:
    shop = await open_shop(primary)
    async with views.view(shop.merchant.id, False) as view:
        assert view.revision == await views.revision(shop.merchant.id)
        assert (replica.asked, replica.closed) == (1, 0)
    assert replica.closed == 1


async def test_a_replica_that_lags_is_passed_over_and_asked_again_the_next_time(
    views: ReplicaViews, primary: MemoryStore, replica: Replica
) -> None:
    shop = await open_shop(primary)
    late = MemoryStore()
    replica.shows = late
    await put(late, shop.merchant)
    await put(primary, transaction := a_transaction(shop.key))
    assert await sees(views, shop, transaction)
    assert (replica.asked, replica.closed) == (1, 1)
    replica.shows = primary
    assert await sees(views, shop, transaction)
    assert replica.asked == 2


async def test_a_merchant_of_whom_the_replica_has_yet_to_hear_is_read_at_the_primary(
    views: ReplicaViews, primary: MemoryStore, replica: Replica
) -> None:
    shop = await open_shop(primary)
    replica.shows = MemoryStore()
    await put(primary, transaction := a_transaction(shop.key))
    assert await sees(views, shop, transaction)
    assert await sees(views, shop, transaction)
    assert replica.asked == 2


async def test_nobody_is_found_nowhere(views: ReplicaViews) -> None:
    with pytest.raises(NotFound):
        async with views.view(MerchantId("mer_nobody"), False):
            pass


@pytest.mark.parametrize("failure", [Unavailable("away"), StaleWrite("in the way"), Rejected("no right")])
async def test_a_replica_that_fails_rests_and_is_tried_by_one_view_at_a_time(
    failure: Exception,
    views: ReplicaViews,
    primary: MemoryStore,
    replica: Replica,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    shop = await open_shop(primary)
    await put(primary, transaction := a_transaction(shop.key))
    replica.fails = failure
    for asked, seconds in ((1, 0.0), (1, PAUSE_SECONDS - 0.1), (2, 0.2), (2, 0.0), (3, PAUSE_SECONDS)):
        clock.seconds += seconds
        assert await sees(views, shop, transaction)
        assert replica.asked == asked
    replica.fails = None
    clock.seconds += PAUSE_SECONDS
    for asked in (4, 5):
        assert await sees(views, shop, transaction)
        assert replica.asked == asked
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "the replica is away, the primary is read until it is back",
        "the replica is back",
    ]


@pytest.mark.parametrize("failure", [Unavailable("lost"), StaleWrite("conflict with recovery")])
async def test_a_replica_that_fails_within_a_block_is_unavailable_and_rests(
    failure: Exception, views: ReplicaViews, primary: MemoryStore, replica: Replica
) -> None:
    shop = await open_shop(primary)
    await put(primary, transaction := a_transaction(shop.key))
    with pytest.raises(Unavailable):
        async with views.view(shop.merchant.id, False):
            raise failure
    assert await sees(views, shop, transaction)
    assert replica.asked == 1


async def test_what_is_not_found_on_the_replica_says_nothing_against_it(
    views: ReplicaViews, primary: MemoryStore, replica: Replica
) -> None:
    shop = await open_shop(primary)
    for asked in (1, 2):
        assert not await sees(views, shop, a_transaction(shop.key))
        assert replica.asked == asked
