"""What people do with dead jobs, and with attempts of which the gateway's word did not come or was wrong."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from adapters.memory import HandClock, MemoryPasswords, memory_payments
from payments_core import (
    Caller,
    Conflict,
    Invalid,
    InvalidCredentials,
    LogIn,
    NotFound,
    Payments,
    Register,
    Resolve,
    RuleBroken,
    describe_staff,
)
from payments_core.attempt import LOOKUP_SCHEDULE, Attempt, AttemptKind, AttemptState
from payments_core.audit import Action
from payments_core.gateway import Approved, Declined, Sighting, Unknown
from payments_core.idempotency import Once, fingerprint
from payments_core.ids import AttemptId, JobId, MerchantId, TransactionId
from payments_core.job import BACKOFF_MAX, FAILURES_MAX, JobState
from payments_core.overall import RecordFilter
from payments_core.page import Position
from payments_core.ports import AttemptFilter, AuditFilter, EventFilter, JobFilter, TransactionFilter, Window
from payments_core.refund import RETURNED
from payments_core.testing.builders import NOW
from payments_core.use_cases.make_api_key import MakeApiKey
from payments_core.use_cases.manage_webhooks import AddEndpoint
from payments_core.use_cases.read_lists import ListQuery
from payments_core.use_cases.refund_transaction import RefundTransaction
from payments_core.use_cases.resolve_attempt import NOTE_LENGTH_MAX
from payments_core.values import Json
from tests.unit.test_settlement import Scripted, Shop

LATER = timedelta(minutes=1)
EMAIL, PASSWORD = "shop@example.com", "correct horse battery"
URL = "https://shop.example.com/hook"
CARD = "4242 4242 4242 4242"
SILENCE = [Unknown(why="cut")] * (len(LOOKUP_SCHEDULE) + 1)
REFUSED_FIRST = Declined(code="no", message="No.", check_again_after=LATER)
YES = Resolve(outcome=Approved(reference="ch_seen"), by="anna", note="seen in the gateway's console")
NO = Resolve(outcome=Declined(code="card_declined", message="The bank declined."), by="anna")


@pytest.fixture
async def shop() -> Shop:
    clock, gateway = HandClock(NOW), Scripted()
    passwords = MemoryPasswords(entropy=os.urandom, cost=4)
    payments, worker = memory_payments(gateway=gateway, passwords=passwords, clock=clock)
    account = await payments.register(Register(email=EMAIL, password=PASSWORD))
    caller = Caller(merchant=MerchantId(str(account.json["id"])))
    channel = str((await payments.make_payment_key(caller)).json["key"])
    return Shop(payments=payments, worker=worker, clock=clock, gateway=gateway, caller=caller, channel=channel)


async def unanswered_payment(shop: Shop) -> TransactionId:
    """Pay while the gateway says nothing, until its schedule of look-ups has ended."""
    id = await shop.pay(*SILENCE)
    for wait in LOOKUP_SCHEDULE:
        await shop.later(wait)
    return id


async def unanswered_refund(shop: Shop) -> TransactionId:
    id = await shop.pay()
    await shop.refund(id, *SILENCE)
    for wait in LOOKUP_SCHEDULE:
        await shop.later(wait)
    return id


async def refund_approved_late(shop: Shop) -> TransactionId:
    """Have a refund of the whole fail, and the gateway change its mind."""
    id = await shop.pay()
    await shop.refund(id, REFUSED_FIRST, Approved(reference="re_late"))
    await shop.later(LATER)
    return id


async def attempts(shop: Shop, state: AttemptState | None = None) -> Sequence[Attempt]:
    return (await shop.payments.staff.attempts(Window(limit=9), AttemptFilter(state=state))).items


async def in_review(shop: Shop) -> AttemptId:
    [attempt] = await attempts(shop, AttemptState.NEEDS_REVIEW)
    return attempt.id


async def refund_attempt(shop: Shop) -> AttemptId:
    [attempt] = [each for each in await attempts(shop) if each.kind is AttemptKind.REFUND]
    return attempt.id


async def last_event(shop: Shop) -> tuple[Json, dict[str, Json]]:
    [*_, event] = (await shop.payments.read.events(shop.caller, ListQuery(limit=100), EventFilter())).items
    data = event["data"]
    assert isinstance(data, dict)
    return event["type"], data


async def count_events(shop: Shop) -> int:
    return len((await shop.payments.read.events(shop.caller, ListQuery(limit=100), EventFilter())).items)


# ── charges ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_charge_that_somebody_saw_approved_has_succeeded(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    id = await unanswered_payment(shop)
    with caplog.at_level(logging.INFO, "payments_core.staff"):
        resolved = await shop.payments.staff.resolve(await in_review(shop), YES)
    assert resolved.changed
    assert (resolved.attempt.state, resolved.attempt.reference) == (AttemptState.APPROVED, "ch_seen")
    assert resolved.attempt.detail == "said by anna: seen in the gateway's console"
    assert await shop.show(id, "status", "status_reason", "gateway_reference") == ("succeeded", None, "ch_seen")
    type, data = await last_event(shop)
    assert (type, data["status"]) == ("transaction.succeeded", "succeeded")
    [line] = caplog.messages
    assert resolved.attempt.id in line
    assert "anna: seen in the gateway's console" in line


async def test_a_charge_that_somebody_saw_declined_has_failed(shop: Shop) -> None:
    id = await unanswered_payment(shop)
    resolved = await shop.payments.staff.resolve(await in_review(shop), NO)
    assert resolved.attempt.detail == "card_declined, said by anna"
    failure = {"code": "card_declined", "message": "The bank declined.", "gateway_code": None, "retryable": False}
    assert await shop.show(id, "status", "status_reason", "failure") == ("failed", None, failure)
    assert (await last_event(shop))[0] == "transaction.failed"
    await shop.later(timedelta(days=30))
    assert await shop.show(id, "status") == ("failed",)


async def test_what_was_resolved_is_no_longer_listed_for_review(shop: Shop) -> None:
    await unanswered_payment(shop)
    await shop.payments.staff.resolve(await in_review(shop), NO)
    assert not await attempts(shop, AttemptState.NEEDS_REVIEW)


@pytest.mark.parametrize("word", [YES, NO])
async def test_the_same_word_again_changes_nothing_and_says_so(shop: Shop, word: Resolve) -> None:
    await unanswered_payment(shop)
    first = await shop.payments.staff.resolve(await in_review(shop), word)
    events = await count_events(shop)
    for again in (word, replace(word, correct=True, by="bert")):
        second = await shop.payments.staff.resolve(first.attempt.id, again)
        assert not second.changed
        assert replace(second.attempt, version=0) == replace(first.attempt, version=0)
    assert await count_events(shop) == events


async def test_a_word_that_contradicts_is_refused_unless_it_is_a_correction(shop: Shop) -> None:
    id = await unanswered_payment(shop)
    attempt = await in_review(shop)
    await shop.payments.staff.resolve(attempt, NO)
    with pytest.raises(Conflict, match="The attempt is declined: only a correction changes that") as refused:
        await shop.payments.staff.resolve(attempt, YES)
    assert refused.value.code == "attempt_closed"
    assert await shop.show(id, "status") == ("failed",)
    await shop.payments.staff.resolve(attempt, replace(YES, correct=True))
    assert await shop.show(id, "status", "failure", "gateway_reference") == ("succeeded", None, "ch_seen")
    type, data = await last_event(shop)
    assert type == "transaction.corrected"
    assert (data["from"], data["to"]) == ("failed", "succeeded")
    assert data["evidence"] == {"source": "staff", "gateway": "scripted", "attempt": attempt}


async def test_the_gateways_own_word_can_be_corrected_too_and_its_later_word_corrects_that(shop: Shop) -> None:
    late = Approved(reference="ch_1", check_again_after=LATER)
    id = await shop.pay(late, late)
    [attempt] = await attempts(shop)
    await shop.payments.staff.resolve(attempt.id, replace(NO, correct=True))
    assert await shop.show(id, "status") == ("failed",)
    assert (await last_event(shop))[1]["evidence"] == {
        "source": "staff",
        "gateway": "scripted",
        "attempt": attempt.id,
    }
    await shop.later(LATER)
    assert await shop.show(id, "status") == ("succeeded",)
    assert (await last_event(shop))[1]["evidence"] == {
        "source": "gateway",
        "gateway": "scripted",
        "attempt": attempt.id,
    }


@pytest.mark.parametrize("correct", [False, True])
async def test_an_attempt_that_is_still_looked_up_is_left_to_that(shop: Shop, correct: bool) -> None:
    id = await shop.pay(Unknown(why="cut"))
    [attempt] = await attempts(shop)
    with pytest.raises(Conflict, match="The attempt is unknown: its job still asks the gateway") as refused:
        await shop.payments.staff.resolve(attempt.id, replace(NO, correct=correct))
    assert refused.value.code == "attempt_open"
    assert await shop.show(id, "status") == ("processing",)


async def test_of_two_words_at_once_one_counts(shop: Shop) -> None:
    id = await unanswered_payment(shop)
    attempt, events = await in_review(shop), await count_events(shop)
    said = await asyncio.gather(
        *(shop.payments.staff.resolve(attempt, word) for word in (YES, NO, YES, NO)), return_exceptions=True
    )
    changed = [one for one in said if not isinstance(one, BaseException) and one.changed]
    assert len(changed) == 1
    assert [one.code for one in said if isinstance(one, Conflict)] == ["attempt_closed"] * 2
    assert await count_events(shop) == events + 1
    expected = "succeeded" if changed[0].attempt.state is AttemptState.APPROVED else "failed"
    assert await shop.show(id, "status") == (expected,)


async def test_two_processes_that_resolve_at_once_count_one_word(shop: Shop) -> None:
    await unanswered_payment(shop)
    other = Payments(shop.payments._ports)
    attempt, events = await in_review(shop), await count_events(shop)
    said = await asyncio.gather(
        shop.payments.staff.resolve(attempt, YES), other.staff.resolve(attempt, NO), return_exceptions=True
    )
    assert [isinstance(one, Conflict) for one in said].count(True) == 1
    assert await count_events(shop) == events + 1


# ── refunds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_pending_refund_that_somebody_saw_paid_has_succeeded(shop: Shop) -> None:
    id = await unanswered_refund(shop)
    await shop.payments.staff.resolve(await in_review(shop), YES)
    assert await shop.show(id, "amount_refunded", "amount_refund_pending") == ("10.00", "0.00")
    type, data = await last_event(shop)
    assert (type, data["status"], "evidence" in data) == ("refund.succeeded", "succeeded", False)


async def test_a_pending_refund_that_somebody_saw_declined_has_failed(shop: Shop) -> None:
    id = await unanswered_refund(shop)
    await shop.payments.staff.resolve(await in_review(shop), NO)
    assert await shop.show(id, "amount_refunded", "amount_refundable") == ("0.00", "10.00")
    type, data = await last_event(shop)
    assert (type, data["status"], "evidence" in data) == ("refund.failed", "failed", False)


async def test_a_refund_that_failed_and_was_paid_after_all_is_corrected(shop: Shop) -> None:
    id = await refund_approved_late(shop)
    attempt = await in_review(shop)
    await shop.payments.staff.resolve(attempt, YES)
    assert await shop.show(id, "amount_refunded", "amount_refundable") == ("10.00", "0.00")
    type, data = await last_event(shop)
    assert (type, data["status"], data["failure"]) == ("refund.succeeded", "succeeded", None)
    assert (data["from"], data["to"]) == ("failed", "succeeded")
    assert data["evidence"] == {"source": "staff", "gateway": "scripted", "attempt": attempt}


async def test_a_refund_that_failed_is_not_corrected_beyond_what_is_left(shop: Shop) -> None:
    id = await refund_approved_late(shop)
    attempt = await in_review(shop)
    await shop.payments.refund(shop.caller, RefundTransaction(transaction=id, amount="0.01"))
    with pytest.raises(RuleBroken, match=r"The refund is of 10\.00 USD, and 9\.99 are left") as refused:
        await shop.payments.staff.resolve(attempt, YES)
    assert refused.value.code == "refund_exceeds_amount"
    assert await shop.show(id, "amount_refunded", "amount_refund_pending") == ("0.00", "0.01")
    assert await in_review(shop) == attempt


async def test_a_late_approval_and_a_new_refund_at_once_never_exceed_the_amount(shop: Shop) -> None:
    id = await refund_approved_late(shop)
    attempt, other = await in_review(shop), Payments(shop.payments._ports)
    said = await asyncio.gather(
        shop.payments.refund(shop.caller, RefundTransaction(transaction=id)),
        other.staff.resolve(attempt, YES),
        return_exceptions=True,
    )
    assert [isinstance(one, RuleBroken) for one in said].count(True) == 1
    await shop.worker.sweep_until_idle()
    assert await shop.show(id, "amount_refunded", "amount_refundable") == ("10.00", "0.00")


async def test_a_refund_that_failed_is_not_corrected_where_its_charge_failed_since(shop: Shop) -> None:
    id = await refund_approved_late(shop)
    [charge] = [each for each in await attempts(shop) if each.kind is AttemptKind.CHARGE]
    await shop.payments.staff.resolve(charge.id, replace(NO, correct=True))
    with pytest.raises(RuleBroken, match="The transaction is failed"):
        await shop.payments.staff.resolve(await in_review(shop), YES)
    assert await shop.show(id, "status", "amount_refunded") == ("failed", "0.00")


async def test_a_late_approval_that_somebody_saw_declined_leaves_the_refund_failed(shop: Shop) -> None:
    id = await refund_approved_late(shop)
    events = await count_events(shop)
    resolved = await shop.payments.staff.resolve(await in_review(shop), NO)
    assert resolved.attempt.state is AttemptState.DECLINED
    assert await shop.show(id, "amount_refunded", "amount_refundable") == ("0.00", "10.00")
    assert await count_events(shop) == events


async def test_a_refund_that_was_paid_and_came_back_is_corrected(shop: Shop) -> None:
    id = await shop.pay()
    await shop.refund(id)
    attempt = await refund_attempt(shop)
    with pytest.raises(Conflict, match="only a correction"):
        await shop.payments.staff.resolve(attempt, NO)
    await shop.payments.staff.resolve(attempt, replace(NO, correct=True))
    assert await shop.show(id, "amount_refunded", "amount_refundable") == ("0.00", "10.00")
    type, data = await last_event(shop)
    assert (type, data["from"], data["to"]) == ("refund.failed", "succeeded", "failed")
    assert RETURNED in str(data["failure"])
    assert data["evidence"] == {"source": "staff", "gateway": "scripted", "attempt": attempt}


# ── what is refused before it is looked at ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("word", "fields"),
    [
        (replace(YES, note=f"card {CARD}"), ["note"]),
        (replace(YES, note="n" * (NOTE_LENGTH_MAX + 1)), ["note"]),
        (replace(YES, note="two\nlines"), ["note"]),
        (replace(YES, by=""), ["by"]),
        (replace(YES, by="\x1b[2J"), ["by"]),
        (replace(YES, outcome=Approved(reference="")), ["reference"]),
        (replace(YES, outcome=Approved(reference=CARD)), ["reference"]),
        (replace(NO, outcome=Declined(code="No!", message="")), ["code", "message"]),
        (replace(NO, outcome=Declined(code="no", message=CARD), by=CARD), ["message", "by"]),
    ],
)
async def test_a_word_that_cannot_be_kept_is_refused(shop: Shop, word: Resolve, fields: Sequence[str]) -> None:
    id = await unanswered_payment(shop)
    with pytest.raises(Invalid) as refused:
        await shop.payments.staff.resolve(await in_review(shop), word)
    assert [fault.field for fault in refused.value.faults] == fields
    assert "4242 4242 4242" not in refused.value.message
    assert await shop.show(id, "status") == ("processing",)


async def test_nobody_can_resolve_or_revive_what_is_not_there(shop: Shop) -> None:
    for missing in (
        shop.payments.staff.resolve(AttemptId("att_none"), YES),
        shop.payments.staff.revive(JobId("job_none")),
        shop.payments.staff.attempt(AttemptId("att_none")),
        shop.payments.staff.job(JobId("job_none")),
    ):
        with pytest.raises(NotFound):
            await missing


async def test_an_attempt_is_shown_with_what_it_is_about(shop: Shop) -> None:
    id = await unanswered_refund(shop)
    attempt, matter = await shop.payments.staff.attempt(await in_review(shop))
    assert matter.transaction is not None
    assert matter.refund is not None
    assert (matter.transaction.id, matter.refund.transaction, attempt.refund) == (id, id, matter.refund.id)


# ── jobs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Ringing:
    rings: int = 0

    def ring(self) -> None:
        self.rings += 1


async def dead_job(shop: Shop, *then: Sighting) -> tuple[TransactionId, JobId]:
    """Pay while the gateway's adapter is broken, until the job is dead."""
    id = await shop.pay(*[RuntimeError("broken")] * FAILURES_MAX, *then)
    for _ in range(FAILURES_MAX):
        await shop.later(BACKOFF_MAX)
    [job] = (await shop.payments.staff.jobs(Window(limit=9), JobFilter(state=JobState.DEAD))).items
    return id, job.id


