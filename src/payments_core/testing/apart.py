"""What every store must keep apart, merchants and modes, and the revision of each merchant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from payments_core.errors import NotFound
from payments_core.ids import (
    ApiKeyId,
    AttemptId,
    DeliveryId,
    EndpointId,
    MerchantId,
    PaymentKeyId,
    RefundId,
    SessionId,
    TransactionId,
)
from payments_core.testing.builders import (
    NEVER_STORED,
    NOW,
    a_job,
    a_merchant,
    a_record,
    a_refund,
    a_transaction,
    an_attempt,
    an_endpoint,
    an_event,
)
from payments_core.testing.changes import KINDS, MODE_KINDS, change, one_of_each, stored_one
from payments_core.testing.subject import (
    Store,
    open_shop,
    put,
    stored,
    stored_transaction,
    write,
)


class ApartContract:
    """Adapters supply `store`."""

    # ── merchants and modes apart

    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("merchant", "refresh_token")])
    async def test_another_merchants_things_are_not_found(self, store: Store, kind: str) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        thing = await stored_one(store, shop, kind)
        with pytest.raises(NotFound):
            await stored(store, replace(thing, merchant=other.merchant.id))  # type: ignore[arg-type]  # all but merchants have one

    @pytest.mark.parametrize("kind", MODE_KINDS)
    async def test_the_other_modes_things_are_not_found(self, store: Store, kind: str) -> None:
        thing = await stored_one(store, await open_shop(store), kind)
        with pytest.raises(NotFound):
            await stored(store, replace(thing, livemode=True))  # type: ignore[arg-type]  # these kinds have a mode

    async def test_searches_of_a_unit_find_nothing_of_another_merchant_or_mode(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        things = one_of_each(shop)
        transaction = a_transaction(shop.key)
        record = a_record(shop.merchant)
        await put(store, *things.values(), transaction, a_refund(transaction), an_attempt(transaction), record)
        stranger = other.merchant.id
        async with store.begin() as work:
            for merchant, livemode in ((stranger, False), (shop.merchant.id, True)):
                assert await work.payment_keys.by_key(merchant, livemode, shop.key.key) is None
                assert await work.endpoints.count(merchant, livemode) == 0
                assert await work.idempotency.get(merchant, livemode, record.key, at=record.created_at) is None
            assert await work.payment_keys.count(shop.merchant.id, False) == 1
            assert not await work.api_keys.valid_of(stranger, at=NOW)
            assert not await work.sessions.valid_of(stranger, at=NOW)
            assert not await work.refunds.latest_of(stranger, transaction.id, limit=5)
            assert await work.attempts.of(stranger, transaction.id) is None

    @pytest.mark.parametrize("text", NEVER_STORED)
    async def test_a_text_that_a_store_may_be_unable_to_hold_names_nothing(self, store: Store, text: str) -> None:
        shop = await open_shop(store)
        merchant = shop.merchant.id
        async with store.begin() as work:
            for missing in (
                work.merchants.get(MerchantId(text)),
                work.api_keys.get(merchant, ApiKeyId(text)),
                work.payment_keys.get(merchant, False, PaymentKeyId(text)),
                work.sessions.get(merchant, SessionId(text)),
                work.transactions.get(merchant, False, TransactionId(text)),
                work.refunds.get(merchant, False, RefundId(text)),
                work.attempts.get(merchant, AttemptId(text)),
                work.endpoints.get(merchant, False, EndpointId(text)),
                work.deliveries.get(merchant, EndpointId(text), DeliveryId(text)),
            ):
                with pytest.raises(NotFound):
                    await missing
            assert await work.merchants.by_email(text) is None
            assert await work.payment_keys.by_key(merchant, False, text) is None
            assert await work.sessions.refresh_token(text) is None
            assert await work.attempts.of(merchant, TransactionId(text)) is None
            assert await work.idempotency.get(merchant, False, text, at=NOW) is None
            assert not await work.refunds.latest_of(merchant, TransactionId(text), limit=5)
        with pytest.raises(NotFound):
            await store.revision(MerchantId(text))

    async def test_a_removed_endpoint_is_not_found(self, store: Store) -> None:
        shop = await open_shop(store)
        endpoint = an_endpoint(shop.merchant)
        await put(store, endpoint)
        async with store.begin() as work:
            read = await work.endpoints.get(shop.merchant.id, False, endpoint.id)
            work.endpoints.save(read.remove(at=NOW))
        with pytest.raises(NotFound):
            await stored(store, endpoint)
        async with store.begin() as work:
            assert await work.endpoints.count(shop.merchant.id, False) == 0

    # ── revisions

    async def test_each_commit_moves_the_revision_of_its_merchant_by_one(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        before = await store.revision(shop.merchant.id)
        untouched = await store.revision(other.merchant.id)
        transaction = a_transaction(shop.key)
        await put(store, transaction, an_event(shop.merchant), an_event(shop.merchant), a_job(transaction))
        assert await store.revision(shop.merchant.id) == before + 1
        await write(store, (await stored_transaction(store, transaction)).process(at=NOW)[0])
        assert await store.revision(shop.merchant.id) == before + 2
        assert await store.revision(other.merchant.id) == untouched

    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_change_to_anything_moves_the_revision(self, store: Store, kind: str) -> None:
        shop = await open_shop(store)
        thing = await stored_one(store, shop, kind)
        before = await store.revision(shop.merchant.id)
        await write(store, change(thing))
        assert await store.revision(shop.merchant.id) == before + 1

    async def test_a_record_and_an_event_move_the_revision(self, store: Store) -> None:
        shop = await open_shop(store)
        before = await store.revision(shop.merchant.id)
        await put(store, a_record(shop.merchant))
        await put(store, an_event(shop.merchant))
        assert await store.revision(shop.merchant.id) == before + 2

    async def test_a_commit_moves_the_revision_of_each_merchant_that_it_touches(self, store: Store) -> None:
        one, two, three = await open_shop(store), await open_shop(store), await open_shop(store)
        shops = (one, two, three)
        before = [await store.revision(shop.merchant.id) for shop in shops]
        await put(store, a_transaction(one.key), a_transaction(two.live_key), a_transaction(one.live_key))
        after = [await store.revision(shop.merchant.id) for shop in shops]
        assert [new - old for old, new in zip(before, after, strict=True)] == [1, 1, 0]

    async def test_a_unit_that_writes_nothing_moves_no_revision(self, store: Store) -> None:
        shop = await open_shop(store)
        before = await store.revision(shop.merchant.id)
        async with store.begin() as work:
            await work.merchants.get(shop.merchant.id)
            work.expect(shop.merchant)
            work.expect(shop.key)
        assert await store.revision(shop.merchant.id) == before
        assert await stored(store, shop.merchant) == shop.merchant

    async def test_nobody_has_no_revision(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.revision(a_merchant().id)
