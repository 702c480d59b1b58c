"""`payments jobs`, `attempts`, `audit`, `merchant`, `staff` over a store in memory: what they show, do and refuse."""

from __future__ import annotations

import asyncio
import getpass
import io
import json
import logging
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from adapters.memory import HandClock, MemoryNotifier, MemoryPasswords, MemoryStore, memory_payments
from entrypoints import wiring
from entrypoints.cli import staff
from entrypoints.cli.app import payments as command_line
from entrypoints.cli.attempts import resolve
from entrypoints.cli.screen import Screen
from entrypoints.services import Services
from entrypoints.settings import Settings
from payments_core import Caller, Register
from payments_core.attempt import Attempt
from payments_core.gateway import Sighting, Unknown
from payments_core.ids import MerchantId, TransactionId
from payments_core.job import FAILURES_MAX, Job
from payments_core.ports import AttemptFilter, JobFilter, Window
from payments_core.schedules import Schedules
from payments_core.testing.builders import NOW, SECOND
from payments_core.values import Json
from tests.unit.test_settlement import Scripted, Shop

ENVIRON: Final = {
    "PAYMENTS_DATABASE_URL": "postgresql://nobody:very-secret@127.0.0.1:1/none",
    "PAYMENTS_SECRET_KEY": "k" * 40,
    "COLUMNS": "100",
}
NOBODY: Final = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
APPROVED: Final = ("--approved", "--reference", "ch_seen")
DECLINED: Final = ("--declined", "--code", "card_declined")


async def open_shop() -> Shop:
    clock, gateway = HandClock(NOW), Scripted()
    passwords = MemoryPasswords(entropy=os.urandom, cost=4)
    schedules = Schedules(lookups=[SECOND])
    made, worker = memory_payments(gateway=gateway, passwords=passwords, clock=clock, schedules=schedules)
    account = await made.register(Register(email="shop@example.com", password="correct horse battery"))
    caller = Caller(merchant=MerchantId(str(account.json["id"])))
    channel = str((await made.make_payment_key(caller)).json["key"])
    return Shop(payments=made, worker=worker, clock=clock, gateway=gateway, caller=caller, channel=channel)


@dataclass(slots=True, kw_only=True)
class Desk:
    """A shop, and the command beside it."""

    shop: Shop

    def run(self, *arguments: str, typed: str = "") -> Result:
        return CliRunner(env=ENVIRON).invoke(command_line, arguments, input=typed)

    def said(self, *arguments: str) -> str:
        """Return what a command that succeeds says."""
        done = self.run(*arguments)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str, status: int = 1) -> str:
        """Return the one line of a refusal (of a wrong use: the last one)."""
        done = self.run(*arguments)
        assert (done.exit_code, done.stdout) == (status, ""), done.output
        lines = done.stderr.splitlines()
        assert status == 2 or len(lines) == 1, lines
        assert "Traceback" not in done.stderr
        return lines[-1]

    def pay(self, *says: Sighting | Exception) -> TransactionId:
        """Pay a moment after what was paid before, so that ids are in that order."""
        self.shop.clock.move(timedelta(milliseconds=1))
        return asyncio.run(self.shop.pay(*says))

    def review(self) -> Attempt:
        """Have a payment of which the gateway never says anything, and return its attempt."""

        self.pay(*[Unknown(why="the line\x1b was cut")] * 2)

        async def have() -> Attempt:
            await self.shop.later(SECOND)
            window, every = Window(limit=100), AttemptFilter()
            return (await self.shop.payments.staff.attempts(window, every)).items[-1]

        return asyncio.run(have())

    def dead(self) -> Job:
        """Have a payment whose job is dead, and return that."""

        self.pay(RuntimeError("broken"))

        async def have() -> Job:
            ports = self.shop.payments._ports
            job = (await self.shop.payments.staff.jobs(Window(limit=100), JobFilter())).items[-1]
            dead = replace(job, failures=FAILURES_MAX - 1).fail(at=NOW, error="gateway_broken: it \x1b[2J is")
            async with ports.begin() as work:
                work.jobs.save(dead)
            return dead

        return asyncio.run(have())

    def show(self, attempt: Attempt, *names: str) -> tuple[Json, ...]:
        return asyncio.run(self.shop.show(attempt.transaction, *names))


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Desk:
    shop = asyncio.run(open_shop())
    store = shop.payments._ports.views
    assert isinstance(store, MemoryStore)

    @asynccontextmanager
    async def wire(_settings: Settings) -> AsyncGenerator[Services]:
        passwords = MemoryPasswords(entropy=os.urandom, cost=4)
        made = wiring.in_memory(clock=shop.clock, store=store, notifier=MemoryNotifier(), passwords=passwords)
        async with made as services:
            yield services

    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(wiring, "wire", wire)
    monkeypatch.chdir(tmp_path)
    return Desk(shop=shop)


