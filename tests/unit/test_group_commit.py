"""Group commit: who shares a commit with whom, who waits, and what becomes of each."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import patch

import pytest

from adapters.postgres import group
from adapters.postgres.changes import SMALL_MAX, Changes
from adapters.postgres.commit import HeldElsewhere, Patience
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
        self.groups: list[tuple[list[Changes], Patience]] = []
        self.refusals: dict[int, list[Exception]] = {}
        self.free = asyncio.Event()
        self._ends: dict[int, asyncio.Event] = {}

    async def commit(self, units: Sequence[Changes], patience: Patience) -> Sequence[Exception | None]:
        end = self._ends[len(self.groups)] = asyncio.Event()
        self.groups.append((list(units), patience))
        waits = [asyncio.create_task(event.wait()) for event in (self.free, end)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return [refusals.pop(0) if (refusals := self.refusals.get(id(unit))) else None for unit in units]

    def let_go(self, number: int) -> None:
        """Let one commit end, of all that have begun, from 0."""
        self._ends[number].set()

    @property
    def sizes(self) -> list[int]:
        return [len(units) for units, _ in self.groups]


def paying(key: PaymentKey) -> Changes:
    changes = Changes(KINDS)
    changes.of(KINDS.transactions).add(a_transaction(key))
    changes.expect(key)
    return changes


def large(key: PaymentKey) -> Changes:
    changes = Changes(KINDS)
    for _ in range(SMALL_MAX + 1):
        changes.of(KINDS.transactions).add(a_transaction(key))
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
    commit = GroupCommit(store.commit, connections_max=10)
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
    store.refusals[id(units[1])] = [StaleWrite("moved")]
    commit = GroupCommit(store.commit, connections_max=10)
    ends = await asyncio.gather(*map(commit, units), return_exceptions=True)
    assert [type(end) for end in ends] == [type(None), StaleWrite, type(None)]
    assert store.sizes == [3]


async def test_units_that_change_or_expect_the_same_are_in_different_commits() -> None:
    store = Store()
    commit = GroupCommit(store.commit, connections_max=10)
    merchant = a_merchant()
    expecting = Changes(KINDS)
    expecting.expect(merchant)
    store.free.set()
    units = [saving(merchant), saving(merchant), expecting, paying(a_payment_key(merchant))]
    await asyncio.gather(*map(commit, units))
    assert [[units.index(unit) for unit in together] for together, _ in store.groups] == [[0, 3], [1], [2]]


async def test_twins_with_one_idempotency_key_are_in_different_commits() -> None:
    store, key = Store(), a_key()
    commit = GroupCommit(store.commit, connections_max=10)
    record, units = a_record(a_merchant()), [paying(key), paying(key)]
    for unit in units:
        unit.of(KINDS.records).add(record)
    store.free.set()
    await asyncio.gather(*map(commit, units))
    assert store.sizes == [1, 1]


async def test_who_expects_the_same_as_others_shares_their_commit() -> None:
    store, key = Store(), a_key()
    commit = GroupCommit(store.commit, connections_max=10)
    store.free.set()
    await asyncio.gather(*(commit(paying(key)) for _ in range(5)))
    assert store.sizes == [5]


async def test_a_unit_that_needs_what_is_held_waits_in_a_lane_of_its_own_first_briefly_then_aside() -> None:
    store = Store()
    commit = GroupCommit(store.commit, connections_max=10)
    held, free = paying(a_key()), paying(a_key())
    store.refusals[id(held)] = [HeldElsewhere(), HeldElsewhere()]
    waiting = asyncio.create_task(commit(held))
    await begun(store, 1)
    store.let_go(0)
    await begun(store, 2)
    other = asyncio.create_task(commit(free))
    await begun(store, 3)
    store.let_go(1)
    await begun(store, 4)
    assert store.groups == [
        ([held], Patience.NONE),
        ([held], Patience.BRIEF),
        ([free], Patience.NONE),
        ([held], Patience.FULL),
    ]
    store.free.set()
    await asyncio.gather(waiting, other)


async def test_units_that_need_what_is_held_share_the_next_brief_wait() -> None:
    store = Store()
    commit = GroupCommit(store.commit, connections_max=10)
    units = [paying(a_key()) for _ in range(3)]
    for unit in units:
        store.refusals[id(unit)] = [HeldElsewhere()]
    store.free.set()
    await asyncio.gather(*map(commit, units))
    assert [(len(together), patience) for together, patience in store.groups] == [
        (3, Patience.NONE),
        (3, Patience.BRIEF),
    ]


async def test_a_large_unit_is_committed_alone_and_its_merchants_others_follow_it() -> None:
    store, merchant = Store(), a_merchant()
    key = a_payment_key(merchant)
    moves_much = large(key)
    commit = GroupCommit(store.commit, connections_max=10)
    units = [moves_much, paying(key), paying(a_key())]
    tasks = [asyncio.create_task(commit(unit)) for unit in units]
    await begun(store, 2)
    assert sorted(store.sizes) == [1, 1]
    assert {id(together[0]) for together, _ in store.groups} == {id(moves_much), id(units[2])}
    store.free.set()
    await asyncio.gather(*tasks)
    assert store.groups[2] == ([units[1]], Patience.FULL)


async def test_beyond_so_many_waiting_the_next_is_told_that_the_store_is_busy() -> None:
    store = Store()
    commit = GroupCommit(store.commit, connections_max=10)
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
    commit = GroupCommit(store.commit, connections_max=10)
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
    commit = GroupCommit(store.commit, connections_max=10)
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
    commit = GroupCommit(store.commit, connections_max=10)
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

    async def break_once(units: Sequence[Changes], patience: Patience) -> Sequence[Exception | None]:
        if not store.groups:
            store.groups.append((list(units), patience))
            raise RuntimeError("a defect")
        return [None for _ in units]

    commit = GroupCommit(break_once, connections_max=10)
    ends = await asyncio.gather(*(commit(paying(a_key())) for _ in range(3)), return_exceptions=True)
    assert [type(end) for end in ends] == [OutcomeUnknown] * 3
    await commit(paying(a_key()))


async def test_who_has_to_wait_aside_still_expires_can_go_and_is_counted() -> None:
    store = Store()
    with patch.object(group, "WAIT_SECONDS", 0.5), patch.object(group, "WAITING_MAX", 2):
        commit = GroupCommit(store.commit, connections_max=3)
        # All places aside are taken: there is one.
        blocker = asyncio.create_task(commit(large(a_key())))
        await begun(store, 1)
        units = [paying(a_key()) for _ in range(2)]
        store.refusals.update({id(unit): [HeldElsewhere(), HeldElsewhere()] for unit in units})
        expires, goes = (asyncio.create_task(commit(unit)) for unit in units)
        await begun(store, 2)
        store.let_go(1)
        await begun(store, 3)
        store.let_go(2)
        await until(lambda: _say(not any(store.refusals.values())))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await commit(paying(a_key()))
        goes.cancel()
        with pytest.raises(asyncio.CancelledError):
            await goes
        with pytest.raises(Unavailable):
            await expires
    store.free.set()
    await blocker
    await commit(paying(a_key()))
    assert store.sizes == [1, 2, 2, 1]


async def test_who_was_cancelled_while_its_commit_was_tried_is_not_committed_aside() -> None:
    store = Store()
    commit = GroupCommit(store.commit, connections_max=10)
    unit = paying(a_key())
    store.refusals[id(unit)] = [HeldElsewhere()]
    waiting = asyncio.create_task(commit(unit))
    await begun(store, 1)
    waiting.cancel()
    await asyncio.sleep(0)
    store.free.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await commit(paying(a_key()))
    assert store.sizes == [1, 1]
    assert store.groups[1][0] != [unit]


async def test_large_units_leave_places_for_those_that_only_wait_their_turn() -> None:
    store = Store()
    commit = GroupCommit(store.commit, connections_max=10)
    tasks = [asyncio.create_task(commit(large(a_key()))) for _ in range(group.ASIDE_MAX)]
    await begun(store, group.ASIDE_MAX // 2)
    held = paying(a_key())
    store.refusals[id(held)] = [HeldElsewhere(), HeldElsewhere()]
    tasks.append(asyncio.create_task(commit(held)))
    await begun(store, group.ASIDE_MAX // 2 + 1)
    store.let_go(group.ASIDE_MAX // 2)
    await begun(store, group.ASIDE_MAX // 2 + 2)
    store.let_go(group.ASIDE_MAX // 2 + 1)
    await begun(store, group.ASIDE_MAX // 2 + 3)
    assert store.groups[-1] == ([held], Patience.FULL)
    store.free.set()
    await asyncio.gather(*tasks)


async def test_few_connections_have_few_commits_aside() -> None:
    store = Store()
    commit = GroupCommit(store.commit, connections_max=3)
    tasks = [asyncio.create_task(commit(large(a_key()))) for _ in range(3)]
    await begun(store, 1)
    tasks.append(asyncio.create_task(commit(paying(a_key()))))
    await begun(store, 2)
    assert [patience for _, patience in store.groups] == [Patience.FULL, Patience.NONE]
    store.free.set()
    await asyncio.gather(*tasks)
