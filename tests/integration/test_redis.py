"""Cache and rate limits on a real Valkey: the contracts, and what happens while it is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from adapters.memory.limits import MemoryRateLimits
from adapters.redis.breaker import Breaker
from adapters.redis.cache import KEYS_MAX, RedisCache
from adapters.redis.client import CONNECTIONS_MAX, make_client
from adapters.redis.health import ping
from adapters.redis.limits import RedisRateLimits
from payments_core.errors import Unavailable
from payments_core.limits import Limit
from payments_core.testing.cache import CacheContract, CacheUnderTest
from payments_core.testing.limits import TEN_A_MINUTE, RateLimitsContract, RateLimitsUnderTest
from tests.patience import PATIENCE_SECONDS, until
from tests.servers import Server

CANCELLED_AFTER_STEPS_MAX = 60
"""More steps of the event loop than a call takes, connecting included."""


def wall_clock() -> datetime:
    return datetime.now(UTC)


def limits_on(client: Redis, breaker: Breaker) -> RedisRateLimits:
    return RedisRateLimits(client, breaker=breaker, fallback=MemoryRateLimits(clock=wall_clock))


def patient_breaker() -> Breaker:
    """Return one that a machine which freezes for a moment doesn't open: only what Redis says counts."""
    return Breaker(total_seconds=PATIENCE_SECONDS, turn_seconds=PATIENCE_SECONDS)


def patient_client(url: str) -> Redis:
    return make_client(url, wait_seconds=PATIENCE_SECONDS)


def is_away(breaker: Breaker) -> bool:
    return breaker.is_open  # read anew: a type checker takes a property for a constant


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with patient_client(redis_url) as made:
        yield made


@pytest.fixture
def breaker() -> Breaker:
    return patient_breaker()


@pytest.fixture
def cache(client: Redis, breaker: Breaker) -> RedisCache:
    return RedisCache(client, breaker=breaker)


async def age(client: Redis, seconds: float) -> None:
    """Let every key live that much shorter: the server's clock cannot be set."""
    for key in await client.keys("*"):
        left = await client.pttl(key)
        await client.pexpire(key, max(0, left - round(seconds * 1000)))


class HandClock:
    """The time in microseconds, which moves when told."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now

    async def let_pass(self, seconds: float) -> None:
        self.now += round(seconds * 1_000_000)


class TestRedisCache(CacheContract):
    @pytest.fixture
    def subject(self, client: Redis, breaker: Breaker) -> CacheUnderTest:
        cache = RedisCache(client, breaker=breaker, value_bytes_max=1_000)
        return CacheUnderTest(cache=cache, value_bytes_max=1_000, let_pass=partial(age, client))


class TestRedisRateLimits(RateLimitsContract):
    @pytest.fixture
    def subject(self, client: Redis, breaker: Breaker) -> RateLimitsUnderTest:
        clock = HandClock()
        fallback = MemoryRateLimits(clock=wall_clock)
        limits = RedisRateLimits(client, breaker=breaker, fallback=fallback, now_microseconds=clock)
        return RateLimitsUnderTest(limits=limits, let_pass=clock.let_pass)


async def test_without_a_clock_of_its_own_the_time_is_that_of_redis(client: Redis, breaker: Breaker) -> None:
    await limits_on(client, breaker).hit(TEN_A_MINUTE, "mer_1")
    [key] = await client.keys("payments:limit:*")
    [hit] = await client.lrange(key, 0, -1)
    seconds, microseconds = await client.time()
    assert 0 <= seconds * 1_000_000 + microseconds - int(hit) < 60 * 1_000_000


async def test_two_processes_count_together(redis_url: str, client: Redis) -> None:
    async with patient_client(redis_url) as other:
        counters = [limits_on(client, patient_breaker()), limits_on(other, patient_breaker())]
        answers = await asyncio.gather(*(counters[turn % 2].hit(TEN_A_MINUTE, "mer_1") for turn in range(40)))
    assert sum(answer.allowed for answer in answers) == 10


async def test_counters_go_away_with_their_window(client: Redis, breaker: Breaker) -> None:
    await limits_on(client, breaker).hit(Limit(name="short", amount=5, per_seconds=1), "mer_1")
    assert await client.dbsize() == 1
    await until(lambda: _is_empty(client))


async def _is_empty(client: Redis) -> bool:
    return int(await client.dbsize()) == 0


async def test_no_address_or_e_mail_shows_in_a_key(client: Redis, breaker: Breaker) -> None:
    await limits_on(client, breaker).hit(TEN_A_MINUTE, "someone@example.com 192.0.2.7")
    [key] = map(repr, await client.keys("*"))
    assert "payments:limit:ten_a_minute:" in key
    assert "someone" not in key
    assert "192.0" not in key


async def test_a_flushed_server_counts_afresh_and_knows_the_script_again(client: Redis, breaker: Breaker) -> None:
    limits = limits_on(client, breaker)
    assert (await limits.hit(TEN_A_MINUTE, "mer_1")).remaining == 9
    await client.flushall()
    await client.script_flush()
    assert (await limits.hit(TEN_A_MINUTE, "mer_1")).remaining == 9
    assert await client.dbsize() == 1
    assert not breaker.is_open


async def test_more_callers_than_connections_wait_their_turn(cache: RedisCache, breaker: Breaker) -> None:
    await cache.put("key", b"value", ttl_seconds=60)
    answers = await asyncio.gather(*(cache.get("key") for _ in range(CONNECTIONS_MAX * 10)))
    assert set(answers) == {b"value"}
    assert not breaker.is_open


class SlowLink:
    """A client for reads alone whose every answer takes that long."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self.looks: list[int] = []

    async def mget(self, keys: Sequence[str]) -> Sequence[bytes]:
        self.looks.append(len(keys))
        await asyncio.sleep(self._seconds)
        return [b"page"] * len(keys)


