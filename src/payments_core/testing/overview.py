"""What every store's snapshots must show at a glance: daily totals, what waits, how endpoints are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from payments_core.attempt import AttemptState
from payments_core.errors import StaleWrite
from payments_core.event import Event, EventType
from payments_core.merchant import Merchant
from payments_core.money import AMOUNT_MINOR_MAX
from payments_core.overview import COUNT_MAX, EndpointHealth
from payments_core.testing.builders import (
    DAY,
    MINUTE,
    NOW,
    a_job,
    a_refund,
    a_room,
    a_transaction,
    an_attempt,
    an_endpoint,
    an_event,
)
from payments_core.testing.subject import Shop, Store, open_shop, put, refused_unit, stored, stored_endpoint, write
from payments_core.totals import DayTotals, daily_totals
from payments_core.values import Json, encode_json
from payments_core.webhook import DISABLED_AFTER, Delivery, DeliveryAttempt, DeliveryStatus, Endpoint

FIRST, LAST = date(2026, 1, 1), date(2026, 12, 31)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
TODAY = NOON.date()


def a_fact(
    merchant: Merchant,
    type: EventType,
    *,
    amount: str = "10.00",
    code: str = "USD",
    at: datetime = NOON,
    livemode: bool = False,
    more: Mapping[str, Json] | None = None,
) -> Event:
    """Return an event whose body says as much as totals need."""
    event = an_event(merchant, type=type, at=at, livemode=livemode)
    # Texts of a merchant's own may look like anything.
    own: Mapping[str, Json] = {"description": '"currency":"EUR"', "metadata": {"currency": "EUR", "amount": "7.77"}}
    data: Mapping[str, Json] = {"amount": amount, "currency": code, **own, **(more or {})}
    return replace(event, body=encode_json({"id": event.id, "type": str(type), "data": data}))


def corrected(merchant: Merchant, before: str, after: str, *, at: datetime = NOON) -> Event:
    """Return the event of a correction."""
    return a_fact(merchant, EventType.TRANSACTION_CORRECTED, at=at, more={"from": before, "to": after})


def failed_refund(merchant: Merchant, failure: str, *, at: datetime = NOON) -> Event:
    """Return the event of a refund that failed for that reason."""
    return a_fact(merchant, EventType.REFUND_FAILED, at=at, amount="3.00", more={"failure": {"code": failure}})


async def totals_of(store: Store, merchant: Merchant, *, livemode: bool = False) -> list[DayTotals]:
    """Return all totals of a merchant's mode."""
    async with store.view(merchant.id, livemode) as view:
        return list(await view.totals(FIRST, LAST))


async def health_of(store: Store, endpoint: Endpoint, *, at: datetime = NOW) -> EndpointHealth:
    """Return how the endpoint is."""
    async with store.view(endpoint.merchant, endpoint.livemode) as view:
        (found,) = [one for one in await view.endpoints_health(at=at) if one.endpoint.id == endpoint.id]
        return found


