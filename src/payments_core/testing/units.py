"""What every unit of work must pass: all or nothing, one writer of a version."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from payments_core.errors import Duplicate, NotFound, StaleWrite
from payments_core.merchant import PaymentKey
from payments_core.testing.builders import (
    DAY,
    NOW,
    a_job,
    a_merchant,
    a_payment_key,
    a_record,
    a_refund,
    a_session,
    a_transaction,
    an_api_key,
    an_attempt,
    an_endpoint,
    an_event,
)
from payments_core.testing.changes import KINDS, change, change_otherwise, one_of_each, stored_one
from payments_core.testing.subject import (
    Kept,
    Store,
    add,
    get,
    open_shop,
    put,
    refused_unit,
    save,
    stored,
    stored_transaction,
    write,
)
from payments_core.transaction import Status

WRITERS = 20
ROUNDS_MAX = 10 * WRITERS


class Boom(Exception):
    """What goes wrong inside a block."""


def _boom() -> None:
    raise Boom


async def _nothing_waits(store: Store) -> bool:
    """Say whether there is no work, now or later."""
    backlog = await store.claims.backlog(at=NOW + 1_000 * DAY)
    return (backlog.jobs_due, backlog.jobs_dead, backlog.deliveries_due) == (0, 0, 0)


class UnitsContract:
    """Adapters supply `store`."""

    # ── all or nothing

    async def test_what_a_unit_adds_is_there_when_its_block_has_ended(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.key)
        await put(store, transaction)
        assert (await stored_transaction(store, transaction)).status is Status.PENDING

    async def test_nothing_is_written_before_the_block_has_ended(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.key)
        async with store.begin() as work:
            work.transactions.add(transaction)
            with pytest.raises(NotFound):
                await stored(store, transaction)
        assert (await stored(store, transaction)).version == 1

    async def test_a_unit_whose_block_raises_writes_nothing(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction, event, record = a_transaction(shop.key), an_event(shop.merchant), a_record(shop.merchant)
        before = await store.revision(shop.merchant.id)
        async with refused_unit(store, Boom) as work:
            for thing in (transaction, event, record, a_job(transaction)):
                add(work, thing)
            work.merchants.save(replace(shop.merchant, name="Never Written"))
            await work.merchants.get(shop.merchant.id)
            _boom()
        assert await store.revision(shop.merchant.id) == before
        assert await stored(store, shop.merchant) == shop.merchant
        async with store.view(shop.merchant.id, False) as view:
            with pytest.raises(NotFound):
                await view.transaction(transaction.id)
            with pytest.raises(NotFound):
                await view.event(event.id)
            with pytest.raises(NotFound):
                await view.record(record.key, at=record.created_at)
        assert await _nothing_waits(store)

    async def test_a_refused_commit_writes_nothing_of_its_unit(self, store: Store) -> None:
        shop = await open_shop(store)
        await write(store, replace(shop.merchant, name="Written First"))
        before = await store.revision(shop.merchant.id)
        transaction, event, record = a_transaction(shop.key), an_event(shop.merchant), a_record(shop.merchant)
        async with refused_unit(store, StaleWrite) as work:
            for thing in (record, transaction, event, a_job(transaction)):
                add(work, thing)
            work.payment_keys.save(shop.key.deactivate())
            work.merchants.save(replace(shop.merchant, name="Written Second"))
        assert await store.revision(shop.merchant.id) == before
        assert await _nothing_waits(store)
        async with store.view(shop.merchant.id, False) as view:
            assert (await view.merchant()).name == "Written First"
            with pytest.raises(NotFound):
                await view.transaction(transaction.id)
            with pytest.raises(NotFound):
                await view.event(event.id)
            with pytest.raises(NotFound):
                await view.record(record.key, at=record.created_at)
        assert await stored(store, shop.key) == shop.key

    async def test_a_refused_unit_can_be_made_again_with_the_same_ids(self, store: Store) -> None:
        shop = await open_shop(store)
        await write(store, replace(shop.merchant, name="Written First"))
        transaction, event = a_transaction(shop.key), an_event(shop.merchant)
        job = a_job(transaction)
        async with refused_unit(store, StaleWrite) as work:
            for thing in (transaction, event, job):
                add(work, thing)
            work.expect(shop.merchant)
        await put(store, transaction, event, job)
        async with store.view(shop.merchant.id, False) as view:
            assert (await view.event(event.id)).position == 1
            assert (await view.transaction(transaction.id)).id == transaction.id

    # ── one writer of a version

    @pytest.mark.parametrize("kind", KINDS)
    async def test_the_second_writer_of_one_version_is_refused(self, store: Store, kind: str) -> None:
        thing = await stored_one(store, await open_shop(store), kind)
        await write(store, change(thing))
        first = await stored(store, thing)
        with pytest.raises(StaleWrite):
            await write(store, change_otherwise(thing))
        assert await stored(store, thing) == first
        assert first == replace(change(thing), version=first.version)

    @pytest.mark.parametrize("kind", KINDS)
    async def test_what_was_read_back_can_be_written_again_and_again(self, store: Store, kind: str) -> None:
        thing = await stored_one(store, await open_shop(store), kind)
        versions = [thing.version]
        for _ in range(3):
            await write(store, await stored(store, thing))
            versions.append((await stored(store, thing)).version)
        assert versions == list(range(thing.version, thing.version + 4))

    async def test_of_many_writers_of_one_version_exactly_one_is_accepted(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.key)
        await put(store, transaction)
        read = await stored_transaction(store, transaction)

        async def describe(number: int) -> None:
            async with store.begin() as work:
                await work.merchants.get(shop.merchant.id)
                work.transactions.save(replace(read, description=str(number)))

        answers = await asyncio.gather(*(describe(number) for number in range(WRITERS)), return_exceptions=True)
        accepted = [number for number, answer in enumerate(answers) if answer is None]
        assert len(accepted) == 1
        assert sum(isinstance(answer, StaleWrite) for answer in answers) == WRITERS - 1
        assert (await stored_transaction(store, transaction)).description == str(accepted[0])

    async def test_writers_that_read_again_when_refused_lose_no_update(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.key)
        await put(store, transaction)

        async def count_one_more() -> None:
            for _ in range(ROUNDS_MAX):
                try:
                    async with store.begin() as work:
                        read = await work.transactions.get(shop.merchant.id, False, transaction.id)
                        work.transactions.save(replace(read, facts=read.facts + 1))
                except StaleWrite:
                    continue
                return
            raise AssertionError("refused more often than there are others who could have come first")

        await asyncio.gather(*(count_one_more() for _ in range(WRITERS)))
        assert (await stored_transaction(store, transaction)).facts == WRITERS

    @pytest.mark.parametrize("kind", KINDS)
    async def test_what_was_never_stored_cannot_be_saved(self, store: Store, kind: str) -> None:
        shop = await open_shop(store)
        never: dict[str, Kept] = {
            "merchant": a_merchant(),
            "payment_key": a_payment_key(shop.merchant),
            **one_of_each(shop),
        }
        with pytest.raises(StaleWrite):
            await write(store, replace(never[kind], version=1))

    async def test_what_belongs_to_nobody_is_refused_with_its_whole_unit(self, store: Store) -> None:
        shop, nobody = await open_shop(store), a_merchant()
        transaction, nobodys = a_transaction(shop.key), a_transaction(a_payment_key(nobody))
        for thing in (a_payment_key(nobody), nobodys, an_event(nobody), a_job(nobodys), a_record(nobody)):
            with pytest.raises(StaleWrite):
                await put(store, transaction, thing)
        async with refused_unit(store, StaleWrite) as work:
            work.transactions.add(transaction)
            replayed = work.deliveries.replay(an_endpoint(nobody), since=NOW, until=NOW, only_failed=False, at=NOW)
            assert await replayed == 0
        with pytest.raises(NotFound):
            await stored(store, transaction)

    async def test_another_merchants_thing_cannot_be_saved_under_its_id(self, store: Store) -> None:
        shop, other = await open_shop(store), await open_shop(store)
        transaction = a_transaction(shop.key)
        await put(store, transaction)
        read = await stored_transaction(store, transaction)
        with pytest.raises(StaleWrite):
            await write(
                store, replace(read, merchant=other.merchant.id, payment_key=other.key.id, description="stolen")
            )
        assert await stored_transaction(store, transaction) == read

    # ── own writes

    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_unit_reads_its_own_changes(self, store: Store, kind: str) -> None:
        thing = await stored_one(store, await open_shop(store), kind)
        changed = change(thing)
        async with store.begin() as work:
            save(work, changed)
            read = await get(work, thing)
            assert read == replace(changed, version=read.version)

    async def test_a_unit_reads_what_it_added(self, store: Store) -> None:
        shop = await open_shop(store)
        merchant = a_merchant()
        async with store.begin() as work:
            for thing in (merchant, a_payment_key(merchant), *one_of_each(shop).values()):
                add(work, thing)
                read = await get(work, thing)
                assert read == replace(thing, version=read.version)

    async def test_searches_of_a_unit_see_its_own_writes(self, store: Store) -> None:
        shop = await open_shop(store)
        id = shop.merchant.id
        newcomer, payment_key, api_key = a_merchant(), a_payment_key(shop.merchant), an_api_key(shop.merchant)
        session, transaction = a_session(shop.merchant), a_transaction(shop.key)
        refund, attempt, endpoint = a_refund(transaction), an_attempt(transaction), an_endpoint(shop.merchant)
        record = a_record(shop.merchant)
        async with store.begin() as work:
            for thing in (newcomer, payment_key, api_key, session, transaction, refund, attempt, endpoint):
                add(work, thing)
            work.idempotency.add(record)
            found = await work.merchants.by_email(newcomer.email)
            assert found is not None
            assert found.id == newcomer.id
            by_key = await work.payment_keys.by_key(id, False, payment_key.key)
            assert by_key is not None
            assert by_key.id == payment_key.id
            assert await work.payment_keys.count(id, False) == 2
            work.payment_keys.save(shop.key.deactivate())
            assert await work.payment_keys.count(id, False) == 1
            assert [key.id for key in await work.api_keys.valid_of(id, at=NOW)] == [api_key.id]
            assert [one.id for one in await work.sessions.valid_of(id, at=NOW)] == [session.id]
            assert [one.id for one in await work.refunds.latest_of(id, transaction.id, limit=5)] == [refund.id]
            prepared = await work.attempts.of(id, transaction.id)
            assert prepared is not None
            assert prepared.id == attempt.id
            assert await work.endpoints.count(id, False) == 1
            assert await work.idempotency.get(id, False, record.key, at=record.created_at) == record

    async def test_the_last_of_several_saves_in_one_unit_is_stored_once(self, store: Store) -> None:
        shop = await open_shop(store)
        async with store.begin() as work:
            work.merchants.save(replace(shop.merchant, name="First"))
            again = await work.merchants.get(shop.merchant.id)
            work.merchants.save(replace(again, name="Last"))
        read = await stored(store, shop.merchant)
        assert read == replace(shop.merchant, name="Last", version=read.version)
        await write(store, read)

    async def test_what_is_added_and_saved_in_one_unit_is_stored_in_its_last_state(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.key)
        async with store.begin() as work:
            work.transactions.add(transaction)
            added = await work.transactions.get(shop.merchant.id, False, transaction.id)
            work.transactions.save(replace(added, description="changed at once"))
        read = await stored_transaction(store, transaction)
        assert read.description == "changed at once"
        await write(store, read)

    # ── expectations

    async def test_an_expectation_that_holds_lets_the_unit_through(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.key)
        async with store.begin() as work:
            work.expect(shop.merchant)
            work.expect(shop.key)
            work.expect(shop.key)
            work.transactions.add(transaction)
        assert (await stored(store, transaction)).version == 1
        assert await stored(store, shop.key) == shop.key

    @pytest.mark.parametrize(
        "kind", ["merchant", "payment_key", "api_key", "session", "transaction", "refund", "endpoint"]
    )
    async def test_a_unit_whose_expectation_moved_is_refused(self, store: Store, kind: str) -> None:
        shop = await open_shop(store)
        thing = await stored_one(store, shop, kind)
        transaction = a_transaction(shop.key)
        async with refused_unit(store, StaleWrite) as work:
            work.transactions.add(transaction)
            work.expect(thing)  # type: ignore[arg-type]  # only kinds that can be expected are listed above
            await write(store, change(thing))
        with pytest.raises(NotFound):
            await stored(store, transaction)

    async def test_what_the_unit_itself_adds_has_not_moved(self, store: Store) -> None:
        newcomer = a_merchant()
        key, payment_key = an_api_key(newcomer), a_payment_key(newcomer)
        async with store.begin() as work:
            work.merchants.add(newcomer)
            work.expect(newcomer)
            work.expect(key)
            work.api_keys.add(key)
        assert (await stored(store, key)).version == 1
        async with refused_unit(store, StaleWrite) as work:
            work.merchants.save(await work.merchants.get(newcomer.id))
            work.expect(payment_key)
        async with refused_unit(store, Duplicate) as work:
            work.expect(key)
            work.api_keys.add(key)

    async def test_what_is_expected_can_be_saved_too(self, store: Store) -> None:
        shop = await open_shop(store)
        async with store.begin() as work:
            work.expect(shop.merchant)
            work.merchants.save(replace(shop.merchant, name="Expected"))
        async with refused_unit(store, StaleWrite) as work:
            work.expect(shop.merchant)
            work.merchants.save(replace(shop.merchant, name="Expected Too Late"))
        read = await stored(store, shop.merchant)
        assert read == replace(shop.merchant, name="Expected", version=read.version)

    async def test_no_payment_commits_through_a_key_that_is_being_closed(self, store: Store) -> None:
        shop = await open_shop(store)

        async def pay() -> None:
            async with store.begin() as work:
                key = await work.payment_keys.get(shop.merchant.id, False, shop.key.id)
                if key.is_active:
                    work.expect(key)
                    work.transactions.add(a_transaction(key, customer_reference="paid"))

        async def close() -> None:
            async with store.begin() as work:
                key = await work.payment_keys.get(shop.merchant.id, False, shop.key.id)
                work.payment_keys.save(key.deactivate())

        answers = await asyncio.gather(*(pay() for _ in range(5)), close(), pay(), return_exceptions=True)
        assert answers[5] is None
        assert all(answer is None or isinstance(answer, StaleWrite) for answer in answers)
        await pay()
        key = await stored(store, shop.key)
        assert isinstance(key, PaymentKey)
        assert not key.is_active
