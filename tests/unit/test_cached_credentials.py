"""The cache of credentials: never older than a second, bounded, gone at once when told."""

from __future__ import annotations

import asyncio
import contextvars
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from adapters.memory.clock import HandClock
from adapters.memory.credentials import CachedCredentials
from adapters.memory.store import MemoryStore
from payments_core.errors import Unavailable
from payments_core.ids import ApiKeyId, MerchantId, SessionId
from payments_core.merchant import ApiKey
from payments_core.ports import KeyHolder, SessionHolder
from payments_core.testing.builders import MINUTE, NOW, a_merchant, a_session, an_api_key
from payments_core.testing.credentials import CredentialsContract
from payments_core.testing.subject import Store

MILLISECOND = timedelta(milliseconds=1)


class CachingStore(MemoryStore):
    """A memory store whose credentials are cached by a clock that stands still."""

    def __init__(self) -> None:
        super().__init__()
        self.credentials = CachedCredentials(self.credentials, clock=HandClock(NOW))


class TestCachedCredentials(CredentialsContract):
    @pytest.fixture
    def store(self) -> Store:
        return CachingStore()


request: contextvars.ContextVar[str | None] = contextvars.ContextVar("request", default=None)


class Ledger:
    """Credentials that count who asks, answer when let, and fail when told."""

    def __init__(self, *keys: ApiKey) -> None:
        self.keys = {key.digest: key for key in keys}
        self.asked: list[str] = []
        self.requests: list[str | None] = []
        self.questions = asyncio.Queue[str]()
        self.touches: list[datetime] = []
        self.open = asyncio.Event()
        self.open.set()
        self.failing = False

    async def _answer(self) -> None:
        await self.open.wait()
        if self.failing:
            raise Unavailable("away")

    async def api_key(self, digest: str, /) -> KeyHolder | None:
        self.asked.append(digest)
        self.requests.append(request.get())
        self.questions.put_nowait(digest)
        key = self.keys.get(digest)
        await self._answer()
        return None if key is None else KeyHolder(key=key, suspended=False)

    async def session(self, merchant: MerchantId, id: SessionId, /) -> SessionHolder | None:
        self.asked.append(id)
        await self._answer()
        return SessionHolder(session=replace(SESSION, merchant=merchant, id=id), suspended=False)

    async def touch(self, merchant: MerchantId, id: ApiKeyId, /, *, at: datetime) -> None:
        await self._answer()
        self.touches.append(at)

    def forget(self, merchant: MerchantId, /) -> None:
        self.asked.append(f"forget {merchant}")


SHOP, OTHER = a_merchant(), a_merchant()
KEY, SECOND_KEY, OTHERS_KEY = an_api_key(SHOP), an_api_key(SHOP), an_api_key(OTHER)
SESSION = a_session(SHOP)


@pytest.fixture
async def ledger() -> Ledger:
    return Ledger(KEY, SECOND_KEY, OTHERS_KEY)


@pytest.fixture
def clock() -> HandClock:
    return HandClock(NOW)


@pytest.fixture
def cached(ledger: Ledger, clock: HandClock) -> CachedCredentials:
    return CachedCredentials(ledger, clock=clock, entries_max=2)


async def test_what_was_found_is_remembered_for_less_than_a_second(
    cached: CachedCredentials, ledger: Ledger, clock: HandClock
) -> None:
    first = await cached.api_key(KEY.digest)
    ledger.keys[KEY.digest] = KEY.revoke(NOW)
    clock.move(timedelta(seconds=1) - MILLISECOND)
    assert await cached.api_key(KEY.digest) is first
    clock.move(MILLISECOND)
    holder = await cached.api_key(KEY.digest)
    assert holder is not None
    assert holder.key.revoked_at == NOW
    assert ledger.asked == [KEY.digest] * 2


async def test_the_age_counts_from_the_question_and_not_from_the_answer(
    cached: CachedCredentials, ledger: Ledger, clock: HandClock
) -> None:
    ledger.open.clear()
    slow = asyncio.create_task(cached.api_key(KEY.digest))
    await ledger.questions.get()
    clock.move(timedelta(seconds=2))
    ledger.open.set()
    await slow
    await cached.api_key(KEY.digest)
    assert ledger.asked == [KEY.digest] * 2


async def test_a_clock_that_goes_back_makes_nothing_last_longer(
    cached: CachedCredentials, ledger: Ledger, clock: HandClock
) -> None:
    await cached.api_key(KEY.digest)
    clock.move(-MINUTE)
    await cached.api_key(KEY.digest)
    assert ledger.asked == [KEY.digest] * 2


async def test_sessions_are_remembered_by_merchant_and_id(cached: CachedCredentials, ledger: Ledger) -> None:
    for merchant in (SHOP.id, OTHER.id, SHOP.id):
        holder = await cached.session(merchant, SESSION.id)
        assert holder is not None
        assert holder.session.merchant == merchant
    assert ledger.asked == [SESSION.id] * 2


async def test_what_is_unknown_is_not_remembered(cached: CachedCredentials, ledger: Ledger) -> None:
    assert await cached.api_key("unknown") is None
    assert await cached.api_key("unknown") is None
    assert ledger.asked == ["unknown"] * 2