async def test_a_revived_job_is_done_at_once_and_has_all_its_tries_before_it(shop: Shop) -> None:
    id, job = await dead_job(shop, *[Unknown(why="cut")])
    assert await shop.show(id, "status") == ("processing",)
    bell = Ringing()
    revived = await Payments(replace(shop.payments._ports, doorbell=bell)).staff.revive(job)
    assert (revived.failures, revived.dead_at, revived.due_at) == (0, None, shop.clock.now())
    assert revived.last_error == "RuntimeError", "what it died of is shown until it goes well"
    assert bell.rings == 1
    await shop.later(LOOKUP_SCHEDULE[0])
    await shop.later(LOOKUP_SCHEDULE[0])
    assert await shop.show(id, "status") == ("succeeded",)
    with pytest.raises(NotFound):
        await shop.payments.staff.revive(job)
    assert len({submission.id for submission in shop.gateway.submitted}) == 1


async def test_a_job_that_is_not_dead_is_left_alone(shop: Shop) -> None:
    await shop.pay(Unknown(why="cut"))
    [job] = (await shop.payments.staff.jobs(Window(limit=9), JobFilter())).items
    with pytest.raises(Conflict, match="The job is waiting: only a dead one can be revived") as refused:
        await shop.payments.staff.revive(job.id)
    assert refused.value.code == "job_not_dead"


