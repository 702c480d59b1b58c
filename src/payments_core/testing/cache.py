"""What every cache must pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from payments_core.ports import Cache


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUnderTest:
    """An empty cache, the largest value that it keeps, and a way to let that many seconds pass on its clock."""

    cache: Cache
    value_bytes_max: int
    let_pass: Callable[[float], Awaitable[None]]


class CacheContract:
    """Adapters supply `subject`."""

    @pytest.fixture
    def subject(self) -> CacheUnderTest:
        """Return a cache of the adapter's own, empty."""
        raise NotImplementedError

    async def test_a_key_that_was_never_put_has_no_value(self, subject: CacheUnderTest) -> None:
        assert await subject.cache.get("unknown") is None

    @pytest.mark.parametrize("value", [b"", b"text", bytes(range(256))])
    async def test_a_value_comes_back_byte_for_byte(self, subject: CacheUnderTest, value: bytes) -> None:
        await subject.cache.put("key", value, ttl_seconds=60)
        assert await subject.cache.get("key") == value

    async def test_keys_do_not_meet(self, subject: CacheUnderTest) -> None:
        await subject.cache.put("mer_1:test:7", b"one", ttl_seconds=60)
        await subject.cache.put("mer_1:test:70", b"other", ttl_seconds=60)
        assert await subject.cache.get("mer_1:test:7") == b"one"
        assert await subject.cache.get("mer_1:test:70") == b"other"
        assert await subject.cache.get("mer_1:test:") is None

    async def test_a_later_value_takes_the_place_of_an_earlier_one(self, subject: CacheUnderTest) -> None:
        await subject.cache.put("key", b"earlier", ttl_seconds=60)
        await subject.cache.put("key", b"later", ttl_seconds=60)
        assert await subject.cache.get("key") == b"later"

    async def test_a_value_is_gone_when_its_time_is_over(self, subject: CacheUnderTest) -> None:
        await subject.cache.put("short", b"value", ttl_seconds=1)
        await subject.cache.put("long", b"value", ttl_seconds=60)
        await subject.let_pass(1.05)
        assert await subject.cache.get("short") is None
        assert await subject.cache.get("long") == b"value"

    async def test_the_largest_value_is_kept(self, subject: CacheUnderTest) -> None:
        largest = bytes(subject.value_bytes_max)
        await subject.cache.put("key", largest, ttl_seconds=60)
        assert await subject.cache.get("key") == largest

    async def test_a_value_too_large_to_keep_leaves_no_older_one_behind(self, subject: CacheUnderTest) -> None:
        await subject.cache.put("key", b"older", ttl_seconds=60)
        await subject.cache.put("key", bytes(subject.value_bytes_max + 1), ttl_seconds=60)
        assert await subject.cache.get("key") is None
