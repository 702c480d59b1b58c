"""The worker: how much it takes on, what it hands back, and what a busy store does to it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from adapters.memory import HandClock, MemoryGateway, MemoryPasswords, memory_payments
from payments_core import AddEndpoint, Caller, Pay, Payments, Register, Unavailable, worker
from payments_core.gateway import Outcome, Submission
from payments_core.ids import MerchantId, TransactionId
from payments_core.job import LEASE, Job
from payments_core.ports import Answered, Notification
from payments_core.testing.builders import NOW
from payments_core.webhook import ENDPOINTS_MAX, Delivery
from payments_core.worker import (
    DELIVERIES_IN_FLIGHT_EACH_FAILING_MAX,
    DELIVERIES_IN_FLIGHT_EACH_MAX,
    DELIVERIES_IN_FLIGHT_EACH_MERCHANT_MAX,
    DELIVERIES_IN_FLIGHT_FAILING_MAX,
    DELIVERIES_IN_FLIGHT_MAX,
    Worker,
)
from tests.patience import PATIENCE_SECONDS, until


@dataclass(slots=True)
class Held:
    """A receiver that answers when it is let go."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)
    hanging: int = 0

    def refuses(self, url: str, /) -> str | None:
        return None

    async def send(self, notification: Notification, /) -> Answered:
        self.asked.append(notification.url)
        if "slow" in notification.url:
            self.hanging += 1
            await self.go.wait()
            self.hanging -= 1
        return Answered(status_code=500 if "failing" in notification.url else 204, milliseconds=1, excerpt="")


class Busy(MemoryGateway):
    """A gateway behind which the store is too busy, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def submit(self, submission: Submission, /) -> Outcome:
        if self.times:
            self.times -= 1
            raise Unavailable("too busy")
        return await super().submit(submission)


@dataclass(slots=True, kw_only=True)
class Shop:
    payments: Payments
    worker: Worker
    clock: HandClock
    caller: Caller
    channel: str

    async def pay(self) -> TransactionId:
        paid = await self.payments.pay(self.caller, Pay(payment_key=self.channel, amount="1.00", currency="USD"))
        return TransactionId(str(paid.json["id"]))

    async def neighbour(self, email: str) -> Shop:
        """Return another merchant's shop at the same service."""
        account = await self.payments.register(Register(email=email, password="correct horse battery"))
        caller = Caller(merchant=MerchantId(str(account.json["id"])))
        channel = str((await self.payments.make_payment_key(caller)).json["key"])
        return replace(self, caller=caller, channel=channel)

    async def listen(self, *urls: str) -> None:
        for url in urls:
            await self.payments.add_endpoint(self.caller, AddEndpoint(url=url))

    async def sweep_until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():
                await self.worker.sweep()
                await asyncio.sleep(0)

    async def all_is_recorded(self) -> None:
        """Return when what is under way has ended, and nothing new was claimed."""

        async def idle() -> bool:
            return not self.worker.in_flight

        await until(idle)

    async def status(self, id: TransactionId) -> object:
        return (await self.payments.read.transaction(self.caller, id)).value["status"]


async def open_shop(*, gateway: MemoryGateway | None = None, notifier: Held | None = None) -> Shop:
    clock, passwords = HandClock(NOW), MemoryPasswords(entropy=os.urandom, cost=4)
    payments, own = memory_payments(gateway=gateway, notifier=notifier or Held(), passwords=passwords, clock=clock)
    account = await payments.register(Register(email="shop@example.com", password="correct horse battery"))
    caller = Caller(merchant=MerchantId(str(account.json["id"])))
    channel = str((await payments.make_payment_key(caller)).json["key"])
    return Shop(payments=payments, worker=own, clock=clock, caller=caller, channel=channel)


async def test_a_job_that_met_a_busy_store_is_done_again_before_its_lease_runs_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "PAUSE_SECONDS", 0.0)
    shop = await open_shop(gateway=Busy(times=3))
    id = await shop.pay()
    await shop.worker.sweep_until_idle()
    assert await shop.status(id) == "succeeded"


async def test_a_job_that_a_busy_store_does_not_take_back_is_handed_back_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "PAUSE_SECONDS", 0.0)
    shop, refusals = await open_shop(gateway=Busy(times=1)), 3
    claims = shop.worker._claims
    release = claims.release

    async def busy(jobs: Sequence[Job], deliveries: Sequence[Delivery], /) -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise Unavailable("too busy")
        await release(jobs, deliveries)

    monkeypatch.setattr(claims, "release", busy)
    id = await shop.pay()
    await shop.worker.sweep_until_idle()
    assert (await shop.status(id), refusals) == ("succeeded", 0)


async def test_an_endpoint_that_hangs_holds_ten_places_and_delays_no_other() -> None:
    receivers = Held()
    shop = await open_shop(notifier=receivers)
    await shop.listen("https://slow.example.com/", "https://fast.example.com/")
    for _ in range(15):
        await shop.pay()
    await shop.sweep_until(lambda: sum("fast" in url for url in receivers.asked) == 15 * 3)
    assert sum("slow" in url for url in receivers.asked) == DELIVERIES_IN_FLIGHT_EACH_MAX
    receivers.go.set()
    await shop.worker.sweep_until_idle()
    assert sum("slow" in url for url in receivers.asked) == 15 * 3


