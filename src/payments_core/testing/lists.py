"""What every store's lists must pass.

What the suite settles where the ports leave room, with "behind" and "before" in the list's order:

- `Slice.after` is where to read on forwards. It is None where nothing was behind the slice at that moment; otherwise
  it is the key of the slice's last item, or, where a filter that matches rarely cut the slice short, of the last row
  that was looked at (so that a slice may be empty and still go on).
- `Slice.before` is the same for reading on backwards: None where nothing was before the slice; otherwise the key of
  its first item, or of the first row that was looked at.
- A row at the position itself is in no slice. A slice read backwards has its items in the list's order too, and is
  the stretch nearest to the position. Of a slice without items that reached the end, neither key is set.
- Lists of payment keys hold inactive ones too; lists of API keys hold expired ones, but no revoked ones.
- Bounds on times are exclusive (a transaction's `created_at`, an event's `at`), bounds on amounts inclusive.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from payments_core.event import Event, EventType
from payments_core.ids import EndpointId, TransactionId
from payments_core.page import Position, Slice
from payments_core.ports import DeliveryFilter, EventFilter, TransactionFilter, View, Window
from payments_core.testing.builders import (
    DAY,
    NOW,
    SECOND,
    START,
    a_payment_key,
    a_refund,
    a_session,
    a_transaction,
    an_api_key,
    an_endpoint,
    an_event,
)
from payments_core.testing.subject import (
    PAGES_MAX,
    Shop,
    Store,
    open_shop,
    put,
    read_all,
    write,
)
from payments_core.transaction import Status, StatusReason, Transaction
from payments_core.webhook import DeliveryAttempt, DeliveryStatus

T = TypeVar("T")
Read = Callable[[View, Window], Awaitable[Slice[T]]]
ANY = TransactionFilter()
BEGINNING_OF_TIME = datetime.min.replace(tzinfo=UTC)
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


async def _ids(store: Store, shop: Shop, filter: TransactionFilter, *, limit: int = 100) -> list[TransactionId]:
    async with store.view(shop.merchant.id, False) as view:
        found = await read_all(lambda window: view.transactions(window, filter), limit=limit)
    return [transaction.id for transaction in found]


async def _event_ids(store: Store, shop: Shop, filter: EventFilter) -> list[str]:
    async with store.view(shop.merchant.id, False) as view:
        return [event.id for event in await read_all(lambda window: view.events(window, filter), limit=2)]


async def _page(store: Store, shop: Shop, limit: int, position: Position | None = None) -> Slice[Transaction]:
    async with store.view(shop.merchant.id, False) as view:
        return await view.transactions(Window(limit=limit, position=position), ANY)


async def _walk_back(
    store: Store, shop: Shop, limit: int, start: str, between: Callable[[], Awaitable[None]]
) -> list[str]:
    """Return the ids before a key, read page by page from there to the start of the list, in the list's order."""
    found: list[str] = []
    position = Position(key=start, backwards=True)
    for _ in range(PAGES_MAX):
        page = await _page(store, shop, limit, position)
        found = [*(transaction.id for transaction in page.items), *found]
        if page.before is None:
            return found
        position = Position(key=page.before, backwards=True)
        await between()
    raise AssertionError("the list has no start")


async def _transactions(store: Store, shop: Shop, count: int) -> list[TransactionId]:
    """Store so many transactions; return their ids, newest first."""
    transactions = [a_transaction(shop.key) for _ in range(count)]
    await put(store, *transactions)
    return [transaction.id for transaction in reversed(transactions)]


def _keys(items: Sequence[Transaction]) -> list[TransactionId]:
    return [transaction.id for transaction in items]