def objects(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


# ── lists ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_where_nothing_waits_for_a_person_the_lists_say_so(desk: Desk) -> None:
    desk.pay()
    assert desk.said("jobs", "list") == "No job is dead.\n"
    assert desk.said("attempts", "list") == "No attempt needs review.\n"
    assert desk.said("jobs", "list", "--json") == desk.said("attempts", "list", "--json") == ""
    assert desk.said("jobs", "list", "--state", "leased") == "No job is leased.\n"
    assert desk.said("jobs", "list", "--state", "all") == "There are no jobs.\n"
    assert desk.said("attempts", "list", "--state", "declined") == "No attempt is declined.\n"


def test_dead_jobs_are_listed_with_what_they_died_of(desk: Desk) -> None:
    job = desk.dead()
    assert desk.said("jobs", "list").splitlines() == [
        "JOB                             KIND    DEAD SINCE (UTC)  FAILURES  LAST ERROR",
        f"{job.id}  charge  2026-03-02 09:30  12        gateway_broken: it ?[2J is",
    ]
    [described] = objects(desk.said("jobs", "list", "--json"))
    assert (described["id"], described["state"], described["merchant"]) == (job.id, "dead", job.merchant)


def test_jobs_in_other_states_are_listed_where_they_are_asked_for(desk: Desk) -> None:
    dead = desk.dead()
    desk.pay(Unknown(why="cut"))
    found = {
        state: [each["state"] for each in objects(desk.said("jobs", "list", "--state", state, "--json"))]
        for state in ("dead", "due", "waiting", "all")
    }
    assert found == {"dead": ["dead"], "due": [], "waiting": ["waiting"], "all": ["dead", "waiting"]}
    assert dead.id in desk.said("jobs", "list", "--state", "all", "--merchant", dead.merchant)
    assert desk.said("jobs", "list", "--merchant", f"mer_{NOBODY}") == "No job is dead.\n"


def test_attempts_that_need_review_are_listed_with_why(desk: Desk) -> None:
    attempt = desk.review()
    desk.pay()
    assert desk.said("attempts", "list").splitlines() == [
        "ATTEMPT                         KIND    AMOUNT     SINCE (UTC)       WHY",
        f"{attempt.id}  charge  10.00 USD  2026-03-02 09:30  the line? was cut",
    ]
    [described] = objects(desk.said("attempts", "list", "--json"))
    assert (described["id"], described["state"], described["amount"]) == (attempt.id, "needs_review", "10.00")
    assert len(objects(desk.said("attempts", "list", "--state", "all", "--json"))) == 2
    assert "needs_review" in desk.said("attempts", "list", "--state", "all")


def test_a_list_that_goes_on_says_so_beside_the_result(desk: Desk) -> None:
    jobs = [desk.dead(), desk.dead(), desk.dead()]
    done = desk.run("jobs", "list", "--limit", "2", "--json")
    assert [each["id"] for each in objects(done.stdout)] == [jobs[0].id, jobs[1].id]
    assert done.stderr == "There are more than these 2: --limit shows more.\n"
    assert desk.run("jobs", "list", "--limit", "3").stderr == ""


def test_tables_are_as_wide_as_a_terminal_of_a_hundred_columns_and_lose_nothing(desk: Desk) -> None:
    out = io.StringIO()
    screen = Screen()
    screen.out = Console(file=out, force_terminal=True, color_system=None, width=100, soft_wrap=True)
    ids = [f"att_{NOBODY}", "charge", "123,456.00 USD", "needs_review", "2026-03-02 09:30"]
    screen.columns(["ATTEMPT", "KIND", "AMOUNT", "STATE", "SINCE (UTC)", "WHY"], [[*ids, "why " * 20]])
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 100
    assert out.getvalue().count("why") == 20
    assert all(cell in lines[1] for cell in ids)


# ── one ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_job_is_shown_with_all_that_it_is_about(desk: Desk) -> None:
    job = desk.dead()
    said = desk.said("jobs", "show", job.id)
    assert "last_error        gateway_broken: it ?[2J is" in said
    for line in ("job", "its attempt", "its transaction", f"  id                {job.id}"):
        assert line in said.splitlines()
    [described] = objects(desk.said("jobs", "show", job.id, "--json"))
    assert described["about"]["transaction"]["id"] == job.subject
    assert described["about"]["refund"] is None
    assert "\x1b" not in desk.said("jobs", "show", job.id, "--json")


def test_a_job_whose_payment_is_not_there_is_shown_all_the_same(desk: Desk) -> None:
    job = desk.dead()

    async def lose() -> None:
        async with desk.shop.payments._ports.begin() as work:
            work.jobs.save(replace(job, subject="txn_lost"))

    asyncio.run(lose())
    assert desk.said("jobs", "show", job.id).splitlines()[-1] == "what it is about is not there"


def test_an_attempt_is_shown_with_all_that_it_is_about(desk: Desk) -> None:
    attempt = desk.review()
    said = desk.said("attempts", "show", attempt.id)
    for line in ("attempt", "its transaction", f"  transaction       {attempt.transaction}"):
        assert line in said.splitlines()
    [described] = objects(desk.said("attempts", "show", attempt.id, "--json"))
    assert described["about"]["transaction"]["status_reason"] == "needs_review"


# ── revive ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_dead_job_is_revived_and_done(desk: Desk) -> None:
    job = desk.dead()
    assert desk.said("jobs", "revive", job.id, job.id) == f"Revived {job.id}.\n"
    assert [each["state"] for each in objects(desk.said("jobs", "list", "--state", "all", "--json"))] == ["due"]
    asyncio.run(desk.shop.worker.sweep_until_idle())
    assert asyncio.run(desk.shop.show(TransactionId(job.subject), "status")) == ("succeeded",)
    assert desk.refused("jobs", "revive", job.id) == f"Error: There is no job {job.id}: it is done, or never was."


def test_all_that_are_dead_are_revived(desk: Desk) -> None:
    jobs = [desk.dead() for _ in range(3)]
    assert desk.said("jobs", "revive", "--all").splitlines() == [f"Revived {job.id}." for job in jobs]
    assert desk.said("jobs", "revive", "--all") == "No job is dead.\n"


def test_of_several_jobs_each_is_revived_for_itself(desk: Desk) -> None:
    first, alive, second = desk.dead(), desk.dead(), desk.dead()
    desk.said("jobs", "revive", alive.id)
    done = desk.run("jobs", "revive", first.id, alive.id, f"job_{NOBODY}", second.id)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [f"Revived {first.id}.", f"Revived {second.id}."]
    assert [line for line in done.stderr.splitlines() if line.startswith("Error")] == [
        f"Error: {alive.id}: The job is due: only a dead one can be revived.",
        f"Error: There is no job job_{NOBODY}: it is done, or never was.",
    ]


# ── resolve ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_attempt_is_resolved_as_approved(desk: Desk) -> None:
    attempt = desk.review()
    done = desk.run("attempts", "resolve", attempt.id, *APPROVED, "--by", "anna", "--note", "mail of the bank", "--yes")
    stands = f"is approved (ch_seen); transaction {attempt.transaction} is succeeded."
    about = f"Attempt {attempt.id} (charge of 10.00 USD) {stands}"
    assert (done.exit_code, done.stdout) == (0, about + "\n")
    [line] = done.stderr.splitlines()
    assert f"attempt {attempt.id} is approved: said by anna: mail of the bank" in line
    assert desk.show(attempt, "status", "gateway_reference") == ("succeeded", "ch_seen")
    assert "said by anna: mail of the bank" in desk.said("attempts", "show", attempt.id)


def test_an_attempt_is_resolved_as_declined_by_who_is_logged_in(desk: Desk) -> None:
    attempt = desk.review()
    desk.said("attempts", "resolve", attempt.id, *DECLINED, "--message", "The bank refused.", "--yes")
    [failure] = desk.show(attempt, "failure")
    assert failure == {
        "code": "card_declined",
        "message": "The bank refused.",
        "gateway_code": None,
        "retryable": False,
    }
    assert f"card_declined, said by {getpass.getuser()}" in desk.said("attempts", "show", attempt.id)


def test_the_same_word_again_changes_nothing_and_says_so(desk: Desk) -> None:
    attempt = desk.review()
    resolve_it = ("attempts", "resolve", attempt.id, *APPROVED, "--yes")
    first = desk.said(*resolve_it)
    assert desk.said(*resolve_it) == f"Nothing was changed: a{first[1:]}"


def test_a_word_that_contradicts_is_refused_unless_it_corrects(desk: Desk) -> None:
    attempt = desk.review()
    desk.said("attempts", "resolve", attempt.id, *DECLINED, "--yes")
    line = desk.refused("attempts", "resolve", attempt.id, *APPROVED, "--yes")
    assert line == (
        "Error: The attempt is declined: only a correction changes that. If it was wrong, --correct makes one."
    )
    assert desk.show(attempt, "status") == ("failed",)
    assert "is succeeded" in desk.said("attempts", "resolve", attempt.id, *APPROVED, "--correct", "--yes")


def test_at_a_terminal_it_is_asked_once_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = desk.review()
    monkeypatch.setattr(resolve, "_is_at_terminal", lambda: True)
    no = desk.run("attempts", "resolve", attempt.id, *APPROVED, typed="n\n")
    assert (no.exit_code, no.stdout.strip()) == (130, "")
    assert f"Attempt {attempt.id} (charge of 10.00 USD) is needs_review" in no.stderr
    assert "Why it is so: the line? was cut" in no.stderr
    assert "Resolve it as approved, with the reference ch_seen?" in no.stderr
    assert desk.show(attempt, "status") == ("processing",)
    yes = desk.run("attempts", "resolve", attempt.id, *APPROVED, typed="y\n")
    assert yes.exit_code == 0, yes.stderr
    assert desk.show(attempt, "status") == ("succeeded",)


def test_without_a_terminal_nothing_is_resolved_unasked(desk: Desk) -> None:
    attempt = desk.review()
    line = desk.refused("attempts", "resolve", attempt.id, *APPROVED)
    assert line == "Error: No terminal to ask once more: --yes resolves without asking."
    assert desk.show(attempt, "status") == ("processing",)


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("jobs", "show", f"job_{NOBODY}"), f"There is no job job_{NOBODY}: it is done, or never was."),
        (("jobs", "revive", f"job_{NOBODY}"), f"There is no job job_{NOBODY}: it is done, or never was."),
        (("attempts", "show", f"att_{NOBODY}"), f"There is no attempt att_{NOBODY}."),
        (("attempts", "resolve", f"att_{NOBODY}", *APPROVED, "--yes"), f"There is no attempt att_{NOBODY}."),
        (
            ("attempts", "resolve", f"att_{NOBODY}", *APPROVED, "--note", "card 4242424242424242"),
            "note: Contains what looks like a card number; never send one here.",
        ),
        (
            ("attempts", "resolve", f"att_{NOBODY}", "--declined", "--code", "Not a code"),
            "code: Must be a word such as `card_declined`: a to z, digits and `_`.",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(desk: Desk, arguments: Sequence[str], line: str) -> None:
    assert desk.refused(*arguments) == f"Error: {line}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("jobs", "show", f"att_{NOBODY}"), f"att_{NOBODY} is an attempt, and not a job."),
        (("jobs", "show", "7"), "it is no id of a job"),
        (("verify", "--merchant", f"txn_{NOBODY}"), f"txn_{NOBODY} is a transaction, and not a merchant."),
        (("jobs", "revive", f"txn_{NOBODY}"), f"txn_{NOBODY} is a transaction, and not a job."),
        (("jobs", "revive"), "Name the jobs to revive, or say --all."),
        (("jobs", "revive", "--all", f"job_{NOBODY}"), "Name jobs or say --all, not both."),
        (("jobs", "list", "--merchant", f"job_{NOBODY}"), f"job_{NOBODY} is a job, and not a merchant."),
        (("jobs", "list", "--limit", "0"), "0 is not in the range"),
        (("attempts", "show", f"xyz_{NOBODY}"), f"xyz_{NOBODY} is of another kind, and not an attempt."),
        (("attempts", "resolve", f"att_{NOBODY}"), "either --approved --reference …, or --declined --code …."),
        (("attempts", "resolve", f"att_{NOBODY}", *APPROVED, *DECLINED), "either --approved"),
        (("attempts", "resolve", f"att_{NOBODY}", "--approved"), "--approved needs the gateway's --reference."),
        (("attempts", "resolve", f"att_{NOBODY}", "--declined"), "--declined needs a --code"),
        (("attempts", "resolve", f"att_{NOBODY}", *APPROVED, "--code", "no"), "--code and --message go with"),
        (("attempts", "resolve", f"att_{NOBODY}", *DECLINED, "--reference", "x"), "--reference goes with --approved."),
    ],
)
def test_what_is_said_wrongly_is_refused_before_anything_is_looked_at(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], words: str
) -> None:
    monkeypatch.setattr(wiring, "wire", None)
    assert words in desk.refused(*arguments, status=2)


