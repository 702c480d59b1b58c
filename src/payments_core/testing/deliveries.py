"""What every store must do with events: number them, make their deliveries, cancel them, replay them.

What the suite settles where the ports leave room:

- An event's listeners are the endpoints as they are after the unit's own writes. One that is addressed (`only`) goes
  to that endpoint whatever types it asked for, unless it is disabled, removed, or of the other mode.
- A delivery made by a commit was created and updated at `event.at`. A canceled one is due never, holds no lease, and
  its version moved, so that whoever holds it is refused, but not its token: they may read it and note their attempt. A
  delivery saved as pending in the unit that disables its endpoint is canceled too.
- A replay keeps the attempts of what it makes due again and gives it its whole schedule; it sends an event that was
  addressed to one endpoint to no other. Events count by their time: from `since`, before `until`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest

from payments_core.errors import NotFound, StaleWrite
from payments_core.event import Event, EventType
from payments_core.ids import delivery_id
from payments_core.merchant import Merchant
from payments_core.ports import EventFilter
from payments_core.testing.builders import (
    DAY,
    MINUTE,
    NOW,
    SECOND,
    START,
    a_room,
    a_transaction,
    an_endpoint,
    an_event,
)
from payments_core.testing.subject import Shop, Store, open_shop, put, read_all, refused_unit, stored_endpoint, write
from payments_core.webhook import Delivery, DeliveryAttempt, DeliveryStatus, Endpoint

WRITERS = 20
EVENTS_EACH = 2


async def _delivery(store: Store, endpoint: Endpoint, event: Event) -> Delivery | None:
    """Return the delivery of an event to an endpoint, if there is one."""
    async with store.begin() as work:
        try:
            return await work.deliveries.get(endpoint.merchant, endpoint.id, delivery_id(event.id, endpoint.id))
        except NotFound:
            return None


async def _statuses(store: Store, endpoint: Endpoint, *events: Event) -> list[DeliveryStatus | None]:
    deliveries = [await _delivery(store, endpoint, event) for event in events]
    return [None if delivery is None else delivery.status for delivery in deliveries]


async def _deliver(store: Store, endpoint: Endpoint, event: Event, status: DeliveryStatus) -> None:
    """Bring the delivery into a status, as a worker would, with one attempt."""
    delivery = await _delivery(store, endpoint, event)
    assert delivery is not None
    attempt = DeliveryAttempt(number=1, at=NOW, milliseconds=12, status_code=200, excerpt="ok")
    ended = {DeliveryStatus.DELIVERED: delivery.deliver, DeliveryStatus.CANCELED: delivery.cancel}
    if status in ended:
        done = ended[status](attempt)
    else:
        done = replace(delivery, tries=9).fail(attempt, now=NOW, retry_after=None, jitter=0)
    assert done.status is status
    async with store.begin() as work:
        work.deliveries.save(done)


async def _replay(
    store: Store, endpoint: Endpoint, *, since: datetime, until: datetime, only_failed: bool = False
) -> int:
    read = await stored_endpoint(store, endpoint)
    async with store.begin() as work:
        return await work.deliveries.replay(read, since=since, until=until, only_failed=only_failed, at=NOW + DAY)


def _events_at(merchant: Merchant, count: int) -> list[Event]:
    """Return events a minute apart from each other, the first at START."""
    return [an_event(merchant, at=START + number * MINUTE) for number in range(count)]


async def _shop_with_endpoint(store: Store) -> tuple[Shop, Endpoint]:
    shop = await open_shop(store)
    endpoint = an_endpoint(shop.merchant)
    await put(store, endpoint)
    return shop, await stored_endpoint(store, endpoint)


class DeliveriesContract:
    """Adapters supply `store`."""

    # ── positions

    async def test_events_are_numbered_from_one_in_the_order_in_which_they_were_added(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        events = [an_event(shop.merchant, livemode=number == 1) for number in range(4)]
        await put(store, events[3], events[0])
        await put(store, an_event(other.merchant))
        await put(store, events[1])
        await put(store, events[2])
        async with store.view(shop.merchant.id, False) as view:
            assert [(await view.event(events[number].id)).position for number in (3, 0, 2)] == [1, 2, 4]
        async with store.view(shop.merchant.id, True) as view:
            assert (await view.event(events[1].id)).position == 3

    async def test_a_refused_unit_leaves_no_gap_between_positions(self, store: Store) -> None:
        shop = await open_shop(store)
        await put(store, an_event(shop.merchant))
        await write(store, replace(shop.merchant, name="Moved"))
        async with refused_unit(store, StaleWrite) as work:
            work.events.add(an_event(shop.merchant))
            work.expect(shop.merchant)
        last = an_event(shop.merchant)
        await put(store, last)
        async with store.view(shop.merchant.id, False) as view:
            assert (await view.event(last.id)).position == 2

    async def test_positions_of_concurrent_units_have_no_gap(self, store: Store) -> None:
        shop = await open_shop(store)
        await put(store, an_endpoint(shop.merchant))

        async def record(number: int) -> None:
            async with store.begin() as work:
                if number % 5 == 4:
                    work.expect(replace(shop.merchant, version=99))
                await work.merchants.get(shop.merchant.id)
                for _ in range(EVENTS_EACH):
                    work.events.add(an_event(shop.merchant))

        answers = await asyncio.gather(*(record(number) for number in range(WRITERS)), return_exceptions=True)
        assert sum(isinstance(answer, StaleWrite) for answer in answers) == WRITERS // 5
        async with store.view(shop.merchant.id, False) as view:
            events = await read_all(lambda window: view.events(window, EventFilter()), limit=7)
        expected = (WRITERS - WRITERS // 5) * EVENTS_EACH
        assert [event.position for event in events] == list(range(1, expected + 1))

    # ── deliveries made by the commit

    async def test_a_commit_makes_a_pending_delivery_for_each_listener(self, store: Store) -> None:
        shop, first = await _shop_with_endpoint(store)
        second = an_endpoint(shop.merchant, events=(EventType.REFUND_FAILED, EventType.TRANSACTION_CREATED))
        await put(store, second)
        event = an_event(shop.merchant, at=START + MINUTE)
        await put(store, event)
        for endpoint in (first, second):
            delivery = await _delivery(store, endpoint, event)
            assert delivery is not None
            assert delivery == Delivery(
                id=delivery_id(event.id, endpoint.id),
                merchant=shop.merchant.id,
                livemode=False,
                endpoint=endpoint.id,
                event=event.id,
                event_type=event.type,
                status=DeliveryStatus.PENDING,
                created_at=event.at,
                updated_at=event.at,
                due_at=event.at,
                version=delivery.version,
            )

    async def test_those_who_do_not_listen_get_nothing(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        silent = [
            an_endpoint(shop.merchant, livemode=True),
            an_endpoint(shop.merchant, events=(EventType.REFUND_CREATED,)),
            replace(an_endpoint(shop.merchant), enabled=False),
            an_endpoint(other.merchant),
        ]
        removed = an_endpoint(shop.merchant)
        await put(store, *silent, removed)
        await write(store, (await stored_endpoint(store, removed)).remove(at=NOW))
        event = an_event(shop.merchant)
        await put(store, event)
        for endpoint in (*silent, removed):
            assert await _delivery(store, endpoint, event) is None

    async def test_an_event_for_one_endpoint_goes_there_alone_whatever_it_listens_to(self, store: Store) -> None:
        shop, bystander = await _shop_with_endpoint(store)
        addressed = an_endpoint(shop.merchant, events=(EventType.REFUND_FAILED,))
        await put(store, addressed)
        event = an_event(shop.merchant, type=EventType.WEBHOOK_TEST, only=addressed)
        await put(store, event)
        assert await _statuses(store, addressed, event) == [DeliveryStatus.PENDING]
        assert await _delivery(store, bystander, event) is None

    async def test_an_event_for_an_endpoint_that_is_disabled_or_of_the_other_mode_goes_nowhere(
        self, store: Store
    ) -> None:
        shop = await open_shop(store)
        disabled = replace(an_endpoint(shop.merchant), enabled=False)
        live = an_endpoint(shop.merchant, livemode=True)
        await put(store, disabled, live)
        for endpoint in (disabled, live):
            event = an_event(shop.merchant, only=endpoint)
            await put(store, event)
            assert await _delivery(store, endpoint, event) is None

    async def test_endpoints_listen_as_they_are_after_the_units_own_writes(self, store: Store) -> None:
        shop, closing = await _shop_with_endpoint(store)
        opening, event = an_endpoint(shop.merchant), an_event(shop.merchant)
        async with store.begin() as work:
            work.events.add(event)
            work.endpoints.add(opening)
            work.endpoints.save(closing.disable())
        assert await _statuses(store, opening, event) == [DeliveryStatus.PENDING]
        assert await _delivery(store, closing, event) is None

    async def test_endpoints_get_only_events_from_after_they_began_to_listen(self, store: Store) -> None:
        shop = await open_shop(store)
        before, after = an_event(shop.merchant), an_event(shop.merchant)
        await put(store, before)
        endpoint = an_endpoint(shop.merchant)
        await put(store, endpoint)
        await put(store, after)
        assert await _statuses(store, endpoint, before, after) == [None, DeliveryStatus.PENDING]

    async def test_deliveries_of_others_are_not_found(self, store: Store) -> None:
        shop, endpoint = await _shop_with_endpoint(store)
        other, others_endpoint = await _shop_with_endpoint(store)
        event = an_event(shop.merchant)
        await put(store, event)
        id = delivery_id(event.id, endpoint.id)
        async with store.begin() as work:
            assert (await work.deliveries.get(shop.merchant.id, endpoint.id, id)).id == id
            for merchant, named in (
                (other.merchant.id, endpoint.id),
                (other.merchant.id, others_endpoint.id),
                (shop.merchant.id, others_endpoint.id),
            ):
                with pytest.raises(NotFound):
                    await work.deliveries.get(merchant, named, id)

    async def test_the_second_writer_of_one_version_of_a_delivery_is_refused(self, store: Store) -> None:
        shop, endpoint = await _shop_with_endpoint(store)
        event = an_event(shop.merchant)
        await put(store, event)
        delivery = await _delivery(store, endpoint, event)
        assert delivery is not None
        attempt = DeliveryAttempt(number=1, at=NOW, milliseconds=1, status_code=204)
        async with store.begin() as work:
            work.deliveries.save(delivery.deliver(attempt))
            read = await work.deliveries.get(shop.merchant.id, endpoint.id, delivery.id)
            assert read.status is DeliveryStatus.DELIVERED
        async with refused_unit(store, StaleWrite) as work:
            work.deliveries.save(delivery.fail(attempt, now=NOW, retry_after=None, jitter=0))
        assert await _statuses(store, endpoint, event) == [DeliveryStatus.DELIVERED]

    # ── canceled by the commit

    @pytest.mark.parametrize("removed", [False, True])
    async def test_an_endpoint_saved_disabled_or_removed_has_its_pending_deliveries_canceled(
        self, store: Store, removed: bool
    ) -> None:
        shop, endpoint = await _shop_with_endpoint(store)
        bystander = an_endpoint(shop.merchant)
        await put(store, bystander)
        delivered, pending = an_event(shop.merchant), an_event(shop.merchant)
        await put(store, delivered, pending)
        await _deliver(store, endpoint, delivered, DeliveryStatus.DELIVERED)
        before = await store.revision(shop.merchant.id)
        await write(store, endpoint.remove(at=NOW) if removed else endpoint.disable())
        assert await store.revision(shop.merchant.id) == before + 1
        assert await _statuses(store, endpoint, delivered, pending) == [
            DeliveryStatus.DELIVERED,
            DeliveryStatus.CANCELED,
        ]
        canceled = await _delivery(store, endpoint, pending)
        assert canceled is not None
        assert (canceled.due_at, canceled.lease_expires_at, canceled.attempts) == (None, None, ())
        assert await _statuses(store, bystander, delivered, pending) == [DeliveryStatus.PENDING] * 2

    async def test_an_endpoint_saved_enabled_keeps_its_pending_deliveries(self, store: Store) -> None:
        shop, endpoint = await _shop_with_endpoint(store)
        event = an_event(shop.merchant)
        await put(store, event)
        before = await _delivery(store, endpoint, event)
        await write(store, endpoint.failed(at=NOW))
        assert await _delivery(store, endpoint, event) == before

    async def test_who_holds_a_delivery_that_was_canceled_is_refused(self, store: Store) -> None:
        shop, endpoint = await _shop_with_endpoint(store)
        event = an_event(shop.merchant)
        await put(store, event)
        (claimed,) = await store.claims.claim_deliveries(at=NOW, room=a_room(), lease=60 * SECOND)
        await write(store, endpoint.disable())
        async with refused_unit(store, StaleWrite) as work:
            work.deliveries.save(
                claimed.delivery.deliver(DeliveryAttempt(number=1, at=NOW, milliseconds=1, status_code=200))
            )
        assert await _statuses(store, endpoint, event) == [DeliveryStatus.CANCELED]
        canceled = await _delivery(store, endpoint, event)
        assert canceled is not None
        assert canceled.lease_token == claimed.delivery.lease_token
        later = NOW + DAY
        again = await store.claims.claim_deliveries(at=later, room=a_room(), lease=60 * SECOND)
        assert not again

    async def test_a_delivery_saved_in_the_unit_that_disables_its_endpoint_ends_there(self, store: Store) -> None:
        shop, endpoint = await _shop_with_endpoint(store)
        failing, gone = an_event(shop.merchant), an_event(shop.merchant)
        await put(store, failing, gone)
        first, second = await _delivery(store, endpoint, failing), await _delivery(store, endpoint, gone)
        assert first is not None
        assert second is not None
        attempt = DeliveryAttempt(number=1, at=NOW, milliseconds=1, status_code=410)
        async with store.begin() as work:
            work.deliveries.save(first.fail(attempt, now=NOW, retry_after=None, jitter=0))
            work.deliveries.save(second.cancel(attempt))
            work.endpoints.save(endpoint.disable())
        for event in (failing, gone):
            ended = await _delivery(store, endpoint, event)
            assert ended is not None
            assert (ended.status, ended.due_at, ended.attempts) == (DeliveryStatus.CANCELED, None, (attempt,))

    # ── replay

    async def test_a_replay_makes_due_again_what_ended_and_leaves_what_is_pending(self, store: Store) -> None:
        shop, endpoint = await _shop_with_endpoint(store)
        events = _events_at(shop.merchant, 4)
        await put(store, *events)
        for event, status in zip(
            events, (DeliveryStatus.DELIVERED, DeliveryStatus.EXHAUSTED, DeliveryStatus.CANCELED), strict=False
        ):
            await _deliver(store, endpoint, event, status)
        before = [await _delivery(store, endpoint, event) for event in events]
        assert await _replay(store, endpoint, since=START, until=START + DAY) == 3
        for event, old in zip(events[:3], before[:3], strict=True):
            new = await _delivery(store, endpoint, event)
            assert old is not None
            assert new is not None
            assert new == replace(old.queue_again(at=NOW + DAY), version=new.version)
            assert new.version > old.version
            assert len(new.attempts) == 1
        assert await _delivery(store, endpoint, events[3]) == before[3]

    async def test_a_replay_of_failures_leaves_what_was_delivered_and_what_was_never_sent(self, store: Store) -> None:
        shop = await open_shop(store)
        events = _events_at(shop.merchant, 5)
        await put(store, events[0])
        endpoint = an_endpoint(shop.merchant)
        await put(store, endpoint)
        await put(store, *events[1:])
        for event, status in zip(
            events[1:], (DeliveryStatus.DELIVERED, DeliveryStatus.EXHAUSTED, DeliveryStatus.CANCELED), strict=False
        ):
            await _deliver(store, endpoint, event, status)
        assert await _replay(store, endpoint, since=START, until=START + DAY, only_failed=True) == 2
        assert await _statuses(store, endpoint, *events) == [
            None,
            DeliveryStatus.DELIVERED,
            DeliveryStatus.PENDING,
            DeliveryStatus.PENDING,
            DeliveryStatus.PENDING,
        ]

    async def test_a_replay_sends_what_was_never_sent(self, store: Store) -> None:
        shop = await open_shop(store)
        addressee = an_endpoint(shop.merchant)
        await put(store, addressee)
        wanted, unwanted, live, addressed = (
            an_event(shop.merchant, at=START),
            an_event(shop.merchant, at=START + SECOND, type=EventType.REFUND_FAILED),
            an_event(shop.merchant, at=START + SECOND, livemode=True),
            an_event(shop.merchant, at=START + SECOND, only=addressee),
        )
        await put(store, wanted, unwanted, live, addressed)
        endpoint = an_endpoint(shop.merchant, events=(EventType.TRANSACTION_CREATED,))
        await put(store, endpoint)
        assert await _replay(store, endpoint, since=START, until=START + DAY) == 1
        assert await _statuses(store, endpoint, wanted, unwanted, live, addressed) == [
            DeliveryStatus.PENDING,
            None,
            None,
            None,
        ]
        made = await _delivery(store, endpoint, wanted)
        assert made is not None
        assert (made.due_at, made.tries, made.attempts, made.event_type) == (NOW + DAY, 0, (), wanted.type)
        room = a_room(limit_each=9, under_way={addressee: 9})
        due = await store.claims.claim_deliveries(at=NOW + DAY, room=room, lease=60 * SECOND)
        assert [(claimed.delivery.id, claimed.body) for claimed in due] == [(made.id, wanted.body)]

    async def test_a_replay_takes_what_the_endpoint_listens_to_and_what_is_addressed_to_it(self, store: Store) -> None:
        shop, endpoint = await _shop_with_endpoint(store)
        heard, unheard, addressed, missed = (
            an_event(shop.merchant, at=START),
            an_event(shop.merchant, at=START + SECOND, type=EventType.REFUND_FAILED),
            an_event(shop.merchant, at=START + SECOND, type=EventType.WEBHOOK_TEST, only=endpoint),
            an_event(shop.merchant, at=START + SECOND, type=EventType.WEBHOOK_TEST, only=endpoint),
        )
        await put(store, heard, unheard, addressed)
        for event in (heard, unheard, addressed):
            await _deliver(store, endpoint, event, DeliveryStatus.DELIVERED)
        await write(store, endpoint.disable())
        await put(store, missed)
        disabled = await stored_endpoint(store, endpoint)
        await write(store, replace(disabled.enable(at=NOW), events=(EventType.TRANSACTION_CREATED,)))
        assert await _replay(store, endpoint, since=START, until=START + DAY) == 3
        assert await _statuses(store, endpoint, heard, unheard, addressed, missed) == [
            DeliveryStatus.PENDING,
            DeliveryStatus.DELIVERED,
            DeliveryStatus.PENDING,
            DeliveryStatus.PENDING,
        ]

    async def test_a_replay_takes_events_from_since_to_before_until(self, store: Store) -> None:
        shop, endpoint = await _shop_with_endpoint(store)
        events = _events_at(shop.merchant, 4)
        await put(store, *events)
        for event in events:
            await _deliver(store, endpoint, event, DeliveryStatus.DELIVERED)
        assert await _replay(store, endpoint, since=events[1].at, until=events[3].at) == 2
        assert await _statuses(store, endpoint, *events) == [
            DeliveryStatus.DELIVERED,
            DeliveryStatus.PENDING,
            DeliveryStatus.PENDING,
            DeliveryStatus.DELIVERED,
        ]

    async def test_a_replay_in_a_unit_that_fails_makes_nothing_due(self, store: Store) -> None:
        shop, endpoint = await _shop_with_endpoint(store)
        (event,) = _events_at(shop.merchant, 1)
        await put(store, event)
        await _deliver(store, endpoint, event, DeliveryStatus.EXHAUSTED)
        await write(store, endpoint.failed(at=NOW))
        async with refused_unit(store, StaleWrite) as work:
            queued = await work.deliveries.replay(endpoint, since=START, until=START + DAY, only_failed=True, at=NOW)
            assert queued == 1
            work.expect(endpoint)
        assert await _statuses(store, endpoint, event) == [DeliveryStatus.EXHAUSTED]

    async def test_a_replay_touches_no_other_endpoint_and_moves_the_revision(self, store: Store) -> None:
        shop, endpoint = await _shop_with_endpoint(store)
        bystander = an_endpoint(shop.merchant)
        await put(store, bystander)
        (event,) = _events_at(shop.merchant, 1)
        await put(store, event, a_transaction(shop.key))
        for each in (endpoint, bystander):
            await _deliver(store, each, event, DeliveryStatus.EXHAUSTED)
        before = await store.revision(shop.merchant.id)
        assert await _replay(store, endpoint, since=START, until=START + DAY) == 1
        assert await store.revision(shop.merchant.id) == before + 1
        assert await _statuses(store, bystander, event) == [DeliveryStatus.EXHAUSTED]
