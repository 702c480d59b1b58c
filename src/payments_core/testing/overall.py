"""What every store's lists over all merchants must pass: newest first, in both modes, and without secrets.

What the suite settles where the port leaves room: positions and keys work as in `payments_core.testing.lists`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import pytest

from payments_core.errors import NotFound
from payments_core.ids import MerchantId
from payments_core.overall import Found, RecordFilter, RecordSeen, ThingKind
from payments_core.page import IDS, RECORDS, Position, Slice
from payments_core.ports import TransactionFilter, Window
from payments_core.testing.builders import (
    DAY,
    NEVER_STORED,
    NOW,
    SECOND,
    a_job,
    a_merchant,
    a_payment_key,
    a_record,
    a_refund,
    a_transaction,
    an_attempt,
    an_endpoint,
    an_event,
)
from payments_core.testing.subject import Shop, Store, open_shop, put, read_all, stored_endpoint, write
from payments_core.transaction import Status, StatusReason, Transaction


class Owned(Protocol):
    """What is a merchant's in a mode."""

    @property
    def id(self) -> str: ...
    @property
    def merchant(self) -> MerchantId: ...
    @property
    def livemode(self) -> bool: ...


List: TypeAlias = Callable[[Window, MerchantId | None], Awaitable[Slice[Owned]]]