async def test_two_revivals_at_once_and_a_worker_between_them_do_the_work_once(shop: Shop) -> None:
    id, job = await dead_job(shop)
    other = Payments(shop.payments._ports)
    said = await asyncio.gather(
        shop.payments.staff.revive(job),
        other.staff.revive(job),
        shop.worker.sweep_until_idle(),
        other.staff.revive(job),
        return_exceptions=True,
    )
    assert [one for one in said if isinstance(one, BaseException) and not isinstance(one, Conflict | NotFound)] == []
    await shop.worker.sweep_until_idle()
    assert await shop.show(id, "status") == ("succeeded",)
    assert not (await shop.payments.staff.jobs(Window(limit=9), JobFilter())).items


async def test_a_job_is_shown_with_what_it_is_about_as_far_as_that_is_there(shop: Shop) -> None:
    id, job_id = await dead_job(shop)
    job, matter = await shop.payments.staff.job(job_id)
    assert matter.transaction is not None
    assert matter.attempt is not None
    assert (matter.transaction.id, matter.attempt.transaction, matter.refund) == (id, id, None)
    async with shop.payments._ports.begin() as work:
        work.jobs.save(replace(job, subject="txn_lost"))
    job, matter = await shop.payments.staff.job(job_id)
    assert (matter.transaction, matter.refund, matter.attempt) == (None, None, None)


