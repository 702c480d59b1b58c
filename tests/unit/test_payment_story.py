"""The core as merchants meet it, over memory: a clock that is moved by hand, the sandbox, receivers that keep all."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from standardwebhooks import Webhook

from adapters.memory.clock import HandClock
from adapters.memory.store import MemoryStore
from adapters.sandbox.ledger import LedgerEntry, MemoryLedger, Recorded
from entrypoints.services import Services
from entrypoints.wiring import in_memory
from entrypoints.worker.sweeper import make_worker
from payments_core import (
    AddEndpoint,
    Caller,
    ChangeEndpoint,
    Conflict,
    Forbidden,
    InvalidCredentials,
    KeyReused,
    LogIn,
    MakeApiKey,
    Money,
    Once,
    Pay,
    RefundTransaction,
    Register,
    Replay,
    RuleBroken,
    TooMany,
)
from payments_core.attempt import LOOKUP_SCHEDULE
from payments_core.describe import JsonObject
from payments_core.idempotency import fingerprint
from payments_core.ids import ApiKeyId, DeliveryId, EndpointId, TransactionId
from payments_core.job import FAILURES_MAX, LEASE
from payments_core.limits import LOGIN_PER_ACCOUNT_AND_ADDRESS
from payments_core.merchant import ACCESS_TOKEN_LIFETIME, SESSION_KEYS_MAX, CredentialKind
from payments_core.money import currency
from payments_core.ports import Answered, DeliveryFilter, EventFilter, Notification, Unreached
from payments_core.testing.builders import a_room
from payments_core.transaction import REFUNDS_MAX
from payments_core.use_cases.read_lists import ListQuery
from payments_core.values import Json
from payments_core.webhook import DISABLED_AFTER, JITTER, RETRY_SCHEDULE, verify
from payments_core.worker import Worker

PASSWORD = "correct horse battery"
SHOP = "https://shop.example/webhooks"
AUDIT = "https://audit.example/webhooks"
ALL = ListQuery(limit=100)
MOMENT = timedelta(microseconds=1)

FAILED = Answered(status_code=500, milliseconds=1, excerpt="oh no")
FINE = Answered(status_code=200, milliseconds=1, excerpt="")


@dataclass
class Receivers:
    """A notifier: what every receiver was sent, and how each answers (200 unless told otherwise)."""

    answers: dict[str, Answered | Unreached] = field(default_factory=dict)
    sent: list[Notification] = field(default_factory=list)

    def refuses(self, url: str, /) -> str | None:
        return None if url.startswith("https://") else "the URL must start with https://"

    async def send(self, notification: Notification, /) -> Answered | Unreached:
        self.sent.append(notification)
        await asyncio.sleep(0)
        return self.answers.get(notification.url, FINE)

    def at(self, url: str) -> list[Notification]:
        return [each for each in self.sent if each.url == url]

    def types_at(self, url: str) -> list[str]:
        return [json.loads(each.body)["type"] for each in self.at(url)]


@dataclass
class Story:
    """A merchant with a payment key, and everything around it."""

    services: Services
    clock: HandClock
    store: MemoryStore
    ledger: MemoryLedger
    receivers: Receivers
    worker: Worker
    caller: Caller = field(init=False)
    api_key: str = field(init=False)
    payment_key: str = field(init=False)

    async def begin(self) -> None:
        registered = await self.services.payments.register(Register(email="shop@example.com", password=PASSWORD))
        self.api_key = text(registered.json, "api_key")
        self.caller = await self.services.payments.authenticator.by_api_key(self.api_key)
        made = await self.services.payments.make_payment_key(self.caller)
        self.payment_key = text(made.json, "key")

    def order(self, **changed: str) -> Pay:
        fields = {"payment_key": self.payment_key, "amount": "100.00", "currency": "USD", **changed}
        return Pay(**fields)  # type: ignore[arg-type]  # text fields only

    async def pay(self, payment_method: str = "pm_approve", amount: str = "100.00") -> TransactionId:
        answer = await self.services.payments.pay(self.caller, self.order(payment_method=payment_method, amount=amount))
        return TransactionId(text(answer.json, "id"))

    async def paid(self, payment_method: str = "pm_approve", amount: str = "100.00") -> TransactionId:
        id = await self.pay(payment_method, amount)
        await self.worker.sweep_until_idle()
        assert (await self.transaction(id))["status"] == "succeeded"
        return id

    async def refund(self, id: TransactionId, amount: str | None = None) -> JsonObject:
        command = RefundTransaction(transaction=id, amount=amount)
        return (await self.services.payments.refund(self.caller, command)).json

    async def later(self, **by: float) -> None:
        self.clock.move(timedelta(**by))
        await self.worker.sweep_until_idle()

    async def nothing_waits(self) -> bool:
        """Say whether there is no work, now or later, but dead jobs."""
        backlog = await self.services.claims.backlog(at=self.clock.now() + timedelta(days=1_000))
        return (backlog.jobs_due, backlog.deliveries_due) == (0, 0)

    async def transaction(self, id: TransactionId) -> JsonObject:
        return (await self.services.payments.read.transaction(self.caller, id)).value

    async def history(self, id: TransactionId) -> list[JsonObject]:
        return list((await self.services.payments.read.history(self.caller, id, ALL)).items)

    async def listen(self, url: str = SHOP, events: tuple[str, ...] = ("*",)) -> JsonObject:
        return (await self.services.payments.add_endpoint(self.caller, AddEndpoint(url=url, events=events))).json

    async def endpoint(self, described: JsonObject) -> JsonObject:
        return (await self.services.payments.read.endpoint(self.caller, endpoint_id(described))).value

    async def deliveries(self, described: JsonObject) -> list[JsonObject]:
        page = await self.services.payments.read.deliveries(self.caller, endpoint_id(described), ALL, DeliveryFilter())
        return list(page.items)

    async def delivery(self, described: JsonObject) -> JsonObject:
        [delivery] = await self.deliveries(described)
        return delivery

    async def events(self, type: str) -> list[JsonObject]:
        page = await self.services.payments.read.events(self.caller, ALL, EventFilter())
        return [event for event in page.items if event["type"] == type]

    async def charges(self) -> list[LedgerEntry]:
        return [entry for entry in await self.ledger.entries() if entry.status == "charged"]

    def once(self, key: str, body: dict[str, Json]) -> Once:
        route = "POST /api/transactions/pay"
        return Once(key=key, route=route, status=201, fingerprint=fingerprint(b"test", route=route, body=body))


def text(answer: JsonObject, field: str) -> str:
    value = answer[field]
    assert isinstance(value, str)
    return value


def endpoint_id(described: JsonObject) -> EndpointId:
    return EndpointId(text(described, "id"))


def objects(value: Json) -> list[JsonObject]:
    return cast(list[JsonObject], value)


def object_of(value: Json) -> JsonObject:
    return cast(JsonObject, value)


def time_of(value: Json) -> datetime:
    assert isinstance(value, str)
    return datetime.fromisoformat(value)


Begin = Callable[[MemoryLedger], Awaitable[Story]]


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    async with AsyncExitStack() as opened:

        async def open_story(ledger: MemoryLedger) -> Story:
            clock, store, receivers = HandClock(datetime.now(UTC)), MemoryStore(), Receivers()
            services = await opened.enter_async_context(
                in_memory(clock=clock, store=store, notifier=receivers, ledger=ledger)
            )
            worker = make_worker(services, wake=lambda: None)
            story = Story(services, clock, store, ledger, receivers, worker)
            await story.begin()
            return story

        yield open_story


@pytest.fixture
async def story(begin: Begin) -> Story:
    return await begin(MemoryLedger())


class TestAPayment:
    async def test_is_accepted_processed_and_told_in_order(self, story: Story) -> None:
        await story.listen()

        id = await story.pay()
        assert (await story.transaction(id))["status"] == "pending"
        await story.worker.sweep_until_idle()

        transaction = await story.transaction(id)
        assert transaction["status"] == "succeeded"
        assert transaction["amount_refundable"] == "100.00"
        assert transaction["completed_at"] is not None
        history = await story.history(id)
        told = ["transaction.created", "transaction.processing", "transaction.succeeded"]
        assert [event["type"] for event in history] == told
        assert [event["sequence"] for event in history] == [1, 2, 3]
        assert sorted(story.receivers.types_at(SHOP)) == sorted(told)
        [charge] = await story.charges()
        assert charge.amount == Money(amount_minor=10_000, currency=currency("USD"))
        assert transaction["gateway_reference"] == charge.reference

    @pytest.mark.parametrize(
        ("payment_method", "code", "retryable"),
        [
            ("pm_decline_insufficient_funds", "insufficient_funds", True),
            ("pm_decline_expired", "expired_card", False),
            ("pm_decline_fraud", "suspected_fraud", False),
            ("pm_misspelt", "unknown_payment_method", False),
        ],
    )
    async def test_that_is_declined_has_failed_and_says_why(
        self, story: Story, payment_method: str, code: str, retryable: bool
    ) -> None:
        id = await story.pay(payment_method)
        await story.worker.sweep_until_idle()

        transaction = await story.transaction(id)
        assert transaction["status"] == "failed"
        failure = object_of(transaction["failure"])
        assert (failure["code"], failure["retryable"]) == (code, retryable)
        assert (await story.history(id))[-1]["type"] == "transaction.failed"
        assert await story.charges() == []

    async def test_whose_answer_was_lost_is_looked_up_and_charged_once(self, story: Story) -> None:
        id = await story.pay("pm_timeout_charged")
        await story.worker.sweep_until_idle()
        transaction = await story.transaction(id)
        assert (transaction["status"], transaction["status_reason"]) == ("processing", "outcome_unknown")

        await story.later(seconds=0.9)
        assert (await story.transaction(id))["status"] == "processing"
        await story.later(seconds=0.1)

        assert (await story.transaction(id))["status"] == "succeeded"
        assert (await story.transaction(id))["status_reason"] is None
        assert len(await story.charges()) == 1

    @pytest.mark.parametrize("payment_method", ["pm_timeout_not_charged", "pm_error_once"])
    async def test_that_never_arrived_is_sent_again_after_the_quiet_period_only(
        self, story: Story, payment_method: str
    ) -> None:
        id = await story.pay(payment_method)
        await story.worker.sweep_until_idle()
        assert (await story.transaction(id))["status_reason"] == "outcome_unknown"

        await story.later(seconds=1)
        assert (await story.transaction(id))["status"] == "processing"
        assert await story.charges() == []
        await story.later(seconds=5)

        assert (await story.transaction(id))["status"] == "succeeded"
        assert len(await story.charges()) == 1

    async def test_that_nobody_can_explain_waits_for_a_person_and_never_fails_by_a_timer(self, begin: Begin) -> None:
        class Mute(MemoryLedger):
            """The charge went through, and every look for it comes too late."""

            async def find(self, attempt: object, /) -> LedgerEntry | None:
                return None

            async def record(self, entry: LedgerEntry, /) -> Recorded:
                recorded = await super().record(entry)
                return replace(recorded, is_new=True)

        story = await begin(Mute())
        id = await story.pay("pm_timeout_charged")
        await story.worker.sweep_until_idle()
        for step in LOOKUP_SCHEDULE:
            assert (await story.transaction(id))["status"] == "processing"
            await story.later(seconds=step.total_seconds())

        transaction = await story.transaction(id)
        assert (transaction["status"], transaction["status_reason"]) == ("processing", "needs_review")
        assert await story.nothing_waits()
        assert len(await story.charges()) == 1

    async def test_that_the_gateway_takes_back_later_is_corrected_with_evidence(self, story: Story) -> None:
        await story.listen(events=("transaction.corrected",))
        id = await story.paid("pm_corrected_late")

        await story.later(seconds=2)

        transaction = await story.transaction(id)
        assert (transaction["status"], object_of(transaction["failure"])["code"]) == ("failed", "reversed")
        correction = (await story.history(id))[-1]
        assert correction["type"] == "transaction.corrected"
        data = object_of(correction["data"])
        assert (data["from"], data["to"]) == ("succeeded", "failed")
        assert object_of(data["evidence"])["source"] == "gateway"
        assert story.receivers.types_at(SHOP) == ["transaction.corrected"]

    async def test_can_be_canceled_while_it_is_pending_and_is_never_charged_then(self, story: Story) -> None:
        id = await story.pay()

        answer = (await story.services.payments.cancel(story.caller, id)).json
        await story.worker.sweep_until_idle()

        assert (answer["status"], answer["status_reason"]) == ("canceled", "requested")
        assert await story.charges() == []
        assert await story.nothing_waits()
        with pytest.raises(Conflict) as refused:
            await story.services.payments.cancel(story.caller, id)
        assert refused.value.code == "transaction_not_cancelable"

    async def test_that_succeeded_cannot_be_canceled(self, story: Story) -> None:
        id = await story.paid()
        with pytest.raises(Conflict) as refused:
            await story.services.payments.cancel(story.caller, id)
        assert refused.value.code == "transaction_not_cancelable"

    async def test_of_a_suspended_merchant_is_refused(self, story: Story) -> None:
        async with story.store.begin() as work:
            merchant = await work.merchants.get(story.caller.merchant)
            work.merchants.save(replace(merchant, suspended_at=story.clock.now()))

        with pytest.raises(Forbidden) as refused:
            await story.pay()
        assert refused.value.code == "suspended"
        with pytest.raises(Forbidden) as refused:
            await story.services.payments.authenticator.by_api_key(story.api_key)
        assert refused.value.code == "suspended"

    async def test_in_live_mode_is_refused_without_a_live_gateway(self, story: Story) -> None:
        payments = story.services.payments
        live = replace(story.caller, livemode=True)
        with pytest.raises(RuleBroken) as refused:
            await payments.pay(live, story.order(payment_method="tok_1"), once=story.once("k", {}))
        assert refused.value.code == "live_mode_unavailable"
        with pytest.raises(RuleBroken) as refused:
            await payments.make_api_key(story.caller, MakeApiKey(livemode=True))
        assert refused.value.code == "live_mode_unavailable"
        with pytest.raises(RuleBroken) as refused:
            await payments.log_in(LogIn(email="shop@example.com", password=PASSWORD, livemode=True))
        assert refused.value.code == "live_mode_unavailable"

    async def test_in_live_mode_needs_an_idempotency_key(self, story: Story) -> None:
        live = replace(story.caller, livemode=True)
        with pytest.raises(RuleBroken) as refused:
            await story.services.payments.pay(live, story.order(payment_method="tok_1"))
        assert refused.value.code == "idempotency_key_required"


class TestAnIdempotencyKey:
    async def test_has_one_effect_and_equal_answers_for_a_hundred_twins_at_once(self, story: Story) -> None:
        once = story.once("order-1", {"amount": "100.00"})
        answers = await asyncio.gather(
            *(story.services.payments.pay(story.caller, story.order(), once=once) for _ in range(100))
        )
        await story.worker.sweep_until_idle()

        assert len({answer.body for answer in answers}) == 1
        assert sum(not answer.replayed for answer in answers) == 1
        page = await story.services.payments.read.events(story.caller, ALL, EventFilter())
        assert [event["type"] for event in page.items].count("transaction.created") == 1
        assert len(await story.charges()) == 1

    async def test_of_another_request_is_refused_and_names_the_field(self, story: Story) -> None:
        payments = story.services.payments
        await payments.pay(story.caller, story.order(), once=story.once("k", {"amount": "100.00"}))
        with pytest.raises(KeyReused, match="amount"):
            await payments.pay(story.caller, story.order(amount="1.00"), once=story.once("k", {"amount": "1.00"}))

    async def test_replays_the_answer_of_then_whatever_happened_since(self, story: Story) -> None:
        payments, once = story.services.payments, story.once("k", {})
        first = await payments.pay(story.caller, story.order(), once=once)
        await story.worker.sweep_until_idle()
        again = await payments.pay(story.caller, story.order(), once=once)
        assert (again.body, again.replayed) == (first.body, True)

    async def test_is_free_again_after_three_days(self, story: Story) -> None:
        payments, once = story.services.payments, story.once("k", {})
        first = await payments.pay(story.caller, story.order(), once=once)
        story.clock.move(timedelta(hours=72))
        again = await payments.pay(story.caller, story.order(), once=once)
        assert not again.replayed
        assert again.resource != first.resource


class TestARefund:
    async def test_of_a_part_leaves_the_rest_to_refund(self, story: Story) -> None:
        id = await story.paid()
        refund = await story.refund(id, "30.00")
        assert refund["status"] == "pending"
        assert (await story.transaction(id))["amount_refund_pending"] == "30.00"
        await story.worker.sweep_until_idle()

        transaction = await story.transaction(id)
        assert transaction["amount_refunded"] == "30.00"
        assert transaction["amount_refundable"] == "70.00"
        assert [shown["status"] for shown in objects(transaction["refunds"])] == ["succeeded"]
        assert [event["type"] for event in await story.history(id)][-2:] == ["refund.created", "refund.succeeded"]

        assert (await story.refund(id))["amount"] == "70.00"

    async def test_that_the_bank_refuses_can_be_tried_again(self, story: Story) -> None:
        id = await story.paid("pm_refund_fails")
        refund = await story.refund(id)
        await story.worker.sweep_until_idle()

        [shown] = objects((await story.transaction(id))["refunds"])
        assert (shown["id"], shown["status"]) == (refund["id"], "failed")
        assert object_of(shown["failure"])["code"] == "refund_refused"
        assert (await story.transaction(id))["amount_refundable"] == "100.00"

    async def test_that_comes_back_late_has_failed_and_its_amount_is_there_again(self, story: Story) -> None:
        id = await story.paid("pm_refund_returned_late")
        await story.refund(id, "40.00")
        await story.worker.sweep_until_idle()
        assert (await story.transaction(id))["amount_refunded"] == "40.00"

        await story.later(seconds=2)

        transaction = await story.transaction(id)
        assert (transaction["amount_refunded"], transaction["amount_refundable"]) == ("0.00", "100.00")
        [shown] = objects(transaction["refunds"])
        assert (shown["status"], object_of(shown["failure"])["code"]) == ("failed", "returned")
        assert (await story.history(id))[-1]["type"] == "refund.failed"

    async def test_cannot_exceed_what_is_left(self, story: Story) -> None:
        id = await story.paid()
        await story.refund(id, "60.00")
        with pytest.raises(RuleBroken, match=r"cannot exceed what is left: 40\.00 USD") as refused:
            await story.refund(id, "40.01")
        assert refused.value.code == "refund_exceeds_amount"

    async def test_of_nothing_left_is_refused(self, story: Story) -> None:
        id = await story.paid()
        await story.refund(id)
        with pytest.raises(RuleBroken) as refused:
            await story.refund(id, "0.01")
        assert refused.value.code == "already_refunded"

    async def test_of_what_has_not_succeeded_is_refused(self, story: Story) -> None:
        id = await story.pay()
        with pytest.raises(RuleBroken) as refused:
            await story.refund(id)
        assert refused.value.code == "transaction_not_refundable"

    async def test_number_hundred_and_one_is_refused(self, story: Story) -> None:
        id = await story.paid(amount="200.00")
        for _ in range(REFUNDS_MAX):
            await story.refund(id, "1.00")
        with pytest.raises(RuleBroken) as refused:
            await story.refund(id, "1.00")
        assert refused.value.code == "too_many_refunds"
        assert len(objects((await story.transaction(id))["refunds"])) == 10

    async def test_thirty_three_of_fifty_at_once_fit_and_seventeen_are_refused(self, story: Story) -> None:
        id = await story.paid()
        outcomes = await asyncio.gather(*(story.refund(id, "3.00") for _ in range(50)), return_exceptions=True)
        await story.worker.sweep_until_idle()

        refusals = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert len(outcomes) - len(refusals) == 33
        assert {getattr(refusal, "code", refusal) for refusal in refusals} == {"refund_exceeds_amount"}
        transaction = await story.transaction(id)
        assert (transaction["amount_refunded"], transaction["amount_refund_pending"]) == ("99.00", "0.00")
        refunded = [entry for entry in await story.ledger.entries() if entry.status == "refunded"]
        assert sum(entry.amount.amount_minor for entry in refunded) == 9_900


class TestAWebhook:
    async def test_is_signed_as_others_verify_it(self, story: Story) -> None:
        endpoint = await story.listen()
        await story.paid()

        assert len(story.receivers.at(SHOP)) == 3
        for sent in story.receivers.at(SHOP):
            id = verify(text(endpoint, "secret"), headers=sent.headers, body=sent.body, at=story.clock.now())
            assert id == json.loads(sent.body)["id"]
            independent = Webhook(text(endpoint, "secret")).verify(sent.body, dict(sent.headers))
            assert independent == json.loads(sent.body)

    async def test_is_retried_on_schedule_with_jitter_until_ten_attempts_are_used(self, story: Story) -> None:
        endpoint = await story.listen(events=("transaction.succeeded",))
        story.receivers.answers[SHOP] = FAILED
        await story.paid()
        for count, step in enumerate(RETRY_SCHEDULE[1:], start=1):
            delivery = await story.delivery(endpoint)
            assert (delivery["status"], len(story.receivers.sent)) == ("pending", count)
            wait = time_of(delivery["next_attempt_at"]) - story.clock.now()
            assert step * (1 - JITTER) <= wait <= step * (1 + JITTER)
            await story.later(seconds=wait.total_seconds() - 0.001)
            assert len(story.receivers.sent) == count
            await story.later(seconds=0.001)

        delivery = await story.delivery(endpoint)
        assert (delivery["status"], delivery["next_attempt_at"]) == ("exhausted", None)
        attempts = objects(delivery["attempts"])
        assert [attempt["number"] for attempt in attempts] == list(range(1, 11))
        assert {attempt["status_code"] for attempt in attempts} == {500}
        assert len({sent.headers["webhook-id"] for sent in story.receivers.sent}) == 1
        assert len({sent.headers["webhook-timestamp"] for sent in story.receivers.sent}) == 10
        assert (await story.endpoint(endpoint))["enabled"] is True

    @pytest.mark.parametrize(("asked_seconds", "waited_seconds"), [(7.0, 7.0), (3600.0, 10.0)])
    async def test_waits_as_long_as_the_receiver_asks_up_to_twice_the_step(
        self, story: Story, asked_seconds: float, waited_seconds: float
    ) -> None:
        endpoint = await story.listen(events=("transaction.succeeded",))
        story.receivers.answers[SHOP] = replace(FAILED, status_code=503, retry_after_seconds=asked_seconds)
        await story.paid()
        wait = time_of((await story.delivery(endpoint))["next_attempt_at"]) - story.clock.now()
        assert wait.total_seconds() == waited_seconds

    async def test_that_reaches_nobody_says_why(self, story: Story) -> None:
        endpoint = await story.listen(events=("transaction.succeeded",))
        story.receivers.answers[SHOP] = Unreached(code="connect", message="refused", milliseconds=3)
        await story.paid()
        [attempt] = objects((await story.delivery(endpoint))["attempts"])
        assert (attempt["status_code"], attempt["error"]) == (None, "connect: refused")

    async def test_answered_with_gone_disables_its_endpoint_and_tells_the_others(self, story: Story) -> None:
        gone = await story.listen(SHOP)
        await story.listen(AUDIT, events=("webhook.disabled",))
        story.receivers.answers[SHOP] = replace(FAILED, status_code=410)
        await story.paid()

        assert (await story.endpoint(gone))["enabled"] is False
        assert {delivery["status"] for delivery in await story.deliveries(gone)} == {"canceled"}
        [told] = story.receivers.at(AUDIT)
        assert json.loads(told.body)["type"] == "webhook.disabled"
        assert json.loads(told.body)["data"]["id"] == gone["id"]
        assert len(await story.events("webhook.disabled")) == 1
        assert "webhook.disabled" not in story.receivers.types_at(SHOP)

    async def test_that_fails_is_a_line_of_the_log_without_its_url(
        self, story: Story, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "payments_core")
        endpoint = await story.listen(SHOP, events=("transaction.created",))
        story.receivers.answers[SHOP] = FAILED
        await story.pay()
        await story.worker.sweep_until_idle()
        [said] = [message for message in caplog.messages if "not delivered" in message]
        assert text(endpoint, "id") in said
        assert "attempt 1: answered with status 500; next at 2026-" in said
        assert SHOP not in said

    @pytest.mark.parametrize("status_code", [410, 500])
    async def test_that_an_address_left_meanwhile_refuses_is_no_failure_of_the_new_one(
        self, story: Story, status_code: int
    ) -> None:
        moving = await story.listen(SHOP, events=("transaction.created",))
        story.receivers.answers[SHOP] = replace(FAILED, status_code=status_code)
        await story.pay()
        claims, now = story.services.claims, story.clock.now()
        [claimed] = await claims.claim_deliveries(at=now, room=a_room(limit=1), lease=LEASE)
        await story.services.payments.change_endpoint(story.caller, endpoint_id(moving), ChangeEndpoint(url=AUDIT))
        await story.services.payments.deliver(claimed)

        async with story.store.begin() as work:
            endpoint = await work.endpoints.get(story.caller.merchant, False, endpoint_id(moving))
        assert (endpoint.enabled, endpoint.failing_since) == (True, None)
        assert (await story.delivery(moving))["status"] == "pending"
        await story.later(seconds=6)
        assert story.receivers.types_at(AUDIT) == ["transaction.created"]
        assert (await story.delivery(moving))["status"] == "delivered"

    async def test_that_fails_for_five_days_disables_its_endpoint_once(self, story: Story) -> None:
        failing = await story.listen(SHOP)
        await story.listen(AUDIT, events=("webhook.disabled",))
        story.receivers.answers[SHOP] = FAILED
        await story.paid()
        story.clock.move(DISABLED_AFTER - timedelta(seconds=1))
        await story.paid()
        assert (await story.endpoint(failing))["enabled"] is True

        await story.later(seconds=10)

        assert (await story.endpoint(failing))["enabled"] is False
        assert len(await story.events("webhook.disabled")) == 1
        assert story.receivers.types_at(AUDIT) == ["webhook.disabled"]
        assert not [each for each in await story.deliveries(failing) if each["status"] == "pending"]

    async def test_that_arrives_sets_the_clock_of_failure_back(self, story: Story) -> None:
        endpoint = await story.listen()
        story.receivers.answers[SHOP] = FAILED
        await story.paid()
        del story.receivers.answers[SHOP]
        await story.later(days=3)
        story.receivers.answers[SHOP] = FAILED
        await story.paid()
        await story.later(days=3)
        assert (await story.endpoint(endpoint))["enabled"] is True

    async def test_is_signed_with_both_secrets_for_a_day_after_a_rotation(self, story: Story) -> None:
        endpoint = await story.listen(events=("webhook.test",))
        payments, id = story.services.payments, endpoint_id(endpoint)
        rotated = (await payments.rotate_endpoint_secret(story.caller, id)).json
        old, new = text(endpoint, "secret"), text(rotated, "secret")
        assert old != new

        await payments.send_test_event(story.caller, id)
        await story.worker.sweep_until_idle()
        [sent] = story.receivers.sent
        for secret in (old, new):
            verify(secret, headers=sent.headers, body=sent.body, at=story.clock.now())
            Webhook(secret).verify(sent.body, dict(sent.headers))

        story.clock.move(timedelta(hours=24))
        await payments.send_test_event(story.caller, id)
        await story.worker.sweep_until_idle()
        signature = story.receivers.sent[-1].headers["webhook-signature"]
        assert len(signature.split(" ")) == 1
        verify(new, headers=story.receivers.sent[-1].headers, body=story.receivers.sent[-1].body, at=story.clock.now())

    async def test_that_was_exhausted_can_be_retried_with_the_same_id(self, story: Story) -> None:
        endpoint = await story.listen(events=("transaction.succeeded",))
        story.receivers.answers[SHOP] = FAILED
        await story.paid()
        for step in RETRY_SCHEDULE[1:]:
            await story.later(seconds=step.total_seconds() * (1 + JITTER))
        delivery = await story.delivery(endpoint)
        assert delivery["status"] == "exhausted"

        del story.receivers.answers[SHOP]
        delivery_id = DeliveryId(text(delivery, "id"))
        await story.services.payments.retry_delivery(story.caller, endpoint_id(endpoint), delivery_id)
        await story.worker.sweep_until_idle()

        delivery = await story.delivery(endpoint)
        assert (delivery["status"], len(objects(delivery["attempts"]))) == ("delivered", 11)
        assert len({sent.headers["webhook-id"] for sent in story.receivers.sent}) == 1

    async def test_of_the_past_is_sent_again_by_a_replay(self, story: Story) -> None:
        since = story.clock.now()
        await story.paid()
        endpoint = await story.listen()
        story.clock.move(timedelta(minutes=1))
        payments, id = story.services.payments, endpoint_id(endpoint)

        queued = (await payments.replay(story.caller, id, Replay(since=since))).json
        await story.worker.sweep_until_idle()
        assert queued == {"queued": 3}
        assert len(story.receivers.at(SHOP)) == 3

        failed = (await payments.replay(story.caller, id, Replay(since=since, only_failed=True))).json
        assert failed == {"queued": 0}

    async def test_to_one_endpoint_that_fails_delays_no_other(self, story: Story) -> None:
        await story.listen(SHOP)
        await story.listen(AUDIT)
        story.receivers.answers[SHOP] = FAILED
        await story.paid()
        assert len(story.receivers.at(AUDIT)) == 3


class TestASession:
    async def test_gives_tokens_that_are_refreshed_once_each(self, story: Story) -> None:
        payments = story.services.payments
        first = (await payments.open_session(LogIn(email="shop@example.com", password=PASSWORD))).json
        caller = await payments.authenticator.by_access_token(text(first, "access"))
        assert (caller.merchant, caller.kind) == (story.caller.merchant, CredentialKind.ACCESS_TOKEN)

        second = (await payments.refresh_session(text(first, "refresh"))).json
        assert second["refresh"] != first["refresh"]
        await payments.authenticator.by_access_token(text(second, "access"))

    async def test_ends_for_the_whole_family_where_a_refresh_token_is_spent_twice(self, story: Story) -> None:
        payments = story.services.payments
        first = (await payments.open_session(LogIn(email="shop@example.com", password=PASSWORD))).json
        second = (await payments.refresh_session(text(first, "refresh"))).json

        with pytest.raises(InvalidCredentials):
            await payments.refresh_session(text(first, "refresh"))

        with pytest.raises(InvalidCredentials):
            await payments.refresh_session(text(second, "refresh"))
        with pytest.raises(InvalidCredentials):
            await payments.authenticator.by_access_token(text(second, "access"))

    async def test_gives_one_winner_where_a_refresh_token_is_spent_by_many_at_once(self, story: Story) -> None:
        payments = story.services.payments
        first = (await payments.open_session(LogIn(email="shop@example.com", password=PASSWORD))).json
        outcomes = await asyncio.gather(
            *(payments.refresh_session(text(first, "refresh")) for _ in range(10)), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, InvalidCredentials)]
        assert len(refused) == 9

    async def test_access_ends_after_five_minutes_and_refreshing_after_an_idle_day(self, story: Story) -> None:
        payments = story.services.payments
        pair = (await payments.open_session(LogIn(email="shop@example.com", password=PASSWORD))).json
        story.clock.move(ACCESS_TOKEN_LIFETIME + timedelta(seconds=6))
        with pytest.raises(InvalidCredentials):
            await payments.authenticator.by_access_token(text(pair, "access"))
        story.clock.move(timedelta(days=1))
        with pytest.raises(InvalidCredentials):
            await payments.refresh_session(text(pair, "refresh"))

    async def test_ends_by_logging_out(self, story: Story) -> None:
        payments = story.services.payments
        pair = (await payments.open_session(LogIn(email="shop@example.com", password=PASSWORD))).json
        await payments.log_out(await payments.authenticator.by_access_token(text(pair, "access")))
        with pytest.raises(InvalidCredentials):
            await payments.authenticator.by_access_token(text(pair, "access"))
        with pytest.raises(InvalidCredentials):
            await payments.refresh_session(text(pair, "refresh"))

    async def test_key_ends_by_logging_out_and_a_server_key_does_not(self, story: Story) -> None:
        payments = story.services.payments
        key = text((await payments.log_in(LogIn(email="shop@example.com", password=PASSWORD))).json, "api_key")
        await payments.log_out(await payments.authenticator.by_api_key(key))
        with pytest.raises(InvalidCredentials):
            await payments.authenticator.by_api_key(key)
        with pytest.raises(Forbidden):
            await payments.log_out(story.caller)

    async def test_ends_with_all_others_when_the_password_changes_and_server_keys_go_on(self, story: Story) -> None:
        payments = story.services.payments
        command = LogIn(email="shop@example.com", password=PASSWORD)
        key = text((await payments.log_in(command)).json, "api_key")
        pair = (await payments.open_session(command)).json

        await payments.change_password(story.caller, password=PASSWORD, new_password="another battery horse")

        with pytest.raises(InvalidCredentials):
            await payments.authenticator.by_api_key(key)
        with pytest.raises(InvalidCredentials):
            await payments.refresh_session(text(pair, "refresh"))
        with pytest.raises(InvalidCredentials):
            await payments.log_in(command)
        assert (await payments.authenticator.by_api_key(story.api_key)).merchant == story.caller.merchant

    async def test_key_number_eleven_ends_the_oldest(self, story: Story) -> None:
        payments = story.services.payments
        keys: list[str] = []
        for _ in range(SESSION_KEYS_MAX + 1):
            story.clock.move(timedelta(minutes=2))  # within the limit of logins
            answer = await payments.log_in(LogIn(email="shop@example.com", password=PASSWORD))
            keys.append(text(answer.json, "api_key"))
        with pytest.raises(InvalidCredentials):
            await payments.authenticator.by_api_key(keys[0])
        for key in keys[1:]:
            await payments.authenticator.by_api_key(key)

    async def test_is_refused_to_who_tries_too_often(self, story: Story) -> None:
        command = LogIn(email="shop@example.com", password="not this one")
        for _ in range(LOGIN_PER_ACCOUNT_AND_ADDRESS.amount):
            with pytest.raises(InvalidCredentials):
                await story.services.payments.log_in(command)
        with pytest.raises(TooMany):
            await story.services.payments.log_in(replace(command, password=PASSWORD))
        assert 'payments_rate_limited_total{limit="login_account_address"} 1.0' in (
            story.services.metrics.text().decode()
        )

    async def test_of_a_wrong_password_and_of_nobody_are_refused_alike(self, story: Story) -> None:
        payments = story.services.payments
        refusals: set[str] = set()
        for email in ("shop@example.com", "nobody@example.com"):
            with pytest.raises(InvalidCredentials) as refused:
                await payments.log_in(LogIn(email=email, password="not this one"))
            refusals.add(refused.value.message)
        assert len(refusals) == 1


class TestAnApiKey:
    async def test_opens_nothing_once_it_is_revoked(self, story: Story) -> None:
        payments = story.services.payments
        made = (await payments.make_api_key(story.caller, MakeApiKey(name="second"))).json
        await payments.authenticator.by_api_key(text(made, "api_key"))
        await payments.revoke_api_key(story.caller, ApiKeyId(text(made, "id")))
        with pytest.raises(InvalidCredentials):
            await payments.authenticator.by_api_key(text(made, "api_key"))

    async def test_is_not_what_a_payment_key_is(self, story: Story) -> None:
        with pytest.raises(InvalidCredentials):
            await story.services.payments.authenticator.by_api_key(story.payment_key)


class TestAJobThatFails:
    async def test_for_unforeseen_reasons_backs_off_and_is_dead_after_twelve_tries(self, begin: Begin) -> None:
        class Broken(MemoryLedger):
            async def record(self, entry: LedgerEntry, /) -> Recorded:
                raise RuntimeError("a defect")

        story = await begin(Broken())
        id = await story.pay()
        await story.worker.sweep_until_idle()
        for failures in range(1, FAILURES_MAX):
            story.clock.move(timedelta(seconds=min(2 ** (failures - 1), 15 * 60)) - MOMENT)
            assert not await story.worker.sweep()
            assert story.worker.in_flight == 0
            story.clock.move(MOMENT)
            await story.worker.sweep_until_idle()

        backlog = await story.services.claims.backlog(at=story.clock.now())
        assert (backlog.jobs_dead, backlog.jobs_due) == (1, 0)
        assert await story.nothing_waits()
        assert (await story.transaction(id))["status"] == "processing"
        metrics = story.services.metrics.text().decode()
        assert 'payments_jobs_total{kind="charge",outcome="failed"} 11.0' in metrics
        assert 'payments_jobs_total{kind="charge",outcome="dead"} 1.0' in metrics