async def test_a_look_for_many_brings_no_more_than_a_slow_link_carries_in_the_time_of_a_call(breaker: Breaker) -> None:
    link = SlowLink(seconds=0)
    cache = RedisCache(cast(Redis, link), breaker=breaker)
    assert set(await asyncio.gather(*(cache.get(f"key-{number}") for number in range(33)))) == {b"page"}
    assert link.looks == [8, 8, 8, 8, 1]
    link.looks.clear()
    assert set(await asyncio.gather(*(cache.get("key") for _ in range(33)))) == {b"page"}
    assert link.looks == [1]


async def test_who_waits_for_the_looks_of_others_goes_on_without_redis_when_a_call_s_time_is_over() -> None:
    link = SlowLink(seconds=0.2)
    breaker = Breaker(turn_seconds=0.0, total_seconds=0.5)
    cache = RedisCache(cast(Redis, link), breaker=breaker)
    pages = await asyncio.gather(*(cache.get(f"key-{number}") for number in range(10 * KEYS_MAX)))
    assert set(pages[-5 * KEYS_MAX :]) == {None}
    assert len(link.looks) <= 3


async def test_a_cancelled_reader_never_leaves_its_answer_to_another(cache: RedisCache) -> None:
    for number in range(20):
        await cache.put(f"key-{number}", str(number).encode(), ttl_seconds=60)
    for turns in range(12):
        readers = [asyncio.create_task(cache.get("key-0")) for _ in range(CONNECTIONS_MAX)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for reader in readers:
            reader.cancel()
        outcomes = await asyncio.gather(*readers, return_exceptions=True)
        assert all(outcome == b"0" or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        answers = await asyncio.gather(*(cache.get(f"key-{number}") for number in range(1, 20)))
        assert answers == [str(number).encode() for number in range(1, 20)]


async def test_a_caller_ends_whenever_it_is_cancelled(redis_url: str) -> None:
    """The driver bounds writes by `asyncio.wait_for` where a socket has a time-out; it may swallow a cancellation."""
    separator = "&" if "?" in redis_url else "?"
    async with make_client(f"{redis_url}{separator}socket_timeout=1") as client:
        cache = RedisCache(client, breaker=Breaker())
        for connected in (False, True):
            for steps in range(CANCELLED_AFTER_STEPS_MAX):
                if not connected:
                    await client.connection_pool.disconnect()
                reached_the_end = False

                async def read() -> None:
                    nonlocal reached_the_end
                    await cache.get("key")
                    reached_the_end = True
                    await asyncio.Event().wait()

                reader = asyncio.create_task(read())
                for _ in range(steps):
                    await asyncio.sleep(0)
                reader.cancel()
                await asyncio.wait({reader}, timeout=PATIENCE_SECONDS)
                assert reader.cancelled(), f"cancelled after {steps} steps, {reached_the_end=}"


async def test_while_it_is_away_nothing_is_cached_and_limits_still_hold(
    valkey_server: Server, cache: RedisCache, client: Redis, breaker: Breaker
) -> None:
    limits = limits_on(client, breaker)
    await cache.put("key", b"value", ttl_seconds=60)
    await valkey_server.stop()
    assert await cache.get("key") is None
    await cache.put("key", b"value", ttl_seconds=60)
    answers = [await limits.hit(TEN_A_MINUTE, "mer_1") for _ in range(12)]
    assert [answer.allowed for answer in answers] == [True] * 10 + [False] * 2


async def test_it_recovers_by_itself_and_says_each_once(
    valkey_server: Server, cache: RedisCache, breaker: Breaker, caplog: pytest.LogCaptureFixture
) -> None:
    async def is_back() -> bool:
        await cache.put("key", b"value", ttl_seconds=60)
        return await cache.get("key") == b"value"

    with caplog.at_level(logging.INFO, logger="adapters.redis"):
        await valkey_server.stop()
        await asyncio.gather(*(cache.get("key") for _ in range(50)))
        assert is_away(breaker)
        await valkey_server.start()
        await until(is_back)
    assert not is_away(breaker)
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "INFO"]


async def test_connections_that_a_restart_cut_are_noticed_before_use(
    valkey_server: Server, cache: RedisCache, breaker: Breaker
) -> None:
    await asyncio.gather(*(cache.get("key") for _ in range(8)))
    await valkey_server.stop()
    await valkey_server.start()
    await cache.put("key", b"value", ttl_seconds=60)
    assert await asyncio.gather(*(cache.get("key") for _ in range(8))) == [b"value"] * 8
    assert not breaker.is_open


async def test_a_server_that_never_answers_costs_one_time_out_and_then_nothing() -> None:
    connections = 0

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read(-1)
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with make_client(f"redis://{host}:{port}/0") as client:
            cache = RedisCache(client, breaker=Breaker(retry_after_seconds=60))
            async with asyncio.timeout(PATIENCE_SECONDS):
                for _ in range(1_000):
                    assert await cache.get("key") is None
    assert connections == 1


async def test_after_a_failure_one_call_in_a_while_looks_whether_it_is_back() -> None:
    now, calls, answers = 100.0, 0, False

    async def command() -> str:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if not answers:
            raise RedisConnectionError("away")
        return "answer"

    breaker = Breaker(retry_after_seconds=1, total_seconds=PATIENCE_SECONDS, clock=lambda: now)
    assert await breaker.call(command) is None
    now += 0.99
    assert await breaker.call(command) is None
    assert calls == 1
    now += 0.02
    assert await asyncio.gather(*(breaker.call(command) for _ in range(10))) == [None] * 10
    assert calls == 2
    now, answers = now + 2, True
    assert sorted(map(str, await asyncio.gather(*(breaker.call(command) for _ in range(3))))) == [
        "None",
        "None",
        "answer",
    ]
    assert await breaker.call(command) == "answer"


async def test_waiting_for_a_turn_costs_no_call_its_time_and_is_no_outage() -> None:
    free = asyncio.Event()
    breaker = Breaker(calls_max=1, total_seconds=60)

    async def slow() -> str:
        await free.wait()
        return "slow"

    async def fast() -> str:
        return "fast"

    first = asyncio.create_task(breaker.call(slow))
    await asyncio.sleep(0)
    assert await breaker.call(fast) is None  # it waited for TURN_SECONDS and went on without Redis
    assert not breaker.is_open
    second = asyncio.create_task(breaker.call(fast))
    await asyncio.sleep(0)
    free.set()
    assert [await first, await second] == ["slow", "fast"]


async def test_an_outage_that_comes_and_goes_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    breaker = Breaker(clock=lambda: now)

    async def away() -> str:
        raise RedisConnectionError("away")

    async def back() -> str:
        return "back"

    with caplog.at_level(logging.INFO, logger="adapters.redis"):
        for _ in range(12):
            assert await breaker.call(away) is None
            now += 5
            assert await breaker.call(back) == "back"
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
        now += 1
        assert await breaker.call(away) is None
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]