# ── what staff see and do is kept in their name ──────────────────────────────────────────────────────────────────────


async def _kept(shop: Shop, *, lists: bool = False) -> list[tuple[str, str | None, str | None]]:
    """Return what staff did, the newest first; without the lists, at which the tests themselves look."""
    found = await shop.payments._ports.oversight.audit(Window(limit=99), AuditFilter(), None)
    return [
        (entry.action, entry.actor.id, entry.subject)
        for entry in found.items
        if entry.actor.kind == "staff" and (lists or not entry.action.endswith(".listed"))
    ]


async def test_each_page_of_a_list_that_staff_look_at_is_kept_with_the_merchant_that_they_named(shop: Shop) -> None:
    anna, merchant = shop.payments.staff.named("anna"), shop.caller.merchant
    await anna.jobs(Window(limit=1), JobFilter(merchant=merchant))
    await anna.attempts(Window(limit=1), AttemptFilter())
    await anna.log(Window(limit=1), AuditFilter(), merchant)
    await anna.log(Window(limit=1, position=Position(key="aud_1")), AuditFilter(), merchant)
    found = await shop.payments._ports.oversight.audit(Window(limit=99), AuditFilter(), None)
    listed = {entry.action: entry.merchant for entry in found.items if entry.actor.id == "anna"}
    assert listed == {"jobs.listed": merchant, "attempts.listed": None, "audit.listed": merchant}
    assert len(await _kept(shop, lists=True)) == 4