def test_an_attempt_that_is_still_looked_up_is_left_to_that(desk: Desk) -> None:
    desk.pay(Unknown(why="cut"))
    [described] = objects(desk.said("attempts", "list", "--state", "unknown", "--json"))
    line = desk.refused("attempts", "resolve", str(described["id"]), *APPROVED, "--yes")
    assert line.startswith("Error: The attempt is unknown: its job still asks the gateway.")


# ── payments audit ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_audit_log_is_listed_with_who_and_whose(desk: Desk) -> None:
    merchant = desk.shop.caller.merchant
    heading, *rows = desk.said("audit", "list", "--merchant", merchant).splitlines()
    assert heading.split("  ")[0] == "WHEN (UTC)"
    assert sorted(row.split()[2] for row in rows) == [
        "api_key.made",
        "merchant.registered",
        "payment_key.made",
    ]
    assert all(merchant in row for row in rows)
    [entry] = objects(desk.said("audit", "list", "--action", "merchant.registered", "--merchant", merchant, "--json"))
    assert (entry["merchant"], entry["actor"]) == (merchant, {"kind": "nobody", "id": None})
    assert desk.said("audit", "list", "--subject", "none") == "There are no such entries.\n"
    assert len(objects(desk.said("audit", "list", "--action", "audit.listed", "--json"))) == 3


