"""Staff sign in and out. Their accounts are opened on the machine itself, by `payments staff create`."""

from __future__ import annotations

from typing import Final

from entrypoints.http.console.page import For, form, page
from entrypoints.http.console.session_cookie import Cookie, Who, new_visitor
from entrypoints.http.console.visits import STAFF_ROOT, STAFF_SIGN_IN, Visit, inside
from entrypoints.http.responses import Reply
from payments_core import InvalidCredentials, TooMany
from payments_core.ids import StaffId

SECTION: Final = "staff_account"
WAIT: Final = "Too many tries. Wait a few minutes, and try again."


@page("/staff/sign-in", whose=For.ANYBODY)
async def staff_sign_in_page(visit: Visit) -> Reply:
    """Ask for the e-mail address and the password."""
    if visit.cookie.who is Who.STAFF and visit.query.get("next") is None and visit.said is None:
        return visit.lead(STAFF_ROOT)
    return _sign_in_form(visit)


@form("/staff/sign-in", whose=For.ANYBODY)
async def staff_sign_in(visit: Visit) -> Reply:
    """Begin a session of one of the staff, and lead on to where they wanted to go."""
    email, password = visit.form.text("email"), visit.form.exact("password")
    try:
        session = await visit.payments.staff.sign_in(email, password, visit.origin)
    except InvalidCredentials as refused:
        return _sign_in_form(visit, error=refused.message)
    except TooMany:
        return _sign_in_form(visit, error=WAIT)
    await visit.leave()
    now = visit.services.clock.now()
    visit.take(Cookie(who=Who.STAFF, subject=session.member, session=session.id, seen_at=now))
    return visit.lead(inside(visit.form.get("next"), STAFF_ROOT))


@form("/staff/sign-out", whose=For.STAFF, section=SECTION)
async def staff_sign_out(visit: Visit) -> Reply:
    """End this session."""
    await visit.staff.sign_out(visit.cookie.session)
    return _gone(visit, "signed_out")


@form("/staff/sign-out-everywhere", whose=For.STAFF, section=SECTION)
async def staff_sign_out_everywhere(visit: Visit) -> Reply:
    """End all sessions of this member."""
    await visit.staff.sign_out_everywhere(StaffId(visit.cookie.subject))
    return _gone(visit, "signed_out_everywhere")


@page("/staff/account", whose=For.STAFF, section=SECTION)
async def staff_account(visit: Visit) -> Reply:
    """Show who they are."""
    member = await visit.staff.recognise(visit.cookie.session)
    return visit.show("staff_account.html", member=member)


PAGES: Final = (staff_sign_in_page, staff_sign_in, staff_sign_out, staff_sign_out_everywhere, staff_account)


def _gone(visit: Visit, said: str) -> Reply:
    visit.take(new_visitor(visit.services.clock.now()))
    return visit.lead(STAFF_SIGN_IN, said=said)


def _sign_in_form(visit: Visit, *, error: str | None = None) -> Reply:
    next_path = visit.form.get("next") or visit.query.get("next")
    return visit.show("staff_sign_in.html", email=visit.form.text("email"), error=error, next_path=next_path)