async def test_a_look_at_a_merchants_attempt_is_kept(shop: Shop) -> None:
    await unanswered_payment(shop)
    attempt = await in_review(shop)
    await shop.payments.staff.named("anna").attempt(attempt)
    assert await _kept(shop) == [("attempt.seen", "anna", attempt)]


async def test_a_look_at_a_merchants_job_and_its_revival_are_kept(shop: Shop) -> None:
    _, job = await dead_job(shop)
    await shop.payments.staff.named("anna").job(job)
    await shop.payments.staff.named("bob").revive(job)
    assert set(await _kept(shop)) == {("job.seen", "anna", job), ("job.revived", "bob", job)}


async def test_a_persons_word_on_an_attempt_is_kept_with_what_it_changed(shop: Shop) -> None:
    await unanswered_payment(shop)
    attempt = await in_review(shop)
    await shop.payments.staff.named("bob").resolve(attempt, YES)
    await shop.payments.staff.named("bob").resolve(attempt, YES)
    assert await _kept(shop) == [("attempt.resolved", "bob", attempt)], "what changed nothing is no deed"
    wanted = AuditFilter(action=Action.ATTEMPT_RESOLVED)
    (entry,) = (await shop.payments.staff.log(Window(limit=9), wanted)).items
    assert (entry.detail["before"], entry.detail["after"]) == ("needs_review", "approved")
    assert (entry.detail["by"], entry.detail["note"]) == (YES.by, YES.note)


