"""The store's contracts on a real Postgres, and what only Postgres can show: two stores on it, joined transactions."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres import PostgresStore, create_engine, search
from adapters.postgres.deliver import delivery_id as delivery_id_in_sql
from adapters.postgres.keyset import Listing, read_slice
from adapters.postgres.mapping import kinds
from adapters.postgres.tables import transactions
from adapters.security.vault import AeadVault
from payments_core.errors import Duplicate, NotFound, RuleBroken, StaleWrite
from payments_core.ids import delivery_id
from payments_core.merchant import Merchant
from payments_core.page import Position
from payments_core.ports import EventFilter, TransactionFilter, Window
from payments_core.testing.books import BooksContract
from payments_core.testing.builders import (
    NOW,
    a_merchant,
    a_record,
    a_refund,
    a_transaction,
    an_endpoint,
    an_event,
)
from payments_core.testing.claims import ClaimsContract
from payments_core.testing.credentials import CredentialsContract
from payments_core.testing.oversight import OversightContract
from payments_core.testing.overview import OverviewContract
from payments_core.testing.store import StoreContract
from payments_core.testing.subject import open_shop, put, read_all, stored, stored_transaction, write
from payments_core.testing.views import ViewsContract
from payments_core.transaction import Transaction
from tests.integration.tampering import PostgresTampering

VAULT = AeadVault([b"k" * 32], entropy=os.urandom)
REFUNDS = 20
COMMITS = 40


@pytest.fixture
async def second_engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def store(engine: AsyncEngine) -> PostgresStore:
    return PostgresStore(engine, vault=VAULT)


@pytest.fixture
async def tampering(engine: AsyncEngine) -> PostgresTampering:
    tampering = PostgresTampering(engine, VAULT)
    await tampering.drop_checks()
    return tampering


class TestPostgresStore(StoreContract):
    """Supplies `store`."""


class TestPostgresViews(ViewsContract):
    """Supplies `store`."""


class TestPostgresClaims(ClaimsContract):
    """Supplies `store`."""


class TestPostgresOversight(OversightContract):
    """Supplies `store`."""


class TestPostgresOverview(OverviewContract):
    """Supplies `store`."""


class TestPostgresCredentials(CredentialsContract):
    """Supplies `store`."""


class TestPostgresBooks(BooksContract):
    """Supplies `store` and `tampering`."""


# ── races


async def test_concurrent_refunds_never_pass_the_amount(engine: AsyncEngine, second_engine: AsyncEngine) -> None:
    stores = [PostgresStore(one, vault=VAULT) for one in (engine, second_engine)]
    shop = await open_shop(stores[0])
    transaction = a_transaction(shop.key, amount_minor=1_000)
    await put(stores[0], transaction.process(at=NOW)[0].succeed(at=NOW, gateway_reference="ch_1")[0])

    async def refund(number: int) -> None:
        for _ in range(REFUNDS):
            try:
                async with stores[number % 2].begin() as work:
                    read = await work.transactions.get(shop.merchant.id, False, transaction.id)
                    refund = a_refund(read, amount_minor=300)
                    work.transactions.save(read.reserve_refund(refund.amount, at=NOW)[0])
                    work.refunds.add(refund)
            except StaleWrite:
                continue
            return
        raise AssertionError("each round lets one through")

    answers = await asyncio.gather(*(refund(number) for number in range(REFUNDS)), return_exceptions=True)
    assert sum(answer is None for answer in answers) == 3
    assert sum(isinstance(answer, RuleBroken) for answer in answers) == REFUNDS - 3
    read = await stored_transaction(stores[0], transaction)
    assert (read.refund_pending_minor, read.refunds_count) == (900, 3)


async def test_positions_have_no_gap_over_two_stores(engine: AsyncEngine, second_engine: AsyncEngine) -> None:
    stores = [PostgresStore(one, vault=VAULT) for one in (engine, second_engine)]
    shop = await open_shop(stores[0])

    async def record(number: int) -> None:
        async with stores[number % 2].begin() as work:
            if number % 4 == 3:
                work.expect(replace(shop.merchant, version=99))
            work.events.add(an_event(shop.merchant))

    answers = await asyncio.gather(*(record(number) for number in range(COMMITS)), return_exceptions=True)
    assert sum(isinstance(answer, StaleWrite) for answer in answers) == COMMITS // 4
    async with stores[0].view(shop.merchant.id, False) as view:
        events = await read_all(lambda window: view.events(window, EventFilter()))
    assert [event.position for event in events] == list(range(1, COMMITS - COMMITS // 4 + 1))


async def test_units_over_several_merchants_in_any_order_never_block_each_other_for_good(
    store: PostgresStore,
) -> None:
    shops = [await open_shop(store) for _ in range(4)]

    async def touch(number: int) -> None:
        async with store.begin() as work:
            for shop in shops if number % 2 else reversed(shops):
                work.events.add(an_event(shop.merchant))

    await asyncio.gather(*(touch(number) for number in range(COMMITS)))
    assert await store.revision(shops[0].merchant.id) == 1 + COMMITS


# ── joined transactions


@pytest.fixture
async def orders(engine: AsyncEngine) -> None:
    """Somebody else's table."""
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE orders (id text PRIMARY KEY)"))


