"""What the console reads beside what the API gives: a search, one transaction's whole story, an export."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.memory import HandClock, MemoryPasswords, memory_payments
from adapters.memory.views import MemoryView
from payments_core import Caller, Invalid, NotFound, Payments, Register, Resolve
from payments_core.attempt import LOOKUP_SCHEDULE
from payments_core.describe import JsonObject
from payments_core.gateway import Approved, Unknown
from payments_core.ids import DeliveryId, EndpointId, MerchantId, TransactionId
from payments_core.page import LIMIT_MAX, Page, Slice
from payments_core.ports import TransactionFilter, Window
from payments_core.search import TEXT_LENGTH_MAX
from payments_core.testing.builders import NOW
from payments_core.transaction import Transaction
from payments_core.use_cases import read_lists
from payments_core.use_cases.manage_webhooks import AddEndpoint
from payments_core.use_cases.pay import Pay
from payments_core.use_cases.read_lists import ListQuery
from tests.unit.test_settlement import Scripted, Shop

ANY = TransactionFilter()


@pytest.fixture
async def shop() -> Shop:
    clock, gateway = HandClock(NOW), Scripted()
    payments, worker = memory_payments(
        gateway=gateway, passwords=MemoryPasswords(entropy=os.urandom, cost=4), clock=clock
    )
    caller, channel = await _account(payments, "shop@example.com")
    return Shop(payments=payments, worker=worker, clock=clock, gateway=gateway, caller=caller, channel=channel)


async def _account(payments: Payments, email: str) -> tuple[Caller, str]:
    account = await payments.register(Register(email=email, password="correct horse battery"))
    caller = Caller(merchant=MerchantId(str(account.json["id"])))
    return caller, str((await payments.make_payment_key(caller)).json["key"])


async def _pay(shop: Shop, count: int) -> list[str]:
    """Accept so many payments, a second apart; return their ids, the newest first."""
    ids: list[str] = []
    for number in range(count):
        shop.clock.move(timedelta(seconds=1))
        command = Pay(payment_key=shop.channel, amount="1.00", currency="USD", description=f"Order {number}")
        ids.insert(0, str((await shop.payments.pay(shop.caller, command)).json["id"]))
    return ids


async def _batches(export: AsyncIterator[Sequence[JsonObject]]) -> list[list[str]]:
    return [[str(each["id"]) for each in batch] async for batch in export]


# ── search


async def test_a_list_is_searched(shop: Shop) -> None:
    ids = await _pay(shop, 3)
    found = await shop.payments.read.transactions(shop.caller, ListQuery(), TransactionFilter(text="ORDER 1"))
    assert [each["id"] for each in found.items] == [ids[1]]


async def test_a_page_of_a_search_goes_on_with_its_cursor_and_with_no_others(shop: Shop) -> None:
    ids = await _pay(shop, 3)
    search = TransactionFilter(text="order")
    first = await shop.payments.read.transactions(shop.caller, ListQuery(limit=2), search)
    rest = await shop.payments.read.transactions(shop.caller, ListQuery(cursor=first.next), search)
    assert [each["id"] for each in (*first.items, *rest.items)] == ids
    with pytest.raises(Invalid):
        await shop.payments.read.transactions(shop.caller, ListQuery(cursor=first.next), ANY)


@pytest.mark.parametrize(
    "filter",
    [
        TransactionFilter(text=""),
        TransactionFilter(text="x" * (TEXT_LENGTH_MAX + 1)),
        TransactionFilter(text="a\0"),
        TransactionFilter(metadata=("", "value")),
        TransactionFilter(metadata=("k" * 41, "value")),
        TransactionFilter(metadata=("k", "v" * 501)),
        TransactionFilter(metadata=("k", "\ud800")),
    ],
)
async def test_what_nobody_can_look_for_is_refused(shop: Shop, filter: TransactionFilter) -> None:
    with pytest.raises(Invalid):
        await shop.payments.read.transactions(shop.caller, ListQuery(), filter)
    with pytest.raises(Invalid):
        shop.payments.read.export(shop.caller, filter)


async def test_a_page_says_up_to_where_was_looked_only_where_that_ended_before_it_was_full(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await _pay(shop, 3)
    whole = MemoryView.transactions
    cut = False

    async def looked_at(view: MemoryView, window: Window, filter: TransactionFilter, /) -> Slice[Transaction]:
        found = await whole(view, window, filter)
        onward = ids[1] if cut else None
        backwards = window.position is not None and window.position.backwards
        return (
            replace(found, before=onward or found.before) if backwards else replace(found, after=onward or found.after)
        )

    async def page(limit: int, cursor: str | None = None) -> Page[JsonObject]:
        return await shop.payments.read.transactions(shop.caller, ListQuery(limit=limit, cursor=cursor), ANY)

    monkeypatch.setattr(MemoryView, "transactions", looked_at)
    first = await page(2)
    last = await page(2, first.next)
    newer = await page(3, last.previous)
    assert (first.stopped_at, last.stopped_at, newer.stopped_at) == (None, None, None)
    cut = True
    assert ((await page(2)).stopped_at, (await page(4)).stopped_at) == (None, ids[1])
    assert (await page(3, last.previous)).stopped_at == ids[1]


# ── one transaction


async def test_a_merchant_sees_the_attempts_of_a_transaction_and_its_refunds(shop: Shop) -> None:
    id = await shop.pay(Approved(reference="ch_1"))
    await shop.later(timedelta(seconds=1))
    await shop.refund(id, Approved(reference="re_1"))
    (refund,) = (await shop.payments.read.refunds(shop.caller, ListQuery(), id)).items
    seen = await shop.payments.read.attempts(shop.caller, id)
    charge, paid_out = seen.value
    assert (charge["kind"], charge["refund"], charge["gateway_reference"]) == ("charge", None, "ch_1")
    assert (paid_out["kind"], paid_out["refund"], paid_out["gateway_reference"]) == ("refund", refund["id"], "re_1")
    assert (charge["state"], charge["amount"], charge["currency"]) == ("approved", "10.00", "USD")


async def test_a_merchant_is_told_that_staff_closed_an_attempt_and_not_who_or_why(shop: Shop) -> None:
    id = await shop.pay(*[Unknown(why="cut")] * (len(LOOKUP_SCHEDULE) + 1))
    for wait in LOOKUP_SCHEDULE:
        await shop.later(wait)
    (attempt,) = (await shop.payments.read.attempts(shop.caller, id)).value
    assert (attempt["state"], attempt["detail"]) == ("needs_review", "cut")
    resolve = Resolve(outcome=Approved(reference="ch_seen"), by="anna", note="she was in a hurry")
    await shop.payments.staff.resolve(attempt["id"], resolve)  # type: ignore[arg-type]  # an id, as JSON has it
    (attempt,) = (await shop.payments.read.attempts(shop.caller, id)).value
    assert (attempt["state"], attempt["detail"]) == ("approved", "said by staff")


async def test_a_merchant_sees_the_deliveries_of_a_transaction_and_each_alone(shop: Shop) -> None:
    command = AddEndpoint(url="https://shop.example.com/hook", events=("*",))
    endpoints = {str((await shop.payments.add_endpoint(shop.caller, command)).json["id"]) for _ in range(2)}
    id = await shop.pay(Approved(reference="ch_1"))
    deliveries = (await shop.payments.read.deliveries_of(shop.caller, id)).value
    # All of it happens at one time here.
    assert sorted({str(each["event_type"]) for each in deliveries}) == [
        "transaction.created",
        "transaction.processing",
        "transaction.succeeded",
    ]
    assert {str(each["endpoint"]) for each in deliveries} == endpoints
    for each in deliveries:
        endpoint, delivery = EndpointId(str(each["endpoint"])), DeliveryId(str(each["id"]))
        assert (await shop.payments.read.delivery(shop.caller, endpoint, delivery)).value == each


async def test_a_neighbour_sees_no_story_of_it(shop: Shop) -> None:
    command = AddEndpoint(url="https://shop.example.com/hook", events=("*",))
    endpoint = EndpointId(str((await shop.payments.add_endpoint(shop.caller, command)).json["id"]))
    id = await shop.pay(Approved(reference="ch_1"))
    (delivery, *_) = (await shop.payments.read.deliveries_of(shop.caller, id)).value
    neighbour, _ = await _account(shop.payments, "neighbour@example.com")
    read = shop.payments.read
    for caller in (neighbour, replace(shop.caller, livemode=True)):
        for look in (
            read.attempts(caller, id),
            read.deliveries_of(caller, id),
            read.delivery(caller, endpoint, DeliveryId(str(delivery["id"]))),
        ):
            with pytest.raises(NotFound):
                await look
        assert await _batches(read.export(caller, ANY)) == []
        for text in (id, "order"):
            assert not (await read.transactions(caller, ListQuery(), TransactionFilter(text=text))).items


async def test_what_is_not_there_has_no_story(shop: Shop) -> None:
    for look in (shop.payments.read.attempts, shop.payments.read.deliveries_of):
        with pytest.raises(NotFound):
            await look(shop.caller, TransactionId("txn_none"))


# ── export


async def test_an_export_gives_all_that_pass_the_filter_the_newest_first(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_lists, "EXPORT_BATCH", 2)
    ids = await _pay(shop, 5)
    assert await _batches(shop.payments.read.export(shop.caller, ANY)) == [ids[:2], ids[2:4], ids[4:]]
    assert await _batches(shop.payments.read.export(shop.caller, TransactionFilter(text="order 3"))) == [[ids[1]]]
    assert await _batches(shop.payments.read.export(shop.caller, TransactionFilter(currency="EUR"))) == []


async def test_an_export_is_no_page_of_a_list(shop: Shop) -> None:
    ids = await _pay(shop, LIMIT_MAX + 1)
    assert await _batches(shop.payments.read.export(shop.caller, ANY)) == [ids]


async def test_a_row_of_an_export_is_the_transaction_without_its_refunds(shop: Shop) -> None:
    id = await shop.pay(Approved(reference="ch_1"))
    await shop.refund(id, Approved(reference="re_1"))
    whole = dict((await shop.payments.read.transaction(shop.caller, id)).value)
    assert whole.pop("refunds")
    [batch] = [batch async for batch in shop.payments.read.export(shop.caller, ANY)]
    assert batch == [whole]


async def test_what_is_new_is_in_no_export_that_has_begun(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_lists, "EXPORT_BATCH", 2)
    ids = await _pay(shop, 4)
    found: list[str] = []
    async for batch in shop.payments.read.export(shop.caller, ANY):
        found += [str(each["id"]) for each in batch]
        await _pay(shop, 3)
    assert found == ids
