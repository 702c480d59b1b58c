"""What every look-up of credentials must pass, a cached one too: changes are looked for after `forget`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from payments_core.ids import ApiKeyId, SessionId
from payments_core.merchant import USES_NOTED_EVERY, ApiKey
from payments_core.testing.builders import (
    DAY,
    NEVER_STORED,
    NOW,
    a_merchant,
    a_session,
    an_api_key,
)
from payments_core.testing.subject import Shop, Store, open_shop, put, stored, write

MICROSECOND = timedelta(microseconds=1)


async def _last_used_at(store: Store, key: ApiKey) -> datetime | None:
    read = await stored(store, key)
    assert isinstance(read, ApiKey)
    return read.last_used_at


async def _shop_with_key(store: Store) -> tuple[Shop, ApiKey]:
    shop = await open_shop(store)
    key = an_api_key(shop.merchant)
    await put(store, key)
    read = await stored(store, key)
    assert isinstance(read, ApiKey)
    return shop, read


class CredentialsContract:
    """Adapters supply `store`; its credentials are what is tested."""

    async def test_a_key_is_found_by_its_digest_valid_or_not(self, store: Store) -> None:
        shop, key = await _shop_with_key(store)
        holder = await store.credentials.api_key(key.digest)
        assert holder is not None
        assert (holder.key, holder.suspended) == (key, False)
        await write(store, key.revoke(NOW))
        store.credentials.forget(shop.merchant.id)
        revoked = await store.credentials.api_key(key.digest)
        assert revoked is not None
        assert revoked.key.revoked_at == NOW
        assert await store.credentials.api_key("0" * 64) is None

    async def test_a_session_is_found_with_its_own_merchant_only(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        session = a_session(shop.merchant, livemode=True)
        await put(store, session)
        holder = await store.credentials.session(shop.merchant.id, session.id)
        assert holder is not None
        assert (holder.session, holder.suspended) == (await stored(store, session), False)
        assert await store.credentials.session(other.merchant.id, session.id) is None
        assert await store.credentials.session(shop.merchant.id, a_session(shop.merchant).id) is None
        await write(store, holder.session.revoke(NOW))
        store.credentials.forget(shop.merchant.id)
        revoked = await store.credentials.session(shop.merchant.id, session.id)
        assert revoked is not None
        assert revoked.session.revoked_at == NOW

    @pytest.mark.parametrize("text", NEVER_STORED)
    async def test_a_text_that_a_store_may_be_unable_to_hold_is_nobodys(self, store: Store, text: str) -> None:
        shop, key = await _shop_with_key(store)
        assert await store.credentials.api_key(text) is None
        assert await store.credentials.session(shop.merchant.id, SessionId(text)) is None
        await store.credentials.touch(shop.merchant.id, ApiKeyId(text), at=NOW)
        assert await _last_used_at(store, key) is None

    async def test_the_holder_of_a_credential_is_known_to_be_suspended(self, store: Store) -> None:
        shop, key = await _shop_with_key(store)
        session = a_session(shop.merchant)
        await put(store, session)
        await write(store, replace(shop.merchant, suspended_at=NOW))
        store.credentials.forget(shop.merchant.id)
        key_holder = await store.credentials.api_key(key.digest)
        session_holder = await store.credentials.session(shop.merchant.id, session.id)
        assert key_holder is not None
        assert session_holder is not None
        assert key_holder.suspended
        assert session_holder.suspended

    async def test_a_use_is_noted_once_in_a_while_and_never_taken_back(self, store: Store) -> None:
        shop, key = await _shop_with_key(store)
        assert await _last_used_at(store, key) is None
        later = NOW + USES_NOTED_EVERY
        for at, noted in (
            (NOW, NOW),
            (later - MICROSECOND, NOW),
            (later, later),
            (later + MICROSECOND, later),
            (NOW, later),
            (later + DAY, later + DAY),
            (later, later + DAY),
        ):
            await store.credentials.touch(shop.merchant.id, key.id, at=at)
            assert await _last_used_at(store, key) == noted

    async def test_a_use_moves_neither_version_nor_revision(self, store: Store) -> None:
        shop, key = await _shop_with_key(store)
        before = await store.revision(shop.merchant.id)
        await store.credentials.touch(shop.merchant.id, key.id, at=NOW)
        assert await store.revision(shop.merchant.id) == before
        assert await stored(store, key) == replace(key, last_used_at=NOW)
        await write(store, key.revoke(NOW))

    async def test_a_save_keeps_the_noted_use(self, store: Store) -> None:
        shop, key = await _shop_with_key(store)
        await store.credentials.touch(shop.merchant.id, key.id, at=NOW)
        await write(store, replace(key, name="named"))
        assert await stored(store, key) == replace(key, name="named", last_used_at=NOW, version=key.version + 1)

    async def test_a_use_of_what_is_not_there_is_passed_over(self, store: Store) -> None:
        shop, key = await _shop_with_key(store)
        other = await open_shop(store)
        await store.credentials.touch(other.merchant.id, key.id, at=NOW)
        await store.credentials.touch(shop.merchant.id, ApiKeyId("apk_unknown"), at=NOW)
        await store.credentials.touch(a_merchant().id, key.id, at=NOW)
        store.credentials.forget(a_merchant().id)
        assert await _last_used_at(store, key) is None
