"""Two processes at one thing on a real Postgres: one stops at a known point, the other goes on, the first continues.

A process is a set of services over a store and connections of its own; a stop is what SIGSTOP does to it, at a point
that the test chooses. The clock is the test's, so that leases run out when it says so.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.memory import HandClock, MemoryAccessTokens, MemoryPasswords, MemoryRateLimits
from adapters.memory.doorbell import MemoryDoorbell
from adapters.postgres import PostgresStore, create_engine
from adapters.sandbox import MemoryLedger, SandboxGateway
from adapters.sandbox.gateway import LATE_DECISION_AFTER
from adapters.security.vault import AeadVault
from payments_core import (
    AddEndpoint,
    Caller,
    ChangeEndpoint,
    Pay,
    Payments,
    Ports,
    RefundTransaction,
    Register,
    RuleBroken,
)
from payments_core.errors import LeaseLost
from payments_core.gateway import Capabilities, Outcome, Sighting, Submission
from payments_core.ids import EndpointId, MerchantId, TransactionId
from payments_core.job import LEASE
from payments_core.ports import Answered, DeliveryFilter, EventFilter, Notification, UnitOfWork
from payments_core.testing.builders import NOW, SECOND, a_room
from payments_core.use_cases.read_lists import ListQuery
from payments_core.values import Json
from payments_core.webhook import DISABLED_AFTER
from payments_core.worker import End, Worker
from tests.patience import PATIENCE_SECONDS, until

ALL = ListQuery(limit=100)
OVER = LEASE + SECOND
RACES = 10


@dataclass(slots=True)
class Stop:
    """A point at which a process stops, the first so many times that it comes by, until it is continued."""

    times: int = 1
    skip: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> None:
        if self.skip:
            self.skip -= 1
        elif self.times:
            self.times -= 1
            self.reached.set()
            await self.go.wait()


async def pass_by() -> None:
    """Stop nowhere."""


@dataclass(slots=True)
class Gateway:
    """The sandbox behind a line of this process."""

    sandbox: SandboxGateway
    before: Callable[[], Awaitable[None]] = pass_by
    after: Callable[[], Awaitable[None]] = pass_by

    @property
    def capabilities(self) -> Capabilities:
        return self.sandbox.capabilities

    async def submit(self, submission: Submission, /) -> Outcome:
        await self.before()
        outcome = await self.sandbox.submit(submission)
        await self.after()
        return outcome

    async def lookup(self, submission: Submission, /) -> Sighting:
        return await self.sandbox.lookup(submission)


@dataclass(slots=True)
class Notifier:
    """A receiver behind a line of this process."""

    stop: Callable[[], Awaitable[None]] = pass_by
    status_code: int = 204
    sent: list[str] = field(default_factory=list)

    def refuses(self, url: str, /) -> str | None:
        return None

    async def send(self, notification: Notification, /) -> Answered:
        self.sent.append(notification.headers["webhook-id"])
        await self.stop()
        return Answered(status_code=self.status_code, milliseconds=1, excerpt="")


@dataclass(slots=True)
class Process:
    """Services over connections of their own, and a worker."""

    engine: AsyncEngine
    clock: HandClock
    ledger: MemoryLedger
    after_commit: Callable[[], Awaitable[None]] = pass_by
    notifier: Notifier = field(default_factory=Notifier)
    store: PostgresStore = field(init=False)
    gateway: Gateway = field(init=False)
    payments: Payments = field(init=False)
    worker: Worker = field(init=False)
    ends: list[End] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = PostgresStore(self.engine, vault=AeadVault([b"k" * 32], entropy=os.urandom))
        self.gateway = Gateway(SandboxGateway(self.ledger, latency=(0, 0), clock=self.clock))
        self.payments = Payments(
            Ports(
                begin=self.begin,
                views=self.store,
                oversight=self.store.oversight,
                audit=self.store.audit,
                credentials=self.store.credentials,
                passwords=MemoryPasswords(entropy=os.urandom, cost=4),
                tokens=MemoryAccessTokens(),
                limits=MemoryRateLimits(clock=self.clock.now),
                gateways={False: self.gateway},
                notifier=self.notifier,
                doorbell=MemoryDoorbell(),
                clock=self.clock,
                entropy=os.urandom,
            )
        )
        self.worker = Worker(self.payments, self.store.claims, self.clock, wake=lambda: None, job_ended=self._ended)

    def _ended(self, _job: object, end: End) -> None:
        self.ends.append(end)

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[UnitOfWork]:
        async with self.store.begin() as work:
            yield work
        await self.after_commit()

    async def sweep_to(self, stop: Stop) -> None:
        """Do what is due, up to the stop."""
        await self.worker.sweep()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await stop.reached.wait()

    async def continue_from(self, stop: Stop) -> None:
        """Go on from the stop, and end what was under way; claim nothing more."""
        stop.go.set()

        async def idle() -> bool:
            return not self.worker.in_flight

        await until(idle)


@dataclass(slots=True)
class Shop:
    """A merchant, and two processes of the service."""

    one: Process
    other: Process
    clock: HandClock
    ledger: MemoryLedger
    caller: Caller
    channel: str

    async def pay(self, payment_method: str = "pm_approve") -> TransactionId:
        order = Pay(payment_key=self.channel, amount="10.00", currency="USD", payment_method=payment_method)
        return TransactionId(str((await self.other.payments.pay(self.caller, order)).resource))

    async def paid(self, payment_method: str = "pm_approve") -> TransactionId:
        id = await self.pay(payment_method)
        await self.other.worker.sweep_until_idle()
        assert await self.show(id, "status") == ("succeeded",)
        return id

    async def refund(self, id: TransactionId, amount: str | None = None) -> None:
        await self.other.payments.refund(self.caller, RefundTransaction(transaction=id, amount=amount))

    async def later(self, by: timedelta) -> None:
        """Let time pass, and have the other process do what is due then."""
        self.clock.move(by)
        await self.other.worker.sweep_until_idle()

    async def show(self, id: TransactionId, *names: str) -> tuple[Json, ...]:
        seen = (await self.other.payments.read.transaction(self.caller, id)).value
        return tuple(seen[name] for name in names)

    async def history(self, id: TransactionId) -> list[tuple[Json, Json]]:
        page = await self.other.payments.read.history(self.caller, id, ALL)
        return [(event["sequence"], event["type"]) for event in page.items]

    async def events(self, type: str) -> int:
        page = await self.other.payments.read.events(self.caller, ALL, EventFilter())
        return sum(event["type"] == type for event in page.items)

    async def moved(self, status: str) -> int:
        """Return how many minor units the gateway's books say were `charged`, or `refunded`."""
        return sum(each.amount.amount_minor for each in await self.ledger.entries() if each.status == status)


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    clock, ledger, engines = HandClock(NOW), MemoryLedger(), [create_engine(database_url) for _ in range(2)]
    one, other = (Process(engine, clock, ledger) for engine in engines)
    account = await one.payments.register(Register(email="shop@example.com", password="correct horse battery"))
    caller = Caller(merchant=MerchantId(str(account.json["id"])))
    channel = str((await one.payments.make_payment_key(caller)).json["key"])
    yield Shop(one, other, clock, ledger, caller, channel)
    for engine in engines:
        await engine.dispose()