async def test_unknown_digests_push_nothing_out(cached: CachedCredentials, ledger: Ledger) -> None:
    await cached.api_key(KEY.digest)
    for number in range(10):
        await cached.api_key(f"guess {number}")
    await cached.api_key(KEY.digest)
    assert ledger.asked.count(KEY.digest) == 1


async def test_the_one_used_longest_ago_makes_room(cached: CachedCredentials, ledger: Ledger) -> None:
    for key in (KEY, SECOND_KEY, KEY, OTHERS_KEY, KEY, SECOND_KEY):
        await cached.api_key(key.digest)
    assert ledger.asked == [KEY.digest, SECOND_KEY.digest, OTHERS_KEY.digest, SECOND_KEY.digest]


async def test_concurrent_look_ups_of_one_digest_are_made_once(cached: CachedCredentials, ledger: Ledger) -> None:
    holders = await asyncio.gather(*(cached.api_key(KEY.digest) for _ in range(20)))
    assert ledger.asked == [KEY.digest]
    assert all(holder is holders[0] for holder in holders)


async def test_a_look_up_for_all_runs_in_no_request_s_context(cached: CachedCredentials, ledger: Ledger) -> None:
    request.set("the first one's")
    await cached.api_key(KEY.digest)
    assert ledger.requests == [None]


async def test_one_who_waits_and_is_cancelled_takes_nothing_from_the_others(
    cached: CachedCredentials, ledger: Ledger
) -> None:
    ledger.open.clear()
    first, second = (asyncio.create_task(cached.api_key(KEY.digest)) for _ in range(2))
    await ledger.questions.get()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    ledger.open.set()
    assert await second is not None
    assert ledger.asked == [KEY.digest]


async def test_a_failed_look_up_is_told_to_all_who_wait_and_not_remembered(
    cached: CachedCredentials, ledger: Ledger
) -> None:
    ledger.failing = True
    answers = await asyncio.gather(*(cached.api_key(KEY.digest) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert len({id(answer) for answer in answers}) == len(answers), "each has an exception of its own"
    ledger.failing = False
    assert await cached.api_key(KEY.digest) is not None
    assert ledger.asked == [KEY.digest] * 2


async def test_forgetting_a_merchant_holds_at_once_and_for_this_merchant_alone(
    cached: CachedCredentials, ledger: Ledger
) -> None:
    await cached.api_key(KEY.digest)
    await cached.api_key(OTHERS_KEY.digest)
    await cached.session(SHOP.id, SESSION.id)
    ledger.asked.clear()
    cached.forget(SHOP.id)
    await cached.api_key(OTHERS_KEY.digest)
    await cached.api_key(KEY.digest)
    await cached.session(SHOP.id, SESSION.id)
    assert ledger.asked == [f"forget {SHOP.id}", KEY.digest, SESSION.id]


async def test_a_look_up_that_began_before_a_merchant_was_forgotten_is_neither_joined_nor_remembered(
    cached: CachedCredentials, ledger: Ledger
) -> None:
    ledger.open.clear()
    early = asyncio.create_task(cached.api_key(KEY.digest))
    await ledger.questions.get()
    ledger.keys[KEY.digest] = KEY.revoke(NOW)
    cached.forget(SHOP.id)
    late = asyncio.create_task(cached.api_key(KEY.digest))
    await ledger.questions.get()
    ledger.open.set()
    before, after = await early, await late
    again = await cached.api_key(KEY.digest)
    assert before is not None
    assert after is not None
    assert before.key.revoked_at is None
    assert after.key.revoked_at == NOW
    assert again is after


async def test_a_use_is_passed_on_at_most_once_a_minute_for_each_key(cached: CachedCredentials, ledger: Ledger) -> None:
    for at in (NOW, NOW + MILLISECOND, NOW + MINUTE - MILLISECOND, NOW + MINUTE):
        await cached.touch(SHOP.id, KEY.id, at=at)
    await cached.touch(SHOP.id, SECOND_KEY.id, at=NOW + MILLISECOND)
    assert ledger.touches == [NOW, NOW + MINUTE, NOW + MILLISECOND]


async def test_a_use_that_could_not_be_noted_is_passed_on_again(cached: CachedCredentials, ledger: Ledger) -> None:
    ledger.failing = True
    with pytest.raises(Unavailable):
        await cached.touch(SHOP.id, KEY.id, at=NOW)
    ledger.failing = False
    await cached.touch(SHOP.id, KEY.id, at=NOW + MILLISECOND)
    assert ledger.touches == [NOW + MILLISECOND]


async def test_the_uses_that_are_remembered_are_bounded(cached: CachedCredentials, ledger: Ledger) -> None:
    for key in (KEY, SECOND_KEY, OTHERS_KEY, KEY):
        await cached.touch(key.merchant, key.id, at=NOW)
    assert ledger.touches == [NOW] * 4


async def test_memory_credentials_note_a_use_at_most_once_a_minute() -> None:
    store = MemoryStore()
    key = an_api_key(SHOP)
    async with store.begin() as work:
        work.merchants.add(SHOP)
        work.api_keys.add(key)
    for at in (NOW, NOW + MINUTE - MILLISECOND):
        await store.credentials.touch(SHOP.id, key.id, at=at)
    async with store.begin() as work:
        assert (await work.api_keys.get(SHOP.id, key.id)).last_used_at == NOW