ANY = TransactionFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A list over all merchants, and the ids that it is to have of everybody and of `one`, newest first."""

    list: List
    one: MerchantId
    ids: Sequence[str]
    of_one: Sequence[str]

    def of(self, merchant: MerchantId | None) -> Sequence[str]:
        return self.ids if merchant is None else self.of_one


async def _two_shops(store: Store) -> dict[str, Seen]:
    """Store things of two merchants in both modes, in turns."""
    one, two = await open_shop(store), await open_shop(store)
    keys = [one.key, one.live_key, two.key, two.live_key]
    transactions, refunds, endpoints = list[Transaction](), list[str](), list[str]()
    of_one = {"refunds": list[str](), "endpoints": list[str]()}
    for _ in range(3):
        for shop, key in ((one, one.key), (two, two.live_key), (one, one.live_key), (two, two.key)):
            transaction = a_transaction(key)
            refund = a_refund(transaction)
            endpoint = an_endpoint(shop.merchant, livemode=key.livemode)
            another = a_payment_key(shop.merchant, livemode=key.livemode)
            await put(store, transaction, refund, endpoint, another)
            transactions.append(transaction)
            refunds.append(refund.id)
            endpoints.append(endpoint.id)
            keys.append(another)
            if shop is one:
                of_one["refunds"].append(refund.id)
                of_one["endpoints"].append(endpoint.id)
    oversight, mine = store.oversight, one.merchant.id
    return {
        "transactions": Seen(
            one=mine,
            list=lambda window, merchant: oversight.transactions(window, ANY, merchant),
            ids=[each.id for each in reversed(transactions)],
            of_one=[each.id for each in reversed(transactions) if each.merchant == mine],
        ),
        "refunds": Seen(one=mine, list=oversight.refunds, ids=refunds[::-1], of_one=of_one["refunds"][::-1]),
        "endpoints": Seen(one=mine, list=oversight.endpoints, ids=endpoints[::-1], of_one=of_one["endpoints"][::-1]),
        "payment_keys": Seen(
            one=mine,
            list=oversight.payment_keys,
            ids=sorted((each.id for each in keys), reverse=True),
            of_one=sorted((each.id for each in keys if each.merchant == mine), reverse=True),
        ),
    }


async def _transactions(
    store: Store, filter: TransactionFilter, merchant: MerchantId | None = None, *, limit: int = 2
) -> list[str]:
    found = await read_all(lambda window: store.oversight.transactions(window, filter, merchant), limit=limit)
    return [one.id for one in found]


async def _records(store: Store, filter: RecordFilter, *, limit: int = 2) -> list[tuple[str, str]]:
    found = await read_all(lambda window: store.oversight.idempotency_records(window, filter), limit=limit)
    return [(one.merchant, one.key) for one in found]


LISTS = ("transactions", "refunds", "endpoints", "payment_keys")


class OverallContract:
    """Adapters supply `store`."""

    # ── lists by id

    @pytest.mark.parametrize("name", LISTS)
    async def test_a_list_has_everybodys_or_one_merchants_newest_first(self, store: Store, name: str) -> None:
        seen = (await _two_shops(store))[name]
        everybody = await read_all(lambda window: seen.list(window, None), limit=5)
        assert [one.id for one in everybody] == seen.ids
        for limit in (1, 2, 3, 5, 100):
            own = await read_all(lambda window: seen.list(window, seen.one), limit=limit)
            assert [one.id for one in own] == seen.of_one
            assert {one.livemode for one in own} == {False, True}

    @pytest.mark.parametrize("of_one", [False, True])
    @pytest.mark.parametrize("name", LISTS)
    async def test_a_list_is_read_back_as_it_is_read_forwards(self, store: Store, name: str, of_one: bool) -> None:
        seen = (await _two_shops(store))[name]
        merchant = seen.one if of_one else None
        ids = seen.of(merchant)

        async def page(limit: int, key: str | None = None, *, backwards: bool = False) -> tuple[object, ...]:
            position = None if key is None else Position(key=key, backwards=backwards)
            found = await seen.list(Window(limit=limit, position=position), merchant)
            return [one.id for one in found.items], found.before, found.after

        assert await page(2) == (ids[:2], None, ids[1])
        assert await page(2, ids[1]) == (ids[2:4], ids[2], ids[3])
        assert await page(2, ids[2], backwards=True) == (ids[:2], None, ids[1])
        assert await page(2, ids[4], backwards=True) == (ids[2:4], ids[2], ids[3])
        assert await page(100, ids[1]) == (ids[2:], ids[2], None)
        assert await page(2, ids[-1]) == ([], None, None)
        assert await page(2, ids[0], backwards=True) == ([], None, None)
        assert IDS.fullmatch(ids[1])

    @pytest.mark.parametrize("text", [*NEVER_STORED, "mer_nobody"])
    async def test_nobody_has_nothing_in_these_lists(self, store: Store, text: str) -> None:
        lists = await _two_shops(store)
        nobody = MerchantId(text)
        for seen in lists.values():
            found = await seen.list(Window(limit=9), nobody)
            assert (list(found.items), found.before, found.after) == ([], None, None)
        assert not await _records(store, RecordFilter(merchant=nobody))

    async def test_transactions_come_whole(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.live_key, reference="r", metadata={"a": "b"})
        await put(store, transaction)
        async with store.view(shop.merchant.id, True) as view:
            whole = await view.transaction(transaction.id)
        assert (await store.oversight.transactions(Window(limit=9), ANY, None)).items == [whole]

    async def test_transactions_of_all_are_filtered_as_those_of_one_are(self, store: Store) -> None:
        one, two = await open_shop(store), await open_shop(store)
        canceled = a_transaction(two.live_key).cancel(at=NOW, reason=StatusReason.REQUESTED)[0]
        euros = a_transaction(one.key, code="EUR", amount_minor=7)
        mine = a_transaction(one.live_key, reference="order 1", customer_reference="c", metadata={"k": "v"})
        theirs = a_transaction(two.key, reference="order 1", metadata={"k": "the Needle"})
        refund = a_refund(theirs)
        await put(store, canceled, euros, mine, theirs, refund)
        for filter, expected in (
            (ANY, [theirs, mine, euros, canceled]),
            (TransactionFilter(status=Status.CANCELED), [canceled]),
            (TransactionFilter(currency="EUR"), [euros]),
            (TransactionFilter(payment_key=one.key.id), [euros]),
            (TransactionFilter(reference="order 1"), [theirs, mine]),
            (TransactionFilter(customer_reference="c"), [mine]),
            (TransactionFilter(currency="EUR", max_amount_minor=7, min_amount_minor=7), [euros]),
            (TransactionFilter(created_after=euros.created_at), [theirs, mine]),
            (TransactionFilter(created_before=euros.created_at), [canceled]),
            (TransactionFilter(text="NEEDLE"), [theirs]),
            (TransactionFilter(text="order"), [theirs, mine]),
            (TransactionFilter(text=mine.id), [mine]),
            (TransactionFilter(text=refund.id), [theirs]),
            (TransactionFilter(text=a_refund(mine).id), []),
            (TransactionFilter(metadata=("k", "v")), [mine]),
        ):
            for limit in (1, 9):
                assert await _transactions(store, filter, limit=limit) == [each.id for each in expected]
                for shop in (one, two):
                    own = [each.id for each in expected if each.merchant == shop.merchant.id]
                    assert await _transactions(store, filter, shop.merchant.id, limit=limit) == own

    async def test_endpoints_are_seen_without_their_secrets_and_when_they_are_removed(self, store: Store) -> None:
        shop = await open_shop(store)
        endpoint, removed = an_endpoint(shop.merchant), an_endpoint(shop.merchant, livemode=True)
        await put(store, endpoint, removed)
        await write(store, (await stored_endpoint(store, removed)).remove(at=NOW))
        gone, here = (await store.oversight.endpoints(Window(limit=9), None)).items
        assert (gone.id, gone.removed_at, gone.enabled) == (removed.id, NOW, False)
        assert (here.id, here.removed_at, here.enabled, here.url) == (endpoint.id, None, True, endpoint.url)
        assert endpoint.secret not in repr(here)
        assert not hasattr(here, "secret")

    # ── idempotency records

    async def test_records_are_newest_first_and_without_what_was_answered(self, store: Store) -> None:
        one, two = await open_shop(store), await open_shop(store)
        first, second = a_record(one.merchant, key="a"), a_record(two.merchant, key="b", livemode=True)
        third, expired = a_record(one.merchant, key="c/-%'\\ \""), a_record(two.merchant, key="a", at=NOW - 30 * DAY)
        await put(store, third)
        await put(store, first, second, expired)
        found = await read_all(lambda window: store.oversight.idempotency_records(window, RecordFilter()), limit=1)
        assert [(each.merchant, each.key) for each in found] == [
            (each.merchant, each.key) for each in (third, second, first, expired)
        ]
        assert found[1] == RecordSeen(
            merchant=second.merchant,
            livemode=True,
            key="b",
            route=second.route,
            status=second.status,
            resource=second.resource,
            created_at=second.created_at,
            expires_at=second.expires_at,
        )

    async def test_records_of_one_time_are_each_listed_once_in_both_directions(self, store: Store) -> None:
        shops = [await open_shop(store) for _ in range(2)]
        records = [
            a_record(shop.merchant, key=key, livemode=livemode, at=NOW)
            for shop in shops
            for livemode in (False, True)
            for key in ("a", "b", "x" * 255)
        ]
        await put(store, *records, a_record(shops[0].merchant, key="later", at=NOW + SECOND))

        async def page(window: Window) -> Slice[RecordSeen]:
            return await store.oversight.idempotency_records(window, RecordFilter())

        whole = list((await page(Window(limit=100))).items)
        assert [each.key for each in whole[:1]] == ["later"]
        assert {(each.merchant, each.livemode, each.key) for each in whole[1:]} == {
            (each.merchant, each.livemode, each.key) for each in records
        }
        assert await read_all(page, limit=5) == whole
        part = await page(Window(limit=9))
        assert part.after is not None
        assert RECORDS.fullmatch(part.after)
        back = await page(Window(limit=4, position=Position(key=part.after, backwards=True)))
        assert list(back.items) == whole[4:8]
        assert back.before is not None
        rest = await page(Window(limit=9, position=Position(key=back.before, backwards=True)))
        assert (list(rest.items), rest.before) == (whole[:4], None)

    async def test_records_are_found_by_their_whole_key_and_by_merchant(self, store: Store) -> None:
        one, two = await open_shop(store), await open_shop(store)
        things = [
            a_record(one.merchant, key="order-1"),
            a_record(two.merchant, key="order-1", livemode=True),
            a_record(one.merchant, key="order-10"),
            a_record(one.merchant, key="order-1", livemode=True),
        ]
        await put(store, *things)
        names = [(each.merchant, each.key) for each in reversed(things)]
        mine = one.merchant.id
        for limit in (1, 9):
            assert await _records(store, RecordFilter(), limit=limit) == names
            assert await _records(store, RecordFilter(merchant=mine), limit=limit) == [
                each for each in names if each[0] == mine
            ]
            assert await _records(store, RecordFilter(key="order-1"), limit=limit) == [
                each for each in names if each[1] == "order-1"
            ]
            assert await _records(store, RecordFilter(key="order-1", merchant=mine), limit=limit) == [
                each for each in names if each == (mine, "order-1")
            ]
        for text in (*NEVER_STORED, "order"):
            assert await _records(store, RecordFilter(key=text)) == []

    # ── whose an id is

    async def test_an_id_is_found_over_all_merchants_and_in_both_modes(self, store: Store) -> None:
        await _two_shops(store)
        shop = await open_shop(store)
        for found, thing in await _one_of_each(store, shop):
            assert await store.oversight.find(found.id) == found, thing

    @pytest.mark.parametrize("text", [*NEVER_STORED, "", "txn", "nobody", "aud_1", "dlv_1", "mer_nobody", "txn_\0"])
    async def test_what_is_nobodys_is_not_found(self, store: Store, text: str) -> None:
        shop = await open_shop(store)
        missing = [
            a_merchant().id,
            a_transaction(shop.key).id,
            an_event(shop.merchant).id,
            an_endpoint(shop.merchant).id,
        ]
        for id in (text, *missing, shop.merchant.id[:-1], f"{shop.key.id}x"):
            with pytest.raises(NotFound):
                await store.oversight.find(id)


async def _one_of_each(store: Store, shop: Shop) -> list[tuple[Found, object]]:
    """Store one thing of each kind, and return whose each is."""
    transaction = a_transaction(shop.live_key)
    refund = a_refund(transaction)
    attempt, job = an_attempt(transaction), a_job(transaction)
    event, endpoint = an_event(shop.merchant, livemode=True), an_endpoint(shop.merchant, livemode=True)
    await put(store, transaction, refund, attempt, job, event, endpoint)
    things = {
        ThingKind.PAYMENT_KEY: shop.live_key.id,
        ThingKind.TRANSACTION: transaction.id,
        ThingKind.REFUND: refund.id,
        ThingKind.ATTEMPT: attempt.id,
        ThingKind.JOB: job.id,
        ThingKind.EVENT: event.id,
        ThingKind.ENDPOINT: endpoint.id,
    }
    assert {*things, ThingKind.MERCHANT} == set(ThingKind)
    merchant = shop.merchant.id
    found = [Found(id=id, kind=kind, merchant=merchant, livemode=True) for kind, id in things.items()]
    own = Found(id=merchant, kind=ThingKind.MERCHANT, merchant=merchant, livemode=None)
    test_key = replace(found[0], id=shop.key.id, livemode=False)
    return [(each, each.kind) for each in (*found, own, test_key)]