PAID = [(1, "transaction.created"), (2, "transaction.processing"), (3, "transaction.succeeded")]


# ── a worker stopped past its lease, and continued


async def test_a_worker_stopped_before_it_prepared_does_nothing_more(shop: Shop) -> None:
    id = await shop.pay()
    [job] = await shop.one.store.claims.claim_jobs(at=shop.clock.now(), limit=1, lease=LEASE)
    await shop.later(OVER)
    with pytest.raises(LeaseLost):
        await shop.one.payments.processor.process(job)
    assert await shop.history(id) == PAID
    assert await shop.moved("charged") == 10_00


async def test_a_worker_stopped_between_its_record_of_a_call_and_the_call_does_not_make_it(shop: Shop) -> None:
    stop = shop.one.after_commit = Stop()
    id = await shop.pay()
    await shop.one.sweep_to(stop)
    assert await shop.show(id, "status") == ("processing",)
    await shop.later(OVER)
    assert await shop.history(id) == PAID
    called = shop.one.gateway.before = Stop()
    called.go.set()
    await shop.one.continue_from(stop)
    assert shop.one.ends == [End.LOST]
    assert not called.reached.is_set()
    assert await shop.history(id) == PAID
    assert await shop.moved("charged") == 10_00


async def test_a_worker_stopped_before_it_repeats_a_call_does_not_repeat_it(shop: Shop) -> None:
    id = await shop.pay("pm_error_once")
    await shop.other.worker.sweep_until_idle()
    await shop.later(SECOND)
    shop.clock.move(5 * SECOND)
    stop = shop.one.after_commit = Stop(skip=1)
    await shop.one.sweep_to(stop)
    await shop.later(OVER)
    assert await shop.history(id) == PAID
    called = shop.one.gateway.before = Stop()
    called.go.set()
    await shop.one.continue_from(stop)
    assert shop.one.ends == [End.LOST]
    assert not called.reached.is_set()


async def test_a_worker_stopped_for_a_moment_before_the_call_makes_it_while_the_job_is_its_own(shop: Shop) -> None:
    stop = shop.one.after_commit = Stop()
    id = await shop.pay()
    await shop.one.sweep_to(stop)
    shop.clock.move(10 * SECOND)
    await shop.one.continue_from(stop)
    assert shop.one.ends == [End.DONE]
    assert await shop.history(id) == PAID
    assert await shop.moved("charged") == 10_00


