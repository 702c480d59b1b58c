"""What every store's snapshots must pass; `payments_core.testing.lists` says what their lists promise."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from payments_core.errors import NotFound
from payments_core.ids import ApiKeyId, EndpointId, EventId, MerchantId, PaymentKeyId, RefundId, TransactionId
from payments_core.merchant import ApiKey
from payments_core.ports import DeliveryFilter, EventFilter, TransactionFilter, Window
from payments_core.testing.builders import (
    NEVER_STORED,
    NOW,
    a_merchant,
    a_payment_key,
    a_record,
    a_refund,
    a_transaction,
    an_api_key,
    an_endpoint,
    an_event,
)
from payments_core.testing.lists import ListsContract
from payments_core.testing.search import SearchContract
from payments_core.testing.stories import StoriesContract
from payments_core.testing.subject import (
    Store,
    add,
    open_shop,
    put,
    stored,
    stored_endpoint,
    stored_transaction,
    write,
)
from payments_core.transaction import Status
from payments_core.webhook import DeliveryStatus

ANY = TransactionFilter()


class ViewsContract(ListsContract, SearchContract, StoriesContract):
    """Adapters supply `store`."""

    # ── one moment

    async def test_a_view_sees_the_moment_at_which_it_was_opened(self, store: Store) -> None:
        shop = await open_shop(store)
        endpoint, transaction = an_endpoint(shop.merchant), a_transaction(shop.key)
        await put(
            store, endpoint, transaction, a_refund(transaction), an_event(shop.merchant), an_api_key(shop.merchant)
        )
        window = Window(limit=9)
        async with store.view(shop.merchant.id, False) as view:
            revision = view.revision
            newcomer, event, record = a_transaction(shop.key), an_event(shop.merchant), a_record(shop.merchant)
            await put(
                store,
                newcomer,
                a_refund(transaction),
                event,
                record,
                an_api_key(shop.merchant),
                an_endpoint(shop.merchant),
            )
            await put(store, a_payment_key(shop.merchant))
            read = await stored_transaction(store, transaction)
            await write(store, read.process(at=NOW)[0], replace(shop.merchant, name="Later"))
            await write(store, (await stored_endpoint(store, endpoint)).disable())
            assert view.revision == revision
            assert (await view.merchant()) == shop.merchant
            assert await view.transaction(transaction.id) == read
            assert (await view.endpoint(endpoint.id)).enabled
            for missing in (
                view.transaction(newcomer.id),
                view.event(event.id),
                view.record(record.key, at=record.created_at),
            ):
                with pytest.raises(NotFound):
                    await missing
            assert (await view.transactions(window, ANY)).items[0] == read
            assert len((await view.refunds(window, None)).items) == 1
            assert len((await view.refunds_of([transaction.id], limit_each=9))[transaction.id]) == 1
            assert len((await view.events(window, EventFilter())).items) == 1
            assert len((await view.api_keys(window)).items) == 1
            assert len((await view.payment_keys(window)).items) == 1
            assert len((await view.endpoints(window)).items) == 1
            (delivery,) = (await view.deliveries(endpoint.id, window, DeliveryFilter())).items
            assert delivery.status is DeliveryStatus.PENDING
        async with store.view(shop.merchant.id, False) as view:
            assert view.revision == revision + 4
            assert (await view.transaction(transaction.id)).status is Status.PROCESSING
            assert len((await view.transactions(window, ANY)).items) == 2

    async def test_a_view_is_never_older_than_what_was_committed_before(self, store: Store) -> None:
        shop = await open_shop(store)
        for _ in range(5):
            transaction = a_transaction(shop.key)
            await put(store, transaction)
            revision = await store.revision(shop.merchant.id)
            async with store.view(shop.merchant.id, False) as view:
                assert view.revision == revision
                assert (await view.transaction(transaction.id)).id == transaction.id

    async def test_views_and_commits_at_once_see_whole_commits_only(self, store: Store) -> None:
        shop = await open_shop(store)
        first = await store.revision(shop.merchant.id)

        async def pay() -> None:
            async with store.begin() as work:
                await work.merchants.get(shop.merchant.id)
                for thing in (a_transaction(shop.key), an_event(shop.merchant), a_transaction(shop.key)):
                    add(work, thing)

        async def look() -> tuple[int, int, int]:
            async with store.view(shop.merchant.id, False) as view:
                events = await view.events(Window(limit=100), EventFilter())
                transactions = await view.transactions(Window(limit=100), ANY)
                return view.revision - first, len(events.items), len(transactions.items)

        answers = await asyncio.gather(*(act() for _ in range(8) for act in (pay, look)))
        for seen in answers:
            if seen is not None:
                revisions, events, transactions = seen
                assert transactions == 2 * events
                assert revisions <= events
        assert (await look())[1:] == (8, 16)

    async def test_nobody_has_no_view(self, store: Store) -> None:
        with pytest.raises(NotFound):
            async with store.view(a_merchant().id, False):
                pass

    # ── merchants and modes apart

    async def test_a_view_finds_nothing_of_another_merchant_or_of_the_other_mode(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        endpoint, transaction = an_endpoint(shop.merchant), a_transaction(shop.key)
        refund, event, record = a_refund(transaction), an_event(shop.merchant), a_record(shop.merchant)
        api_key = an_api_key(shop.merchant)
        await put(store, endpoint, transaction, refund, event, record, api_key)
        window = Window(limit=9)
        for merchant, livemode in ((other.merchant, False), (shop.merchant, True)):
            async with store.view(merchant.id, livemode) as view:
                for missing in (
                    view.transaction(transaction.id),
                    view.refund(refund.id),
                    view.payment_key(shop.key.id),
                    view.api_key(api_key.id),
                    view.endpoint(endpoint.id),
                    view.event(event.id),
                    view.record(record.key, at=record.created_at),
                ):
                    with pytest.raises(NotFound):
                        await missing
                assert not (await view.transactions(window, ANY)).items
                assert not (await view.refunds(window, None)).items
                assert not (await view.refunds(window, transaction.id)).items
                assert not (await view.refunds_of([transaction.id], limit_each=9)).get(transaction.id)
                assert not (await view.endpoints(window)).items
                assert not (await view.deliveries(endpoint.id, window, DeliveryFilter())).items
                assert not (await view.events(window, EventFilter())).items
                assert len((await view.payment_keys(window)).items) == 1
        async with store.view(other.merchant.id, False) as view:
            assert not (await view.api_keys(window)).items

    @pytest.mark.parametrize("text", NEVER_STORED)
    async def test_a_text_that_a_store_may_be_unable_to_hold_names_nothing(self, store: Store, text: str) -> None:
        shop = await open_shop(store)
        await put(store, a_transaction(shop.key), an_event(shop.merchant))
        window, transaction = Window(limit=9), TransactionId(text)
        async with store.view(shop.merchant.id, False) as view:
            for missing in (
                view.transaction(transaction),
                view.refund(RefundId(text)),
                view.payment_key(PaymentKeyId(text)),
                view.api_key(ApiKeyId(text)),
                view.endpoint(EndpointId(text)),
                view.event(EventId(text)),
                view.record(text, at=NOW),
            ):
                with pytest.raises(NotFound):
                    await missing
            for filter in (
                TransactionFilter(reference=text),
                TransactionFilter(customer_reference=text),
                TransactionFilter(payment_key=PaymentKeyId(text)),
                TransactionFilter(currency=text),
            ):
                assert not (await view.transactions(window, filter)).items
            assert not (await view.refunds(window, transaction)).items
            assert not (await view.events(window, EventFilter(transaction=transaction))).items
            assert not (await view.deliveries(EndpointId(text), window, DeliveryFilter())).items
        with pytest.raises(NotFound):
            async with store.view(MerchantId(text), False):
                pass

    async def test_single_reads_give_what_is_stored(self, store: Store) -> None:
        shop = await open_shop(store)
        endpoint, transaction = an_endpoint(shop.merchant), a_transaction(shop.key)
        refund, api_key = a_refund(transaction), an_api_key(shop.merchant)
        await put(store, endpoint, transaction, refund, api_key)
        async with store.view(shop.merchant.id, False) as view:
            assert await view.merchant() == shop.merchant
            assert await view.transaction(transaction.id) == await stored(store, transaction)
            assert await view.refund(refund.id) == await stored(store, refund)
            assert await view.payment_key(shop.key.id) == await stored(store, shop.key)
            assert await view.api_key(api_key.id) == await stored(store, api_key)
            assert await view.endpoint(endpoint.id) == await stored(store, endpoint)
            (listed,) = (await view.endpoints(Window(limit=9))).items
            assert listed == await stored(store, endpoint)

    async def test_a_record_that_has_expired_is_not_found(self, store: Store) -> None:
        shop = await open_shop(store)
        record = a_record(shop.merchant)
        await put(store, record)
        async with store.view(shop.merchant.id, False) as view:
            with pytest.raises(NotFound):
                await view.record(record.key, at=record.expires_at)
            with pytest.raises(NotFound):
                await view.record("unknown", at=record.created_at)

    async def test_a_revoked_api_key_is_neither_found_nor_listed(self, store: Store) -> None:
        shop = await open_shop(store)
        key, kept = an_api_key(shop.merchant), an_api_key(shop.merchant)
        await put(store, key, kept)
        revoked = await stored(store, key)
        assert isinstance(revoked, ApiKey)
        await write(store, revoked.revoke(NOW))
        async with store.view(shop.merchant.id, False) as view:
            with pytest.raises(NotFound):
                await view.api_key(key.id)
            assert [one.id for one in (await view.api_keys(Window(limit=9))).items] == [kept.id]

    async def test_a_removed_endpoint_is_neither_found_nor_listed(self, store: Store) -> None:
        shop = await open_shop(store)
        endpoint, kept = an_endpoint(shop.merchant), an_endpoint(shop.merchant)
        await put(store, endpoint, kept)
        await write(store, (await stored_endpoint(store, endpoint)).remove(at=NOW))
        async with store.view(shop.merchant.id, False) as view:
            with pytest.raises(NotFound):
                await view.endpoint(endpoint.id)
            assert [one.id for one in (await view.endpoints(Window(limit=9))).items] == [kept.id]
