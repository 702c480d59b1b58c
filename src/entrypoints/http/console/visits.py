"""A visit: one request for a page of the console, by somebody who may see it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from entrypoints.http.console.fields import Fields
from entrypoints.http.console.rendering import render
from entrypoints.http.console.session_cookie import Cookie, Who, cookie_header
from entrypoints.http.responses import CONSOLE, NO_STORE, Reply
from entrypoints.services import Services
from payments_core import Caller, Forbidden, InvalidCredentials, Once, Payments
from payments_core.audit import Origin
from payments_core.errors import Fault, Invalid
from payments_core.idempotency import fingerprint
from payments_core.ids import MerchantId, SessionId
from payments_core.staff import Staff
from payments_core.values import Json

ROOT: Final = "/console"
SIGN_IN: Final = f"{ROOT}/sign-in"
STAFF_ROOT: Final = f"{ROOT}/staff"
STAFF_SIGN_IN: Final = f"{STAFF_ROOT}/sign-in"
_ONCE_BYTES: Final = 18
_UNSEEN: Final = ("once", "cursor")
"""Fields that people see nowhere: what is wrong with them is said above the page."""
SAID: Final[Mapping[str, str]] = {
    "signed_out": "You are signed out.",
    "signed_out_everywhere": "You are signed out, here and everywhere else.",
    "password_changed": "The password is changed, and every session has ended. Sign in with the new one.",
}
"""What a page says that somebody is led to after something was done, by the code in its address.

Other modules add theirs with `says`: an address can make a page say nothing else.
"""
_said = dict(SAID)


def says(**sentences: str) -> None:
    """Declare what pages may say after something was done, by code."""
    _said.update(sentences)


@dataclass(slots=True, kw_only=True)
class Visit:
    """One request for a page: who it is, what they ask, and how they are answered.

    `admitted` is the merchant whose things are shown, as whoever looks may see them; pages for nobody in particular and
    the staff's own have none. `base` is the address under which that merchant's pages are, `server` that at which the
    browser has us. `desk` is there for staff alone; `looks` says that they look at a merchant's page, and can change
    nothing. `secure`: the cookie is one for TLS alone. `live_update`: the page itself asks for what is new on it.
    """

    services: Services
    origin: Origin
    cookie: Cookie
    secure: bool
    server: str
    path: str
    ids: Mapping[str, str]
    query: Fields
    form: Fields
    zone: ZoneInfo
    admitted: Caller | None = None
    desk: Staff | None = None
    base: str = ROOT
    looks: bool = False
    live_update: bool = False
    section: str = ""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])

    @property
    def payments(self) -> Payments:
        """The facade."""
        return self.services.payments

    @property
    def caller(self) -> Caller:
        """The merchant whose things are shown."""
        assert self.admitted is not None
        return self.admitted

    @property
    def staff(self) -> Staff:
        """What staff can do, in the name of whoever visits; only for pages of staff."""
        assert self.desk is not None
        return self.desk

    @property
    def form_token(self) -> str:
        """What each form that is shown carries, so that no other site's page can send it."""
        return self.services.cookies.form_token(self.cookie.session)

    @property
    def said(self) -> str | None:
        """What was done just now, as the address says."""
        return _said.get(self.query.text("said"))

    def show(
        self,
        template: str,
        *,
        status: int = 200,
        faults: Invalid | None = None,
        error: str | None = None,
        **values: Any,
    ) -> Reply:
        """Answer with a page. `faults` are those of the form that it shows again, `error` what is said above it."""
        by_field: dict[str, list[Fault]] = {}
        for fault in faults.faults if faults else ():
            by_field.setdefault(fault.field, []).append(fault)
        unseen = [fault.message for name in _UNSEEN for fault in by_field.pop(name, ())]
        if faults is not None and not by_field:
            error = error or " ".join(unseen) or faults.message
        body = render(template, visit=self, faults=by_field, error=error, new_once=new_once, **values)
        if status == 200 and (faults is not None or error is not None):
            status = 400
        return Reply(status, (*CONSOLE, NO_STORE, *self.headers), body)

    def lead(self, path: str, *, said: str | None = None, **query: str) -> Reply:
        """Lead the browser to another page, which it gets (303): to load that one again does nothing twice.

        A path that begins with `/console` is taken as it is, another one is behind `base`.
        """
        if said is not None:
            assert said in _said, f"nobody declared what {said} says"
            query["said"] = said
        target = (path if path.startswith(ROOT) else f"{self.base}{path}") + (f"?{urlencode(query)}" if query else "")
        return Reply(303, (*CONSOLE, NO_STORE, (b"location", target.encode()), *self.headers))

    def once(self, form_name: str, body: Mapping[str, Json]) -> Once:
        """Return what gives a form one effect however often it is sent; its field `once` is the key.

        Raises Invalid where the form has none, as no page of ours shows it.
        """
        key = self.form.get("once")
        if key is None or len(key) > 100 or not key.isascii() or not key.isprintable():
            raise Invalid.field("once", "required", "This form is not complete: load the page again.")
        route = f"CONSOLE {form_name}"
        return Once(
            key=f"console-{key}",
            route=route,
            status=201,
            fingerprint=fingerprint(self.services.fingerprint_key, route=route, body=body, scopes=self.caller.scopes),
        )

    async def leave(self) -> None:
        """End the session that the visitor had, whosever it was: another begins (ASVS 5.0, 7.2.4)."""
        match self.cookie.who:
            case Who.MERCHANT:
                merchant, session = MerchantId(self.cookie.subject), SessionId(self.cookie.session)
                # One that has ended already, or is a suspended merchant's, opens nothing.
                with suppress(Forbidden, InvalidCredentials):
                    by = self.payments.authenticator.by_console_session
                    await self.payments.log_out(await by(merchant, session, origin=self.origin))
            case Who.STAFF:
                staff = self.payments.staff
                await staff.named(staff.name, origin=self.origin).sign_out(self.cookie.session)
            case Who.VISITOR:
                pass

    def take(self, cookie: Cookie) -> None:
        """Be somebody else from here on: under a new cookie, the one before is good for nothing (session fixation)."""
        self.cookie = cookie
        self.headers = [cookie_header(self.services, cookie, secure=self.secure)]


def inside(path: str | None, otherwise: str) -> str:
    """Return a path of the console's own pages, whatever somebody wrote into the address of the form."""
    if path is None or not path.startswith(f"{ROOT}/") or "\\" in path or not path.isascii() or not path.isprintable():
        return otherwise
    return path


def new_once() -> str:
    """Return a key for a form that is shown: sent twice, it has one effect."""
    return secrets.token_urlsafe(_ONCE_BYTES)
