"""Verification over the whole core in memory, with the sandbox and all that its scripts do; and how it is told."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.sandbox import EntryStatus, LedgerAway, MemoryLedger, SandboxBooks
from entrypoints.cli.screen import Screen
from entrypoints.cli.verify.findings import SHOWN_MAX, as_values, show
from payments_core.attempt import AttemptState
from payments_core.errors import NotFound, Unavailable
from payments_core.event import EventType
from payments_core.gateway import Approved
from payments_core.ids import AttemptId, MerchantId
from payments_core.ports import Answered
from payments_core.transaction import Status
from payments_core.use_cases.resolve_attempt import Resolve
from payments_core.verification import RULES, Breach, Report
from payments_core.verification.report import BREACHES_KEPT_MAX, Tally
from payments_core.verification.rules import GATEWAY_ADDS_NOTHING, GATEWAY_AGREES, WORK_IN_TIME, Terms
from payments_core.webhook import DeliveryStatus
from tests.unit.verified_shop import MINUTE, VerifiedShop

FAILED = Answered(status_code=500, milliseconds=1, excerpt="")
SCRIPTS = (
    None,
    "pm_decline_fraud",
    "pm_timeout_charged",
    "pm_timeout_not_charged",
    "pm_error_once",
    "pm_refund_fails",
    "pm_refund_returned_late",
    "pm_corrected_late",
)


@pytest.fixture
async def shop() -> VerifiedShop:
    return await VerifiedShop.open()


async def test_every_script_of_the_sandbox_keeps_every_rule_at_every_step(shop: VerifiedShop) -> None:
    await shop.add_endpoint()
    shop.clock.move(2 * MINUTE)
    ids = [await shop.pay(method, key=f"order-{number}") for number, method in enumerate(SCRIPTS)]
    assert await shop.broken() == {}
    await shop.work()
    assert await shop.broken() == {}
    for id in (ids[0], ids[5], ids[6]):
        await shop.refund(id, "30.00")
    for _ in range(8):
        await shop.work(later=timedelta(seconds=10))
        assert await shop.broken() == {}
    report = await shop.verify()
    assert [rule for rule in RULES if not report.looked[rule]] == [WORK_IN_TIME]
    assert {entry.status for entry in await shop.ledger.entries()} == set(EntryStatus)


async def test_a_time_out_that_was_taken_for_a_failure_is_found(shop: VerifiedShop) -> None:
    await shop.pay("pm_timeout_charged")
    await shop.work()
    await shop.work(later=timedelta(seconds=2))
    (entry,) = await shop.ledger.entries()
    shop.ledger._entries[entry.attempt] = replace(entry, status=EntryStatus.DECLINED, code="fraud")
    assert await shop.broken() == {"gateway-agrees": [entry.attempt]}


async def test_what_was_only_between_two_commits_is_no_breach(shop: VerifiedShop) -> None:
    await shop.pay()
    shop.clock.move(3 * MINUTE)

    async def meanwhile() -> None:
        await shop.worker.sweep_until_idle()

    report = await shop.verify(pause=meanwhile)
    assert report.holds
    assert report.looked[WORK_IN_TIME] == 1


async def test_what_looks_wrong_is_looked_at_again_so_often_and_no_more(shop: VerifiedShop) -> None:
    id = await shop.pay()
    shop.state.jobs.clear()
    pauses: list[None] = []

    async def count() -> None:
        pauses.append(None)

    assert await shop.broken(pause=count, looks_max=4) == {"payments-end": [id]}
    assert len(pauses) == 3


async def test_an_attempt_that_a_person_declined_needs_no_entry(shop: VerifiedShop) -> None:
    await shop.pay("pm_decline_fraud")
    await shop.work()
    (entry,) = await shop.ledger.entries()
    attempt = shop.account.attempts.get(entry.attempt)
    assert attempt is not None
    shop.ledger._entries.clear()
    assert await shop.broken() == {"gateway-agrees": [attempt.id]}
    shop.account.attempts.put(attempt.id, replace(attempt, detail="never_arrived, said by Ann: they told me"))
    assert await shop.broken() == {}


async def test_a_persons_correction_breaks_no_rule_but_that_the_gateway_says_otherwise(shop: VerifiedShop) -> None:
    paid, refunded = await shop.pay("pm_decline_fraud"), await shop.pay("pm_refund_fails")
    await shop.work()
    await shop.refund(refunded, "30.00")
    await shop.work()
    assert await shop.broken() == {}
    attempts = [one for one in shop.account.attempts.oldest_first() if one.state is AttemptState.DECLINED]
    for attempt in attempts:
        command = Resolve(outcome=Approved(reference="ch_1"), by="Ann", correct=True)
        await shop.payments.staff.resolve(attempt.id, command)
    transaction = shop.account.transactions.get(paid)
    assert transaction is not None
    assert transaction.status is Status.SUCCEEDED
    found = await shop.broken()
    assert {name: sorted(ids) for name, ids in found.items()} == {"gateway-agrees": [one.id for one in attempts]}


@pytest.mark.parametrize("to", [["failed"], {}, None, "gone", "succeeded"])
async def test_a_correction_to_what_is_no_other_closed_state_is_named(shop: VerifiedShop, to: object) -> None:
    id = await shop.pay("pm_corrected_late")
    await shop.work()
    await shop.work(later=timedelta(seconds=10))
    (corrected,) = (event for event in shop.account.log if event.type is EventType.TRANSACTION_CORRECTED)
    body = json.loads(corrected.body)
    assert (body["data"]["from"], body["data"]["to"]) == ("succeeded", "failed")
    body["data"]["to"] = to
    tampered = replace(corrected, body=json.dumps(body).encode())
    shop.account.log[:] = [tampered if event.id == tampered.id else event for event in shop.account.log]
    assert await shop.broken() == {"closed-stays-closed": [id]}


async def test_without_a_ledger_or_with_one_merchant_not_all_is_looked_at(shop: VerifiedShop) -> None:
    await shop.pay()
    await shop.work()
    assert set((await shop.verify(ledgers=[])).unlooked) == {GATEWAY_AGREES, GATEWAY_ADDS_NOTHING}
    verification = shop.verification()
    assert set((await verification.run(shop.merchant)).unlooked) == {GATEWAY_ADDS_NOTHING}
    with pytest.raises(NotFound):
        await verification.run(MerchantId("mer_0"))


async def test_progress_is_told_in_transactions(shop: VerifiedShop) -> None:
    told: list[int] = []
    for _ in range(3):
        await shop.pay()
    await shop.verify(told=told.append)
    assert told == sorted(told)
    assert told[-1] == 3


async def test_a_schedule_of_ones_own_is_used_up_when_it_is(shop: VerifiedShop) -> None:
    shop.notifier.answer = lambda _: FAILED
    await shop.add_endpoint()
    await shop.pay()
    shop.clock.move(timedelta(seconds=1))
    await shop.work()
    (delivery,) = list(shop.state.pending_deliveries())[:1]
    shop.state.put_delivery(replace(delivery, status=DeliveryStatus.EXHAUSTED, due_at=None))
    assert await shop.broken() == {"deliveries-end": [delivery.id]}
    assert await shop.broken(terms=Terms(delivery_tries=1)) == {}


async def test_the_sandboxs_books_are_read_as_those_of_any_gateway(shop: VerifiedShop) -> None:
    await shop.pay()
    await shop.pay("pm_decline_fraud")
    await shop.work()
    books = SandboxBooks(shop.ledger)
    first, second = await books.entries(after="", limit=9)
    assert {first.moved, second.moved} == {True, False}
    assert await books.entries(after=first.attempt, limit=9) == [second]
    assert await books.entries_of([second.attempt, AttemptId("att_0")]) == {second.attempt: second}


async def test_a_ledger_that_is_away_is_unavailable(shop: VerifiedShop) -> None:
    class Away(MemoryLedger):
        async def find_all(self, attempts: Any, /) -> Any:
            raise LedgerAway("the ledger is away")

    await shop.pay()
    await shop.work()
    with pytest.raises(Unavailable, match="the ledger is away"):
        await shop.verify(ledgers=[SandboxBooks(Away())])


# ── how it is told


def _report(breaches: int, message: str = "is odd") -> Report:
    tally = Tally(merchants=1, transactions=7, dead_jobs=2, attempts=3)
    tally.looked[RULES[0]] = breaches
    rows = [
        Breach(rule=RULES[0], merchant=MerchantId("mer_1"), subject=f"txn_{number}", message=message)
        for number in range(breaches)
    ]
    tally.add(rows)
    return tally.report()


def test_the_first_rows_of_a_rule_are_shown_and_the_rest_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    show(_report(SHOWN_MAX + 5), Screen())
    said = capsys.readouterr().out
    assert f"✗ payments-end: broken {SHOWN_MAX + 5} times" in said
    assert said.count("  mer_1 txn_") == SHOWN_MAX
    assert "… and 5 more (--json shows them)" in said
    assert "Waits for a person: 2 dead jobs, 3 attempts (payments jobs list, payments attempts list)." in said
    assert "Every rule holds" not in said


def test_what_a_row_says_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show(_report(1, message="is \x1b[31mred"), Screen())
    assert "\x1b" not in capsys.readouterr().out


def test_rows_are_kept_up_to_a_limit_and_counted_beyond_it() -> None:
    report = _report(BREACHES_KEPT_MAX + 1)
    assert len(report.breaches) == BREACHES_KEPT_MAX
    assert report.broken[RULES[0]] == BREACHES_KEPT_MAX + 1


def test_scripts_get_every_rule_by_its_name() -> None:
    told: Any = as_values(_report(1))
    assert [rule["name"] for rule in told["rules"]] == [rule.name for rule in RULES]
    assert told["rules"][0]["rows"] == [{"merchant": "mer_1", "id": "txn_0", "message": "is odd"}]
    assert told["waits_for_a_person"] == {"dead_jobs": 2, "attempts": 3}
    assert told["holds"] is False
