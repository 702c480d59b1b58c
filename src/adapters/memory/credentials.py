"""Credentials in memory, and a cache in front of any others."""

from __future__ import annotations

import asyncio
import contextvars
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from adapters.memory import kinds
from adapters.memory.state import State
from payments_core.ids import ApiKeyId, MerchantId, SessionId
from payments_core.merchant import USES_NOTED_EVERY
from payments_core.ports import Clock, Credentials, KeyHolder, SessionHolder

H = TypeVar("H", bound=KeyHolder | SessionHolder)

AGE_MAX: Final = timedelta(seconds=1)
ENTRIES_MAX: Final = 10_000


class MemoryCredentials:
    """The port `Credentials`."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def api_key(self, digest: str, /) -> KeyHolder | None:
        """Return the API key with this digest, if there is one."""
        await asyncio.sleep(0)
        identity = self._state.taken.get(kinds.api_key_digest(digest))
        key = kinds.API_KEY.stored(self._state, identity) if identity else None
        if key is None:
            return None
        return KeyHolder(key=key, suspended=self._is_suspended(key.merchant))

    async def session(self, merchant: MerchantId, id: SessionId, /) -> SessionHolder | None:
        """Return the merchant's session, if there is one."""
        await asyncio.sleep(0)
        session = kinds.SESSION.stored(self._state, (merchant, id))
        if session is None:
            return None
        return SessionHolder(session=session, suspended=self._is_suspended(merchant))

    async def touch(self, merchant: MerchantId, id: ApiKeyId, /, *, at: datetime) -> None:
        """Note the key's last use; a key that is not there is passed over."""
        await asyncio.sleep(0)
        key = kinds.API_KEY.stored(self._state, (merchant, id))
        if key is None or (key.last_used_at is not None and at - key.last_used_at < USES_NOTED_EVERY):
            return
        self._state.writable(merchant).api_keys.put(id, replace(key, last_used_at=at))

    def forget(self, merchant: MerchantId, /) -> None:
        """Do nothing: nothing is remembered besides the truth."""

    def _is_suspended(self, merchant: MerchantId) -> bool:
        return self._state.account(merchant).merchant.suspended_at is not None


class CachedCredentials:
    """The port `Credentials`, in front of another: what it says is at most AGE_MAX old.

    Look-ups of one credential at the same moment are made once. What is not there is not remembered: a guesser fills
    nothing. `forget` holds for every look-up that begins after it, one under way included.
    """

    def __init__(self, inner: Credentials, *, clock: Clock, entries_max: int = ENTRIES_MAX) -> None:
        self._inner = inner
        self._keys = _Recent[KeyHolder](clock, entries_max, lambda holder: holder.key.merchant)
        self._sessions = _Recent[SessionHolder](clock, entries_max, lambda holder: holder.session.merchant)
        self._entries_max = entries_max
        self._touched: OrderedDict[tuple[MerchantId, ApiKeyId], datetime] = OrderedDict()

    async def api_key(self, digest: str, /) -> KeyHolder | None:
        """Return the API key with this digest, if there is one."""
        return await self._keys.get((digest,), lambda: self._inner.api_key(digest))

    async def session(self, merchant: MerchantId, id: SessionId, /) -> SessionHolder | None:
        """Return the merchant's session, if there is one."""
        return await self._sessions.get((merchant, id), lambda: self._inner.session(merchant, id))

    async def touch(self, merchant: MerchantId, id: ApiKeyId, /, *, at: datetime) -> None:
        """Note the key's last use; what would not be noted is not passed on."""
        noted = self._touched.get((merchant, id))
        if noted is not None and at - noted < USES_NOTED_EVERY:
            return
        self._touched[merchant, id] = at
        self._touched.move_to_end((merchant, id))
        while len(self._touched) > self._entries_max:
            self._touched.popitem(last=False)
        try:
            await self._inner.touch(merchant, id, at=at)
        except BaseException:
            self._touched.pop((merchant, id), None)
            raise

    def forget(self, merchant: MerchantId, /) -> None:
        """Drop whatever is remembered of this merchant's credentials."""
        self._keys.forget(merchant)
        self._sessions.forget(merchant)
        self._inner.forget(merchant)


class _Recent(Generic[H]):
    """What was looked up within AGE_MAX, bounded in number: what was used longest ago goes first."""

    def __init__(self, clock: Clock, entries_max: int, merchant_of: Callable[[H], MerchantId]) -> None:
        self._clock = clock
        self._entries_max = entries_max
        self._merchant_of = merchant_of
        self._found: OrderedDict[tuple[str, ...], tuple[H, datetime]] = OrderedDict()
        self._under_way: dict[tuple[str, ...], tuple[asyncio.Task[H | None], datetime]] = {}

    async def get(self, key: tuple[str, ...], look_up: Callable[[], Awaitable[H | None]]) -> H | None:
        now = self._clock.now()
        found = self._found.get(key)
        if found is not None and _is_fresh(found[1], now):
            self._found.move_to_end(key)
            return found[0]
        under_way = self._under_way.get(key)
        if under_way is None or not _is_fresh(under_way[1], now):
            # In nobody's context, as it looks up for all.
            task = asyncio.create_task(self._look_up(key, look_up, now), context=contextvars.Context())
            # Where all who wait are cancelled, nobody else asks for the exception.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            under_way = self._under_way[key] = (task, now)
        looking_up = under_way[0]
        # One who waits may be cancelled; the others still want the answer.
        await asyncio.wait([looking_up])
        error = looking_up.exception()
        if error is not None:
            # Each raising writes into the exception: one for all would carry the tracebacks of all.
            raise copy(error) from error
        return looking_up.result()

    def forget(self, merchant: MerchantId) -> None:
        for key in [key for key, (holder, _) in self._found.items() if self._merchant_of(holder) == merchant]:
            del self._found[key]
        # Whose these are is not known yet: none of them is joined or remembered any more.
        self._under_way.clear()

    async def _look_up(
        self, key: tuple[str, ...], look_up: Callable[[], Awaitable[H | None]], since: datetime
    ) -> H | None:
        try:
            holder = await look_up()
            if holder is not None and self._is_current(key):
                self._remember(key, holder, since)
            return holder
        finally:
            if self._is_current(key):
                del self._under_way[key]

    def _is_current(self, key: tuple[str, ...]) -> bool:
        under_way = self._under_way.get(key)
        return under_way is not None and under_way[0] is asyncio.current_task()

    def _remember(self, key: tuple[str, ...], holder: H, since: datetime) -> None:
        self._found[key] = (holder, since)
        self._found.move_to_end(key)
        while len(self._found) > self._entries_max:
            self._found.popitem(last=False)


def _is_fresh(since: datetime, now: datetime) -> bool:
    # A clock that went back says nothing about ages.
    return timedelta(0) <= now - since < AGE_MAX
