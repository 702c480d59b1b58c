"""Mutexes: turns for each name, no deadlock over several, no room for unused ones."""

import asyncio

import pytest

from payments_core.mutexes import Mutexes

SOON = 5.0


async def test_holders_of_one_name_take_turns() -> None:
    mutexes, inside, most = Mutexes(), 0, 0

    async def hold() -> None:
        nonlocal inside, most
        async with mutexes.hold("a", timeout_seconds=SOON):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(hold() for _ in range(20)))
    assert most == 1


async def test_holders_of_other_names_do_not_wait() -> None:
    mutexes = Mutexes()
    async with mutexes.hold("a", timeout_seconds=SOON), mutexes.hold("b", timeout_seconds=SOON):
        pass


async def test_waiting_too_long_raises_and_leaves_nothing_behind() -> None:
    mutexes = Mutexes()
    async with mutexes.hold("a", timeout_seconds=SOON):
        with pytest.raises(TimeoutError):
            async with mutexes.hold("a", timeout_seconds=0.01):
                pytest.fail("two held the same name")
    async with mutexes.hold("a", timeout_seconds=SOON):
        pass
    assert not mutexes._entries


async def test_a_timeout_inside_the_block_is_not_taken_for_one_of_waiting() -> None:
    mutexes = Mutexes()
    async with mutexes.hold("a", timeout_seconds=0.01):
        await asyncio.sleep(0.02)
