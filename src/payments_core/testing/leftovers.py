"""What every remover of leftovers must pass: what has expired goes, a little at a time, and nothing else does.

What the suite settles where the port leaves room: what expired at the very time that is given stays. Refresh tokens
live as long as their session, spent and expired ones too: until then one that was spent tells of a thief.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from payments_core.errors import NotFound
from payments_core.idempotency import Record
from payments_core.merchant import RefreshToken, Session
from payments_core.ports import Leftovers
from payments_core.testing.builders import (
    DAY,
    NOW,
    a_record,
    a_refresh_token,
    a_session,
    a_staff_member,
    a_staff_session,
)
from payments_core.testing.subject import Shop, Store, open_shop, put, stored

MICROSECOND: Final = timedelta(microseconds=1)


async def _has(store: Store, record: Record) -> bool:
    async with store.begin() as work:
        found = await work.idempotency.get(record.merchant, record.livemode, record.key, at=record.created_at)
    return found == record


async def _records(store: Store, shop: Shop, number: int) -> list[Record]:
    records = [replace(a_record(shop.merchant, key=f"key-{each}"), expires_at=NOW - DAY) for each in range(number)]
    await put(store, *records)
    return records


async def _session(store: Store, shop: Shop, *, tokens: int, ends_in: timedelta) -> tuple[Session, list[RefreshToken]]:
    session = replace(a_session(shop.merchant), expires_at=NOW + ends_in)
    made = [replace(a_refresh_token(session), expires_at=NOW - DAY, spent_at=NOW - DAY) for _ in range(tokens)]
    await put(store, session, *made)
    return session, made


class LeftoversContract:
    """Adapters supply `store` and its `leftovers`."""

    async def test_records_that_expired_before_that_time_go_and_others_stay(
        self, store: Store, leftovers: Leftovers
    ) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        expired = replace(a_record(shop.merchant), expires_at=NOW - MICROSECOND)
        elsewhere = replace(a_record(other.merchant, livemode=True), expires_at=NOW - DAY)
        just_then = replace(a_record(shop.merchant, key="order-2"), expires_at=NOW)
        later = a_record(shop.merchant, key="order-3")
        await put(store, expired, elsewhere, just_then, later)
        assert await leftovers.remove(expired_before=NOW, limit=100) == 2
        assert [await _has(store, each) for each in (expired, elsewhere, just_then, later)] == [
            False,
            False,
            True,
            True,
        ]
        assert await leftovers.remove(expired_before=NOW, limit=100) == 0

    async def test_no_more_go_at_once_than_the_limit_says(self, store: Store, leftovers: Leftovers) -> None:
        records = await _records(store, await open_shop(store), 5)
        assert [await leftovers.remove(expired_before=NOW, limit=2) for _ in range(4)] == [2, 2, 1, 0]
        assert not any([await _has(store, record) for record in records])

    async def test_a_key_whose_record_went_can_be_used_again(self, store: Store, leftovers: Leftovers) -> None:
        shop = await open_shop(store)
        (record,) = await _records(store, shop, 1)
        await leftovers.remove(expired_before=NOW, limit=100)
        again = replace(a_record(shop.merchant, key=record.key, at=NOW), status=202)
        await put(store, again)
        assert await _has(store, again)

    async def test_a_record_that_replaced_an_expired_one_stays(self, store: Store, leftovers: Leftovers) -> None:
        shop = await open_shop(store)
        (record,) = await _records(store, shop, 1)
        again = replace(a_record(shop.merchant, key=record.key, at=NOW), status=202)
        await put(store, again)
        assert await leftovers.remove(expired_before=NOW, limit=100) == 0
        assert await _has(store, again)

    async def test_sessions_that_ended_go_with_their_tokens(self, store: Store, leftovers: Leftovers) -> None:
        shop = await open_shop(store)
        ended, tokens = await _session(store, shop, tokens=2, ends_in=-DAY)
        assert await leftovers.remove(expired_before=NOW, limit=100) == 3
        with pytest.raises(NotFound):
            await stored(store, ended)
        async with store.begin() as work:
            assert [await work.sessions.refresh_token(token.digest) for token in tokens] == [None, None]

    async def test_a_session_with_many_tokens_goes_after_them(self, store: Store, leftovers: Leftovers) -> None:
        shop = await open_shop(store)
        ended, _ = await _session(store, shop, tokens=5, ends_in=-DAY)
        assert [await leftovers.remove(expired_before=NOW, limit=2) for _ in range(2)] == [2, 2]
        await stored(store, ended)
        assert [await leftovers.remove(expired_before=NOW, limit=2) for _ in range(2)] == [2, 0]
        with pytest.raises(NotFound):
            await stored(store, ended)

    async def test_a_spent_token_stays_as_long_as_its_session(self, store: Store, leftovers: Leftovers) -> None:
        shop = await open_shop(store)
        session, (token,) = await _session(store, shop, tokens=1, ends_in=DAY)
        assert await leftovers.remove(expired_before=NOW, limit=100) == 0
        await stored(store, session)
        read = await stored(store, token)
        assert isinstance(read, RefreshToken)
        assert read.spent_at == token.spent_at

    async def test_no_revision_moves(self, store: Store, leftovers: Leftovers) -> None:
        shop = await open_shop(store)
        await _records(store, shop, 2)
        await _session(store, shop, tokens=1, ends_in=-DAY)
        before = await store.revision(shop.merchant.id)
        assert await leftovers.remove(expired_before=NOW, limit=100) == 4
        assert await store.revision(shop.merchant.id) == before

    async def test_sessions_of_staff_that_ended_go(self, store: Store, leftovers: Leftovers) -> None:
        member = a_staff_member()
        ended, just_then = (replace(a_staff_session(member), expires_at=NOW - wait) for wait in (MICROSECOND, DAY * 0))
        async with store.begin() as work:
            work.staff_members.add(member)
            work.staff_sessions.add(ended)
            work.staff_sessions.add(just_then)
        assert await leftovers.remove(expired_before=NOW, limit=100) == 1
        assert await store.oversight.staff_session(ended.id) is None
        assert await store.oversight.staff_session(just_then.id) is not None
