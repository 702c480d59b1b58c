"""The sandbox gateway over books in memory: the contract, each script, and chance that repeats itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from adapters.sandbox import (
    SCRIPTS,
    EntryStatus,
    LedgerAway,
    LedgerEntry,
    MemoryLedger,
    Recorded,
    SandboxGateway,
    parse_latency,
)
from adapters.sandbox.gateway import LATE_DECISION_AFTER
from adapters.sandbox.scripts import SLOW_SECONDS
from payments_core.gateway import Approved, Declined, Misconfigured, NotSeen, Submission, Unknown
from payments_core.ids import AttemptId
from payments_core.testing.gateway import (
    CALLS_AT_ONCE,
    GatewayContract,
    GatewayUnderTest,
    charge_of,
    refund_of,
)


class HandClock:
    """A clock that moves when told, and a sleep that only notes how long it was asked to be."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 12, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.time

    async def wait(self, seconds: float, /) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


class LedgerThatIsAway(MemoryLedger):
    """Books that nobody can reach."""

    async def record(self, entry: LedgerEntry, /) -> Recorded:
        raise LedgerAway("the books are closed")

    async def find(self, attempt: AttemptId, /) -> LedgerEntry | None:
        raise LedgerAway("the books are closed")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def gateway(ledger: MemoryLedger, clock: HandClock) -> SandboxGateway:
    return SandboxGateway(ledger, clock=clock, sleep=clock.wait)


class TestSandboxOverMemory(GatewayContract):
    @pytest.fixture
    def subject(self, gateway: SandboxGateway, ledger: MemoryLedger) -> GatewayUnderTest:
        async def times_moved(attempt: AttemptId) -> int:
            return sum(entry.attempt == attempt and entry.code is None for entry in await ledger.entries())

        return GatewayUnderTest(
            gateway=gateway,
            approved_method="pm_approve",
            declined_method="pm_decline_fraud",
            times_moved=times_moved,
        )


async def approved_charge(gateway: SandboxGateway, payment_method: str | None) -> tuple[Submission, Approved]:
    charge = charge_of(payment_method)
    outcome = await gateway.submit(charge)
    assert isinstance(outcome, Approved)
    return charge, outcome


# ── scripts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_charge_that_names_no_payment_method_is_approved_for_good(gateway: SandboxGateway) -> None:
    _, charged = await approved_charge(gateway, None)
    assert charged.check_again_after is None


@pytest.mark.parametrize(
    ("payment_method", "code", "gateway_code", "retryable"),
    [
        ("pm_decline_insufficient_funds", "insufficient_funds", "51", True),
        ("pm_decline_expired", "expired_card", "54", False),
        ("pm_decline_fraud", "suspected_fraud", "59", False),
        ("pm_aprove", "unknown_payment_method", "14", False),
        ("card", "unknown_payment_method", "14", False),
    ],
)
async def test_a_declining_script_says_why_and_whether_another_try_is_worth_it(
    gateway: SandboxGateway, payment_method: str, code: str, gateway_code: str, retryable: bool
) -> None:
    outcome = await gateway.submit(charge_of(payment_method))
    assert isinstance(outcome, Declined)
    assert (outcome.code, outcome.gateway_code, outcome.retryable) == (code, gateway_code, retryable)
    assert outcome.message.endswith(".")
    assert payment_method not in outcome.message


async def test_a_time_out_that_charged_is_unknown_until_it_is_looked_up(
    gateway: SandboxGateway, ledger: MemoryLedger
) -> None:
    charge = charge_of("pm_timeout_charged")
    assert isinstance(await gateway.submit(charge), Unknown)
    assert [entry.status for entry in await ledger.entries()] == [EntryStatus.CHARGED]
    seen = await gateway.lookup(charge)
    assert isinstance(seen, Approved)
    assert await gateway.submit(charge) == seen
    assert len(await ledger.entries()) == 1


@pytest.mark.parametrize("payment_method", ["pm_timeout_not_charged", "pm_error_once"])
async def test_a_first_call_without_effect_is_not_seen_and_its_repeat_charges_once(
    gateway: SandboxGateway, ledger: MemoryLedger, payment_method: str
) -> None:
    charge = charge_of(payment_method)
    assert isinstance(await gateway.submit(charge), Unknown)
    assert await gateway.lookup(charge) == NotSeen()
    assert await gateway.lookup(charge) == NotSeen()
    assert await ledger.entries() == []
    repeated = await gateway.submit(charge)
    assert isinstance(repeated, Approved)
    assert await gateway.lookup(charge) == repeated
    assert [entry.status for entry in await ledger.entries()] == [EntryStatus.CHARGED]


