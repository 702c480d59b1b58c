"""Daily totals, what waits and endpoints' health: what is described, and what may be asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest

from adapters.memory.clock import HandClock
from adapters.memory.store import MemoryStore
from payments_core import describe
from payments_core.describe import JsonObject
from payments_core.errors import Invalid
from payments_core.event import EventType
from payments_core.merchant import Caller
from payments_core.refund import NOT_SENT, RETURNED
from payments_core.testing.builders import (
    DAY,
    NOW,
    a_job,
    a_moment,
    a_payment_key,
    a_refund,
    a_transaction,
    an_endpoint,
)
from payments_core.testing.builders import a_merchant as built_merchant
from payments_core.testing.overview import NOON, TODAY, a_fact, corrected
from payments_core.testing.subject import open_shop, put
from payments_core.totals import SPAN_DAYS_MAX, DayTotals, daily_totals
from payments_core.transaction import Failure
from payments_core.use_cases.read_lists import Reader
from payments_core.use_cases.settle_refund import fail_refund
from payments_core.values import encode_json, format_time

LOOKALIKE = '"currency":"EUR","amount":"7.77"'


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def reader(store: MemoryStore) -> Reader:
    return Reader(views=store, clock=HandClock(NOW))


def _described() -> Sequence[tuple[str, JsonObject]]:
    key = a_payment_key(built_merchant())
    paid = replace(
        a_transaction(
            key, reference=LOOKALIKE, customer_reference=LOOKALIKE, metadata={"currency": "EUR", "amount": "7"}
        ),
        description=LOOKALIKE,
        payment_method=LOOKALIKE,
        gateway_reference=LOOKALIKE,
    )
    refund = replace(
        a_refund(paid, amount_minor=123_456), reason=LOOKALIKE, metadata={"amount": "7", "currency": "EUR"}
    )
    return [("100.00", describe.transaction(paid, [refund])), ("1234.56", describe.refund(refund))]


@pytest.mark.parametrize(("amount", "data"), _described(), ids=["transaction", "refund"])
def test_amount_and_currency_stand_in_a_body_before_anything_that_a_merchant_wrote(
    amount: str, data: JsonObject
) -> None:
    """What migration 0007 has the database rely on, in events of processes of any version."""
    id, type = "evt_1", EventType.TRANSACTION_CREATED
    event = describe.event_body(id, type, livemode=False, at=NOW, sequence=1, data=data)  # type: ignore[arg-type]
    body = encode_json(event).decode()
    assert body.partition('"currency":"')[2].startswith('USD"')
    assert body.partition('"amount":"')[2].startswith(f'{amount}"')
    assert json.loads(body)["data"]["currency"] == "USD"


def test_totals_do_not_depend_on_the_order_of_events() -> None:
    merchant = built_merchant()
    events = [
        a_fact(merchant, EventType.TRANSACTION_CREATED),
        a_fact(merchant, EventType.TRANSACTION_SUCCEEDED, amount="2", code="JPY", at=NOON - DAY),
        corrected(merchant, "succeeded", "failed", at=NOON + DAY),
    ]
    totals = daily_totals(events)
    assert totals == daily_totals(reversed(events))
    assert [one.day for one in totals] == [TODAY - timedelta(1), TODAY, TODAY + timedelta(1)]


async def test_totals_are_read_with_amounts_in_the_currencys_decimals_below_zero_too(
    store: MemoryStore, reader: Reader
) -> None:
    shop = await open_shop(store)
    await put(
        store,
        corrected(shop.merchant, "succeeded", "failed"),
        a_fact(shop.merchant, EventType.REFUND_SUCCEEDED, amount="0.005", code="BHD"),
        a_fact(shop.merchant, EventType.TRANSACTION_SUCCEEDED, amount="5", code="JPY"),
    )
    seen = await reader.totals(Caller(merchant=shop.merchant.id), TODAY, TODAY)
    assert seen.revision == await store.revision(shop.merchant.id)
    found = {one["currency"]: (one["amount"], one["amount_refunded"]) for one in seen.value}
    assert found == {"BHD": ("0.000", "0.005"), "JPY": ("5", "0"), "USD": ("-10.00", "0.00")}
    assert describe.day_totals(DayTotals(day=TODAY, currency="USD", succeeded_minor=-5))["amount"] == "-0.05"
    assert seen.value[2] == {
        "day": "2026-03-10",
        "currency": "USD",
        "accepted": 0,
        "succeeded": -1,
        "amount": "-10.00",
        "failed": 1,
        "canceled": 0,
        "refunds": 0,
        "amount_refunded": "0.00",
    }


async def test_a_span_is_a_year_at_most_and_does_not_go_backwards(store: MemoryStore, reader: Reader) -> None:
    shop = await open_shop(store)
    caller = Caller(merchant=shop.merchant.id)
    assert not (await reader.totals(caller, TODAY, TODAY + timedelta(days=SPAN_DAYS_MAX - 1))).value
    for last in (TODAY - timedelta(1), TODAY + timedelta(days=SPAN_DAYS_MAX), date.max):
        with pytest.raises(Invalid):
            await reader.totals(caller, TODAY, last)


async def test_what_waits_is_read_as_public_json(store: MemoryStore, reader: Reader) -> None:
    shop = await open_shop(store)
    await put(store, transaction := a_transaction(shop.key), a_job(transaction))
    assert (await reader.waiting(Caller(merchant=shop.merchant.id))).value == {
        "payments": {"due": 1, "later": 0},
        "refunds": {"due": 0, "later": 0},
        "deliveries": {"due": 0, "later": 0},
        "dead_jobs": 0,
        "attempts_in_review": 0,
        "is_whole": True,
    }


async def test_how_an_endpoint_is_is_read_without_its_secret(store: MemoryStore, reader: Reader) -> None:
    shop = await open_shop(store)
    endpoint = an_endpoint(shop.merchant)
    await put(store, endpoint)
    await put(store, event := a_fact(shop.merchant, EventType.TRANSACTION_CREATED))
    (health,) = (await reader.endpoints_health(Caller(merchant=shop.merchant.id))).value
    assert health == {
        "endpoint": describe.endpoint(endpoint),
        "in_trouble": False,
        "failing_since": None,
        "pending": 1,
        "exhausted_lately": 0,
        "latest": {"status": "pending", "at": format_time(event.at)},
        "last_success_at": None,
    }
    assert endpoint.secret not in json.dumps(health)


async def test_a_refund_that_never_went_is_not_taken_off_whatever_the_gateway_calls_its_failure(
    store: MemoryStore,
) -> None:
    shop = await open_shop(store)
    paid = a_transaction(shop.key).process(at=NOW)[0].succeed(at=NOW, gateway_reference="ch_1")[0]
    pending = a_refund(paid)
    reserved, _ = paid.reserve_refund(pending.amount, at=NOW)
    await put(store, reserved, pending)
    async with store.begin() as work:
        transaction = await work.transactions.get(shop.merchant.id, False, paid.id)
        stored = await work.refunds.get(shop.merchant.id, False, pending.id)
        failure = Failure(code=RETURNED, message="Sent back.")
        fail_refund(work, a_moment(NOW), transaction, stored, failure, request_id=None)
    async with store.view(shop.merchant.id, False) as view:
        failed = await view.refund(pending.id)
        assert failed.failure == Failure(code=NOT_SENT, message="Sent back.")
        assert not await view.totals(NOW.date(), NOW.date())
