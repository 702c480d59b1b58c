"""Group commit: who shares a commit with whom, who waits, and what becomes of each."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import patch

import pytest

from adapters.postgres import group
from adapters.postgres.changes import Changes
from adapters.postgres.commit import CounterHeld
from adapters.postgres.group import GroupCommit
from adapters.postgres.mapping import kinds
from adapters.security.vault import AeadVault
from payments_core.errors import OutcomeUnknown, StaleWrite, Unavailable
from payments_core.merchant import Merchant, PaymentKey
from payments_core.testing.builders import a_merchant, a_payment_key, a_record, a_transaction
from tests.patience import until

KINDS = kinds(AeadVault([b"k" * 32], entropy=os.urandom))


class Store:
    """Stands for the database: each commit lasts until it is let go, and is noted."""

    def __init__(self) -> None:
        self.groups: list[tuple[list[Changes], bool]] = []
        self.refusals: dict[int, Exception] = {}
        self.free = asyncio.Event()

    async def commit(self, units: Sequence[Changes], patient: bool) -> Sequence[Exception | None]:
        self.groups.append((list(units), patient))
        await self.free.wait()
        return [self.refusals.pop(id(unit), None) for unit in units]

    @property
    def sizes(self) -> list[int]:
        return [len(units) for units, _ in self.groups]


def paying(key: PaymentKey) -> Changes:
    changes = Changes(KINDS)
    changes.of(KINDS.transactions).add(a_transaction(key))
    changes.expect(key)
    return changes


def saving(merchant: Merchant) -> Changes:
    changes = Changes(KINDS)
    changes.of(KINDS.merchants).save(replace(merchant, name="Saved"))
    return changes


async def begun(store: Store, number: int) -> None:
    await until(lambda: _say(len(store.groups) >= number))


async def _say(value: bool) -> bool:
    return value


def a_key() -> PaymentKey:
    return a_payment_key(a_merchant())


async def test_a_unit_that_comes_alone_is_committed_at_once_and_those_that_come_meanwhile_share_the_next() -> None:
    store = Store()
    commit = GroupCommit(store.commit)
    first = asyncio.create_task(commit(paying(a_key())))
    await begun(store, 1)
    later = [asyncio.create_task(commit(paying(a_key()))) for _ in range(10)]
    await asyncio.sleep(0)
    assert store.sizes == [1]
    store.free.set()
    await asyncio.gather(first, *later)
    assert store.sizes == [1, 10]


async def test_one_that_is_refused_hears_of_it_and_its_neighbours_do_not() -> None:
    store, units = Store(), [paying(a_key()) for _ in range(3)]
    store.free.set()
    store.refusals[id(units[1])] = StaleWrite("moved")
    commit = GroupCommit(store.commit)
    ends = await asyncio.gather(*map(commit, units), return_exceptions=True)
    assert [type(end) for end in ends] == [type(None), StaleWrite, type(None)]
    assert store.sizes == [3]


async def test_units_that_change_or_expect_the_same_are_in_different_commits() -> None:
    store = Store()
    commit = GroupCommit(store.commit)
    merchant = a_merchant()
    expecting = Changes(KINDS)
    expecting.expect(merchant)
    store.free.set()
    units = [saving(merchant), saving(merchant), expecting, paying(a_payment_key(merchant))]
    await asyncio.gather(*map(commit, units))
    assert [[units.index(unit) for unit in together] for together, _ in store.groups] == [[0, 3], [1], [2]]


async def test_twins_with_one_idempotency_key_are_in_different_commits() -> None:
    store, key = Store(), a_key()
    commit = GroupCommit(store.commit)
    record, units = a_record(a_merchant()), [paying(key), paying(key)]
    for unit in units:
        unit.of(KINDS.records).add(record)
    store.free.set()
    await asyncio.gather(*map(commit, units))
    assert store.sizes == [1, 1]


async def test_who_expects_the_same_as_others_shares_their_commit() -> None:
    store, key = Store(), a_key()
    commit = GroupCommit(store.commit)
    store.free.set()
    await asyncio.gather(*(commit(paying(key)) for _ in range(5)))
    assert store.sizes == [5]


async def test_a_unit_whose_counter_is_held_goes_aside_and_holds_up_nobody_else() -> None:
    store, held = Store(), a_key()
    commit = GroupCommit(store.commit)
    first = paying(held)
    store.refusals[id(first)] = CounterHeld()
    waiting = asyncio.create_task(commit(first))
    await begun(store, 1)
    store.free.set()
    await begun(store, 2)
    store.free.clear()
    assert store.groups[1] == ([first], True)
    await waiting

    another = Store()
    commit = GroupCommit(another.commit)
    second, third = paying(held), paying(a_key())
    another.refusals[id(second)] = CounterHeld()
    tasks = [asyncio.create_task(commit(second))]
    another.free.set()
    await asyncio.gather(*tasks, commit(third))
    assert ([second], True) in another.groups


async def test_a_large_unit_is_committed_alone_and_its_merchants_others_follow_it() -> None:
    store, merchant = Store(), a_merchant()
    key = a_payment_key(merchant)
    large = Changes(KINDS)
    for _ in range(100):
        large.of(KINDS.transactions).add(a_transaction(key))
    commit = GroupCommit(store.commit)
    units = [large, paying(key), paying(a_key())]
    tasks = [asyncio.create_task(commit(unit)) for unit in units]
    await begun(store, 2)
    assert sorted(store.sizes) == [1, 1]
    assert {id(together[0]) for together, _ in store.groups} == {id(large), id(units[2])}
    store.free.set()
    await asyncio.gather(*tasks)
    assert store.groups[2] == ([units[1]], True)


async def test_beyond_so_many_waiting_the_next_is_told_that_the_store_is_busy() -> None:
    store = Store()
    commit = GroupCommit(store.commit)
    with patch.object(group, "WAITING_MAX", 3):
        tasks = [asyncio.create_task(commit(paying(a_key())))]
        await begun(store, 1)
        tasks += [asyncio.create_task(commit(paying(a_key()))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await commit(paying(a_key()))
    store.free.set()
    await asyncio.gather(*tasks)
    assert sum(store.sizes) == 4


async def test_who_waits_too_long_is_told_so_and_is_not_committed_later() -> None:
    store = Store()
    commit = GroupCommit(store.commit)
    first = asyncio.create_task(commit(paying(a_key())))
    await begun(store, 1)
    with patch.object(group, "WAIT_SECONDS", 0.01), pytest.raises(Unavailable):
        await commit(paying(a_key()))
    store.free.set()
    await first
    await commit(paying(a_key()))
    assert store.sizes == [1, 1]


async def test_who_is_cancelled_while_waiting_takes_its_unit_back_and_harms_no_other() -> None:
    store = Store()
    commit = GroupCommit(store.commit)
    first = asyncio.create_task(commit(paying(a_key())))
    await begun(store, 1)
    second, third = (asyncio.create_task(commit(paying(a_key()))) for _ in range(2))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    store.free.set()
    await asyncio.gather(first, third)
    assert store.sizes == [1, 1]


async def test_who_is_cancelled_during_its_commit_hears_of_it_when_that_has_ended() -> None:
    store = Store()
    commit = GroupCommit(store.commit)
    first, second = (asyncio.create_task(commit(paying(a_key()))) for _ in range(2))
    await begun(store, 1)
    for _ in range(2):
        first.cancel()
        await asyncio.sleep(0)
    assert not first.done()
    store.free.set()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert store.sizes == [2]


async def test_a_commit_that_breaks_leaves_nobody_waiting_and_the_next_one_works() -> None:
    store = Store()

    async def break_once(units: Sequence[Changes], patient: bool) -> Sequence[Exception | None]:
        if not store.groups:
            store.groups.append((list(units), patient))
            raise RuntimeError("a defect")
        return [None for _ in units]

    commit = GroupCommit(break_once)
    ends = await asyncio.gather(*(commit(paying(a_key())) for _ in range(3)), return_exceptions=True)
    assert [type(end) for end in ends] == [OutcomeUnknown] * 3
    await commit(paying(a_key()))
