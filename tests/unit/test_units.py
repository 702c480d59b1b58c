"""The loop around units of work: races lost and won, twins, and when a caller hears of it."""

import asyncio
import os
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import pytest

from adapters.memory import HandClock, MemoryStore
from adapters.memory.doorbell import MemoryDoorbell
from payments_core.errors import Conflict, Duplicate, RuleBroken, StaleWrite, Unavailable
from payments_core.idempotency import Once, fingerprint
from payments_core.ids import Moment
from payments_core.merchant import Caller, Merchant
from payments_core.ports import Begin, Unique, UnitOfWork
from payments_core.testing import builders
from payments_core.units import UNIT_TRIES_MAX, UNITS_BEHIND_MAX, Behind, Made, Units
from payments_core.values import encode_json

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def units(begin: Begin, doorbell: MemoryDoorbell | None = None) -> Units:
    return Units(
        begin=begin,
        clock=HandClock(NOW),
        entropy=os.urandom,
        encode=encode_json,
        doorbell=doorbell or MemoryDoorbell(),
    )


async def a_stored_merchant(store: MemoryStore) -> Merchant:
    merchant = builders.a_merchant()
    async with store.begin() as work:
        work.merchants.add(merchant)
    return merchant


def once(value: int = 1) -> Once:
    return Once(key="k", route="POST /x", status=201, fingerprint=fingerprint(b"s", route="POST /x", body={"v": value}))


async def test_a_lost_race_is_run_again_with_the_same_time_and_ids() -> None:
    store, seen = MemoryStore(), list[tuple[datetime, str]]()

    async def act(_work: UnitOfWork, moment: Moment) -> str:
        seen.append((moment.now, moment.id("txn")))
        if len(seen) < 3:
            raise StaleWrite("lost")
        return seen[-1][1]

    assert await units(store.begin).run(act) == seen[0][1]
    assert len(seen) == 3
    assert len(set(seen)) == 1


@pytest.mark.parametrize("key", [None, once()])
async def test_who_waited_for_a_turn_has_the_time_at_which_it_came(key: Once | None) -> None:
    store, clock, first_is_done = MemoryStore(), HandClock(NOW), asyncio.Event()
    merchant = await a_stored_merchant(store)
    loop = Units(begin=store.begin, clock=clock, entropy=os.urandom, encode=encode_json, doorbell=MemoryDoorbell())

    async def wait(_work: UnitOfWork, _moment: Moment) -> None:
        await first_is_done.wait()

    async def tell(_work: UnitOfWork, moment: Moment) -> Made:
        return Made(answer={"now": moment.now.isoformat()})

    first = asyncio.create_task(loop.run(wait, on="transaction:1"))
    await asyncio.sleep(0)
    second = asyncio.create_task(loop.answer(tell, caller=Caller(merchant=merchant.id), once=key, on="transaction:1"))
    await asyncio.sleep(0)
    clock.move(timedelta(seconds=4))
    first_is_done.set()
    await first
    assert (await second).json == {"now": (NOW + timedelta(seconds=4)).isoformat()}


async def test_a_race_that_cannot_be_won_ends_as_unavailable() -> None:
    store, tries = MemoryStore(), 0

    async def act(_work: UnitOfWork, _moment: Moment) -> None:
        nonlocal tries
        tries += 1
        raise StaleWrite("lost")

    with pytest.raises(Unavailable):
        await units(store.begin).run(act)
    assert tries == UNIT_TRIES_MAX


@pytest.mark.parametrize(
    ("constraint", "code"),
    [(Unique.MERCHANT_EMAIL, "email_taken"), (Unique.TRANSACTION_REFERENCE, "reference_taken")],
)
async def test_a_taken_value_is_a_conflict_when_it_is_met_again(constraint: Unique, code: str) -> None:
    store, tries = MemoryStore(), 0

    async def act(_work: UnitOfWork, _moment: Moment) -> None:
        nonlocal tries
        tries += 1
        raise Duplicate(constraint)

    with pytest.raises(Conflict) as refused:
        await units(store.begin).run(act)
    assert (refused.value.code, tries) == (code, 2)