def test_who_runs_the_command_is_named_in_the_audit_log_and_not_who_they_say_they_are(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staff, "pwd", SimpleNamespace(getpwuid=lambda _: SimpleNamespace(pw_name="anna")))
    monkeypatch.setenv("LOGNAME", "somebody-else")
    monkeypatch.delenv("SUDO_USER", raising=False)
    desk.pay(Unknown(why="cut"))
    [described] = objects(desk.said("attempts", "list", "--state", "unknown", "--json"))
    desk.said("attempts", "show", str(described["id"]))
    [entry] = objects(desk.said("audit", "list", "--action", "attempt.seen", "--json"))
    assert (entry["actor"], entry["subject"]) == ({"kind": "staff", "id": "anna"}, described["id"])


@pytest.mark.parametrize(
    ("number", "before", "said"),
    [(0, "anna", "root, sudo by anna"), (0, "an\nna", "root"), (7, "anna", "root"), (7, "", "root")],
)
def test_who_is_root_by_sudo_is_said_so(monkeypatch: pytest.MonkeyPatch, number: int, before: str, said: str) -> None:
    monkeypatch.setattr(staff, "pwd", SimpleNamespace(getpwuid=lambda _: SimpleNamespace(pw_name="root")))
    monkeypatch.setattr(os, "getuid", lambda: number)
    monkeypatch.setenv("SUDO_USER", before)
    assert staff.who() == said


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_123_456)
    assert staff.who() == "uid 4123456"