async def _orders(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return list((await connection.execute(text("SELECT id FROM orders ORDER BY id"))).scalars())


@pytest.mark.usefixtures("orders")
async def test_an_order_and_its_payment_commit_together(store: PostgresStore, engine: AsyncEngine) -> None:
    shop = await open_shop(store)
    transaction = a_transaction(shop.key)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO orders VALUES ('one')"))
        async with store.begin_on(connection)() as work:
            work.transactions.add(transaction)
            work.events.add(an_event(shop.merchant))
        async with store.begin_on(connection)() as work:
            assert (await work.transactions.get(shop.merchant.id, False, transaction.id)).id == transaction.id
        with pytest.raises(NotFound):
            await stored(store, transaction)
    await stored(store, transaction)
    assert await _orders(engine) == ["one"]


@pytest.mark.usefixtures("orders")
async def test_a_payment_goes_with_the_order_that_is_rolled_back(store: PostgresStore, engine: AsyncEngine) -> None:
    shop = await open_shop(store)
    before = await store.revision(shop.merchant.id)
    transaction = a_transaction(shop.key)
    async with engine.connect() as connection:
        await connection.execute(text("INSERT INTO orders VALUES ('one')"))
        await put_on(store, connection, transaction)
        await connection.rollback()
    with pytest.raises(NotFound):
        await stored(store, transaction)
    assert await _orders(engine) == []
    assert await store.revision(shop.merchant.id) == before


@pytest.mark.usefixtures("orders")
async def test_a_refused_unit_leaves_the_callers_transaction_usable(store: PostgresStore, engine: AsyncEngine) -> None:
    shop = await open_shop(store)
    await write(store, replace(shop.merchant, name="Moved"))
    refused, duplicate, accepted = (a_transaction(shop.key, reference=reference) for reference in ("a", "b", "b"))
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO orders VALUES ('one')"))
        with pytest.raises(StaleWrite):
            await put_on(store, connection, refused, expecting=shop.merchant)
        await put_on(store, connection, accepted)
        with pytest.raises(Duplicate):
            await put_on(store, connection, duplicate)
        await connection.execute(text("INSERT INTO orders VALUES ('two')"))
    assert await _orders(engine) == ["one", "two"]
    await stored(store, accepted)
    for missing in (refused, duplicate):
        with pytest.raises(NotFound):
            await stored(store, missing)


async def put_on(
    store: PostgresStore, connection: AsyncConnection, transaction: Transaction, *, expecting: Merchant | None = None
) -> None:
    async with store.begin_on(connection)() as work:
        work.transactions.add(transaction)
        if expecting is not None:
            work.expect(expecting)


# ── the database's own part


async def test_the_database_makes_the_same_delivery_ids(engine: AsyncEngine) -> None:
    merchant = a_merchant()
    async with engine.connect() as connection:
        for _ in range(20):
            event, endpoint = an_event(merchant), an_endpoint(merchant)
            made = await connection.scalar(select(delivery_id_in_sql(literal(event.id), literal(endpoint.id))))
            assert made == delivery_id(event.id, endpoint.id)


async def test_no_secret_lies_open_in_the_database(store: PostgresStore, engine: AsyncEngine) -> None:
    shop = await open_shop(store)
    endpoint = an_endpoint(shop.merchant)
    for secret in ("whsec_second", "whsec_third"):
        endpoint = endpoint.rotate_secret(secret, at=NOW)
    assert len(endpoint.old_secrets) == 2
    record = replace(a_record(shop.merchant), body=b'{"secret": "whsec_shown_once"}')
    await put(store, endpoint, record)
    async with engine.connect() as connection:
        for table in ("endpoints", "idempotency_records"):
            (row,) = (await connection.execute(text(f"SELECT * FROM payments.{table}"))).all()
            held = b" ".join(bytes(value) if isinstance(value, bytes) else str(value).encode() for value in row)
            assert b"whsec_" not in held


async def test_a_rare_filter_looks_at_so_many_rows_and_says_where_to_read_on(
    store: PostgresStore, engine: AsyncEngine
) -> None:
    shop = await open_shop(store)
    things = [a_transaction(shop.key, code="EUR" if number in (2, 17) else "USD") for number in range(20)]
    await put(store, *things)
    ids = [thing.id for thing in reversed(things)]
    listing = Listing(
        kind=kinds(VAULT).transactions,
        key=transactions.c.id,
        within=[transactions.c.merchant_id == shop.merchant.id, transactions.c.livemode.is_(False)],
        filters=[lambda rows: rows.c.currency == "EUR"],
        scan_rows_max=5,
    )
    async with engine.connect() as connection:
        position: Position | None = None
        pages: list[tuple[list[str], str | None, str | None]] = []
        for _ in range(5):
            page = await read_slice(connection, listing, Window(limit=1, position=position))
            pages.append(([item.id for item in page.items], page.before, page.after))
            position = None if page.after is None else Position(key=page.after)
            if position is None:
                break
        assert pages == [
            ([ids[2]], None, ids[4]),
            ([], ids[5], ids[9]),
            ([], ids[10], ids[14]),
            ([ids[17]], ids[17], ids[19]),
            ([], None, None),
        ]
        back = await read_slice(connection, listing, Window(limit=1, position=Position(key=ids[10], backwards=True)))
        assert ([item.id for item in back.items], back.before, back.after) == ([], ids[5], ids[9])


@pytest.mark.parametrize(("first_rows", "seconds"), [(3, 0.0), (3, 60.0), (1, 0.0), (100, 60.0)])
async def test_a_search_that_is_cut_short_by_time_misses_and_doubles_nothing(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch, first_rows: int, seconds: float
) -> None:
    monkeypatch.setattr(search, "FIRST_ROWS", first_rows)
    monkeypatch.setattr(search, "SEARCH_SECONDS", seconds)
    shop = await open_shop(store)
    transactions = [
        a_transaction(shop.key, metadata={"k": "needle" if number % 17 in (3, 5) else "hay"}) for number in range(60)
    ]
    await put(store, *transactions)
    needles = [one for one in reversed(transactions) if one.metadata["k"] == "needle"]
    for filter in (TransactionFilter(text="NEEDLE"), TransactionFilter(metadata=("k", "needle"))):
        async with store.view(shop.merchant.id, False) as view:
            for limit in (1, 2, 50):
                found = await read_all(lambda window: view.transactions(window, filter), limit=limit)  # noqa: B023
                assert [one.id for one in found] == [one.id for one in needles]
                back: list[Transaction] = []
                key: str | None = transactions[0].id
                while key is not None:
                    page = await view.transactions(
                        Window(limit=limit, position=Position(key=key, backwards=True)), filter
                    )
                    back, key = [*page.items, *back], page.before
                assert [one.id for one in back] == [one.id for one in needles]


async def test_a_search_that_has_time_fills_a_page_and_names_its_neighbours(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FIRST_ROWS", 2)
    monkeypatch.setattr(search, "SEARCH_SECONDS", 60.0)
    shop = await open_shop(store)
    transactions = [a_transaction(shop.key, reference=f"{number:03} {number % 10}x") for number in range(40)]
    await put(store, *transactions)
    needles = [one.id for one in reversed(transactions[7::10])]
    async with store.view(shop.merchant.id, False) as view:

        async def page(position: Position | None) -> tuple[list[str], str | None, str | None]:
            found = await view.transactions(Window(limit=2, position=position), TransactionFilter(text="7X"))
            return [one.id for one in found.items], found.before, found.after

        assert await page(None) == (needles[:2], None, needles[1])
        assert (await page(Position(key=needles[1])))[::2] == (needles[2:], None)
        assert await page(Position(key=transactions[7].id)) == ([], None, None)
        assert (await page(Position(key=needles[2], backwards=True)))[:2] == (needles[:2], None)


@pytest.mark.parametrize("of_one", [False, True])
async def test_a_search_of_staff_that_is_cut_short_misses_and_doubles_nothing(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch, of_one: bool
) -> None:
    monkeypatch.setattr(search, "FIRST_ROWS", 3)
    monkeypatch.setattr(search, "SEARCH_SECONDS", 0.0)
    one, two = await open_shop(store), await open_shop(store)
    keys = (one.key, one.live_key, one.key, two.key)
    transactions = [
        a_transaction(keys[number * number % 4], reference=f"{number}{' needle' if number % 17 in (3, 4, 5) else ''}")
        for number in range(80)
    ]
    await put(store, *transactions)
    merchant = one.merchant.id if of_one else None
    needles = [
        each.id
        for each in reversed(transactions)
        if "needle" in str(each.reference) and merchant in (None, each.merchant)
    ]
    filter = TransactionFilter(text="NEEDLE")
    for limit in (1, 2, 50):
        found = await read_all(lambda window: store.oversight.transactions(window, filter, merchant), limit=limit)
        assert [each.id for each in found] == needles
        back: list[str] = []
        key: str | None = transactions[0].id
        while key is not None:
            window = Window(limit=limit, position=Position(key=key, backwards=True))
            page = await store.oversight.transactions(window, filter, merchant)
            back, key = [*(each.id for each in page.items), *back], page.before
        assert back == needles