async def test_a_merchant_sees_that_it_was_staff_and_neither_who_nor_what_they_wrote_for_each_other(
    shop: Shop,
) -> None:
    await unanswered_payment(shop)
    await shop.payments.staff.named("bob").resolve(await in_review(shop), YES)
    filter = AuditFilter(action=Action.ATTEMPT_RESOLVED)
    (seen,) = (await shop.payments.read.audit(shop.caller, ListQuery(), filter)).items
    assert seen["actor"] == {"kind": "staff", "id": None}
    assert not {"bob", YES.by, YES.note} & set(re.findall(r"[\w' ]+", str(seen)))
    assert seen["detail"]["after"] == "approved"  # type: ignore[index, call-overload]  # an object


@pytest.mark.parametrize("name", ["", "two\nlines", "\x1b[31mred", "x" * 101, "4242 4242 4242 4242"])
def test_a_name_that_cannot_be_kept_is_refused(name: str, shop: Shop) -> None:
    with pytest.raises(Invalid):
        shop.payments.staff.named(name)


async def test_a_password_that_staff_reset_ends_every_session_and_is_kept(shop: Shop) -> None:
    payments = shop.payments
    opened = await payments.log_in(LogIn(email=EMAIL, password=PASSWORD))
    reset = await payments.staff.named("anna").reset_password(f" {EMAIL.upper()} ", "another horse battery")
    assert reset.id == shop.caller.merchant
    for refused in (
        payments.authenticator.by_api_key(str(opened.json["api_key"])),
        payments.log_in(LogIn(email=EMAIL, password=PASSWORD)),
    ):
        with pytest.raises(InvalidCredentials):
            await refused
    await payments.log_in(LogIn(email=EMAIL, password="another horse battery"))
    assert await _kept(shop) == [("password.reset", "anna", None)]


