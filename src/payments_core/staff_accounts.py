"""Who the staff are: accounts by e-mail address, how they sign in, and how they are recognised from then on."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from payments_core.audit import HERE, NAME_LENGTH_MAX, NOBODY, Action, Actor, Origin
from payments_core.checks import Faults
from payments_core.errors import InvalidCredentials, RuleBroken
from payments_core.ids import StaffId, StaffSessionId
from payments_core.staff_desk import StaffDesk
from payments_core.staff_member import STAFF_MEMBERS_MAX, StaffMember, StaffSession
from payments_core.use_cases.check_password import MOVED, TRIES_MAX
from payments_core.use_cases.hold_account import PasswordMoved
from payments_core.use_cases.record_audit import audit_entry, staff
from payments_core.use_cases.register_merchant import check_email, check_new_password, check_password, normal_email
from payments_core.use_cases.staff_accounts import (
    WRONG,
    disable_staff_member,
    end_staff_session,
    end_staff_sessions,
    find_staff_member,
    make_staff_member,
    open_staff_session,
    rehash_staff_password,
    reset_staff_password,
)
from payments_core.values import Json

STAFF_EMAIL_LENGTH_MAX: Final = NAME_LENGTH_MAX
"""Staff are called by their address in the audit log."""
_ENDED: Final = "Nobody is signed in: the session is unknown, or it has ended."

_log = logging.getLogger(__name__)


class StaffAccounts(StaffDesk):
    """Accounts and sessions of staff."""

    __slots__ = ()

    async def create_member(self, email: str, name: str, password: str) -> StaffMember:
        """Open an account. Raises Invalid, Conflict (`email_taken`), RuleBroken (`too_many_staff_members`)."""
        email = normal_email(email)
        faults = Faults()
        check_email(faults, email, longest=STAFF_EMAIL_LENGTH_MAX)
        faults.line("email", email, longest=STAFF_EMAIL_LENGTH_MAX)
        faults.line("name", name, longest=NAME_LENGTH_MAX)
        check_password(faults, "password", password, self.passwords)
        faults.raise_if_any()
        if len(await self.oversight.staff_members(limit=STAFF_MEMBERS_MAX)) >= STAFF_MEMBERS_MAX:
            raise RuleBroken("too_many_staff_members", f"There can be at most {STAFF_MEMBERS_MAX} accounts of staff.")
        password_hash = await self.passwords.hash(password)
        act = partial(
            make_staff_member, email=email, name=name, password_hash=password_hash, by=self.who, origin=self.origin
        )
        member = await self.units.run(act)
        _log.info("%s was made a member of the staff", member.id)
        return member

    async def members(self) -> Sequence[StaffMember]:
        """List the staff, disabled ones included, the oldest first."""
        await self._append(Action.STAFF_LISTED, merchant=None)
        return await self.oversight.staff_members(limit=STAFF_MEMBERS_MAX)

    async def disable_member(self, email: str) -> StaffMember:
        """Shut somebody out for good, at once in all processes; whoever is already stays so. Raises NotFound."""
        act = partial(disable_staff_member, email=normal_email(email), by=self.who, origin=self.origin)
        member, changed = await self.units.run(act)
        if changed:
            _log.info("%s of the staff is disabled", member.id)
        return member

    async def reset_member_password(self, email: str, password: str) -> StaffMember:
        """Give somebody of the staff a new password, and end their sessions.

        Raises Invalid (`password`), NotFound, Conflict (`staff_member_disabled`), Unavailable.
        """
        check_new_password("password", password, self.passwords)
        password_hash = await self.passwords.hash(password)
        act = partial(
            reset_staff_password,
            email=normal_email(email),
            password_hash=password_hash,
            by=self.who,
            origin=self.origin,
        )
        member = await self.units.run(act)
        _log.info("the password of %s of the staff was reset", member.id)
        return member

    async def sign_in(self, email: str, password: str, origin: Origin = HERE) -> StaffSession:
        """Begin a session of whoever has this address and password. Raises InvalidCredentials, TooMany.

        An unknown address, a wrong password and a disabled account get the same refusal, after the same time.
        """
        email = normal_email(email)
        account = guesses_of(email)
        tried = await self.guesses.begin_login(account, origin.address)
        for _ in range(TRIES_MAX):
            try:
                member = await self._checked(email, password, origin)
                act = partial(open_staff_session, checked=member, origin=origin)
                session = await self.units.run(act, on=f"staff:{member.id}")
            except PasswordMoved:
                continue
            await self.guesses.was_right(account, tried)
            return session
        raise InvalidCredentials(MOVED)

    async def recognise(self, session_id: str) -> StaffMember:
        """Return whose session it is, by one read of the store that nothing remembers. Raises InvalidCredentials.

        What another process ended, or whom it disabled, is refused from its commit on.
        """
        holder = await self.oversight.staff_session(StaffSessionId(session_id))
        if holder is None or not holder.session.is_valid(self.clock.now()) or holder.member.disabled_at is not None:
            raise InvalidCredentials(_ENDED)
        return holder.member

    async def sign_out(self, session_id: str) -> None:
        """End a session; one that is not there, or has ended, is let be."""
        await self.units.run(partial(end_staff_session, id=StaffSessionId(session_id), origin=self.origin))

    async def sign_out_everywhere(self, member_id: StaffId) -> None:
        """End all sessions of a member. Raises NotFound."""
        act = partial(end_staff_sessions, member=member_id, by=self.who, origin=self.origin)
        await self.units.run(act, on=f"staff:{member_id}")

    async def _checked(self, email: str, password: str, origin: Origin) -> StaffMember:
        member = await self.units.run(partial(find_staff_member, email=email))
        right = await self.passwords.verify(None if member is None else member.password_hash, password)
        if member is None or not right:
            await self._refused(NOBODY, member, {}, origin)
            raise InvalidCredentials(WRONG)
        if member.disabled_at is not None:
            await self._refused(staff(member.email), member, {"why": "disabled"}, origin)
            raise InvalidCredentials(WRONG)
        if not self.passwords.is_stale(member.password_hash):
            return member
        fresh = await self.passwords.hash(password)
        return await self.units.run(partial(rehash_staff_password, checked=member, password_hash=fresh))

    async def _refused(
        self, who: Actor, member: StaffMember | None, detail: Mapping[str, Json], origin: Origin
    ) -> None:
        entry = audit_entry(
            self.units.moment(),
            Action.LOGIN_FAILED,
            who,
            merchant=None,
            origin=origin,
            subject=None if member is None else member.id,
            detail={"as": "staff", **detail},
        )
        await self.audit.append(entry)


def guesses_of(email: str) -> str:
    """Return under which name tries at the password of one of the staff are counted.

    It has capital letters, and what merchants type as their address is in lower case: they never share a count.
    """
    return f"STAFF {email}"