# ── payments merchant, payments staff ────────────────────────────────────────────────────────────────────────────────


def test_merchants_are_listed_suspended_and_let_go_on(desk: Desk) -> None:
    merchant = desk.shop.caller.merchant
    heading, row = desk.said("merchant", "list", "--text", "SHOP@").splitlines()
    assert heading.split("  ")[0] == "MERCHANT"
    assert row.split()[0] == merchant
    assert desk.said("merchant", "list", "--suspended") == "There are no such merchants.\n"
    said = desk.said("merchant", "suspend", merchant, "--reason", "chargebacks")
    assert said == f"Merchant {merchant} shop@example.com is suspended; 0 pending payments were canceled.\n"
    again = desk.said("merchant", "suspend", merchant, "--reason", "another")
    assert "is suspended since" in again
    [described] = objects(desk.said("merchant", "list", "--suspended", "--json"))
    assert (described["id"], described["suspended_at"] is None) == (merchant, False)
    assert desk.said("merchant", "unsuspend", merchant).startswith(
        f"Merchant {merchant} shop@example.com is suspended no longer; 0 pending"
    )
    assert desk.said("merchant", "unsuspend", merchant).endswith("shop@example.com is not suspended.\n")
    assert [row["id"] for row in objects(desk.said("merchant", "list", "--active", "--json"))] == [merchant]