async def test_merchants_all_of_whose_endpoints_hang_delay_no_other_merchant() -> None:
    receivers = Held()
    quiet = await open_shop(notifier=receivers)
    await quiet.listen("https://fast.example.com/")
    for number in range(3):
        busy = await quiet.neighbour(f"busy{number}@example.com")
        await busy.listen(*(f"https://slow.example.com/{each}" for each in range(ENDPOINTS_MAX)))
        for _ in range(6):
            await busy.pay()
    share = DELIVERIES_IN_FLIGHT_EACH_MERCHANT_MAX
    await quiet.sweep_until(lambda: receivers.hanging == 3 * share)
    await quiet.pay()
    await quiet.sweep_until(lambda: sum("fast" in url for url in receivers.asked) == 3)
    assert receivers.hanging == 3 * share, "all of them still hang, each merchant's on its share of the places"
    receivers.go.set()
    await quiet.worker.sweep_until_idle()
    assert len(receivers.asked) == 3 * 6 * 3 * ENDPOINTS_MAX + 3


async def test_endpoints_known_to_fail_leave_most_places_to_the_others_however_many_hang() -> None:
    receivers = Held()
    quiet = await open_shop(notifier=receivers)
    await quiet.listen("https://fast.example.com/")
    merchants = DELIVERIES_IN_FLIGHT_MAX // DELIVERIES_IN_FLIGHT_EACH_MERCHANT_MAX
    for number in range(merchants):
        busy = await quiet.neighbour(f"busy{number}@example.com")
        await busy.listen(*(f"https://slow.failing.example.com/{each}" for each in range(ENDPOINTS_MAX)))
        for _ in range(6):
            await busy.pay()
    await quiet.sweep_until(lambda: receivers.hanging == DELIVERIES_IN_FLIGHT_MAX)
    receivers.go.set()
    await quiet.all_is_recorded()
    receivers.go.clear()  # each has failed once, and from now on they hang as if for ever
    await quiet.sweep_until(lambda: receivers.hanging == DELIVERIES_IN_FLIGHT_FAILING_MAX)
    await quiet.pay()
    await quiet.sweep_until(lambda: sum("fast" in url for url in receivers.asked) == 3)
    assert receivers.hanging == DELIVERIES_IN_FLIGHT_FAILING_MAX
    receivers.go.set()
    await quiet.worker.sweep_until_idle()


async def test_a_merchants_endpoints_that_hang_leave_places_to_its_other_ones() -> None:
    receivers = Held()
    shop = await open_shop(notifier=receivers)
    slow = [f"https://slow.failing.example.com/{each}" for each in range(ENDPOINTS_MAX - 1)]
    await shop.listen(*slow, "https://fast.example.com/")
    for _ in range(6):
        await shop.pay()
    await shop.sweep_until(lambda: receivers.hanging == DELIVERIES_IN_FLIGHT_EACH_MERCHANT_MAX)
    receivers.go.set()
    await shop.all_is_recorded()
    receivers.go.clear()
    await shop.sweep_until(lambda: receivers.hanging == DELIVERIES_IN_FLIGHT_EACH_FAILING_MAX * len(slow))
    before = sum("fast" in url for url in receivers.asked)
    await shop.pay()
    await shop.sweep_until(lambda: sum("fast" in url for url in receivers.asked) == before + 3)
    assert receivers.hanging == DELIVERIES_IN_FLIGHT_EACH_FAILING_MAX * len(slow)
    receivers.go.set()
    await shop.worker.sweep_until_idle()


async def test_what_cannot_be_finished_in_time_is_handed_back_and_done_by_another() -> None:
    receivers = Held()
    shop = await open_shop(notifier=receivers)
    await shop.payments.add_endpoint(shop.caller, AddEndpoint(url="https://slow.example.com/"))
    await shop.pay()
    await shop.worker.sweep()
    async with asyncio.timeout(10):
        while not receivers.asked:
            await shop.worker.sweep()
            await asyncio.sleep(0)
    await shop.worker.stop(patience=timedelta(0))
    assert shop.worker.in_flight == 0
    receivers.go.set()
    other = Worker(shop.payments, shop.worker._claims, shop.clock, wake=lambda: None)
    await other.sweep_until_idle()
    assert len(receivers.asked) == 4, "the one that was broken off is sent again, and each event once besides"


async def test_what_is_under_way_is_kept_by_a_heartbeat_and_lost_without() -> None:
    receivers = Held()
    shop = await open_shop(notifier=receivers)
    await shop.listen("https://slow.example.com/")
    await shop.pay()
    await shop.sweep_until(lambda: receivers.hanging == 3)
    other = Worker(shop.payments, shop.worker._claims, shop.clock, wake=lambda: None)
    shop.clock.move(LEASE * 0.75)
    await shop.worker.heartbeat()
    shop.clock.move(LEASE * 0.75)
    await other.sweep()
    assert other.in_flight == 0
    shop.clock.move(LEASE * 0.25)
    await other.sweep()
    assert other.in_flight == 3
    await shop.worker.heartbeat()  # which gives a lost lease back to nobody
    receivers.go.set()
    await other.sweep_until_idle()
    await shop.all_is_recorded()
    assert len(receivers.asked) == 6
    assert (await shop.worker._claims.backlog(at=shop.clock.now())).deliveries_due == 0
