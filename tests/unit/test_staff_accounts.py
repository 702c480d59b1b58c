"""Accounts of staff: how they are made, how their owners sign in and are recognised, and how that ends."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest

from adapters.memory import HandClock, MemoryPasswords, memory_payments
from payments_core import Conflict, Invalid, InvalidCredentials, LogIn, NotFound, Payments, Register, TooMany
from payments_core.audit import Action, AuditEntry, Origin
from payments_core.errors import RuleBroken
from payments_core.ids import StaffId
from payments_core.limits import LOGIN_DELAY, LOGIN_PER_ACCOUNT_AND_ADDRESS
from payments_core.ports import AuditFilter, Window
from payments_core.staff import Staff
from payments_core.staff_accounts import STAFF_EMAIL_LENGTH_MAX, guesses_of
from payments_core.staff_member import STAFF_MEMBERS_MAX, STAFF_SESSION_LIFETIME, STAFF_SESSIONS_MAX, StaffMember
from payments_core.testing.builders import NOW, SECOND, a_staff_member
from payments_core.use_cases.register_merchant import normal_email

EMAIL, PASSWORD, OTHER = "ada@example.com", "correct horse battery", "another horse battery"
ORIGIN = Origin(address="192.0.2.7", request_id="req-1")


@dataclass(slots=True, kw_only=True)
class Office:
    payments: Payments
    clock: HandClock
    passwords: MemoryPasswords
    ada: StaffMember

    @property
    def staff(self) -> Staff:
        return self.payments.staff

    async def refused(self, email: str = EMAIL, password: str = PASSWORD) -> str:
        with pytest.raises(InvalidCredentials) as refused:
            await self.staff.sign_in(email, password, ORIGIN)
        return refused.value.message

    async def entries(self, action: Action | None = None) -> Sequence[AuditEntry]:
        """Return what the log has, the newest first."""
        oversight = self.payments._ports.oversight
        return (await oversight.audit(Window(limit=100), AuditFilter(action=action), None)).items


@pytest.fixture
async def office() -> Office:
    clock, passwords = HandClock(NOW), MemoryPasswords(entropy=os.urandom, cost=4)
    payments, _ = memory_payments(passwords=passwords, clock=clock)
    ada = await payments.staff.named("root").create_member(" Ada@Example.com ", "Ada", PASSWORD)
    clock.move(SECOND)
    return Office(payments=payments, clock=clock, passwords=passwords, ada=ada)


# ── accounts


async def test_an_account_has_its_address_in_lower_case_and_keeps_no_password(office: Office) -> None:
    [member] = await office.staff.members()
    assert (member.email, member.name, member.disabled_at) == (EMAIL, "Ada", None)
    assert PASSWORD not in member.password_hash
    assert member.password_hash not in repr(member)
    [entry] = await office.entries(Action.STAFF_MADE)
    assert (entry.merchant, entry.subject, entry.actor.kind, entry.actor.id) == (None, member.id, "staff", "root")
    assert len(await office.entries(Action.STAFF_LISTED)) == 1


async def test_an_address_has_one_account(office: Office) -> None:
    with pytest.raises(Conflict) as refused:
        await office.staff.create_member("ADA@example.com", "Ada", PASSWORD)
    assert refused.value.code == "email_taken"
    await office.payments.register(Register(email=EMAIL, password=OTHER))


@pytest.mark.parametrize(
    ("email", "name", "password", "field"),
    [
        ("ada", "Ada", PASSWORD, "email"),
        ("a" * STAFF_EMAIL_LENGTH_MAX + "@example.com", "Ada", PASSWORD, "email"),
        ("a\u202e@example.com", "Ada", PASSWORD, "email"),
        ("bob@example.com", "", PASSWORD, "name"),
        ("bob@example.com", "two\nlines", PASSWORD, "name"),
        ("bob@example.com", "x" * 101, PASSWORD, "name"),
        ("bob@example.com", "Bob", "short", "password"),
    ],
)
async def test_what_is_wrong_with_an_account_is_named(
    office: Office, email: str, name: str, password: str, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await office.staff.create_member(email, name, password)
    assert {fault.field for fault in refused.value.faults} == {field}


async def test_there_are_no_more_accounts_than_can_be_shown_at_once(office: Office) -> None:
    async with office.payments._ports.begin() as work:
        for _ in range(STAFF_MEMBERS_MAX - 1):
            work.staff_members.add(a_staff_member())
    with pytest.raises(RuleBroken) as refused:
        await office.staff.create_member("bob@example.com", "Bob", PASSWORD)
    assert refused.value.code == "too_many_staff_members"
    assert len(await office.staff.members()) == STAFF_MEMBERS_MAX


async def test_nobody_is_disabled_or_given_a_password_who_is_not_there(office: Office) -> None:
    with pytest.raises(NotFound):
        await office.staff.disable_member("bob@example.com")
    with pytest.raises(NotFound):
        await office.staff.reset_member_password("bob@example.com", OTHER)
    with pytest.raises(NotFound):
        await office.staff.sign_out_everywhere(StaffId("stf_none"))


# ── signing in, and being recognised


async def test_whoever_signs_in_is_recognised_until_half_a_day_has_passed(office: Office) -> None:
    session = await office.staff.sign_in(" ADA@example.com", PASSWORD, ORIGIN)
    assert (await office.staff.recognise(session.id)).id == office.ada.id
    office.clock.move(STAFF_SESSION_LIFETIME - SECOND)
    await office.staff.recognise(session.id)
    office.clock.move(SECOND)
    with pytest.raises(InvalidCredentials):
        await office.staff.recognise(session.id)


@pytest.mark.parametrize("id", ["", "sss_none", "\0", "\ud800", "stf_" + "0" * 26])
async def test_a_session_that_never_was_is_nobodys(office: Office, id: str) -> None:
    with pytest.raises(InvalidCredentials):
        await office.staff.recognise(id)
    await office.staff.sign_out(id)


async def test_an_unknown_address_a_wrong_password_and_a_disabled_account_get_the_same_refusal(office: Office) -> None:
    words = {await office.refused("bob@example.com"), await office.refused(password=OTHER)}
    await office.staff.disable_member(EMAIL)
    words.add(await office.refused())
    assert words == {"The e-mail address or the password is wrong."}


async def test_each_try_is_in_the_log_which_is_nobodys_with_where_it_came_from(office: Office) -> None:
    session = await office.staff.sign_in(EMAIL, PASSWORD, ORIGIN)
    await office.refused(password=OTHER)
    office.clock.move(SECOND)
    await office.refused("bob@example.com")
    [good] = await office.entries(Action.LOGIN_SUCCEEDED)
    unknown, wrong = await office.entries(Action.LOGIN_FAILED)
    assert {(one.merchant, one.address, one.request_id) for one in (good, wrong, unknown)} == {
        (None, "192.0.2.7", "req-1")
    }
    assert (good.actor.kind, good.actor.id, good.subject) == ("staff", EMAIL, office.ada.id)
    assert (wrong.actor.kind, wrong.subject, unknown.actor.kind, unknown.subject) == (
        "nobody",
        office.ada.id,
        "nobody",
        None,
    )
    written = repr(await office.entries())
    assert [secret for secret in (session.id, PASSWORD, OTHER, "bob@") if secret in written] == []


async def test_a_disabled_account_that_is_tried_with_its_password_is_told_from_a_guess_in_the_log(
    office: Office,
) -> None:
    await office.staff.disable_member(EMAIL)
    await office.refused()
    [entry] = await office.entries(Action.LOGIN_FAILED)
    assert (entry.actor.kind, entry.actor.id, entry.detail["why"]) == ("staff", EMAIL, "disabled")


async def test_guesses_are_bounded_and_those_at_merchants_are_counted_apart(office: Office) -> None:
    await office.payments.register(Register(email=EMAIL, password=PASSWORD))
    for _ in range(LOGIN_PER_ACCOUNT_AND_ADDRESS.amount):
        await office.refused(password=OTHER)
    with pytest.raises(TooMany):
        await office.staff.sign_in(EMAIL, PASSWORD, ORIGIN)
    office.clock.move(timedelta(minutes=1))
    await office.payments.log_in(LogIn(email=EMAIL, password=PASSWORD), origin=ORIGIN)
    office.clock.move(timedelta(minutes=16))
    await office.staff.sign_in(EMAIL, PASSWORD, ORIGIN)


@pytest.mark.parametrize("typed", ["STAFF ada@example.com", " staff ada@example.com", "\u017fTAFF ada@example.com"])
def test_no_address_that_a_merchant_types_is_counted_as_one_of_the_staff(typed: str) -> None:
    assert normal_email(typed) != guesses_of(EMAIL)


async def test_a_right_password_is_not_counted_among_the_guesses(office: Office) -> None:
    for _ in range(LOGIN_DELAY.amount + 1):
        await office.staff.sign_in(EMAIL, PASSWORD)
        office.clock.move(timedelta(minutes=2))
    assert (await office.payments._ports.limits.hit(LOGIN_DELAY, guesses_of(EMAIL))).remaining == LOGIN_DELAY.amount - 1


async def test_beyond_so_many_sessions_the_oldest_goes(office: Office) -> None:
    sessions = []
    for _ in range(STAFF_SESSIONS_MAX + 1):
        sessions.append(await office.staff.sign_in(EMAIL, PASSWORD))
        office.clock.move(timedelta(minutes=2))
    with pytest.raises(InvalidCredentials):
        await office.staff.recognise(sessions[0].id)
    for session in sessions[1:]:
        await office.staff.recognise(session.id)


async def test_a_hash_of_yesterdays_parameters_is_made_anew_at_sign_in(office: Office) -> None:
    office.passwords._cost = 8
    await office.staff.sign_in(EMAIL, PASSWORD)
    [member] = await office.staff.members()
    assert not office.passwords.is_stale(member.password_hash)
    await office.staff.sign_in(EMAIL, PASSWORD)


# ── the end of sessions


async def test_signing_out_ends_one_session_and_signing_out_everywhere_all_of_the_members(office: Office) -> None:
    bob = await office.staff.create_member("bob@example.com", "Bob", PASSWORD)
    other = await office.staff.sign_in("bob@example.com", PASSWORD)
    first, second, third = [await office.staff.sign_in(EMAIL, PASSWORD) for _ in range(3)]
    await office.staff.named("ada", ORIGIN).sign_out(first.id)
    await office.staff.sign_out(first.id)
    with pytest.raises(InvalidCredentials):
        await office.staff.recognise(first.id)
    await office.staff.recognise(second.id)
    await office.staff.sign_out_everywhere(office.ada.id)
    for session in (second, third):
        with pytest.raises(InvalidCredentials):
            await office.staff.recognise(session.id)
    assert (await office.staff.recognise(other.id)).id == bob.id
    assert len(await office.entries(Action.SESSION_ENDED)) == 2


async def test_whoever_is_disabled_or_gets_a_new_password_is_signed_out(office: Office) -> None:
    session = await office.staff.sign_in(EMAIL, PASSWORD)
    await office.staff.reset_member_password(EMAIL, OTHER)
    with pytest.raises(InvalidCredentials):
        await office.staff.recognise(session.id)
    await office.refused()
    session = await office.staff.sign_in(EMAIL, OTHER)
    assert (await office.staff.disable_member(EMAIL)).disabled_at == office.clock.now()
    with pytest.raises(InvalidCredentials):
        await office.staff.recognise(session.id)
    office.clock.move(SECOND)
    assert (await office.staff.disable_member(EMAIL)).disabled_at == office.clock.now() - SECOND
    with pytest.raises(Conflict):
        await office.staff.reset_member_password(EMAIL, PASSWORD)
    assert [len(await office.entries(one)) for one in (Action.STAFF_DISABLED, Action.PASSWORD_RESET)] == [1, 1]


async def test_what_is_done_in_somebodys_name_says_from_where(office: Office) -> None:
    await office.staff.named(EMAIL, ORIGIN).create_member("bob@example.com", "Bob", PASSWORD)
    entry = (await office.entries(Action.STAFF_MADE))[0]
    assert (entry.actor.id, entry.address, entry.request_id) == (EMAIL, "192.0.2.7", "req-1")