class OverviewContract:
    """Adapters supply `store`."""

    # ── daily totals

    @pytest.mark.parametrize(
        ("type", "counted"),
        [
            (EventType.TRANSACTION_CREATED, {"accepted": 1}),
            (EventType.TRANSACTION_PROCESSING, None),
            (EventType.TRANSACTION_SUCCEEDED, {"succeeded": 1, "succeeded_minor": 1000}),
            (EventType.TRANSACTION_FAILED, {"failed": 1}),
            (EventType.TRANSACTION_CANCELED, {"canceled": 1}),
            (EventType.REFUND_CREATED, None),
            (EventType.REFUND_SUCCEEDED, {"refunds": 1, "refunded_minor": 1000}),
            (EventType.WEBHOOK_TEST, None),
            (EventType.WEBHOOK_DISABLED, None),
        ],
    )
    async def test_each_type_of_event_counts_as_what_it_is(
        self, store: Store, type: EventType, counted: Mapping[str, int] | None
    ) -> None:
        shop = await open_shop(store)
        await put(store, a_fact(shop.merchant, type))
        expected = [] if counted is None else [DayTotals(day=TODAY, currency="USD", **counted)]
        assert await totals_of(store, shop.merchant) == expected

    @pytest.mark.parametrize(
        ("before", "after", "counted"),
        [
            ("succeeded", "failed", {"succeeded": -1, "succeeded_minor": -1000, "failed": 1}),
            ("failed", "succeeded", {"succeeded": 1, "succeeded_minor": 1000, "failed": -1}),
            ("canceled", "succeeded", {"succeeded": 1, "succeeded_minor": 1000, "canceled": -1}),
            ("canceled", "failed", {"canceled": -1, "failed": 1}),
        ],
    )
    async def test_a_correction_moves_a_payment_on_its_own_day(
        self, store: Store, before: str, after: str, counted: Mapping[str, int]
    ) -> None:
        shop = await open_shop(store)
        await put(store, corrected(shop.merchant, before, after))
        assert await totals_of(store, shop.merchant) == [DayTotals(day=TODAY, currency="USD", **counted)]

    async def test_a_refund_that_came_back_is_taken_back_on_its_own_day_and_one_that_never_went_counts_nothing(
        self, store: Store
    ) -> None:
        shop = await open_shop(store)
        gone = a_fact(shop.merchant, EventType.REFUND_SUCCEEDED, amount="3.00")
        refused = failed_refund(shop.merchant, "refund_refused", at=NOON + 2 * DAY)
        await put(store, gone, failed_refund(shop.merchant, "returned", at=NOON + DAY), refused)
        assert await totals_of(store, shop.merchant) == [
            DayTotals(day=TODAY, currency="USD", refunds=1, refunded_minor=300),
            DayTotals(day=TODAY + timedelta(1), currency="USD", refunds=-1, refunded_minor=-300),
        ]

    async def test_what_is_committed_apart_or_together_adds_up_to_the_same(self, store: Store) -> None:
        shop = await open_shop(store)
        merchant, midnight = shop.merchant, NOON.replace(hour=0)
        events = [
            a_fact(merchant, type, amount=amount, code=code, at=at)
            for type in (EventType.TRANSACTION_CREATED, EventType.TRANSACTION_SUCCEEDED, EventType.REFUND_SUCCEEDED)
            for amount, code in (("10.05", "USD"), ("0.01", "USD"), ("5", "JPY"), ("1.234", "BHD"))
            for at in (midnight, midnight - timedelta(microseconds=1), NOON)
        ] + [corrected(merchant, "failed", "succeeded"), failed_refund(merchant, "returned", at=midnight)]
        for event in events[::3]:
            await put(store, event)
        await put(store, *events[1::3])
        await put(store, *events[2::3])
        totals = await totals_of(store, merchant)
        assert totals == list(daily_totals(events))
        assert [(one.day.day, one.currency) for one in totals] == [
            (day, code) for day in (9, 10) for code in ("BHD", "JPY", "USD")
        ]
        assert (totals[0].succeeded_minor, totals[1].succeeded_minor, totals[2].succeeded_minor) == (1234, 5, 1006)

    async def test_a_day_is_one_of_utc(self, store: Store) -> None:
        shop = await open_shop(store)
        far_east = datetime.fromisoformat("2026-03-11T01:00:00+09:00")
        await put(store, a_fact(shop.merchant, EventType.TRANSACTION_CREATED, at=far_east))
        assert [one.day for one in await totals_of(store, shop.merchant)] == [date(2026, 3, 10)]

    async def test_only_the_days_that_are_asked_for_come(self, store: Store) -> None:
        shop = await open_shop(store)
        await put(
            store,
            *(a_fact(shop.merchant, EventType.TRANSACTION_CREATED, at=NOON + day * DAY) for day in range(4)),
        )
        async with store.view(shop.merchant.id, False) as view:
            found = await view.totals(TODAY + timedelta(1), TODAY + timedelta(2))
            assert [one.day for one in found] == [TODAY + timedelta(1), TODAY + timedelta(2)]
            assert len(await view.totals(TODAY, TODAY)) == 1
            assert not await view.totals(TODAY + timedelta(1), TODAY)

    async def test_sums_may_be_larger_than_any_amount(self, store: Store) -> None:
        shop = await open_shop(store)
        number, digits = 100, str(AMOUNT_MINOR_MAX)
        largest = f"{digits[:-2]}.{digits[-2:]}"
        events = [a_fact(shop.merchant, EventType.TRANSACTION_SUCCEEDED, amount=largest) for _ in range(number)]
        await put(store, *events)
        (total,) = await totals_of(store, shop.merchant)
        assert total.succeeded_minor == number * AMOUNT_MINOR_MAX

    async def test_totals_are_of_one_merchant_and_mode(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        for livemode, number in ((False, 2), (True, 3)):
            facts = (a_fact(shop.merchant, EventType.TRANSACTION_CREATED, livemode=livemode) for _ in range(number))
            await put(store, *facts)
        assert [one.accepted for one in await totals_of(store, shop.merchant)] == [2]
        assert [one.accepted for one in await totals_of(store, shop.merchant, livemode=True)] == [3]
        assert await totals_of(store, other.merchant) == []

    async def test_totals_are_as_of_the_moment_of_the_view(self, store: Store) -> None:
        shop = await open_shop(store)
        async with store.view(shop.merchant.id, False) as view:
            await put(store, a_fact(shop.merchant, EventType.TRANSACTION_CREATED))
            assert not await view.totals(FIRST, LAST)
        assert await totals_of(store, shop.merchant)

    async def test_an_event_whose_unit_is_refused_does_not_count(self, store: Store) -> None:
        shop = await open_shop(store)
        await write(store, replace(shop.merchant, name="Moved"))
        async with refused_unit(store, StaleWrite) as work:
            work.expect(shop.merchant)
            work.events.add(a_fact(shop.merchant, EventType.TRANSACTION_CREATED))
        assert await totals_of(store, shop.merchant) == []

    # ── what waits

    async def test_nothing_waits_at_a_new_merchant(self, store: Store) -> None:
        shop = await open_shop(store)
        async with store.view(shop.merchant.id, False) as view:
            waiting = await view.waiting(at=NOW)
        assert waiting.is_whole
        assert waiting.payments_due == waiting.deliveries_due == waiting.dead_jobs == 0

    async def test_what_waits_is_counted_by_what_it_is_and_when_it_is_due(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        charges = [a_transaction(shop.key) for _ in range(5)]
        refunds = [a_refund(charges[0]) for _ in range(3)]
        in_review = replace(an_attempt(charges[0]), state=AttemptState.NEEDS_REVIEW)
        await put(store, an_endpoint(shop.merchant), *charges, *refunds, in_review, an_attempt(charges[1]))
        await put(
            store,
            *(a_job(charge, due_at=NOW - MINUTE) for charge in charges[:2]),
            a_job(charges[2], due_at=NOW + MINUTE),
            replace(a_job(charges[3]), dead_at=NOW),
            a_job(a_transaction(shop.live_key)),
            a_job(a_transaction(other.key)),
            *(a_job(refund, due_at=NOW + MINUTE) for refund in refunds[:2]),
            a_job(refunds[2], due_at=NOW),
            an_event(shop.merchant),
            an_event(shop.merchant),
        )
        await self._fail_one(store, shop)
        async with store.view(shop.merchant.id, False) as view:
            waiting = await view.waiting(at=NOW)
        assert (waiting.payments_due, waiting.payments_later) == (2, 1)
        assert (waiting.refunds_due, waiting.refunds_later) == (1, 2)
        assert (waiting.dead_jobs, waiting.attempts_in_review) == (1, 1)
        assert (waiting.deliveries_due, waiting.deliveries_later) == (1, 1)
        async with store.view(shop.merchant.id, True) as view:
            live = await view.waiting(at=NOW)
        assert (live.payments_due, live.refunds_due, live.attempts_in_review, live.deliveries_due) == (1, 0, 0, 0)

    async def test_a_count_ends_at_its_bound(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction, endpoint = a_transaction(shop.key), an_endpoint(shop.merchant)
        await put(store, transaction, endpoint)
        await put(store, *(a_job(transaction, due_at=NOW - MINUTE) for _ in range(COUNT_MAX + 1)))
        await put(store, *(an_event(shop.merchant) for _ in range(COUNT_MAX + 1)))
        async with store.view(shop.merchant.id, False) as view:
            waiting = await view.waiting(at=NOW)
        assert (waiting.payments_due, waiting.deliveries_due, waiting.is_whole) == (COUNT_MAX, COUNT_MAX, True)
        assert (await health_of(store, endpoint)).pending == COUNT_MAX

    # ── endpoints

    async def test_an_endpoint_without_deliveries_is_well(self, store: Store) -> None:
        shop = await open_shop(store)
        endpoint = an_endpoint(shop.merchant)
        await put(store, endpoint)
        health = await health_of(store, endpoint)
        assert health.endpoint == await stored(store, endpoint)
        assert (health.pending, health.exhausted_lately, health.latest, health.last_success_at) == (0, 0, None, None)
        assert not health.in_trouble

    async def test_what_happened_to_an_endpoints_deliveries_is_seen(self, store: Store) -> None:
        shop = await open_shop(store)
        endpoint = an_endpoint(shop.merchant)
        await put(store, endpoint, *(an_event(shop.merchant) for _ in range(4)))
        await self._end(store, shop, DeliveryStatus.DELIVERED, at=NOW - 2 * MINUTE)
        await self._end(store, shop, DeliveryStatus.EXHAUSTED, at=NOW - DAY + MINUTE)
        await self._end(store, shop, DeliveryStatus.EXHAUSTED, at=NOW - DAY - MINUTE)
        health = await health_of(store, endpoint)
        assert (health.pending, health.exhausted_lately) == (1, 1)
        assert health.last_success_at == NOW - 2 * MINUTE
        assert health.latest is not None
        assert health.latest.status is DeliveryStatus.PENDING
        assert health.in_trouble
        assert not (await health_of(store, endpoint, at=NOW + MINUTE)).in_trouble, "that was more than a day ago"

    async def test_an_endpoint_that_only_fails_is_in_trouble_and_stays_so_when_it_is_disabled_for_it(
        self, store: Store
    ) -> None:
        shop = await open_shop(store)
        endpoint, well = an_endpoint(shop.merchant), an_endpoint(shop.merchant)
        await put(store, endpoint, well)
        await write(store, (await stored_endpoint(store, endpoint)).failed(at=NOW - DISABLED_AFTER))
        assert (await health_of(store, endpoint)).in_trouble
        for one in (endpoint, well):
            await write(store, (await stored_endpoint(store, one)).disable())
        assert (await health_of(store, endpoint)).in_trouble
        assert not (await health_of(store, well)).in_trouble

    async def test_endpoints_come_newest_first_without_removed_ones_and_those_of_others(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        kept, removed, newer = (an_endpoint(shop.merchant) for _ in range(3))
        await put(store, kept, removed, newer, an_endpoint(shop.merchant, livemode=True), an_endpoint(other.merchant))
        await write(store, (await stored_endpoint(store, removed)).remove(at=NOW))
        async with store.view(shop.merchant.id, False) as view:
            found = [one.endpoint.id for one in await view.endpoints_health(at=NOW)]
        assert found == [newer.id, kept.id]

    async def _fail_one(self, store: Store, shop: Shop) -> None:
        delivery, attempt = await self._claimed(store, shop, NOW)
        async with store.begin() as work:
            work.deliveries.save(delivery.fail(attempt, now=NOW, retry_after=None, jitter=0.0))

    async def _end(self, store: Store, shop: Shop, status: DeliveryStatus, *, at: datetime) -> None:
        """End the delivery that is due for the longest time."""
        delivery, attempt = await self._claimed(store, shop, at)
        ended = delivery.deliver(attempt)
        async with store.begin() as work:
            work.deliveries.save(replace(ended, status=status))

    async def _claimed(self, store: Store, shop: Shop, at: datetime) -> tuple[Delivery, DeliveryAttempt]:
        # A lease of no time: the others can be claimed again at once.
        (claimed,) = await store.claims.claim_deliveries(at=NOW, room=a_room(limit=1), lease=timedelta(0))
        async with store.begin() as work:
            delivery = await work.deliveries.get(shop.merchant.id, claimed.delivery.endpoint, claimed.delivery.id)
        return delivery, DeliveryAttempt(number=1, at=at, milliseconds=1, status_code=500)