async def test_errors_that_are_not_of_redis_are_not_swallowed(breaker: Breaker) -> None:
    async def command() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await breaker.call(command)
    assert not breaker.is_open


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost:6379", "http://localhost", "postgresql://localhost"),
        *("redis://:hunter2/x@localhost:6379/0", "redis://:hunter2@localhost?socket_timeout=abc"),
        *("redis://:hunter2@localhost?ssl_cert_reqs=none", "redis://:hunter2@localhost?unknown=1"),
    ],
)
def test_a_url_that_the_driver_does_not_read_is_refused_at_the_start_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="its scheme, its host, its port or an option") as refused:
        make_client(url)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("query", ["", "?socket_timeout=1"])
@pytest.mark.parametrize("url", ["redis://127.0.0.1:6379/0", "rediss://user:pass@127.0.0.1/1", "unix:///run/v.sock"])
async def test_every_scheme_takes_the_same_settings(url: str, query: str) -> None:
    async with make_client(url + query) as client:
        pool = client.connection_pool
        connection = pool.connection_class(**pool.connection_kwargs)
        assert (connection.socket_timeout, connection.socket_connect_timeout) == (None, 0.25)


async def test_the_look_at_it_says_whether_it_answers(client: Redis, valkey_server: Server) -> None:
    await ping(client)
    await valkey_server.stop()
    with pytest.raises(Unavailable, match="Redis does not answer"):
        await ping(client)