async def test_staff_can_reset_no_password_to_one_that_nobody_may_have(shop: Shop) -> None:
    with pytest.raises(Invalid):
        await shop.payments.staff.reset_password(EMAIL, "short")
    with pytest.raises(NotFound):
        await shop.payments.staff.reset_password("nobody@example.com", "another horse battery")
    assert await _kept(shop) == []


# ── what merchants have ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_staff_see_what_all_merchants_have_and_no_secret(shop: Shop) -> None:
    staff, page = shop.payments.staff.named("anna"), Window(limit=9)
    secret = str((await shop.payments.add_endpoint(shop.caller, AddEndpoint(url=URL, events=("*",)))).json["secret"])
    id = await shop.pay()
    await shop.refund(id)
    merchant = shop.caller.merchant
    told = [
        *(describe_staff.transaction(one) for one in (await staff.transactions(page, TransactionFilter())).items),
        *(describe_staff.refund(one) for one in (await staff.refunds(page)).items),
        *(describe_staff.payment_key(one) for one in (await staff.payment_keys(page)).items),
        *(describe_staff.endpoint(one) for one in (await staff.endpoints(page)).items),
        describe_staff.found(await staff.find(id)),
    ]
    assert [each["merchant"] for each in told] == [merchant] * 5
    assert not any(each["livemode"] for each in told)
    assert secret not in repr(told)
    assert "secret" not in repr(told)
    assert told[-1]["kind"] == "transaction"


async def test_staff_see_what_an_idempotency_key_did_and_not_the_answer(shop: Shop) -> None:
    once = Once(key="k/1", route="POST /", status=201, fingerprint=fingerprint(b"k", route="POST /", body={}))
    made = await shop.payments.make_api_key(shop.caller, MakeApiKey(), once=once)
    [record] = (await shop.payments.staff.idempotency_records(Window(limit=9), RecordFilter(key="k/1"))).items
    told = describe_staff.idempotency_record(record)
    assert (told["merchant"], told["key"], told["resource"]) == (shop.caller.merchant, "k/1", made.json["id"])
    assert str(made.json["api_key"]) not in repr((record, told))


async def test_each_page_of_what_merchants_have_is_kept_with_the_merchant_that_was_named(shop: Shop) -> None:
    id, merchant, page = await shop.pay(), shop.caller.merchant, Window(limit=1)
    anna, behind = shop.payments.staff.named("anna"), Window(limit=1, position=Position(key=id))
    for window in (page, behind):
        await anna.transactions(window, TransactionFilter(text="needle"), merchant)
        await anna.refunds(window)
        await anna.payment_keys(window, merchant)
        await anna.endpoints(window)
    await anna.idempotency_records(page, RecordFilter(merchant=merchant))
    await anna.find(id)
    found = await shop.payments._ports.oversight.audit(Window(limit=99), AuditFilter(action=Action.LIST_SEEN), None)
    seen = [(str(entry.detail["list"]), entry.merchant, entry.subject) for entry in found.items]
    assert sorted(seen, key=lambda each: each[0]) == [
        *[("endpoints", None, None)] * 2,
        ("idempotency_records", merchant, None),
        ("ids", merchant, id),
        *[("payment_keys", merchant, None)] * 2,
        *[("refunds", None, None)] * 2,
        *[("transactions", merchant, None)] * 2,
    ]
    assert "needle" not in repr(found)


async def test_staff_cannot_look_for_what_nobody_can_and_that_is_no_look(shop: Shop) -> None:
    before = await _kept(shop)
    with pytest.raises(Invalid):
        await shop.payments.staff.transactions(Window(limit=1), TransactionFilter(text=""))
    with pytest.raises(NotFound):
        await shop.payments.staff.find("txn_none")
    assert await _kept(shop) == before