@pytest.mark.parametrize("payment_method", ["pm_timeout_charged", "pm_timeout_not_charged", "pm_error_once"])
async def test_of_many_calls_at_once_a_disturbed_script_leaves_one_without_answer(
    gateway: SandboxGateway, ledger: MemoryLedger, payment_method: str
) -> None:
    charge = charge_of(payment_method)
    outcomes = await asyncio.gather(*(gateway.submit(charge) for _ in range(CALLS_AT_ONCE)))
    assert sum(isinstance(outcome, Unknown) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Approved) for outcome in outcomes) == CALLS_AT_ONCE - 1
    assert len(await ledger.entries()) == 1


async def test_a_refund_follows_the_script_of_its_charge(gateway: SandboxGateway) -> None:
    charge = charge_of("pm_timeout_charged")
    await gateway.submit(charge)
    charged = await gateway.lookup(charge)
    assert isinstance(charged, Approved)
    refund = refund_of(charge, charged.reference)
    assert isinstance(await gateway.submit(refund), Unknown)
    assert isinstance(await gateway.lookup(refund), Approved)


async def test_a_slow_charge_is_in_the_books_long_before_its_answer(ledger: MemoryLedger, clock: HandClock) -> None:
    answering, go_on = asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        clock.slept.append(seconds)
        answering.set()
        await go_on.wait()

    gateway = SandboxGateway(ledger, clock=clock, sleep=sleep)
    charge = charge_of("pm_slow")
    call = asyncio.create_task(gateway.submit(charge))
    await answering.wait()
    assert isinstance(await gateway.lookup(charge), Approved)
    assert not call.done()
    go_on.set()
    assert isinstance(await call, Approved)
    assert clock.slept == [SLOW_SECONDS]


async def test_refunds_of_a_charge_may_be_declined_one_by_one(gateway: SandboxGateway, ledger: MemoryLedger) -> None:
    charge, charged = await approved_charge(gateway, "pm_refund_fails")
    refund = refund_of(charge, charged.reference)
    outcome = await gateway.submit(refund)
    assert isinstance(outcome, Declined)
    assert outcome.code == "refund_refused"
    entries = {entry.attempt: entry for entry in await ledger.entries()}
    assert entries[charge.id].status is EntryStatus.CHARGED
    assert entries[refund.id].status is EntryStatus.DECLINED
    assert entries[refund.id].charge_reference == charged.reference


async def test_a_refund_that_comes_back_late_is_approved_until_then(
    gateway: SandboxGateway, ledger: MemoryLedger, clock: HandClock
) -> None:
    charge, charged = await approved_charge(gateway, "pm_refund_returned_late")
    assert charged.check_again_after is None
    refund = refund_of(charge, charged.reference)
    outcome = await gateway.submit(refund)
    assert isinstance(outcome, Approved)
    assert outcome.check_again_after == LATE_DECISION_AFTER
    clock.time += LATE_DECISION_AFTER - timedelta(microseconds=1)
    assert await gateway.lookup(refund) == outcome
    clock.time += timedelta(microseconds=1)
    returned = await gateway.lookup(refund)
    assert isinstance(returned, Declined)
    assert returned.code == "returned"
    clock.time += timedelta(days=1)
    assert await gateway.lookup(refund) == returned
    entries = {entry.attempt: entry for entry in await ledger.entries()}
    assert entries[charge.id].status is EntryStatus.CHARGED
    assert entries[refund.id].status is EntryStatus.DECLINED
    assert entries[refund.id].changed_at == clock.time - timedelta(days=1)


async def test_a_charge_that_is_corrected_late_was_approved_and_is_then_reversed(
    gateway: SandboxGateway, ledger: MemoryLedger, clock: HandClock
) -> None:
    charge, charged = await approved_charge(gateway, "pm_corrected_late")
    assert charged.check_again_after == LATE_DECISION_AFTER
    refund = refund_of(charge, charged.reference)
    assert await gateway.submit(refund) == Approved(reference=f"sandbox_refund_{refund.id}")
    clock.time += LATE_DECISION_AFTER
    reversed_ = await gateway.lookup(charge)
    assert isinstance(reversed_, Declined)
    assert reversed_.code == "reversed"
    assert await gateway.submit(charge) == reversed_
    entries = {entry.attempt: entry.status for entry in await ledger.entries()}
    assert entries == {charge.id: EntryStatus.DECLINED, refund.id: EntryStatus.REFUNDED}


async def test_each_script_of_the_documentation_is_there() -> None:
    assert set(SCRIPTS) == {
        "pm_approve",
        "pm_decline_insufficient_funds",
        "pm_decline_expired",
        "pm_decline_fraud",
        "pm_timeout_charged",
        "pm_timeout_not_charged",
        "pm_error_once",
        "pm_slow",
        "pm_refund_fails",
        "pm_refund_returned_late",
        "pm_corrected_late",
    }


# ── promises around the scripts ──────────────────────────────────────────────────────────────────────────────────────


async def test_live_money_is_refused_and_leaves_no_trace(gateway: SandboxGateway, ledger: MemoryLedger) -> None:
    charge = replace(charge_of("pm_approve"), livemode=True)
    assert isinstance(await gateway.submit(charge), Misconfigured)
    assert isinstance(await gateway.lookup(charge), Misconfigured)
    assert await ledger.entries() == []
    assert not gateway.capabilities.livemode


