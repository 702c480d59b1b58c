"""What every store must pass whose books are read: in order they verify, and each rule finds what breaks it.

An adapter's test inherits `BooksContract` and supplies two fixtures: `store`, a `VerifiedStore` that is empty, and
`tampering`, which writes behind its back.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from payments_core.attempt import AttemptState
from payments_core.books import Dossier
from payments_core.errors import NotFound
from payments_core.event import EventType
from payments_core.ids import AttemptId, EndpointId, MerchantId, TransactionId, delivery_id
from payments_core.job import FAILURES_MAX
from payments_core.refund import RefundStatus
from payments_core.testing.builders import DAY, MINUTE, SECOND, a_job, a_record, an_attempt
from payments_core.testing.verified import DECLINED, PAY, Tampering, VerifiedShop, VerifiedStore
from payments_core.transaction import Status
from payments_core.verification import RULES, Terms
from payments_core.webhook import Delivery, DeliveryAttempt, DeliveryStatus

MANY = 7
PAGE = 3


async def _dossier(shop: VerifiedShop, id: TransactionId) -> Dossier:
    found = await shop.store.books.dossiers(shop.caller.merchant, False, after="", limit=100)
    return next(dossier for dossier in found if dossier.transaction.id == id)


async def _deliveries(shop: VerifiedShop) -> list[Delivery]:
    page = await shop.store.books.deliveries(shop.caller.merchant, False, shop.endpoint, after="", limit=100)
    return list(page.deliveries)


async def _broken(shop: VerifiedShop) -> dict[str, list[str]]:
    """Verify, and return the ids of the rows that break each rule, by its name."""
    found: dict[str, list[str]] = {}
    for breach in await shop.breaches():
        found.setdefault(breach.rule.name, []).append(breach.subject)
    return found


class BooksContract:
    """Adapters supply `store` and `tampering`."""

    @pytest.fixture
    async def shop(self, store: VerifiedStore, tampering: Tampering) -> VerifiedShop:
        shop = VerifiedShop(store=store, tampering=tampering)
        await shop.open()
        return shop

    # ── what is in order

    async def test_books_in_order_keep_every_rule(self, shop: VerifiedShop) -> None:
        first = await shop.pay(key="order-1")
        await shop.pay(payment_method=DECLINED)
        await shop.pay(key="order-2")
        assert not await shop.breaches()
        await shop.work()
        await shop.refund(first)
        assert not await shop.breaches()
        await shop.work()
        report = await shop.verification().run()
        assert report.holds
        assert not report.breaches
        assert (report.merchants, report.transactions) == (1, 3)
        assert not report.unlooked
        assert {rule.name for rule in RULES if not report.looked[rule]} == {"work-in-time"}, "nothing is due any more"

    async def test_an_empty_store_keeps_every_rule(self, store: VerifiedStore, tampering: Tampering) -> None:
        report = await VerifiedShop(store=store, tampering=tampering).verification().run()
        assert report.holds
        assert report.merchants == 0

    async def test_an_endpoint_that_was_closed_and_opened_again_breaks_nothing(self, shop: VerifiedShop) -> None:
        await shop.pay()
        await shop.set_enabled(False)
        assert not await shop.breaches(), "canceled by the rules"
        shop.at += MINUTE
        await shop.paid()
        shop.at += 10 * MINUTE
        await shop.set_enabled(True)
        assert not await shop.breaches(), "nothing was owed meanwhile"
        shop.at += 10 * MINUTE
        await shop.paid()
        assert not await shop.breaches()

    async def test_a_delivery_that_used_its_schedule_breaks_nothing(self, shop: VerifiedShop) -> None:
        shop.status_code = 500
        await shop.paid()
        while pending := [delivery.due_at for delivery in await _deliveries(shop) if delivery.due_at is not None]:
            shop.at = min(pending)
            await shop.work()
        assert {delivery.status for delivery in await _deliveries(shop)} == {DeliveryStatus.EXHAUSTED}
        assert not await shop.breaches()

    # ── pages

    async def test_pages_are_in_the_order_of_ids_and_have_all(self, shop: VerifiedShop) -> None:
        ids = [await shop.pay(key=f"order-{number}") for number in range(MANY)]
        await shop.work()
        books, merchant = shop.store.books, shop.caller.merchant
        transactions = [""]
        keys = [""]
        positions = [0]
        deliveries = [""]
        while page := await books.dossiers(merchant, False, after=transactions[-1], limit=PAGE):
            transactions += [dossier.transaction.id for dossier in page]
        while uses := await books.key_uses(merchant, False, after=keys[-1], limit=PAGE):
            keys += [use.key for use in uses]
        while events := (await books.log(merchant, after=positions[-1], limit=PAGE)).events:
            positions += [event.position for event in events]
        while found := await self._some_deliveries(shop, deliveries[-1]):
            deliveries += found
        assert transactions[1:] == sorted(ids)
        assert keys[1:] == [f"order-{number}" for number in range(MANY)]
        assert positions == list(range(3 * MANY + 1))
        assert deliveries == sorted(deliveries)
        assert len(deliveries) == 3 * MANY + 1

    async def _some_deliveries(self, shop: VerifiedShop, after: str) -> list[str]:
        books, merchant = shop.store.books, shop.caller.merchant
        page = await books.deliveries(merchant, False, shop.endpoint, after=after, limit=PAGE)
        return [delivery.id for delivery in page.deliveries]

    async def test_books_are_those_of_one_merchant_and_one_mode(self, shop: VerifiedShop) -> None:
        other = VerifiedShop(store=shop.store, tampering=shop.tampering, at=shop.at)
        await other.open()
        await other.paid()
        books = shop.store.books
        (first,) = await books.merchants(after="", limit=1)
        (second,) = await books.merchants(after=first, limit=PAGE)
        assert {first, second} == {shop.caller.merchant, other.caller.merchant}
        assert not await books.dossiers(shop.caller.merchant, False, after="", limit=PAGE)
        assert not await books.dossiers(other.caller.merchant, True, after="", limit=PAGE)
        assert await books.endpoints(shop.caller.merchant, False, after="", limit=PAGE) == [shop.endpoint]
        assert not await books.endpoints(shop.caller.merchant, True, after="", limit=PAGE)
        assert await books.known_attempts([AttemptId("att_0")]) == set()

    async def test_nobodys_books_are_not_found(self, shop: VerifiedShop) -> None:
        books, merchant = shop.store.books, shop.caller.merchant
        with pytest.raises(NotFound):
            await books.log(MerchantId("mer_0"), after=0, limit=PAGE)
        with pytest.raises(NotFound):
            await books.deliveries(merchant, False, EndpointId("whk_0"), after="", limit=PAGE)

    # ── what waits for a person is no breach

    async def test_a_dead_job_waits_for_a_person(self, shop: VerifiedShop) -> None:
        dossier = await _dossier(shop, await shop.pay())
        await shop.tampering.put(replace(dossier.jobs[0], failures=FAILURES_MAX, dead_at=shop.at))
        shop.at += DAY
        report = await shop.verification().run()
        assert {breach.subject for breach in report.breaches} == {(await _deliveries(shop))[0].id}, "overdue, no more"
        assert (report.dead_jobs, report.attempts) == (1, 0)

    async def test_an_attempt_that_needs_review_waits_for_a_person(self, shop: VerifiedShop) -> None:
        dossier = await _dossier(shop, await shop.paid())
        await self._open_again(shop, dossier, AttemptState.NEEDS_REVIEW)
        report = await shop.verification().run()
        assert report.holds
        assert (report.dead_jobs, report.attempts) == (0, 1)

    async def _open_again(self, shop: VerifiedShop, dossier: Dossier, state: AttemptState) -> None:
        """Put a payment back to where its outcome is not known, its last event not yet written."""
        last = dossier.events[-1]
        others = replace(dossier.transaction, status=Status.PROCESSING, completed_at=None, facts=2)
        await shop.tampering.put(others)
        await shop.tampering.put(replace(dossier.attempts[0], state=state))
        # An event of something else takes its place in the log.
        await shop.tampering.put(replace(last, transaction=None, sequence=None, type=EventType.WEBHOOK_TEST))

    # ── each rule finds what breaks it

    async def test_a_payment_that_nothing_will_end_is_found(self, shop: VerifiedShop) -> None:
        dossier = await _dossier(shop, await shop.pay())
        await shop.tampering.remove(dossier.jobs[0])
        assert await _broken(shop) == {"payments-end": [dossier.transaction.id]}

    async def test_a_refund_that_nothing_will_end_is_found(self, shop: VerifiedShop) -> None:
        id = await shop.paid()
        refund = await shop.refund(id)
        await shop.tampering.remove((await _dossier(shop, id)).jobs[0])
        assert await _broken(shop) == {"payments-end": [refund]}

    async def test_an_open_attempt_without_a_job_is_found(self, shop: VerifiedShop) -> None:
        dossier = await _dossier(shop, await shop.paid())
        await self._open_again(shop, dossier, AttemptState.UNKNOWN)
        assert await _broken(shop) == {"payments-end": [dossier.transaction.id]}

    async def test_work_that_is_overdue_is_found_unless_it_is_held(self, shop: VerifiedShop) -> None:
        dossier = await _dossier(shop, await shop.pay())
        job, (delivery,) = dossier.jobs[0], await _deliveries(shop)
        shop.at += Terms().overdue_after
        assert not await shop.breaches()
        shop.at += SECOND
        assert await _broken(shop) == {"work-in-time": [job.id, delivery.id]}
        await shop.tampering.put(replace(job, lease_expires_at=shop.at + SECOND))
        await shop.tampering.put(replace(delivery, lease_expires_at=shop.at - SECOND))
        assert not await shop.breaches(), "one is held, and the other free for a second"

    async def test_a_delivery_behind_one_that_is_held_waits_for_its_turn(self, shop: VerifiedShop) -> None:
        await shop.paid()
        held, done, behind = await _deliveries(shop)
        shop.at += DAY
        await shop.tampering.put(replace(behind, status=DeliveryStatus.PENDING, due_at=shop.at - MINUTE * 10))
        await shop.tampering.put(replace(done, lease_expires_at=shop.at + SECOND))
        assert await _broken(shop) == {"work-in-time": [behind.id]}, "what is done holds no place"
        lease = shop.at + SECOND
        await shop.tampering.put(
            replace(held, status=DeliveryStatus.PENDING, due_at=shop.at - DAY, lease_expires_at=lease)
        )
        assert not await shop.breaches()
        page = await shop.store.books.deliveries(shop.caller.merchant, False, shop.endpoint, after=held.id, limit=1)
        assert page.held_until == lease
        shop.at = lease
        assert await _broken(shop) == {"work-in-time": [behind.id]}, "the other was held until now"

    async def test_another_attempt_for_one_payment_is_found(self, shop: VerifiedShop) -> None:
        dossier = await _dossier(shop, await shop.paid())
        again = replace(dossier.attempts[0], id=an_attempt(dossier.transaction).id)
        await shop.tampering.put(again)
        shop.gateway.books[again.id] = replace(shop.gateway.books[dossier.attempts[0].id], attempt=again.id)
        assert list(await _broken(shop)) == ["attempted-once"]

    async def test_a_status_without_its_attempt_is_found(self, shop: VerifiedShop) -> None:
        dossier = await _dossier(shop, await shop.paid())
        await shop.tampering.remove(dossier.attempts[0])
        broken = await _broken(shop)
        assert broken["status-agrees"] == [dossier.transaction.id]
        assert broken["gateway-adds-nothing"] == [dossier.attempts[0].id]

    async def test_a_status_that_is_not_its_attempts_is_found(self, shop: VerifiedShop) -> None:
        dossier = await _dossier(shop, await shop.paid())
        await shop.tampering.put(replace(dossier.transaction, status=Status.FAILED))
        broken = await _broken(shop)
        assert broken == {name: [dossier.transaction.id] for name in ("status-agrees", "closed-stays-closed")}

    async def test_a_refunds_status_that_is_not_its_attempts_is_found(self, shop: VerifiedShop) -> None:
        id = await shop.paid()
        refund = await shop.refund(id)
        await shop.work()
        dossier = await _dossier(shop, id)
        await shop.tampering.put(replace(dossier.refunds[0], status=RefundStatus.FAILED))
        broken = await _broken(shop)
        assert broken["status-agrees"] == broken["closed-stays-closed"] == [refund]

    async def test_what_the_gateway_says_otherwise_is_found(self, shop: VerifiedShop) -> None:
        dossiers = [await _dossier(shop, await shop.paid()) for _ in range(4)]
        declined, dearer, forgotten, fine = (dossier.attempts[0] for dossier in dossiers)
        books = shop.gateway.books
        books[declined.id] = replace(books[declined.id], moved=False)
        more = replace(dearer.amount, amount_minor=dearer.amount.amount_minor + 1)
        books[dearer.id] = replace(books[dearer.id], amount=more)
        del books[forgotten.id]
        assert await _broken(shop) == {"gateway-agrees": [declined.id, dearer.id, forgotten.id]}
        assert fine.id in books

    async def test_an_attempt_with_a_look_left_is_not_compared_yet(self, shop: VerifiedShop) -> None:
        dossier = await _dossier(shop, await shop.paid())
        attempt = dossier.attempts[0]
        shop.gateway.books[attempt.id] = replace(shop.gateway.books[attempt.id], moved=False)
        await shop.tampering.put(a_job(dossier.transaction, due_at=shop.at))
        assert not await shop.breaches()

    async def test_an_entry_without_an_attempt_is_found(self, shop: VerifiedShop) -> None:
        dossier = await _dossier(shop, await shop.paid())
        strange = replace(shop.gateway.books[dossier.attempts[0].id], attempt=AttemptId("att_0"))
        shop.gateway.books[strange.attempt] = strange
        (breach,) = await shop.breaches()
        assert (breach.rule.name, breach.merchant, breach.subject) == ("gateway-adds-nothing", None, strange.attempt)

    async def test_sums_of_refunds_that_are_off_are_found(self, shop: VerifiedShop) -> None:
        ids = [await shop.paid() for _ in range(4)]
        for id in ids:
            await shop.refund(id)
        await shop.work()
        more, fewer, beyond, waiting = [(await _dossier(shop, id)).transaction for id in ids]
        await shop.tampering.put(replace(more, refunded_minor=more.refunded_minor + 1))
        await shop.tampering.put(replace(fewer, refunds_count=0))
        await shop.tampering.put(replace(beyond, amount=replace(beyond.amount, amount_minor=2_000)))
        await shop.tampering.put(replace(waiting, refund_pending_minor=5))
        broken = await _broken(shop)
        assert broken["refunds-add-up"] == sorted(ids)

    async def test_events_that_cannot_follow_one_another_are_found(self, shop: VerifiedShop) -> None:
        dossier = await _dossier(shop, await shop.paid())
        created, processing, succeeded = dossier.events
        await shop.tampering.put(replace(processing, type=EventType.TRANSACTION_FAILED))
        assert await _broken(shop) == {"closed-stays-closed": [dossier.transaction.id]}
        await shop.tampering.put(processing)
        await shop.tampering.put(replace(succeeded, type=EventType.TRANSACTION_CORRECTED))
        assert await _broken(shop) == {"closed-stays-closed": [dossier.transaction.id]}
        await shop.tampering.put(succeeded)
        await shop.tampering.put(replace(created, type=EventType.TRANSACTION_PROCESSING))
        assert await _broken(shop) == {"closed-stays-closed": [dossier.transaction.id]}

    async def test_a_payments_event_that_is_missing_is_found(self, shop: VerifiedShop) -> None:
        dossier = await _dossier(shop, await shop.paid())
        last = dossier.events[-1]
        await shop.tampering.put(replace(last, transaction=None, sequence=None, type=EventType.WEBHOOK_TEST))
        broken = await _broken(shop)
        assert broken["facts-are-counted"] == [dossier.transaction.id]

    async def test_a_payment_of_which_only_events_are_left_is_found(self, shop: VerifiedShop) -> None:
        dossier = await _dossier(shop, await shop.paid())
        await shop.tampering.remove(dossier.transaction)
        assert await _broken(shop) == {"nothing-is-lost": [dossier.transaction.id] * 3}

    async def test_gaps_in_a_merchants_events_are_found(self, shop: VerifiedShop) -> None:
        dossier = await _dossier(shop, await shop.paid())
        await shop.tampering.put(replace(dossier.events[1], position=9))
        broken = await _broken(shop)
        assert set(broken) == {"positions-have-no-gap"}
        assert dossier.events[1].id in broken["positions-have-no-gap"]

    async def test_an_event_that_was_never_sent_is_found(self, shop: VerifiedShop) -> None:
        dossier = await _dossier(shop, await shop.paid())
        id = delivery_id(dossier.events[1].id, shop.endpoint)
        (delivery,) = [delivery for delivery in await _deliveries(shop) if delivery.id == id]
        await shop.tampering.remove(delivery)
        assert await _broken(shop) == {"events-are-sent": [dossier.events[1].id]}

    async def test_deliveries_that_ended_for_no_reason_are_found(self, shop: VerifiedShop) -> None:
        await shop.paid()
        lost, given_up, canceled = await _deliveries(shop)
        refused = DeliveryAttempt(number=1, at=shop.at, milliseconds=1, status_code=500)
        await shop.tampering.put(replace(lost, attempts=(refused,)))
        await shop.tampering.put(replace(given_up, status=DeliveryStatus.EXHAUSTED, tries=3))
        await shop.tampering.put(replace(canceled, status=DeliveryStatus.CANCELED))
        broken = await _broken(shop)
        assert broken == {"deliveries-end": [lost.id, given_up.id, canceled.id]}

    async def test_a_pending_delivery_that_is_never_due_is_found(self, shop: VerifiedShop) -> None:
        await shop.pay()
        (delivery,) = await _deliveries(shop)
        await shop.tampering.put(replace(delivery, due_at=None))
        assert await _broken(shop) == {"deliveries-end": [delivery.id]}

    async def test_two_keys_for_one_payment_and_a_key_for_none_are_found(self, shop: VerifiedShop) -> None:
        id = await shop.pay(key="order-1")
        await shop.work()
        nothing, twice = a_record(shop.shop.merchant, key="order-2"), a_record(shop.shop.merchant, key="order-3")
        await shop.tampering.put(replace(nothing, route=PAY))
        await shop.tampering.put(replace(twice, route=PAY, resource=id))
        assert await _broken(shop) == {"one-effect-each": [str(nothing.resource), id]}

    async def test_a_key_that_worked_on_what_its_route_names_is_in_order(self, shop: VerifiedShop) -> None:
        id = await shop.paid()
        canceled = a_record(shop.shop.merchant)
        await shop.tampering.put(replace(canceled, route=f"POST /api/transactions/{id}/cancel", resource=id))
        assert not await shop.breaches()
