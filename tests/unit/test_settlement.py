"""What becomes of payments and refunds when the gateway is slow, silent, wrong about itself or changes its mind."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from adapters.memory import HandClock, MemoryPasswords, memory_payments
from payments_core import Caller, Pay, Payments, RefundTransaction, Register
from payments_core.attempt import LOOKUP_SCHEDULE
from payments_core.errors import LeaseLost
from payments_core.gateway import (
    Approved,
    Capabilities,
    Declined,
    Misconfigured,
    NotSeen,
    Outcome,
    Pending,
    Sighting,
    Submission,
    Unknown,
)
from payments_core.ids import MerchantId, TransactionId
from payments_core.job import LEASE, PUT_OFF
from payments_core.testing.builders import NOW
from payments_core.transaction import Status
from payments_core.use_cases import process_job
from payments_core.use_cases.process_job import CALL_WITHIN
from payments_core.values import Json, encode_json
from payments_core.worker import Worker

LATER = timedelta(minutes=1)
APPROVED = Approved(reference="ch_1")
DECLINED = Declined(code="reversed", message="The charge was reversed.")


@dataclass(slots=True)
class Scripted:
    """A gateway that says what it is told to, in order; after that it approves."""

    says: deque[Sighting | Exception] = field(default_factory=deque)
    submitted: list[Submission] = field(default_factory=list)
    looked_up: list[Submission] = field(default_factory=list)
    name: str = "scripted"
    hangs: bool = False

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            name=self.name, livemode=False, key_retention=timedelta(hours=24), quiet_period=timedelta(seconds=3)
        )

    async def submit(self, submission: Submission, /) -> Outcome:
        self.submitted.append(submission)
        outcome = await self._next()
        assert not isinstance(outcome, NotSeen)
        return outcome

    async def lookup(self, submission: Submission, /) -> Sighting:
        self.looked_up.append(submission)
        return await self._next()

    async def _next(self) -> Sighting:
        if self.hangs:
            await asyncio.Event().wait()
        said = self.says.popleft() if self.says else APPROVED
        if isinstance(said, Exception):
            raise said
        return said


@dataclass(slots=True, kw_only=True)
class Shop:
    payments: Payments
    worker: Worker
    clock: HandClock
    gateway: Scripted
    caller: Caller
    channel: str

    async def pay(self, *says: Sighting | Exception) -> TransactionId:
        """Pay 10.00 while the gateway is to say this, and do what is due."""
        self.gateway.says.extend(says)
        paid = await self.payments.pay(self.caller, Pay(payment_key=self.channel, amount="10.00", currency="USD"))
        await self.worker.sweep_until_idle()
        return TransactionId(str(paid.json["id"]))

    async def refund(self, id: TransactionId, *says: Sighting | Exception) -> None:
        self.gateway.says.extend(says)
        await self.payments.refund(self.caller, RefundTransaction(transaction=id))
        await self.worker.sweep_until_idle()

    async def later(self, by: timedelta) -> None:
        self.clock.move(by)
        await self.worker.sweep_until_idle()

    async def show(self, id: TransactionId, *names: str) -> tuple[Json, ...]:
        seen = (await self.payments.read.transaction(self.caller, id)).value
        return tuple(seen[name] for name in names)


@pytest.fixture
async def shop() -> Shop:
    clock, gateway = HandClock(NOW), Scripted()
    passwords = MemoryPasswords(entropy=os.urandom, cost=4)
    payments, worker = memory_payments(gateway=gateway, passwords=passwords, clock=clock)
    account = await payments.register(Register(email="shop@example.com", password="correct horse battery"))
    caller = Caller(merchant=MerchantId(str(account.json["id"])))
    channel = str((await payments.make_payment_key(caller)).json["key"])
    return Shop(payments=payments, worker=worker, clock=clock, gateway=gateway, caller=caller, channel=channel)


async def reverse(shop: Shop, id: TransactionId) -> None:
    """Have a succeeded payment corrected, as a late word of the gateway would."""
    async with shop.payments._ports.begin() as work:
        transaction = await work.transactions.get(shop.caller.merchant, False, id)
        attempt = await work.attempts.of(shop.caller.merchant, id)
        assert attempt is not None
        corrected, _ = transaction.correct(Status.FAILED, at=shop.clock.now(), evidence={}, failure=None)
        work.transactions.save(corrected)
        work.attempts.save(attempt.decline("reversed", shop.clock.now()))


async def test_a_refund_of_a_charge_that_was_reversed_meanwhile_is_not_paid_out(shop: Shop) -> None:
    id = await shop.pay()
    await shop.payments.refund(shop.caller, RefundTransaction(transaction=id))
    await reverse(shop, id)
    await shop.worker.sweep_until_idle()
    assert [submission.kind for submission in shop.gateway.submitted] == ["charge"]
    assert await shop.show(id, "status", "amount_refunded", "amount_refund_pending") == ("failed", "0.00", "0.00")
    assert '"code":"transaction_not_refundable"' in encode_json(await shop.show(id, "refunds")).decode()


async def test_a_refund_that_never_arrived_is_not_sent_again_once_its_charge_was_reversed(shop: Shop) -> None:
    id = await shop.pay()
    await shop.refund(id, Misconfigured(why="the secret key is wrong"))
    await reverse(shop, id)
    shop.gateway.says.append(NotSeen())
    await shop.later(PUT_OFF)
    assert [submission.kind for submission in shop.gateway.submitted] == ["charge", "refund"]
    assert [submission.kind for submission in shop.gateway.looked_up] == ["refund"]
    assert await shop.show(id, "amount_refunded", "amount_refund_pending") == ("0.00", "0.00")


async def test_a_refund_is_not_said_to_have_never_arrived_just_after_it_was_sent_again(shop: Shop) -> None:
    id = await shop.pay()
    await shop.refund(id, Misconfigured(why="the secret key is wrong"), Unknown(why="cut"))
    await shop.later(PUT_OFF)
    await reverse(shop, id)
    shop.gateway.says.extend([NotSeen(), NotSeen(), NotSeen()])
    await shop.later(LOOKUP_SCHEDULE[0])
    assert await shop.show(id, "amount_refund_pending") == ("10.00",)
    # The quiet period is over, but not for a call that was made as late as one may be.
    await shop.later(LOOKUP_SCHEDULE[1])
    assert await shop.show(id, "amount_refund_pending") == ("10.00",)
    await shop.later(LOOKUP_SCHEDULE[2])
    assert await shop.show(id, "amount_refunded", "amount_refund_pending") == ("0.00", "0.00")


class TestAWorkerThatStoodStillBeforeItsCall:
    """Somebody else may have decided meanwhile that the call will never arrive."""

    @pytest.mark.parametrize("seconds", [CALL_WITHIN.total_seconds() + 1, -CALL_WITHIN.total_seconds() - 1])
    async def test_does_not_make_it(self, shop: Shop, seconds: float) -> None:
        processor = replace(shop.payments.processor, clock=HandClock(shop.clock.now() + timedelta(seconds=seconds)))
        id = await shop.payments.pay(shop.caller, Pay(payment_key=shop.channel, amount="10.00", currency="USD"))
        [job] = await shop.worker._claims.claim_jobs(at=shop.clock.now(), limit=1, lease=LEASE)
        await processor.process(job)
        assert shop.gateway.submitted == []
        assert await shop.show(TransactionId(str(id.resource)), "status", "status_reason") == (
            "processing",
            "outcome_unknown",
        )

    async def test_leaves_it_to_be_looked_up_and_made_later(self, shop: Shop) -> None:
        processor = replace(shop.payments.processor, clock=HandClock(shop.clock.now() + 2 * CALL_WITHIN))
        id = await shop.payments.pay(shop.caller, Pay(payment_key=shop.channel, amount="10.00", currency="USD"))
        [job] = await shop.worker._claims.claim_jobs(at=shop.clock.now(), limit=1, lease=LEASE)
        await processor.process(job)
        shop.gateway.says.append(NotSeen())
        await shop.later(LOOKUP_SCHEDULE[1])
        assert len(shop.gateway.submitted) == 1
        assert await shop.show(TransactionId(str(id.resource)), "status") == ("succeeded",)


async def test_who_lost_a_job_does_not_call_the_gateway_for_it(shop: Shop) -> None:
    id = await shop.pay()
    await shop.payments.refund(shop.caller, RefundTransaction(transaction=id))
    [lost] = await shop.worker._claims.claim_jobs(at=shop.clock.now(), limit=1, lease=LEASE)
    await reverse(shop, id)
    await shop.later(LEASE)
    assert await shop.show(id, "amount_refunded", "amount_refund_pending") == ("0.00", "0.00")
    with pytest.raises(LeaseLost):
        await shop.payments.processor.process(lost)
    assert [submission.kind for submission in shop.gateway.submitted] == ["charge"]


async def test_a_call_that_is_late_each_time_is_not_made(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_job, "CALL_WITHIN", timedelta(0))
    id = await shop.pay()
    assert await shop.show(id, "status", "status_reason") == ("processing", "outcome_unknown")
    assert not shop.gateway.submitted


@pytest.mark.parametrize("blip", [Unknown(why="cut"), Pending(), NotSeen()])
async def test_a_correction_comes_through_though_the_first_look_found_nothing(shop: Shop, blip: Sighting) -> None:
    id = await shop.pay(Approved(reference="ch_1", check_again_after=LATER), blip, DECLINED)
    await shop.later(LATER)
    assert await shop.show(id, "status", "status_reason") == ("succeeded", None)
    await shop.later(LOOKUP_SCHEDULE[1])
    assert await shop.show(id, "status") == ("failed",)


async def test_a_closed_payment_about_which_the_gateway_stays_silent_stays_as_it_is(shop: Shop) -> None:
    silence = [Unknown(why="cut")] * (len(LOOKUP_SCHEDULE) + 5)
    id = await shop.pay(Approved(reference="ch_1", check_again_after=LATER), *silence)
    await shop.later(LATER)
    for wait in LOOKUP_SCHEDULE:
        await shop.later(wait)
    assert await shop.show(id, "status", "status_reason") == ("succeeded", None)
    looks = len(shop.gateway.looked_up)
    await shop.later(timedelta(days=30))
    assert len(shop.gateway.looked_up) == looks == len(LOOKUP_SCHEDULE)


async def test_an_unknown_outcome_is_looked_up_by_the_schedule_and_then_waits_for_a_person(shop: Shop) -> None:
    id = await shop.pay(*[Unknown(why="cut")] * (len(LOOKUP_SCHEDULE) + 5))
    for wait in LOOKUP_SCHEDULE:
        assert await shop.show(id, "status", "status_reason") == ("processing", "outcome_unknown")
        await shop.later(wait)
    assert await shop.show(id, "status", "status_reason") == ("processing", "needs_review")
    await shop.later(timedelta(days=30))
    assert len(shop.gateway.looked_up) == len(LOOKUP_SCHEDULE)
    assert len(shop.gateway.submitted) == 1


async def test_an_unknown_outcome_that_turns_out_to_be_under_way_is_no_longer_called_unknown(shop: Shop) -> None:
    id = await shop.pay(Unknown(why="cut"), Pending(reference="ch_1"))
    await shop.later(LOOKUP_SCHEDULE[0])
    assert await shop.show(id, "status", "status_reason") == ("processing", None)


async def test_a_payment_of_a_gateway_that_is_not_there_any_more_is_not_charged_at_another(shop: Shop) -> None:
    id = await shop.pay(Unknown(why="cut"))
    shop.gateway.name = "another"
    await shop.later(LOOKUP_SCHEDULE[0])
    assert (len(shop.gateway.submitted), len(shop.gateway.looked_up)) == (1, 0)
    shop.gateway.name = "scripted"
    await shop.later(PUT_OFF)
    assert await shop.show(id, "status") == ("succeeded",)


async def test_a_gateway_of_the_other_mode_is_refused(shop: Shop) -> None:
    with pytest.raises(ValueError, match="scripted is not of the mode"):
        Payments(replace(shop.payments._ports, gateways={True: shop.gateway}))


async def test_a_gateway_that_never_answers_is_an_unknown_outcome(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_job, "GATEWAY_SECONDS_MAX", 0.01)
    shop.gateway.hangs = True
    id = await shop.pay()
    assert await shop.show(id, "status", "status_reason") == ("processing", "outcome_unknown")
    shop.gateway.hangs = False
    await shop.later(LOOKUP_SCHEDULE[0])
    assert await shop.show(id, "status") == ("succeeded",)


async def test_a_gateway_that_refuses_us_is_asked_again_until_somebody_has_mended_it(shop: Shop) -> None:
    id = await shop.pay(*[Misconfigured(why="the secret key is wrong")] * 30)
    for _ in range(29):
        await shop.later(PUT_OFF)
    assert await shop.show(id, "status") == ("processing",)
    await shop.later(PUT_OFF)
    assert await shop.show(id, "status") == ("succeeded",)
    assert len({submission.id for submission in shop.gateway.submitted}) == 1


async def test_the_text_of_an_unforeseen_error_is_not_kept_with_the_job(
    shop: Shop, record_jobs: Callable[[], list[str | None]]
) -> None:
    await shop.pay(RuntimeError("POST https://user:sk_live_secret@gateway/ refused"))
    assert record_jobs() == ["RuntimeError"]


@pytest.fixture
def record_jobs(shop: Shop) -> Callable[[], list[str | None]]:
    def errors() -> list[str | None]:
        state = shop.worker._claims._state  # type: ignore[attr-defined]  # the memory store's
        return [job.last_error for job in state.jobs.values()]

    return errors


async def test_a_refund_that_failed_and_is_approved_later_waits_for_a_person(shop: Shop) -> None:
    id = await shop.pay()
    await shop.refund(id, Declined(code="no", message="No.", check_again_after=LATER), APPROVED)
    assert await shop.show(id, "amount_refunded", "amount_refundable") == ("0.00", "10.00")
    await shop.later(LATER)
    assert await shop.show(id, "amount_refunded", "amount_refundable") == ("0.00", "10.00")