async def test_an_outcome_is_unknown_while_the_books_are_away(clock: HandClock) -> None:
    gateway = SandboxGateway(LedgerThatIsAway(), clock=clock, sleep=clock.wait)
    charge = charge_of("pm_approve")
    assert await gateway.submit(charge) == Unknown(why="the books are closed")
    assert await gateway.lookup(charge) == Unknown(why="the books are closed")


async def test_the_books_are_read_page_by_page_in_the_order_of_attempts(
    gateway: SandboxGateway, ledger: MemoryLedger
) -> None:
    charges = [charge_of(None) for _ in range(3)]
    for charge in reversed(charges):
        await gateway.submit(charge)
    ids = sorted(charge.id for charge in charges)
    first = await ledger.entries(limit=2)
    rest = await ledger.entries(after=first[-1].attempt, limit=2)
    assert [entry.attempt for entry in first] == ids[:2]
    assert [entry.attempt for entry in rest] == ids[2:]


# ── chance and latency ───────────────────────────────────────────────────────────────────────────────────────────────


def numbered(charges: int) -> list[Submission]:
    return [replace(charge_of(None), id=AttemptId(f"att_{number:026}")) for number in range(charges)]


async def approvals(charges: list[Submission], *, rate: float, seed: int | None) -> dict[AttemptId, bool]:
    clock = HandClock()
    gateway = SandboxGateway(MemoryLedger(), approval_rate=rate, seed=seed, clock=clock, sleep=clock.wait)
    return {charge.id: isinstance(await gateway.submit(charge), Approved) for charge in charges}


async def test_the_same_seed_approves_the_same_charges_in_any_order_and_another_seed_others() -> None:
    charges = numbered(100)
    first = await approvals(charges, rate=0.8, seed=1)
    assert await approvals(charges[::-1], rate=0.8, seed=1) == first
    assert await approvals(charges, rate=0.8, seed=2) != first


async def test_about_as_many_charges_are_approved_as_the_rate_says() -> None:
    approved = await approvals(numbered(1_000), rate=0.8, seed=7)
    assert 750 <= sum(approved.values()) <= 850
    assert not any((await approvals(numbered(50), rate=0, seed=7)).values())
    assert all((await approvals(numbered(50), rate=1, seed=7)).values())


async def test_the_rate_touches_neither_refunds_nor_other_scripts(clock: HandClock) -> None:
    gateway = SandboxGateway(MemoryLedger(), approval_rate=0, clock=clock, sleep=clock.wait)
    declined = await gateway.submit(charge_of("pm_approve"))
    assert isinstance(declined, Declined)
    assert (declined.code, declined.retryable) == ("declined", True)
    await approved_charge(gateway, "pm_slow")
    assert isinstance(await gateway.submit(refund_of(charge_of(None), "sandbox_charge_1")), Approved)


async def test_a_latency_is_within_its_range_and_the_same_for_the_same_attempt(ledger: MemoryLedger) -> None:
    clock = HandClock()
    gateway = SandboxGateway(ledger, latency=(3, 5), seed=1, clock=clock, sleep=clock.wait)
    charges = numbered(20)
    for charge in charges + charges:
        await gateway.submit(charge)
    assert clock.slept[:20] == clock.slept[20:]
    assert all(3 <= seconds <= 5 for seconds in clock.slept)
    assert max(clock.slept) - min(clock.slept) > 1


@pytest.mark.parametrize(
    ("text", "latency"),
    [("3-5", (3, 5)), ("0.2", (0.2, 0.2)), ("0", (0, 0)), (" 0.5-1.5 ", (0.5, 1.5)), ("60", (60, 60))],
)
def test_a_latency_is_a_number_or_a_range_of_seconds(text: str, latency: tuple[float, float]) -> None:
    assert parse_latency(text) == latency


@pytest.mark.parametrize("text", ["", "fast", "-1", "1-", "1-2-3", "1e3", "nan", "inf", "0,2", "٣", "1.", ".5", "3 s"])
def test_what_is_no_latency_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match='a range such as "3-5"'):
        parse_latency(text)


@pytest.mark.parametrize("text", ["5-3", "61", "1-60.5", "9" * 400])
def test_a_latency_out_of_bounds_is_refused_with_the_bounds(text: str) -> None:
    with pytest.raises(ValueError, match="between 0 and 60 seconds, the smaller number first"):
        parse_latency(text)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_an_approval_rate_is_a_share(rate: float, clock: HandClock) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        SandboxGateway(MemoryLedger(), approval_rate=rate, clock=clock)


def test_a_gateway_is_not_made_with_a_latency_out_of_bounds(clock: HandClock) -> None:
    with pytest.raises(ValueError, match="between 0 and 60 seconds"):
        SandboxGateway(MemoryLedger(), latency=(2, 1), clock=clock)