class ListsContract:
    """Adapters supply `store`."""

    # ── what lists hold

    async def test_lists_are_newest_first(self, store: Store) -> None:
        shop = await open_shop(store)
        ids = await _transactions(store, shop, 3)
        assert _keys((await _page(store, shop, 9)).items) == ids

    async def test_refunds_are_listed_newest_first_of_one_transaction_or_of_all(self, store: Store) -> None:
        shop = await open_shop(store)
        one, two, three = (a_transaction(shop.key) for _ in range(3))
        refunds = [a_refund(transaction) for transaction in (one, two, one, one, two)]
        await put(store, one, two, three, *refunds)
        of_one = [refunds[3].id, refunds[2].id, refunds[0].id]
        async with store.view(shop.merchant.id, False) as view:
            every = await read_all(lambda window: view.refunds(window, None), limit=2)
            assert [refund.id for refund in every] == [refund.id for refund in reversed(refunds)]
            some = await read_all(lambda window: view.refunds(window, one.id), limit=2)
            assert [refund.id for refund in some] == of_one
            latest = await view.refunds_of([one.id, two.id, three.id], limit_each=2)
            assert [refund.id for refund in latest[one.id]] == of_one[:2]
            assert [refund.id for refund in latest[two.id]] == [refunds[4].id, refunds[1].id]
            assert not latest.get(three.id)
            assert not await view.refunds_of([], limit_each=2)
        async with store.begin() as work:
            found = await work.refunds.latest_of(shop.merchant.id, one.id, limit=2)
        assert [refund.id for refund in found] == of_one[:2]

    async def test_payment_keys_are_listed_inactive_ones_too(self, store: Store) -> None:
        shop = await open_shop(store)
        second = a_payment_key(shop.merchant)
        await put(store, second)
        await write(store, shop.key.deactivate())
        async with store.view(shop.merchant.id, False) as view:
            keys = await read_all(view.payment_keys, limit=1)
        assert [(key.id, key.is_active) for key in keys] == [(second.id, True), (shop.key.id, False)]

    async def test_api_keys_of_one_mode_are_listed_but_no_revoked_ones(self, store: Store) -> None:
        shop = await open_shop(store)
        revoked, live = an_api_key(shop.merchant).revoke(NOW), an_api_key(shop.merchant, livemode=True)
        expired = an_api_key(shop.merchant).expire_by(START)
        await put(store, revoked, live, expired)
        for livemode, own in ((False, expired), (True, live)):
            async with store.view(shop.merchant.id, livemode) as view:
                keys = await read_all(view.api_keys, limit=1)
            assert [key.id for key in keys] == [own.id]

    async def test_valid_keys_and_sessions_are_found_the_oldest_first(self, store: Store) -> None:
        shop = await open_shop(store)
        merchant = shop.merchant
        first, second = an_api_key(merchant), an_api_key(merchant, livemode=True)
        older, newer = a_session(merchant), a_session(merchant, livemode=True)
        await put(store, second, first, an_api_key(merchant).revoke(START), an_api_key(merchant).expire_by(NOW))
        await put(store, newer, older, a_session(merchant).revoke(START))
        await put(store, replace(a_session(merchant), expires_at=NOW), an_api_key(merchant).expire_by(NOW - SECOND))
        async with store.begin() as work:
            assert [key.id for key in await work.api_keys.valid_of(merchant.id, at=NOW)] == [first.id, second.id]
            assert [one.id for one in await work.sessions.valid_of(merchant.id, at=NOW)] == [older.id, newer.id]

    # ── pages

    async def test_a_list_that_fits_has_neither_neighbour(self, store: Store) -> None:
        shop = await open_shop(store)
        empty = await _page(store, shop, 3)
        assert (list(empty.items), empty.before, empty.after) == ([], None, None)
        ids = await _transactions(store, shop, 3)
        whole = await _page(store, shop, 3)
        assert (_keys(whole.items), whole.before, whole.after) == (ids, None, None)

    async def test_pages_name_their_neighbours(self, store: Store) -> None:
        shop = await open_shop(store)
        ids = await _transactions(store, shop, 5)
        first = await _page(store, shop, 2)
        assert (_keys(first.items), first.before, first.after) == (ids[:2], None, ids[1])
        second = await _page(store, shop, 2, Position(key=ids[1]))
        assert (_keys(second.items), second.before, second.after) == (ids[2:4], ids[2], ids[3])
        third = await _page(store, shop, 2, Position(key=ids[3]))
        assert (_keys(third.items), third.before, third.after) == (ids[4:], ids[4], None)
        back = await _page(store, shop, 2, Position(key=ids[4], backwards=True))
        assert (_keys(back.items), back.before, back.after) == (ids[2:4], ids[2], ids[3])
        start = await _page(store, shop, 2, Position(key=ids[2], backwards=True))
        assert (_keys(start.items), start.before, start.after) == (ids[:2], None, ids[1])

    async def test_beyond_the_ends_of_a_list_there_is_nothing(self, store: Store) -> None:
        shop = await open_shop(store)
        ids = await _transactions(store, shop, 2)
        behind = await _page(store, shop, 2, Position(key=ids[-1]))
        before = await _page(store, shop, 2, Position(key=ids[0], backwards=True))
        for page in (behind, before):
            assert (list(page.items), page.before, page.after) == ([], None, None)

    async def test_a_walk_forwards_misses_and_doubles_nothing_whatever_is_added(self, store: Store) -> None:
        shop = await open_shop(store)
        ids = await _transactions(store, shop, 11)

        async def read(window: Window) -> Slice[Transaction]:
            await _transactions(store, shop, 2)
            return await _page(store, shop, window.limit, window.position)

        first = await _page(store, shop, 3)
        assert first.after is not None
        rest = await read_all(read, limit=3, start=Position(key=first.after))
        assert [*_keys(first.items), *_keys(rest)] == ids

    async def test_a_walk_backwards_misses_and_doubles_nothing_whatever_is_added(self, store: Store) -> None:
        shop = await open_shop(store)
        ids = await _transactions(store, shop, 14)
        added: list[TransactionId] = []

        async def between() -> None:
            added[:0] = await _transactions(store, shop, 1)

        found = await _walk_back(store, shop, 3, ids[-1], between)
        assert found[-13:] == ids[:-1]
        assert found[:-13] == added[len(added) - len(found[:-13]) :]

    async def test_events_are_read_on_where_the_last_walk_ended(self, store: Store) -> None:
        shop = await open_shop(store)
        events = [an_event(shop.merchant) for _ in range(12)]

        async def read(window: Window) -> Slice[Event]:
            async with store.view(shop.merchant.id, False) as view:
                return await view.events(window, EventFilter())

        await put(store, *events[:10])
        first = await read(Window(limit=4))
        assert ([event.position for event in first.items], first.before, first.after) == ([1, 2, 3, 4], None, "4")
        rest = await read_all(read, limit=4, start=Position(key="4"))
        assert [event.id for event in rest] == [event.id for event in events[4:10]]
        await put(store, events[11], events[10])
        later = await read_all(read, limit=4, start=Position(key="10"))
        assert [event.id for event in later] == [events[11].id, events[10].id]
        back = await read(Window(limit=4, position=Position(key="10", backwards=True)))
        assert ([event.position for event in back.items], back.before, back.after) == ([6, 7, 8, 9], "6", "9")
        start = await read(Window(limit=9, position=Position(key="6", backwards=True)))
        assert ([event.position for event in start.items], start.before, start.after) == ([1, 2, 3, 4, 5], None, "5")

    async def test_events_are_read_back_from_a_position_that_none_has_yet(self, store: Store) -> None:
        shop = await open_shop(store)
        await put(store, *(an_event(shop.merchant) for _ in range(3)))
        async with store.view(shop.merchant.id, False) as view:
            back = await view.events(Window(limit=2, position=Position(key="99", backwards=True)), EventFilter())
            beyond = await view.events(Window(limit=2, position=Position(key="99")), EventFilter())
        assert ([event.position for event in back.items], back.before, back.after) == ([2, 3], "2", "3")
        assert (list(beyond.items), beyond.before, beyond.after) == ([], None, None)

    async def test_every_list_is_paged_in_both_directions(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction, endpoint = a_transaction(shop.key), an_endpoint(shop.merchant)
        await put(store, transaction, endpoint)
        for _ in range(4):
            await put(
                store,
                a_refund(transaction),
                a_payment_key(shop.merchant),
                an_api_key(shop.merchant),
                an_endpoint(shop.merchant, events=()),
                an_event(shop.merchant),
            )
        async with store.view(shop.merchant.id, False) as view:
            await _pages_both_ways(view, lambda view, window: view.refunds(window, None))
            await _pages_both_ways(view, lambda view, window: view.refunds(window, transaction.id))
            await _pages_both_ways(view, lambda view, window: view.payment_keys(window))
            await _pages_both_ways(view, lambda view, window: view.api_keys(window))
            await _pages_both_ways(view, lambda view, window: view.endpoints(window))
            await _pages_both_ways(view, lambda view, window: view.events(window, EventFilter()))
            await _pages_both_ways(view, lambda view, window: view.deliveries(endpoint.id, window, DeliveryFilter()))

    # ── filters

    async def test_transactions_are_filtered_by_what_they_are(self, store: Store) -> None:
        shop = await open_shop(store)
        key = a_payment_key(shop.merchant)
        await put(store, key)
        canceled = a_transaction(shop.key).cancel(at=NOW, reason=StatusReason.REQUESTED)[0]
        euros = a_transaction(shop.key, code="EUR")
        other_key = a_transaction(key, customer_reference="Größe 😀")
        referenced = a_transaction(shop.key, reference="order 1", customer_reference="größe 😀")
        await put(store, canceled, euros, other_key, referenced)
        assert await _ids(store, shop, ANY) == [referenced.id, other_key.id, euros.id, canceled.id]
        for filter, expected in (
            (TransactionFilter(status=Status.CANCELED), [canceled.id]),
            (TransactionFilter(status=Status.PENDING), [referenced.id, other_key.id, euros.id]),
            (TransactionFilter(status=Status.FAILED), []),
            (TransactionFilter(currency="EUR"), [euros.id]),
            (TransactionFilter(payment_key=key.id), [other_key.id]),
            (TransactionFilter(reference="order 1"), [referenced.id]),
            (TransactionFilter(reference="order"), []),
            (TransactionFilter(customer_reference="Größe 😀"), [other_key.id]),
            (TransactionFilter(currency="USD", status=Status.PENDING), [referenced.id, other_key.id]),
            (TransactionFilter(currency="EUR", reference="order 1"), []),
        ):
            assert await _ids(store, shop, filter, limit=1) == expected
            assert await _ids(store, shop, filter) == expected

    async def test_transactions_are_filtered_by_time_and_amount(self, store: Store) -> None:
        shop = await open_shop(store)
        one, two, three, four = (
            a_transaction(shop.key, amount_minor=amount, at=START + number * SECOND)
            for number, amount in enumerate((500, 100, 300, 200))
        )
        yen = a_transaction(shop.key, amount_minor=300, code="JPY", at=START + DAY)
        await put(store, one, two, three, four, yen)
        for filter, expected in (
            (TransactionFilter(created_after=two.created_at), [yen.id, four.id, three.id]),
            (TransactionFilter(created_before=three.created_at), [two.id, one.id]),
            (TransactionFilter(created_after=one.created_at, created_before=four.created_at), [three.id, two.id]),
            (TransactionFilter(created_after=three.created_at, created_before=three.created_at), []),
            (TransactionFilter(currency="USD", min_amount_minor=300), [three.id, one.id]),
            (TransactionFilter(currency="USD", max_amount_minor=200), [four.id, two.id]),
            (TransactionFilter(currency="USD", min_amount_minor=200, max_amount_minor=300), [four.id, three.id]),
            (TransactionFilter(currency="JPY", min_amount_minor=300), [yen.id]),
        ):
            assert await _ids(store, shop, filter, limit=1) == expected

    async def test_a_filter_that_matches_rarely_finds_all_in_both_directions(self, store: Store) -> None:
        shop = await open_shop(store)
        transactions = [a_transaction(shop.key, code="EUR" if number % 20 == 7 else "USD") for number in range(60)]
        await put(store, *transactions)
        euros = [one.id for one in reversed(transactions) if one.amount.currency.code == "EUR"]
        filter = TransactionFilter(currency="EUR")
        assert await _ids(store, shop, filter, limit=1) == euros
        async with store.view(shop.merchant.id, False) as view:
            found: list[TransactionId] = []
            position = Position(key=transactions[0].id, backwards=True)
            for _ in range(PAGES_MAX):
                page = await view.transactions(Window(limit=1, position=position), filter)
                found = [*_keys(page.items), *found]
                if page.before is None:
                    break
                position = Position(key=page.before, backwards=True)
        assert found == euros

    async def test_events_are_filtered(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction = a_transaction(shop.key)
        one = an_event(shop.merchant, transaction=transaction, at=START)
        two = an_event(shop.merchant, type=EventType.WEBHOOK_TEST, at=START + SECOND)
        three = an_event(
            shop.merchant, type=EventType.REFUND_FAILED, transaction=transaction, sequence=2, at=START + 2 * SECOND
        )
        await put(store, transaction, one, two, three)
        for filter, expected in (
            (EventFilter(), [one.id, two.id, three.id]),
            (EventFilter(type=EventType.WEBHOOK_TEST), [two.id]),
            (EventFilter(type=EventType.REFUND_CREATED), []),
            (EventFilter(transaction=transaction.id), [one.id, three.id]),
            (EventFilter(transaction=transaction.id, type=EventType.REFUND_FAILED), [three.id]),
            (EventFilter(created_after=one.at), [two.id, three.id]),
            (EventFilter(created_before=two.at), [one.id]),
            (EventFilter(created_after=one.at, created_before=three.at), [two.id]),
        ):
            assert await _event_ids(store, shop, filter) == expected

    async def test_bounds_on_times_may_be_any_times(self, store: Store) -> None:
        shop = await open_shop(store)
        transaction, event = a_transaction(shop.key), an_event(shop.merchant)
        await put(store, transaction, event)
        for after, before, holds in (
            (BEGINNING_OF_TIME, END_OF_TIME, True),
            (END_OF_TIME, None, False),
            (None, BEGINNING_OF_TIME, False),
        ):
            transactions = TransactionFilter(created_after=after, created_before=before)
            events = EventFilter(created_after=after, created_before=before)
            assert await _ids(store, shop, transactions) == ([transaction.id] if holds else [])
            assert await _event_ids(store, shop, events) == ([event.id] if holds else [])

    async def test_deliveries_are_listed_newest_first_and_filtered(self, store: Store) -> None:
        shop = await open_shop(store)
        endpoint, bystander = an_endpoint(shop.merchant), an_endpoint(shop.merchant)
        await put(store, endpoint, bystander)
        events = [
            an_event(shop.merchant, type=type, at=START + number * SECOND)
            for number, type in enumerate((EventType.REFUND_FAILED, EventType.WEBHOOK_TEST, EventType.REFUND_FAILED))
        ]
        await put(store, *events)
        async with store.view(shop.merchant.id, False) as view:
            deliveries = await read_all(lambda window: view.deliveries(endpoint.id, window, DeliveryFilter()), limit=2)
        assert [delivery.event for delivery in deliveries] == [event.id for event in reversed(events)]
        attempt = DeliveryAttempt(number=1, at=NOW, milliseconds=12, status_code=200)
        async with store.begin() as work:
            work.deliveries.save(deliveries[0].deliver(attempt))
        newest, middle, oldest = (delivery.id for delivery in deliveries)
        for filter, expected in (
            (DeliveryFilter(status=DeliveryStatus.PENDING), [middle, oldest]),
            (DeliveryFilter(status=DeliveryStatus.DELIVERED), [newest]),
            (DeliveryFilter(status=DeliveryStatus.CANCELED), []),
            (DeliveryFilter(event_type=EventType.REFUND_FAILED), [newest, oldest]),
            (DeliveryFilter(event_type=EventType.REFUND_FAILED, status=DeliveryStatus.PENDING), [oldest]),
        ):
            async with store.view(shop.merchant.id, False) as view:
                found = await read_all(lambda window: view.deliveries(endpoint.id, window, filter), limit=1)  # noqa: B023 - read before the loop goes on
            assert [delivery.id for delivery in found] == expected
        async with store.view(shop.merchant.id, False) as view:
            (first, *_) = (await view.deliveries(endpoint.id, Window(limit=9), DeliveryFilter())).items
            assert first.attempts == (attempt,)
            unknown = await view.deliveries(EndpointId("whk_unknown"), Window(limit=9), DeliveryFilter())
            assert not unknown.items


async def _pages_both_ways(view: View, read: Read[T]) -> None:
    """Read a list of four or more items by twos from its start, and back from its last item."""
    whole = await read_all(lambda window: read(view, window))
    assert len(whole) >= 4
    assert await read_all(lambda window: read(view, window), limit=2) == whole
    tail = await read(view, Window(limit=2))
    while tail.after is not None:
        tail = await read(view, Window(limit=2, position=Position(key=tail.after)))
    found = list(tail.items)
    for _ in range(PAGES_MAX):
        if tail.before is None:
            break
        tail = await read(view, Window(limit=2, position=Position(key=tail.before, backwards=True)))
        found = [*tail.items, *found]
    assert found == whole