async def test_twins_have_one_effect_and_one_answer_also_without_a_mutex_between_them() -> None:
    store, effects, doorbell = MemoryStore(), 0, MemoryDoorbell()
    merchant = await a_stored_merchant(store)
    caller = Caller(merchant=merchant.id)

    async def act(work: UnitOfWork, moment: Moment) -> Made:
        nonlocal effects
        effects += 1
        work.expect(await work.merchants.get(merchant.id))
        return Made(answer={"id": moment.id("txn")})

    # A loop of its own for each, as in other processes.
    processes = [units(store.begin, doorbell) for _ in range(20)]
    answers = await asyncio.gather(*(each.answer(act, caller=caller, once=once(), rings=True) for each in processes))
    assert len({answer.body for answer in answers}) == 1
    assert [answer.replayed for answer in answers].count(False) == 1
    assert effects > 1, "the twins did not meet"
    assert doorbell.rings == 1


async def test_a_refusal_that_a_twins_success_has_caused_becomes_the_twins_answer() -> None:
    store = MemoryStore()
    merchant = await a_stored_merchant(store)
    caller = Caller(merchant=merchant.id)
    loop_of_the_twin, calls = units(store.begin), 0

    async def succeed(_work: UnitOfWork, _moment: Moment) -> Made:
        return Made(answer={"who": "the twin"})

    async def refuse(_work: UnitOfWork, _moment: Moment) -> Made:
        nonlocal calls
        calls += 1
        await loop_of_the_twin.answer(succeed, caller=caller, once=once())
        raise RuleBroken("already_refunded", "Nothing is left.")

    answer = await units(store.begin).answer(refuse, caller=caller, once=once())
    assert (answer.json, answer.replayed, calls) == ({"who": "the twin"}, True, 1)


async def test_a_refusal_stores_nothing_and_leaves_the_key_free() -> None:
    store = MemoryStore()
    caller = Caller(merchant=(await a_stored_merchant(store)).id)

    async def refuse(_work: UnitOfWork, _moment: Moment) -> Made:
        raise RuleBroken("already_refunded", "Nothing is left.")

    async def succeed(_work: UnitOfWork, _moment: Moment) -> Made:
        return Made(answer={"ok": True})

    loop = units(store.begin)
    with pytest.raises(RuleBroken):
        await loop.answer(refuse, caller=caller, once=once())
    assert not (await loop.answer(succeed, caller=caller, once=once(2))).replayed


async def test_other_merchants_and_modes_have_keys_of_their_own() -> None:
    store = MemoryStore()
    loop = units(store.begin)
    one, other = [await a_stored_merchant(store) for _ in range(2)]

    async def act(_work: UnitOfWork, moment: Moment) -> Made:
        return Made(answer={"id": moment.id("txn")})

    callers = [Caller(merchant=one.id), Caller(merchant=one.id, livemode=True), Caller(merchant=other.id)]
    answers = [await loop.answer(act, caller=caller, once=once()) for caller in callers]
    assert not any(answer.replayed for answer in answers)


class StoreAway:
    """A store that cannot be reached; counts how often it was tried."""

    def __init__(self) -> None:
        self.tries = 0

    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]:
        self.tries += 1
        raise Unavailable("the store is away")


async def test_a_store_that_is_away_is_not_asked_again_and_again() -> None:
    store = StoreAway()

    async def act(_work: UnitOfWork, _moment: Moment) -> None:
        pytest.fail("there is no unit to act in")

    with pytest.raises(Unavailable):
        await units(store.begin).run(act)
    assert store.tries == 1


async def test_money_does_not_wait_behind_the_telling_of_it() -> None:
    store, may_end = MemoryStore(), asyncio.Event()
    loop = units(store.begin)

    async def wait(_work: UnitOfWork, _moment: Moment) -> None:
        await may_end.wait()

    async def do(_work: UnitOfWork, _moment: Moment) -> str:
        return "done"

    async with asyncio.TaskGroup() as group:
        for _ in range(10 * UNITS_BEHIND_MAX[Behind.DELIVERIES]):
            group.create_task(loop.run_behind(wait, of=Behind.DELIVERIES))
        await asyncio.sleep(0)
        assert await loop.run_behind(do, of=Behind.JOBS) == "done"
        may_end.set()