@pytest.mark.parametrize("arrived", [False, True])
async def test_a_call_that_is_under_way_beyond_its_lease_charges_once(shop: Shop, arrived: bool) -> None:
    stop = Stop()
    if arrived:
        shop.one.gateway.after = stop
    else:
        shop.one.gateway.before = stop
    id = await shop.pay()
    await shop.one.sweep_to(stop)
    await shop.later(OVER)
    assert await shop.history(id) == PAID
    await shop.one.continue_from(stop)
    assert shop.one.ends == [End.LOST]
    assert await shop.history(id) == PAID
    assert await shop.moved("charged") == 10_00


async def test_a_call_that_arrives_after_a_day_is_found_and_not_made_again(shop: Shop) -> None:
    stop = shop.one.gateway.before = Stop()
    id = await shop.pay()
    await shop.one.sweep_to(stop)
    await shop.later(timedelta(days=1))
    assert await shop.show(id, "status", "status_reason") == ("processing", "outcome_unknown")
    await shop.one.continue_from(stop)
    assert shop.one.ends == [End.LOST]
    assert await shop.show(id, "status") == ("processing",)
    await shop.later(SECOND)
    assert await shop.history(id) == PAID
    assert await shop.moved("charged") == 10_00


async def test_what_a_receiver_told_a_worker_that_was_stopped_counts_for_nothing(shop: Shop) -> None:
    stop = shop.one.notifier.stop = Stop()
    shop.one.notifier.status_code = 500
    made = await shop.one.payments.add_endpoint(
        shop.caller, AddEndpoint(url="https://shop.example.com/", events=("transaction.created",))
    )
    endpoint = EndpointId(str(made.resource))
    await shop.pay()
    await shop.one.sweep_to(stop)
    await shop.later(OVER)

    async def delivery() -> tuple[Json, int]:
        page = await shop.other.payments.read.deliveries(shop.caller, endpoint, ALL, DeliveryFilter())
        [shown] = page.items
        attempts = shown["attempts"]
        assert isinstance(attempts, list)
        return shown["status"], len(attempts)

    assert await delivery() == ("delivered", 1)
    await shop.one.continue_from(stop)
    assert await delivery() == ("delivered", 1)
    async with shop.other.store.begin() as work:
        assert (await work.endpoints.get(shop.caller.merchant, False, endpoint)).failing_since is None
    assert shop.one.notifier.sent == shop.other.notifier.sent, "at least once, by one id"


# ── refunds against a charge that turns out to have failed


async def test_a_refund_that_was_not_sent_when_its_charge_was_reversed_is_not_sent(shop: Shop) -> None:
    id = await shop.paid("pm_corrected_late")
    await shop.refund(id)
    [job] = await shop.one.store.claims.claim_jobs(at=shop.clock.now(), limit=1, lease=LEASE)
    await shop.later(LATE_DECISION_AFTER)
    assert await shop.show(id, "status", "amount_refund_pending") == ("failed", "10.00")
    await shop.one.payments.processor.process(job)
    assert await shop.show(id, "status", "amount_refunded", "amount_refund_pending") == ("failed", "0.00", "0.00")
    assert await shop.moved("refunded") == 0


@pytest.mark.parametrize("arrived", [False, True])
async def test_a_refund_that_was_being_sent_when_its_charge_was_reversed_ends_as_the_gateway_says(
    shop: Shop, arrived: bool
) -> None:
    id = await shop.paid("pm_corrected_late")
    await shop.refund(id)
    stop = Stop()
    if arrived:
        shop.one.gateway.after = stop
    else:
        shop.one.gateway.before = stop
    await shop.one.sweep_to(stop)
    await shop.later(LATE_DECISION_AFTER)
    assert await shop.show(id, "status", "amount_refund_pending") == ("failed", "10.00")
    await shop.one.continue_from(stop)
    assert shop.one.ends == [End.DONE]
    assert await shop.show(id, "status", "amount_refunded", "amount_refund_pending") == ("failed", "10.00", "0.00")
    assert await shop.moved("refunded") == 10_00


@pytest.mark.parametrize("arrived", [False, True])
async def test_a_refund_whose_sender_never_came_back_is_looked_for_and_not_sent_for_a_reversed_charge(
    shop: Shop, arrived: bool
) -> None:
    id = await shop.paid("pm_corrected_late")
    await shop.refund(id)
    stop = Stop()
    if arrived:
        shop.one.gateway.after = stop
    else:
        shop.one.after_commit = stop
    await shop.one.sweep_to(stop)
    await shop.later(LATE_DECISION_AFTER)
    await shop.later(OVER)
    refunded = "10.00" if arrived else "0.00"
    assert await shop.show(id, "status", "amount_refunded", "amount_refund_pending") == ("failed", refunded, "0.00")
    await shop.one.continue_from(stop)  # as late as that, it must not send it either
    assert shop.one.ends == [End.LOST]
    assert await shop.moved("refunded") == (10_00 if arrived else 0)