def test_a_list_of_merchants_says_that_there_are_more(desk: Desk) -> None:
    asyncio.run(desk.shop.payments.register(Register(email="b@example.com", password="correct horse battery")))
    listed = desk.run("merchant", "list", "--limit", "1")
    assert len(listed.stdout.splitlines()) == 2
    assert "There are more than these 1" in listed.stderr


@pytest.mark.parametrize(
    "arguments",
    [("merchant", "suspend", f"mer_{NOBODY}", "--reason", "why"), ("merchant", "unsuspend", f"mer_{NOBODY}")],
)
def test_a_merchant_that_is_not_there_is_said_so(desk: Desk, arguments: Sequence[str]) -> None:
    assert desk.refused(*arguments) == f"Error: There is no merchant mer_{NOBODY}."


def test_a_suspension_needs_a_merchant_and_a_reason(desk: Desk) -> None:
    assert "Missing option '--reason'" in desk.refused("merchant", "suspend", f"mer_{NOBODY}", status=2)
    assert "is a job" in desk.refused("merchant", "suspend", f"job_{NOBODY}", "--reason", "why", status=2)


def test_accounts_of_staff_are_made_listed_and_disabled(desk: Desk) -> None:
    assert desk.said("staff", "list").startswith("Nobody of the staff has an account")
    create = ("staff", "create", "--email", "Ada@example.com", "--name", "Ada", "--password-stdin")
    made = desk.run(*create, typed="correct horse battery\n")
    assert made.exit_code == 0, made.stderr
    assert made.stdout.endswith(" ada@example.com (Ada)\n")
    [member] = objects(desk.said("staff", "list", "--json"))
    assert set(member) == {"id", "email", "name", "created_at", "disabled_at"}
    assert str(member["id"]) in desk.said("staff", "list")
    taken = desk.run(*create, typed="correct horse battery\n")
    assert (taken.exit_code, taken.stderr) == (1, "Error: Somebody of the staff has this e-mail address already.\n")
    reset = ("staff", "reset-password", "--email", "ada@example.com", "--password-stdin")
    assert "has a new password" in desk.run(*reset, typed="another horse battery\n").stdout
    assert desk.said("staff", "disable", "--email", "ada@example.com").endswith("ada@example.com is disabled.\n")
    assert "is disabled" in desk.run(*reset, typed="another horse battery\n").stderr


def test_what_is_wrong_with_an_account_of_staff_is_said_in_a_line(desk: Desk) -> None:
    nobody = desk.refused("staff", "disable", "--email", "bob@example.com")
    assert nobody == "Error: There is nobody of the staff with this e-mail address."
    create = ("staff", "create", "--email", "ada@example.com", "--name", "Ada")
    assert desk.refused(*create) == "Error: No terminal to ask for the password: use --password-stdin."
    assert "e-mail address" in desk.refused("staff", "create", "--email", "ada", "--name", "Ada", status=2)
