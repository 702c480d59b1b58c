"""What every store keeps unique, and what it doesn't."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from payments_core.errors import Duplicate, NotFound
from payments_core.idempotency import Record
from payments_core.merchant import Merchant
from payments_core.ports import Unique
from payments_core.testing.builders import (
    a_job,
    a_merchant,
    a_payment_key,
    a_record,
    a_refresh_token,
    a_session,
    a_transaction,
    an_api_key,
    an_attempt,
    an_event,
)
from payments_core.testing.changes import one_of_each
from payments_core.testing.subject import Store, open_shop, put, stored

TWINS = 20
MICROSECOND = timedelta(microseconds=1)


async def _recorded(store: Store, record: Record) -> Record | None:
    async with store.begin() as work:
        return await work.idempotency.get(record.merchant, record.livemode, record.key, at=record.created_at)


class UniquenessContract:
    """Adapters supply `store`."""

    async def test_an_email_address_belongs_to_one_merchant(self, store: Store) -> None:
        first, second = a_merchant(email="zoë@example.com"), a_merchant(email="zoë@example.com")
        await put(store, first)
        with pytest.raises(Duplicate) as refused:
            await put(store, second)
        assert refused.value.constraint == Unique.MERCHANT_EMAIL
        with pytest.raises(NotFound):
            await stored(store, second)
        async with store.begin() as work:
            found = await work.merchants.by_email("zoë@example.com")
            assert found is not None
            assert found.id == first.id
            assert await work.merchants.by_email("nobody@example.com") is None

    async def test_a_reference_belongs_to_one_transaction_of_a_merchant_and_mode(self, store: Store) -> None:
        shop = await open_shop(store)
        await put(store, a_transaction(shop.key, reference="order 1"))
        second = a_transaction(shop.key, reference="order 1")
        with pytest.raises(Duplicate) as refused:
            await put(store, second)
        assert refused.value.constraint == Unique.TRANSACTION_REFERENCE
        with pytest.raises(NotFound):
            await stored(store, second)

    async def test_other_references_modes_and_merchants_take_nothing_from_each_other(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        await put(
            store,
            a_transaction(shop.key, reference="order 1"),
            a_transaction(shop.key, reference="Order 1"),
            a_transaction(shop.key, reference="order 1 "),
            a_transaction(shop.live_key, reference="order 1"),
            a_transaction(other.key, reference="order 1"),
        )
        await put(store, a_transaction(shop.key), a_transaction(shop.key))
        await put(store, a_transaction(shop.key))

    async def test_one_unit_cannot_take_a_unique_value_twice(self, store: Store) -> None:
        shop = await open_shop(store)
        first, second = (a_transaction(shop.key, reference="order 1") for _ in range(2))
        with pytest.raises(Duplicate) as refused:
            await put(store, first, second)
        assert refused.value.constraint == Unique.TRANSACTION_REFERENCE
        with pytest.raises(NotFound):
            await stored(store, first)

    # ── idempotency records

    async def test_a_key_has_one_record_until_it_expires(self, store: Store) -> None:
        shop = await open_shop(store)
        first = a_record(shop.merchant)
        await put(store, first)
        last_moment = first.expires_at - MICROSECOND
        second = replace(first, status=202, created_at=last_moment, expires_at=last_moment + MICROSECOND)
        with pytest.raises(Duplicate) as refused:
            await put(store, second)
        assert refused.value.constraint == Unique.IDEMPOTENCY_KEY
        assert await _recorded(store, first) == first
        assert await _recorded(store, second) == first

    async def test_a_record_that_has_expired_is_not_found_and_replaced(self, store: Store) -> None:
        shop = await open_shop(store)
        first = a_record(shop.merchant)
        await put(store, first)
        second = replace(
            a_record(shop.merchant, at=first.expires_at), key=first.key, body=b"second", route="POST /api/refunds/"
        )
        assert await _recorded(store, second) is None
        await put(store, second)
        assert await _recorded(store, second) == second
        third = replace(second, created_at=second.created_at + MICROSECOND, body=b"third")
        with pytest.raises(Duplicate):
            await put(store, third)

    async def test_a_key_is_free_in_the_other_mode_and_for_another_merchant(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        records = [
            a_record(shop.merchant),
            a_record(shop.merchant, livemode=True),
            a_record(other.merchant),
            a_record(shop.merchant, key="ORDER-1"),
            a_record(shop.merchant, key="order-1 "),
        ]
        for record in records:
            await put(store, record)
        assert [await _recorded(store, record) for record in records] == records

    async def test_of_many_twins_with_one_key_exactly_one_has_an_effect(self, store: Store) -> None:
        shop = await open_shop(store)
        transactions = [a_transaction(shop.key) for _ in range(TWINS)]
        records = [replace(a_record(shop.merchant), resource=transaction.id) for transaction in transactions]

        async def pay(number: int) -> None:
            async with store.begin() as work:
                await work.payment_keys.get(shop.merchant.id, False, shop.key.id)
                work.transactions.add(transactions[number])
                work.events.add(an_event(shop.merchant))
                work.idempotency.add(records[number])

        answers = await asyncio.gather(*(pay(number) for number in range(TWINS)), return_exceptions=True)
        winners = [number for number, answer in enumerate(answers) if answer is None]
        assert len(winners) == 1
        refusals = [answer.constraint for answer in answers if isinstance(answer, Duplicate)]
        assert refusals == [Unique.IDEMPOTENCY_KEY] * (TWINS - 1)
        assert await _recorded(store, records[0]) == records[winners[0]]
        for number, transaction in enumerate(transactions):
            if number not in winners:
                with pytest.raises(NotFound):
                    await stored(store, transaction)

    async def test_a_taken_key_is_named_before_a_taken_reference(self, store: Store) -> None:
        shop = await open_shop(store)
        record = a_record(shop.merchant)
        await put(store, a_transaction(shop.key, reference="order 1"), record)
        with pytest.raises(Duplicate) as refused:
            await put(store, a_transaction(shop.key, reference="order 1"), a_record(shop.merchant, key=record.key))
        assert refused.value.constraint == Unique.IDEMPOTENCY_KEY

    # ── identities

    @pytest.mark.parametrize(
        "kind", ["api_key", "session", "refresh_token", "transaction", "refund", "attempt", "endpoint"]
    )
    async def test_an_identity_is_taken_once(self, store: Store, kind: str) -> None:
        shop = await open_shop(store)
        things = one_of_each(shop)
        await put(store, *things.values())
        first = await stored(store, things[kind])
        with pytest.raises(Duplicate) as refused:
            await put(store, things[kind])
        assert refused.value.constraint == Unique.ID
        assert await stored(store, things[kind]) == first

    async def test_identities_of_merchants_events_and_jobs_are_taken_once(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.key)
        event, job = an_event(shop.merchant), a_job(transaction)
        await put(store, transaction, event, job)
        twin: Merchant = replace(shop.merchant, email="twin@example.com", version=0)
        for thing in (twin, event, job, replace(shop.key, key=a_payment_key(shop.merchant).key, version=0)):
            with pytest.raises(Duplicate) as refused:
                await put(store, thing)
            assert refused.value.constraint == Unique.ID

    async def test_a_subject_has_one_attempt(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.key)
        await put(store, transaction, an_attempt(transaction))
        with pytest.raises(Duplicate) as refused:
            await put(store, an_attempt(transaction))
        assert refused.value.constraint == Unique.ID

    async def test_values_made_of_randomness_are_taken_once(self, store: Store) -> None:
        shop = await open_shop(store)
        api_key, session = an_api_key(shop.merchant), a_session(shop.merchant)
        await put(store, api_key, session)
        for thing in (
            replace(an_api_key(shop.merchant), digest=api_key.digest),
            replace(a_payment_key(shop.merchant), key=shop.key.key),
        ):
            with pytest.raises(Duplicate) as refused:
                await put(store, thing)
            assert refused.value.constraint == Unique.ID

    async def test_a_refresh_token_is_spent_once(self, store: Store) -> None:
        shop = await open_shop(store)
        session = a_session(shop.merchant)
        token = a_refresh_token(session)
        await put(store, session, token)

        async def spend() -> bool:
            async with store.begin() as work:
                read = await work.sessions.refresh_token(token.digest)
                assert read is not None
                if read.spent_at is not None:
                    return False
                work.sessions.save_refresh_token(read.spend(read.created_at))
                successor = a_refresh_token(session)
                work.sessions.add_refresh_token(successor)
            return True

        answers = await asyncio.gather(*(spend() for _ in range(TWINS)), return_exceptions=True)
        assert answers.count(True) == 1