async def test_a_refund_that_had_been_sent_stays_when_its_charge_is_reversed(shop: Shop) -> None:
    id = await shop.paid("pm_corrected_late")
    await shop.refund(id, "4.00")
    await shop.other.worker.sweep_until_idle()
    await shop.later(LATE_DECISION_AFTER)
    assert await shop.show(id, "status", "amount_refunded", "amount_refundable") == ("failed", "4.00", "0.00")
    assert await shop.moved("refunded") == 4_00
    with pytest.raises(RuleBroken):
        await shop.refund(id, "1.00")


async def test_refunds_asked_for_while_a_charge_is_being_reversed_are_refused_or_end_as_the_gateway_says(
    shop: Shop,
) -> None:
    total = 0
    for _ in range(RACES):
        id = await shop.paid("pm_corrected_late")
        await shop.refund(id, "1.00")
        shop.clock.move(LATE_DECISION_AFTER)
        answers = await asyncio.gather(
            shop.one.worker.sweep_until_idle(),
            shop.other.worker.sweep_until_idle(),
            *(shop.refund(id, "2.00") for _ in range(3)),
            return_exceptions=True,
        )
        assert {type(answer) for answer in answers} <= {type(None), RuleBroken}
        await shop.later(OVER)
        status, refunded, pending = await shop.show(id, "status", "amount_refunded", "amount_refund_pending")
        assert (status, pending) == ("failed", "0.00")
        total += round(float(str(refunded)) * 100)
        assert await shop.moved("refunded") == total
        sequences = [sequence for sequence, _ in await shop.history(id)]
        assert sequences == list(range(1, len(sequences) + 1))


# ── an endpoint that has only failed for too long


async def test_an_endpoint_is_disabled_once_however_many_deliveries_fail_at_the_same_moment(shop: Shop) -> None:
    made = await shop.one.payments.add_endpoint(shop.caller, AddEndpoint(url="https://shop.example.com/"))
    audit = await shop.one.payments.add_endpoint(
        shop.caller, AddEndpoint(url="https://audit.example.com/", events=("webhook.disabled",))
    )
    endpoint = EndpointId(str(made.resource))
    for _ in range(8):
        await shop.pay()
    async with shop.one.store.begin() as work:
        failing = await work.endpoints.get(shop.caller.merchant, False, endpoint)
        work.endpoints.save(replace(failing, failing_since=shop.clock.now() - DISABLED_AFTER))
    together = asyncio.Barrier(8)

    async def meet() -> None:
        await together.wait()

    claims = []
    for process in (shop.one, shop.other):
        process.notifier.status_code, process.notifier.stop = 500, meet
        claims += [
            (process, claimed)
            for claimed in await process.store.claims.claim_deliveries(
                at=shop.clock.now(), room=a_room(limit=4), lease=LEASE
            )
        ]
    assert len(claims) == 8
    await asyncio.gather(*(process.payments.deliver(claimed) for process, claimed in claims))

    assert (await shop.other.payments.read.endpoint(shop.caller, endpoint)).value["enabled"] is False
    assert await shop.events("webhook.disabled") == 1
    page = await shop.other.payments.read.deliveries(shop.caller, endpoint, ALL, DeliveryFilter())
    assert [(each["status"], len(str(each["attempts"])) > 2) for each in page.items] == [("canceled", True)] * 8
    told = await shop.other.payments.read.deliveries(
        shop.caller, EndpointId(str(audit.resource)), ALL, DeliveryFilter()
    )
    assert [each["event_type"] for each in told.items] == ["webhook.disabled"]


async def test_an_endpoint_that_is_disabled_by_hand_meanwhile_is_not_told_of_again(shop: Shop) -> None:
    made = await shop.one.payments.add_endpoint(shop.caller, AddEndpoint(url="https://shop.example.com/"))
    endpoint = EndpointId(str(made.resource))
    await shop.pay()
    [claimed] = await shop.one.store.claims.claim_deliveries(at=shop.clock.now(), room=a_room(), lease=LEASE)
    stop = shop.one.notifier.stop = Stop()
    shop.one.notifier.status_code = 410
    delivering = asyncio.create_task(shop.one.payments.deliver(claimed))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await stop.reached.wait()
    await shop.other.payments.change_endpoint(shop.caller, endpoint, ChangeEndpoint(enabled=False))
    stop.go.set()
    await delivering
    assert await shop.events("webhook.disabled") == 0
    page = await shop.other.payments.read.deliveries(shop.caller, endpoint, ALL, DeliveryFilter())
    assert [each["status"] for each in page.items] == ["canceled"]
