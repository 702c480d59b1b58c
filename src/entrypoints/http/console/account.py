"""Sign in, sign up, sign out, and what concerns the account itself."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import msgspec

from entrypoints.http.console.page import For, form, page
from entrypoints.http.console.session_cookie import Cookie, Who, new_visitor
from entrypoints.http.console.visits import ROOT, SIGN_IN, Visit, inside
from entrypoints.http.responses import Reply
from payments_core import Conflict, Forbidden, InvalidCredentials, OutcomeUnknown, TooMany, Unavailable
from payments_core.errors import Invalid
from payments_core.ids import MerchantId, SessionId
from payments_core.use_cases.log_in import LogIn
from payments_core.use_cases.register_merchant import Register

SECTION: Final = "account"
LIVE: Final = "live"
WAIT: Final = "Too many tries. Wait a few minutes, and try again."


@page("/sign-in", whose=For.ANYBODY)
async def sign_in_page(visit: Visit) -> Reply:
    """Ask for the e-mail address and the password."""
    if visit.query.get("next") is None and visit.said is None and await _is_signed_in(visit):
        return visit.lead(ROOT)
    return _sign_in_form(visit, email="")


@form("/sign-in", whose=For.ANYBODY)
async def sign_in(visit: Visit) -> Reply:
    """Begin a session, and lead on to where they wanted to go."""
    email, password = visit.form.text("email"), visit.form.exact("password")
    try:
        await _begin(visit, email, password)
    except InvalidCredentials as refused:
        return _sign_in_form(visit, email=email, error=refused.message)
    except TooMany:
        return _sign_in_form(visit, email=email, error=WAIT)
    return visit.lead(inside(visit.form.get("next"), ROOT))


@page("/sign-up", whose=For.ANYBODY)
async def sign_up_page(visit: Visit) -> Reply:
    """Ask for what an account needs."""
    return _sign_up_form(visit)


@form("/sign-up", whose=For.ANYBODY)
async def sign_up(visit: Visit) -> Reply:
    """Open an account, begin a session in it, and show its first API key: this once."""
    if _is_closed(visit):
        raise Forbidden("This installation does not let anybody register.", code="registration_closed")
    email, password = visit.form.text("email"), visit.form.exact("password")
    try:
        command = Register(email=email, password=password, name=visit.form.get("name"))
        answer = await visit.payments.register(command, origin=visit.origin)
    except Invalid as invalid:
        return _sign_up_form(visit, faults=invalid)
    except Conflict as taken:
        return _sign_up_form(visit, error=taken.message)
    except TooMany:
        return _sign_up_form(visit, error=WAIT)
    # The account is there: its key is shown whatever becomes of the session, and who has none signs in later.
    with suppress(TooMany, Unavailable, OutcomeUnknown):
        await _begin(visit, email, password)
    made = msgspec.json.decode(answer.body)
    return visit.show("signed_up.html", api_key=made["api_key"])


@form("/sign-out", section=SECTION)
async def sign_out(visit: Visit) -> Reply:
    """End this session."""
    await visit.payments.log_out(visit.caller)
    return _gone(visit, "signed_out")


@form("/sign-out-everywhere", section=SECTION)
async def sign_out_everywhere(visit: Visit) -> Reply:
    """End all sessions of the account."""
    await visit.payments.log_out_everywhere(visit.caller)
    return _gone(visit, "signed_out_everywhere")


@page("/account", section=SECTION, for_staff=False)
async def account(visit: Visit) -> Reply:
    """Show whose account it is, and what can be changed of it."""
    return await _account(visit)


@form("/account/password", section=SECTION)
async def change_password(visit: Visit) -> Reply:
    """Change the password; every session ends."""
    new = visit.form.exact("new_password")
    try:
        if new != visit.form.exact("new_password_again"):
            raise Invalid.field("new_password_again", "differs", "Is not the same as the new password above.")
        await visit.payments.change_password(visit.caller, password=visit.form.exact("password"), new_password=new)
    except Invalid as invalid:
        return await _account(visit, faults=invalid)
    except InvalidCredentials:
        return await _account(visit, faults=Invalid.field("password", "wrong", "Is not the password of this account."))
    except TooMany:
        return await _account(visit, error=WAIT)
    return _gone(visit, "password_changed")


PAGES: Final = (
    sign_in_page,
    sign_in,
    sign_up_page,
    sign_up,
    sign_out,
    sign_out_everywhere,
    account,
    change_password,
)


async def _begin(visit: Visit, email: str, password: str) -> None:
    """Sign in under a new cookie: what was there before is good for nothing (session fixation)."""
    command = LogIn(email=email, password=password, livemode=visit.form.get("mode") == LIVE)
    session = await visit.payments.open_console(command, origin=visit.origin)
    await visit.leave()
    now = visit.services.clock.now()
    visit.take(Cookie(who=Who.MERCHANT, subject=session.merchant, session=session.id, seen_at=now))


async def _is_signed_in(visit: Visit) -> bool:
    """Say whether the visitor's pages open: whose account is suspended may still sign in to another."""
    if visit.cookie.who is not Who.MERCHANT:
        return False
    merchant, session = MerchantId(visit.cookie.subject), SessionId(visit.cookie.session)
    try:
        await visit.payments.authenticator.by_console_session(merchant, session, origin=visit.origin)
    except (Forbidden, InvalidCredentials):
        return False
    return True


def _gone(visit: Visit, said: str) -> Reply:
    visit.take(new_visitor(visit.services.clock.now()))
    return visit.lead(SIGN_IN, said=said)


def _is_closed(visit: Visit) -> bool:
    return visit.services.settings.registration == "closed"


def _sign_in_form(visit: Visit, *, email: str, error: str | None = None) -> Reply:
    return visit.show(
        "sign_in.html",
        email=email,
        error=error,
        next_path=visit.form.get("next") or visit.query.get("next"),
        is_open=not _is_closed(visit),
        is_staff=visit.cookie.who is Who.STAFF,
    )


def _sign_up_form(visit: Visit, *, faults: Invalid | None = None, error: str | None = None) -> Reply:
    return visit.show("sign_up.html", faults=faults, error=error, is_open=not _is_closed(visit))


async def _account(visit: Visit, *, faults: Invalid | None = None, error: str | None = None) -> Reply:
    seen = await visit.payments.read.merchant(visit.caller)
    return visit.show("account.html", faults=faults, error=error, merchant=seen.value)
