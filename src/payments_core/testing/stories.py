"""What every store's snapshots must tell of one transaction: its attempts, and the deliveries of its events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from payments_core.attempt import AttemptState
from payments_core.errors import NotFound
from payments_core.event import EventType
from payments_core.ids import DeliveryId, EndpointId, TransactionId, delivery_id
from payments_core.testing.builders import (
    NEVER_STORED,
    NOW,
    a_refund,
    a_transaction,
    an_attempt,
    an_endpoint,
    an_event,
)
from payments_core.testing.subject import Store, open_shop, put, stored, stored_endpoint, write
from payments_core.webhook import DELIVERIES_SHOWN_MAX, ENDPOINTS_MAX, STORY_EVENTS_MAX, DeliveryAttempt, DeliveryStatus


class StoriesContract:
    """Adapters supply `store`."""

    # ── attempts

    async def test_a_transactions_attempts_are_those_of_its_charge_and_refunds(self, store: Store) -> None:
        shop = await open_shop(store)
        one, two = a_transaction(shop.key), a_transaction(shop.key)
        refunds = [a_refund(one), a_refund(one), a_refund(one)]
        attempts = [an_attempt(one), an_attempt(refunds[0]), an_attempt(refunds[1])]
        await put(store, one, two, *refunds, *attempts, an_attempt(two))
        closed = await stored(store, attempts[0])
        await write(store, replace(closed, state=AttemptState.APPROVED))  # type: ignore[arg-type]  # an attempt
        async with store.view(shop.merchant.id, False) as view:
            found = await view.attempts_of(one.id)
            assert not await view.attempts_of(a_transaction(shop.key).id)
        assert [attempt.id for attempt in found] == [attempt.id for attempt in attempts]
        assert list(found) == [await stored(store, attempt) for attempt in attempts]

    async def test_a_view_goes_on_to_show_the_attempts_of_its_moment(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.key)
        refund, attempt = a_refund(transaction), an_attempt(transaction)
        await put(store, transaction, refund, attempt)
        read = await stored(store, attempt)
        async with store.view(shop.merchant.id, False) as view:
            assert await view.attempts_of(transaction.id) == [read]
            await put(store, an_attempt(refund))
            await write(store, replace(read, state=AttemptState.APPROVED))  # type: ignore[arg-type]  # an attempt
            assert await view.attempts_of(transaction.id) == [read]

    # ── deliveries

    async def test_a_transactions_deliveries_are_those_of_its_events_over_all_endpoints(self, store: Store) -> None:
        shop = await open_shop(store)
        one, two = a_transaction(shop.key), a_transaction(shop.key)
        first, second = (an_endpoint(shop.merchant) for _ in range(2))
        picky = an_endpoint(shop.merchant, events=(EventType.REFUND_FAILED,))
        await put(store, one, two, first, second, picky)
        events = [
            an_event(shop.merchant, transaction=one, sequence=1),
            an_event(shop.merchant, transaction=one, sequence=2, type=EventType.REFUND_FAILED),
        ]
        await put(store, *events, an_event(shop.merchant, transaction=two), an_event(shop.merchant))
        async with store.view(shop.merchant.id, False) as view:
            found = await view.deliveries_of(one.id)
            assert not await view.deliveries_of(a_transaction(shop.key).id)
        assert [delivery.event for delivery in found] == [events[0].id] * 2 + [events[1].id] * 3
        assert [delivery.id for delivery in found] == sorted(delivery.id for delivery in found)
        assert {delivery.endpoint for delivery in found[:2]} == {first.id, second.id}
        assert {delivery.endpoint for delivery in found[2:]} == {first.id, second.id, picky.id}

    async def test_a_delivery_that_was_sent_again_is_shown_once_as_it_is(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction, endpoint = a_transaction(shop.key), an_endpoint(shop.merchant)
        event = an_event(shop.merchant, transaction=transaction)
        await put(store, transaction, endpoint, event)
        id = delivery_id(event.id, endpoint.id)
        attempt = DeliveryAttempt(number=1, at=NOW, milliseconds=12, status_code=200)
        async with store.begin() as work:
            work.deliveries.save((await work.deliveries.get(shop.merchant.id, endpoint.id, id)).deliver(attempt))
        async with store.begin() as work:
            listening = await work.endpoints.get(shop.merchant.id, False, endpoint.id)
            sent = await work.deliveries.replay(listening, since=event.at, until=NOW, only_failed=False, at=NOW)
        assert sent == 1
        async with store.view(shop.merchant.id, False) as view:
            (found,) = await view.deliveries_of(transaction.id)
            assert await view.delivery(endpoint.id, id) == found
        assert (found.id, found.status, found.attempts) == (id, DeliveryStatus.PENDING, (attempt,))

    async def test_deliveries_to_endpoints_that_are_disabled_or_removed_are_shown(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.key)
        disabled, removed = an_endpoint(shop.merchant), an_endpoint(shop.merchant)
        event = an_event(shop.merchant, transaction=transaction)
        await put(store, transaction, disabled, removed)
        await put(store, event)
        await write(
            store,
            (await stored_endpoint(store, disabled)).disable(),
            (await stored_endpoint(store, removed)).remove(at=NOW),
        )
        async with store.view(shop.merchant.id, False) as view:
            found = await view.deliveries_of(transaction.id)
            gone = await view.delivery(removed.id, delivery_id(event.id, removed.id))
        assert {delivery.endpoint for delivery in found} == {disabled.id, removed.id}
        assert gone in found

    async def test_of_many_deliveries_the_latest_are_shown_the_oldest_first(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.key)
        endpoints = [an_endpoint(shop.merchant) for _ in range(3)]
        await put(store, transaction, *endpoints)
        events = [
            an_event(shop.merchant, transaction=transaction, sequence=number)
            for number in range(1, STORY_EVENTS_MAX + 2)
        ]
        await put(store, *events)
        async with store.view(shop.merchant.id, False) as view:
            found = await view.deliveries_of(transaction.id)
        assert STORY_EVENTS_MAX * len(endpoints) > DELIVERIES_SHOWN_MAX
        every = sorted(delivery_id(event.id, endpoint.id) for event in events for endpoint in endpoints)
        assert [delivery.id for delivery in found] == every[-DELIVERIES_SHOWN_MAX:]

    async def test_all_endpoints_that_there_are_are_looked_at_however_many_were_removed(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction, oldest = a_transaction(shop.key), an_endpoint(shop.merchant)
        removed = [an_endpoint(shop.merchant, events=()) for _ in range(3 * ENDPOINTS_MAX)]
        await put(store, transaction, oldest, *removed)
        await write(store, *[(await stored_endpoint(store, one)).remove(at=NOW) for one in removed])
        await put(store, an_event(shop.merchant, transaction=transaction))
        async with store.view(shop.merchant.id, False) as view:
            assert [one.endpoint for one in await view.deliveries_of(transaction.id)] == [oldest.id]

    # ── apart

    async def test_another_merchant_and_the_other_mode_see_nothing_of_it(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        transaction, endpoint = a_transaction(shop.key), an_endpoint(shop.merchant)
        event = an_event(shop.merchant, transaction=transaction)
        await put(store, transaction, an_attempt(transaction), endpoint, an_endpoint(other.merchant))
        await put(store, an_endpoint(shop.merchant, livemode=True), event)
        for merchant, livemode in ((other.merchant.id, False), (shop.merchant.id, True)):
            async with store.view(merchant, livemode) as view:
                assert not await view.attempts_of(transaction.id)
                assert not await view.deliveries_of(transaction.id)
                with pytest.raises(NotFound):
                    await view.delivery(endpoint.id, delivery_id(event.id, endpoint.id))

    @pytest.mark.parametrize("text", NEVER_STORED)
    async def test_a_text_that_a_store_may_be_unable_to_hold_has_no_story(self, store: Store, text: str) -> None:
        shop = await open_shop(store)
        endpoint = an_endpoint(shop.merchant)
        await put(store, endpoint, an_event(shop.merchant))
        async with store.view(shop.merchant.id, False) as view:
            assert not await view.attempts_of(TransactionId(text))
            assert not await view.deliveries_of(TransactionId(text))
            for one, id in ((endpoint.id, text), (text, text)):
                with pytest.raises(NotFound):
                    await view.delivery(EndpointId(one), DeliveryId(id))
