"""Merchants are found, looked at, suspended and let go on: what becomes of their credentials and their payments."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.memory import HandClock, MemoryPasswords, MemoryStore, memory_payments
from adapters.memory.oversight import MemoryOversight
from payments_core import Caller, Forbidden, Invalid, LogIn, NotFound, Pay, RefundTransaction, Register, describe
from payments_core.audit import Action, AuditEntry, Origin
from payments_core.errors import StaleWrite, Unavailable
from payments_core.gateway import Pending, Unknown
from payments_core.ids import MerchantId, TransactionId
from payments_core.job import FAILURES_MAX, LEASE
from payments_core.merchant import READING_SCOPES, CredentialKind, Merchant, Scope
from payments_core.ports import AuditFilter, EventFilter, JobFilter, MerchantFilter, Window
from payments_core.recent import Recent
from payments_core.testing.builders import NOW, SECOND, a_moment
from payments_core.testing.subject import refused_unit
from payments_core.use_cases.prepare_attempt import prepare_attempt
from payments_core.use_cases.read_lists import ListQuery
from payments_core.use_cases.suspend_merchant import CANCELED_AT_ONCE_MAX, REASON_LENGTH_MAX
from payments_core.values import Json
from tests.unit.test_settlement import Scripted, Shop

EMAIL, PASSWORD = "shop@example.com", "correct horse battery"
ORIGIN = Origin(address="192.0.2.7", request_id="req-1")
REASON = "chargebacks, see ticket 4711"


@pytest.fixture
async def shop() -> Shop:
    clock, gateway = HandClock(NOW), Scripted()
    passwords = MemoryPasswords(entropy=os.urandom, cost=4)
    payments, worker = memory_payments(gateway=gateway, passwords=passwords, clock=clock)
    account = await payments.register(Register(email=EMAIL, password=PASSWORD, name="Corner Shop"))
    caller = Caller(merchant=MerchantId(str(account.json["id"])))
    channel = str((await payments.make_payment_key(caller)).json["key"])
    clock.move(SECOND)
    return Shop(payments=payments, worker=worker, clock=clock, gateway=gateway, caller=caller, channel=channel)


async def accept(shop: Shop) -> TransactionId:
    """Pay, and let no worker come to it."""
    paid = await shop.payments.pay(shop.caller, Pay(payment_key=shop.channel, amount="10.00", currency="USD"))
    return TransactionId(str(paid.json["id"]))


async def suspend_alone(shop: Shop) -> Merchant:
    """Suspend the merchant as somebody does who dies behind the commit."""
    async with shop.payments._ports.begin() as work:
        merchant = await work.merchants.get(shop.caller.merchant)
        work.merchants.save(merchant.suspend(shop.clock.now()))
    return merchant


async def status_of(shop: Shop, id: TransactionId) -> tuple[Json, ...]:
    return await shop.show(id, "status", "status_reason")


async def events_of(shop: Shop, id: TransactionId) -> list[Json]:
    page = await shop.payments.read.events(shop.caller, ListQuery(limit=100), EventFilter(transaction=id))
    return [event["type"] for event in page.items]


async def entries(shop: Shop, action: Action) -> Sequence[AuditEntry]:
    oversight = shop.payments._ports.oversight
    return (await oversight.audit(Window(limit=100), AuditFilter(action=action), None)).items


CANCELED = ("canceled", "suspended")


# ── suspending


async def test_pending_payments_are_canceled_with_their_events_and_never_attempted(shop: Shop) -> None:
    ids = [await accept(shop) for _ in range(3)]
    done = await shop.payments.staff.suspend(shop.caller.merchant, REASON)
    assert (done.changed, done.canceled, done.merchant.suspended_at) == (True, 3, shop.clock.now())
    await shop.worker.sweep_until_idle()
    for id in ids:
        assert await status_of(shop, id) == CANCELED
        assert await events_of(shop, id) == ["transaction.created", "transaction.canceled"]
    assert shop.gateway.submitted == []


async def test_more_than_go_at_once_are_canceled_all_the_same(shop: Shop) -> None:
    number = 2 * CANCELED_AT_ONCE_MAX + 1
    for _ in range(number):
        await accept(shop)
        shop.clock.move(timedelta(microseconds=1))
    assert (await shop.payments.staff.suspend(shop.caller.merchant, REASON)).canceled == number


async def test_those_that_were_put_off_or_whose_jobs_are_dead_are_canceled_too(shop: Shop) -> None:
    put_off, dead = await accept(shop), await accept(shop)
    ports = shop.payments._ports
    by_subject = {one.subject: one for one in (await ports.oversight.jobs(Window(limit=9), JobFilter(), at=NOW)).items}
    async with ports.begin() as work:
        work.jobs.save(by_subject[put_off].put_off(at=shop.clock.now(), error="no gateway"))
        work.jobs.save(replace(by_subject[dead], failures=FAILURES_MAX - 1).fail(at=shop.clock.now(), error="boom"))
    assert (await shop.payments.staff.suspend(shop.caller.merchant, REASON)).canceled == 2
    assert {await status_of(shop, put_off), await status_of(shop, dead)} == {CANCELED}


async def test_what_is_at_the_gateway_goes_on_to_its_end_and_so_does_a_promised_refund(shop: Shop) -> None:
    waiting, paid = await shop.pay(Pending(reference="ch_1")), await shop.pay()
    await shop.payments.refund(shop.caller, RefundTransaction(transaction=paid))
    done = await shop.payments.staff.suspend(shop.caller.merchant, REASON)
    assert done.canceled == 0
    await shop.worker.sweep_until_idle()
    await shop.later(timedelta(days=1))
    assert await status_of(shop, waiting) == ("succeeded", None)
    assert await shop.show(paid, "amount_refunded") == ("10.00",)


async def test_an_unknown_outcome_is_still_looked_up(shop: Shop) -> None:
    id = await shop.pay(Unknown(why="cut"))
    await shop.payments.staff.suspend(shop.caller.merchant, REASON)
    await shop.later(SECOND)
    assert await status_of(shop, id) == ("succeeded", None)


async def test_no_payment_refund_or_login_is_accepted_while_it_lasts(shop: Shop) -> None:
    paid = await shop.pay()
    made = await shop.payments.log_in(LogIn(email=EMAIL, password=PASSWORD))
    await shop.payments.authenticator.by_api_key(str(made.json["api_key"]))
    await shop.payments.staff.suspend(shop.caller.merchant, REASON)
    for act in (
        accept(shop),
        shop.payments.refund(shop.caller, RefundTransaction(transaction=paid)),
        shop.payments.log_in(LogIn(email=EMAIL, password=PASSWORD)),
        shop.payments.authenticator.by_api_key(str(made.json["api_key"])),
    ):
        with pytest.raises(Forbidden) as refused:
            await act
        assert refused.value.code == "suspended"
    await shop.payments.staff.unsuspend(shop.caller.merchant)
    await shop.payments.authenticator.by_api_key(str(made.json["api_key"]))
    assert await status_of(shop, await shop.pay()) == ("succeeded", None)


async def test_a_second_suspension_changes_nothing_and_keeps_the_first_reason(shop: Shop) -> None:
    await shop.payments.staff.suspend(shop.caller.merchant, REASON)
    shop.clock.move(SECOND)
    again = await shop.payments.staff.suspend(shop.caller.merchant, "another reason")
    assert (again.changed, again.merchant.suspended_at) == (False, shop.clock.now() - SECOND)
    [entry] = await entries(shop, Action.MERCHANT_SUSPENDED)
    assert entry.detail == {"reason": REASON}


@pytest.mark.parametrize("reason", ["", "two\nlines", "x" * (REASON_LENGTH_MAX + 1)])
async def test_a_reason_is_a_line(shop: Shop, reason: str) -> None:
    with pytest.raises(Invalid):
        await shop.payments.staff.suspend(shop.caller.merchant, reason)


async def test_nobody_is_suspended_who_is_not_there(shop: Shop) -> None:
    for act in (
        shop.payments.staff.suspend(MerchantId("mer_none"), REASON),
        shop.payments.staff.unsuspend(MerchantId("mer_none")),
        shop.payments.staff.merchant(MerchantId("mer_none")),
        shop.payments.staff.caller(MerchantId("mer_none"), livemode=False, page="overview"),
    ):
        with pytest.raises(NotFound):
            await act
    assert await entries(shop, Action.MERCHANT_SEEN) == []


# ── what is left by a crash, and the end of a suspension


async def test_what_is_left_by_a_crash_is_canceled_by_the_worker_that_comes_to_it(shop: Shop) -> None:
    await shop.pay()  # the worker has the merchant in mind as it was while active
    charged = len(shop.gateway.submitted)
    ids = [await accept(shop) for _ in range(3)]
    await suspend_alone(shop)
    await shop.worker.sweep_until_idle()
    assert {await status_of(shop, id) for id in ids} == {CANCELED}
    assert len(shop.gateway.submitted) == charged
    jobs = await shop.payments._ports.oversight.jobs(Window(limit=9), JobFilter(), at=shop.clock.now())
    assert jobs.items == []


async def test_a_suspension_that_broke_off_is_ended_by_the_same_call_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [await accept(shop) for _ in range(3)]
    oversight = shop.payments._ports.oversight

    async def away(*_: object, **__: object) -> None:
        raise Unavailable("the store is away")

    with monkeypatch.context() as broken:
        broken.setattr(oversight, "jobs", away)
        with pytest.raises(Unavailable):
            await shop.payments.staff.suspend(shop.caller.merchant, REASON)
    assert await status_of(shop, ids[0]) == ("pending", None)
    again = await shop.payments.staff.suspend(shop.caller.merchant, REASON)
    assert (again.changed, again.canceled) == (False, 3)


async def test_what_was_pending_at_a_suspension_is_never_charged_however_soon_it_is_lifted(shop: Shop) -> None:
    ids = [await accept(shop) for _ in range(3)]
    await suspend_alone(shop)
    done = await shop.payments.staff.unsuspend(shop.caller.merchant)
    assert (done.changed, done.canceled, done.merchant.suspended_at) == (True, 3, None)
    await shop.worker.sweep_until_idle()
    assert {await status_of(shop, id) for id in ids} == {CANCELED}
    assert shop.gateway.submitted == []


async def test_one_that_is_not_suspended_is_let_be(shop: Shop) -> None:
    id = await accept(shop)
    done = await shop.payments.staff.unsuspend(shop.caller.merchant)
    assert (done.changed, done.canceled) == (False, 0)
    assert await status_of(shop, id) == ("pending", None)
    assert await entries(shop, Action.MERCHANT_UNSUSPENDED) == []


async def test_a_suspension_that_comes_as_another_is_lifted_holds(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    id = await accept(shop)
    seen = MemoryOversight.merchant

    async def seen_just_before(oversight: MemoryOversight, id: MerchantId, /) -> Merchant:
        merchant = await seen(oversight, id)
        await suspend_alone(shop)
        return merchant

    monkeypatch.setattr(MemoryOversight, "merchant", seen_just_before)
    assert not (await shop.payments.staff.unsuspend(shop.caller.merchant)).changed
    await shop.worker.sweep_until_idle()
    assert await status_of(shop, id) == CANCELED
    assert shop.gateway.submitted == []


async def test_a_payment_that_commits_as_the_merchant_is_suspended_is_canceled_or_refused(shop: Shop) -> None:
    await shop.pay()
    charged = len(shop.gateway.submitted)
    paying = [asyncio.create_task(accept(shop)) for _ in range(20)]
    suspending = asyncio.create_task(shop.payments.staff.suspend(shop.caller.merchant, REASON))
    working = asyncio.create_task(shop.worker.sweep_until_idle())
    ended = await asyncio.gather(*paying, return_exceptions=True)
    await suspending
    await working
    await shop.worker.sweep_until_idle()
    accepted = [one for one in ended if isinstance(one, str)]
    assert all(isinstance(one, str | Forbidden) for one in ended)
    seen = [(await status_of(shop, TransactionId(id)))[0] for id in accepted]
    assert set(seen) <= {"canceled", "succeeded"}
    assert len(shop.gateway.submitted) - charged == seen.count("succeeded")


async def test_no_attempt_is_prepared_behind_a_suspension_that_came_meanwhile(shop: Shop) -> None:
    id = await accept(shop)
    store, recent = shop.payments._ports.views, Recent()
    assert isinstance(store, MemoryStore)
    async with store.begin() as work:
        recent.note_merchant(await work.merchants.get(shop.caller.merchant))
    (job,) = await store.claims.claim_jobs(at=shop.clock.now(), limit=1, lease=LEASE)
    async with refused_unit(store, StaleWrite) as work:
        assert await prepare_attempt(work, a_moment(shop.clock.now()), job=job, recent=recent)
        await suspend_alone(shop)
    assert await status_of(shop, id) == ("pending", None)
    async with store.begin() as work:
        again = a_moment(shop.clock.now()).again()
        assert await prepare_attempt(work, again, job=job, recent=recent) is None
    assert await status_of(shop, id) == CANCELED
    assert recent.merchant(shop.caller.merchant) is None


# ── looking


async def test_merchants_are_found_and_each_look_is_in_the_log(shop: Shop) -> None:
    staff = shop.payments.staff.named("ada@example.com", ORIGIN)
    for text in (shop.caller.merchant, "SHOP@", "corner"):
        found = await staff.merchants(Window(limit=9), MerchantFilter(text=text, suspended=False))
        assert [one.id for one in found.items] == [shop.caller.merchant]
    assert (await staff.merchants(Window(limit=9), MerchantFilter(suspended=True))).items == []
    with pytest.raises(Invalid):
        await staff.merchants(Window(limit=9), MerchantFilter(text="\0"))
    listed = await entries(shop, Action.MERCHANTS_LISTED)
    assert {(one.merchant, one.actor.id, one.address) for one in listed} == {(None, "ada@example.com", "192.0.2.7")}
    assert len(listed) == 4
    assert (await staff.merchant(shop.caller.merchant)).email == EMAIL
    [seen] = await entries(shop, Action.MERCHANT_SEEN)
    assert (seen.merchant, seen.subject, seen.request_id) == (shop.caller.merchant, shop.caller.merchant, "req-1")


async def test_whoever_looks_at_a_merchants_things_reads_and_does_not_write(shop: Shop) -> None:
    staff = shop.payments.staff.named("ada@example.com", ORIGIN)
    caller = await staff.caller(shop.caller.merchant, livemode=True, page="transactions")
    assert (caller.merchant, caller.livemode, caller.kind) == (shop.caller.merchant, True, CredentialKind.STAFF)
    assert (caller.credential, caller.address, caller.request_id) == ("ada@example.com", "192.0.2.7", "req-1")
    assert caller.scopes == READING_SCOPES == {scope for scope in Scope if not scope.endswith(":write")}
    [seen] = await entries(shop, Action.MERCHANT_SEEN)
    assert (seen.livemode, seen.detail) == (True, {"page": "transactions"})
    with pytest.raises(Invalid):
        await staff.caller(shop.caller.merchant, livemode=True, page="")


async def test_the_merchant_sees_what_staff_did_and_why_and_neither_who_nor_from_where(shop: Shop) -> None:
    staff = shop.payments.staff.named("ada@example.com", ORIGIN)
    await staff.suspend(shop.caller.merchant, REASON)
    shop.clock.move(SECOND)
    await staff.unsuspend(shop.caller.merchant)
    lifted, suspended = [
        describe.audit_entry(one)
        for action in (Action.MERCHANT_UNSUSPENDED, Action.MERCHANT_SUSPENDED)
        for one in await entries(shop, action)
    ]
    assert suspended["detail"] == {"reason": REASON}
    for seen in (lifted, suspended):
        assert (seen["actor"], seen["address"], seen["request_id"]) == ({"kind": "staff", "id": None}, None, None)
