"""The memory cache and counters: the contracts, and the bounds that they keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from adapters.memory.cache import MemoryCache
from adapters.memory.limits import MemoryRateLimits
from payments_core.limits import Limit
from payments_core.testing.cache import CacheContract, CacheUnderTest
from payments_core.testing.limits import RateLimitsContract, RateLimitsUnderTest


class HandClock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    async def let_pass(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class TestMemoryCache(CacheContract):
    @pytest.fixture
    def subject(self) -> CacheUnderTest:
        clock = HandClock()
        cache = MemoryCache(clock=clock, value_bytes_max=1_000)
        return CacheUnderTest(cache=cache, value_bytes_max=1_000, let_pass=clock.let_pass)


class TestMemoryRateLimits(RateLimitsContract):
    @pytest.fixture
    def subject(self) -> RateLimitsUnderTest:
        clock = HandClock()
        return RateLimitsUnderTest(limits=MemoryRateLimits(clock=clock), let_pass=clock.let_pass)


async def test_the_entry_read_longest_ago_makes_room_for_a_new_one() -> None:
    cache = MemoryCache(clock=HandClock(), entries_max=2)
    await cache.put("first", b"1", ttl_seconds=60)
    await cache.put("second", b"2", ttl_seconds=60)
    await cache.get("first")
    await cache.put("third", b"3", ttl_seconds=60)
    assert await cache.get("first") == b"1"
    assert await cache.get("second") is None
    assert await cache.get("third") == b"3"


async def test_all_values_together_stay_below_the_bound_in_bytes() -> None:
    cache = MemoryCache(clock=HandClock(), total_bytes_max=10)
    await cache.put("four", b"4444", ttl_seconds=60)
    await cache.put("four", b"4444", ttl_seconds=60)
    await cache.put("six", b"666666", ttl_seconds=60)
    assert await cache.get("four") == b"4444"
    await cache.put("one", b"1", ttl_seconds=60)
    assert await cache.get("six") is None
    assert await cache.get("four") == b"4444"
    assert await cache.get("one") == b"1"


async def test_an_expired_value_gives_its_bytes_back() -> None:
    clock = HandClock()
    cache = MemoryCache(clock=clock, total_bytes_max=10)
    await cache.put("old", bytes(6), ttl_seconds=1)
    await cache.put("kept", bytes(4), ttl_seconds=60)
    await clock.let_pass(1)
    assert await cache.get("old") is None
    await cache.put("new", bytes(6), ttl_seconds=60)
    assert await cache.get("kept") == bytes(4)
    assert await cache.get("new") == bytes(6)


async def test_a_counter_forgets_the_key_hit_longest_ago_when_there_are_too_many() -> None:
    limits = MemoryRateLimits(clock=HandClock(), keys_max=2)
    once = Limit(name="once", amount=1, per_seconds=60)
    await limits.hit(once, "first")
    await limits.hit(once, "second")
    assert not (await limits.hit(once, "first")).allowed
    await limits.hit(once, "third")
    assert not (await limits.hit(once, "first")).allowed
    assert (await limits.hit(once, "second")).allowed
