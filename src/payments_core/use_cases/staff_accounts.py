"""Accounts of staff and their sessions: what is written for each deed, in one commit."""

from __future__ import annotations

from payments_core.audit import Action, Actor, Origin
from payments_core.errors import Conflict, InvalidCredentials, NotFound
from payments_core.ids import Moment, StaffId, StaffSessionId
from payments_core.ports import UnitOfWork
from payments_core.staff_member import STAFF_SESSION_LIFETIME, STAFF_SESSIONS_MAX, StaffMember, StaffSession
from payments_core.use_cases.hold_account import PasswordMoved
from payments_core.use_cases.record_audit import audit_entry, staff

NO_MEMBER = "There is nobody of the staff with this e-mail address."
WRONG = "The e-mail address or the password is wrong."


async def find_staff_member(work: UnitOfWork, _moment: Moment, *, email: str) -> StaffMember | None:
    """Return the member with this address, if there is one."""
    return await work.staff_members.by_email(email)


async def make_staff_member(
    work: UnitOfWork, moment: Moment, *, email: str, name: str, password_hash: str, by: Actor, origin: Origin
) -> StaffMember:
    """Return the new member; the commit raises Duplicate where the address is another's."""
    id = StaffId(moment.id("stf"))
    member = StaffMember(id=id, email=email, name=name, password_hash=password_hash, created_at=moment.now)
    work.staff_members.add(member)
    _note(work, moment, Action.STAFF_MADE, by, origin, member)
    return member


async def disable_staff_member(
    work: UnitOfWork, moment: Moment, *, email: str, by: Actor, origin: Origin
) -> tuple[StaffMember, bool]:
    """Return the member who is shut out, and whether it was not so before. Raises NotFound."""
    member = await _by_email(work, email)
    if member.disabled_at is not None:
        return member, False
    disabled = member.disable(moment.now)
    work.staff_members.save(disabled)
    await _end_all(work, moment, disabled)
    _note(work, moment, Action.STAFF_DISABLED, by, origin, disabled)
    return disabled, True


async def reset_staff_password(
    work: UnitOfWork, moment: Moment, *, email: str, password_hash: str, by: Actor, origin: Origin
) -> StaffMember:
    """Give a member a new password, and end all sessions. Raises NotFound, Conflict (`staff_member_disabled`)."""
    member = await _by_email(work, email)
    if member.disabled_at is not None:
        raise Conflict("staff_member_disabled", "This member of the staff is disabled.")
    changed = member.change_password(password_hash)
    work.staff_members.save(changed)
    await _end_all(work, moment, changed)
    _note(work, moment, Action.PASSWORD_RESET, by, origin, changed)
    return changed


async def rehash_staff_password(
    work: UnitOfWork, _moment: Moment, *, checked: StaffMember, password_hash: str
) -> StaffMember:
    """Keep the same password under today's parameters, and return the member so. Raises PasswordMoved."""
    member = (await _hold_checked(work, checked)).change_password(password_hash)
    work.staff_members.save(member)
    return member


async def open_staff_session(work: UnitOfWork, moment: Moment, *, checked: StaffMember, origin: Origin) -> StaffSession:
    """Begin a session; beyond STAFF_SESSIONS_MAX the oldest goes. Raises PasswordMoved, InvalidCredentials."""
    member = await _hold_checked(work, checked)
    if member.disabled_at is not None:
        raise InvalidCredentials(WRONG)
    valid = await work.staff_sessions.valid_of(member.id, at=moment.now)
    for oldest in valid[: max(0, len(valid) + 1 - STAFF_SESSIONS_MAX)]:
        work.staff_sessions.save(oldest.revoke(moment.now))
    session = StaffSession(
        id=StaffSessionId(moment.id("sss")),
        member=member.id,
        created_at=moment.now,
        expires_at=moment.now + STAFF_SESSION_LIFETIME,
    )
    work.staff_sessions.add(session)
    _note(work, moment, Action.LOGIN_SUCCEEDED, staff(member.email), origin, member)
    return session


async def end_staff_session(work: UnitOfWork, moment: Moment, *, id: StaffSessionId, origin: Origin) -> None:
    """End a session; one that has ended, or never was, stays as it is."""
    try:
        session = await work.staff_sessions.get(id)
    except NotFound:
        return
    if session.is_valid(moment.now):
        work.staff_sessions.save(session.revoke(moment.now))
        member = await work.staff_members.get(session.member)
        _note(work, moment, Action.SESSION_ENDED, staff(member.email), origin, member)


async def end_staff_sessions(work: UnitOfWork, moment: Moment, *, member: StaffId, by: Actor, origin: Origin) -> None:
    """End all sessions of a member, one that begins at the same moment among them or after them. Raises NotFound."""
    held = await work.staff_members.get(member)
    work.staff_members.save(held)
    await _end_all(work, moment, held)
    _note(work, moment, Action.SESSION_ENDED, by, origin, held)


async def _by_email(work: UnitOfWork, email: str) -> StaffMember:
    member = await work.staff_members.by_email(email)
    if member is None:
        raise NotFound(NO_MEMBER)
    return member


async def _hold_checked(work: UnitOfWork, checked: StaffMember) -> StaffMember:
    """Have the commit fail against every other that changes the member or begins a session of theirs.

    Raises PasswordMoved where the password is another than the one that was checked.
    """
    member = await work.staff_members.get(checked.id)
    if member.password_hash != checked.password_hash:
        raise PasswordMoved("the password was changed meanwhile")
    work.staff_members.save(member)
    return member


async def _end_all(work: UnitOfWork, moment: Moment, member: StaffMember) -> None:
    for session in await work.staff_sessions.valid_of(member.id, at=moment.now):
        work.staff_sessions.save(session.revoke(moment.now))


def _note(work: UnitOfWork, moment: Moment, action: Action, who: Actor, origin: Origin, member: StaffMember) -> None:
    # Not the session: its id is what recognises the member.
    work.audit.add(audit_entry(moment, action, who, merchant=None, origin=origin, subject=member.id))
