"""The way of every request to the console: who visits, whether they may, and what they sent. Then the page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, available_timezones

from litestar.types import HTTPScope, Receive

from entrypoints.http.bodies import read_body
from entrypoints.http.console.errors import ForeignForm, error_page
from entrypoints.http.console.fields import NOTHING, Fields, read_fields
from entrypoints.http.console.page import MODE, OF, For, Page
from entrypoints.http.console.session_cookie import (
    RENEWED_AFTER,
    Cookie,
    Who,
    cookie_header,
    is_secure,
    new_visitor,
    read_cookie,
)
from entrypoints.http.console.visits import ROOT, SIGN_IN, STAFF_SIGN_IN, Visit
from entrypoints.http.entrance import address_of
from entrypoints.http.pipeline import CUT_OFF
from entrypoints.http.problems import Refusal
from entrypoints.http.request_context import RequestContext, client_address, path_as_sent
from entrypoints.http.responses import CONSOLE, NO_STORE, Reply
from entrypoints.services import Services
from payments_core import Caller, InvalidCredentials, NotFound, OutcomeUnknown, Unavailable
from payments_core.audit import Origin
from payments_core.guesses import count
from payments_core.ids import MerchantId, SessionId
from payments_core.limits import CONSOLE_PER_VISITOR, counted_as
from payments_core.staff import Staff
from payments_core.staff_merchants import PAGE_LENGTH_MAX

UTC_NAME: Final = "UTC"
ZONE_COOKIE: Final = "payments_zone"
STOP_ASKING: Final = 286
"""The status at which htmx asks no more by itself."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_MODES: Final[Mapping[str, bool]] = {"test": False, "live": True}
_FORM_TYPE: Final = "application/x-www-form-urlencoded"
_SAME_ORIGIN: Final = "same-origin"


class SignInFirst(Exception):
    """Whoever visits has to sign in, at `path`, before they see this page."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


async def answer(page: Page, services: Services, scope: HTTPScope, receive: Receive, ids: Mapping[str, str]) -> Reply:
    """Return the answer to one request for a page. Raises nothing."""
    context = RequestContext.of(scope)
    try:
        return await _answer(page, services, scope, receive, ids)
    except SignInFirst as first:
        return _lead_to(first.path, scope, context)
    except Exception as error:
        # Whatever it is, whoever looks gets a page.
        return error_page(error, context)
    except asyncio.CancelledError:
        # The server ends, and the time that it gives to requests under way is over. This is the last of them.
        return error_page(OutcomeUnknown(CUT_OFF) if context.begun else Unavailable(CUT_OFF), context)


async def _answer(page: Page, services: Services, scope: HTTPScope, receive: Receive, ids: Mapping[str, str]) -> Reply:
    context = RequestContext.of(scope)
    secure = is_secure(services, scope, context)
    address = client_address(scope, context, services.settings.trusted_proxies)
    origin = Origin(address=address, request_id=context.request_id)
    known = read_cookie(services, context, secure=secure)
    cookie = known or new_visitor(services.clock.now())
    await count(services.limits, CONSOLE_PER_VISITOR, _counted(known, address))
    for id in ids.values():
        if _ID.fullmatch(id) is None:
            raise NotFound("There is nothing with this id.")
    live_update = bool(context.all(b"hx-request"))
    if live_update and OF in ids:
        # Each look of the staff is in the merchant's audit log: a page that looks by itself would fill it.
        return Reply(STOP_ASKING, (*CONSOLE, NO_STORE))
    admitted = await _admit(page, services, cookie, origin, ids)
    visit = Visit(
        services=services,
        origin=origin,
        cookie=cookie,
        secure=secure,
        server=address_of(context.all(b"host"), secure=secure),
        path=scope["path"],
        ids=ids,
        query=read_fields(scope["query_string"]),
        form=NOTHING if page.method == "GET" else await _read_form(services, receive, context, cookie),
        zone=_zone(context),
        admitted=admitted.caller,
        desk=admitted.desk,
        base=admitted.base,
        looks=admitted.looks,
        live_update=live_update,
        section=page.section,
    )
    # What a page asks for by itself does not count as being there.
    if known is None or (not live_update and services.clock.now() - known.seen_at > RENEWED_AFTER):
        renewed = Cookie(who=cookie.who, subject=cookie.subject, session=cookie.session, seen_at=services.clock.now())
        visit.headers.append(cookie_header(services, renewed, secure=secure))
    context.begun = page.method == "POST"
    return await page.show(visit)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Admitted:
    """As whom somebody may see a page; see `Visit`."""

    caller: Caller | None = None
    desk: Staff | None = None
    base: str = ROOT
    looks: bool = False


async def _admit(page: Page, services: Services, cookie: Cookie, origin: Origin, ids: Mapping[str, str]) -> _Admitted:
    """Say as whom the visitor may see the page. Raises SignInFirst, NotFound, Forbidden (`suspended`)."""
    if page.whose is For.ANYBODY:
        return _Admitted()
    if page.whose is For.STAFF:
        return _Admitted(desk=await _desk(services, cookie, origin))
    if OF in ids:
        return await _look(page, await _desk(services, cookie, origin), ids)
    if cookie.who is not Who.MERCHANT:
        raise SignInFirst(SIGN_IN)
    merchant, session = MerchantId(cookie.subject), SessionId(cookie.session)
    try:
        caller = await services.payments.authenticator.by_console_session(merchant, session, origin=origin)
    except InvalidCredentials:
        raise SignInFirst(SIGN_IN) from None
    return _Admitted(caller=caller)


async def _desk(services: Services, cookie: Cookie, origin: Origin) -> Staff:
    """Return what staff can do, in the name of who visits. Raises SignInFirst."""
    if cookie.who is not Who.STAFF:
        raise SignInFirst(STAFF_SIGN_IN)
    try:
        member = await services.payments.staff.recognise(cookie.session)
    except InvalidCredentials:
        raise SignInFirst(STAFF_SIGN_IN) from None
    return services.payments.staff.named(member.email, origin=origin)


async def _look(page: Page, desk: Staff, ids: Mapping[str, str]) -> _Admitted:
    """Let one of the staff look at a merchant's page, which the merchant's audit log then has. Raises NotFound."""
    mode = ids[MODE]
    if mode not in _MODES:
        raise NotFound("There are two modes, test and live.")
    seen = page.path.format(**ids)[:PAGE_LENGTH_MAX] or "/"
    caller = await desk.caller(MerchantId(ids[OF]), livemode=_MODES[mode], page=seen)
    return _Admitted(caller=caller, desk=desk, base=f"{ROOT}/merchants/{ids[OF]}/{mode}", looks=True)


async def _read_form(services: Services, receive: Receive, context: RequestContext, cookie: Cookie) -> Fields:
    """Return what a form says that one of our own pages showed to this visitor. Raises Refusal."""
    body = await read_body(receive, context)
    if [text.partition(";")[0].strip().lower() for text in context.all(b"content-type")] != [_FORM_TYPE]:
        raise Refusal("unsupported_media_type", "A form is sent as browsers send it.")
    if any(site != _SAME_ORIGIN for site in context.all(b"sec-fetch-site")):
        raise ForeignForm
    form = read_fields(body)
    if not services.cookies.is_form_token(cookie.session, form.text("form_token")):
        raise ForeignForm
    return form


def _counted(known: Cookie | None, address: str) -> str:
    # Who comes without a cookie may come without one again.
    return counted_as(address) if known is None or known.who is Who.VISITOR else known.session


def _lead_to(path: str, scope: HTTPScope, context: RequestContext) -> Reply:
    """Lead to where one signs in, and from there back to the page that was asked for."""
    asked = path_as_sent(scope).decode("ascii", errors="replace")
    query = scope["query_string"].decode("ascii", errors="replace")
    back = f"{asked}?{query}" if query else asked
    target = f"{path}?{urlencode({'next': back})}" if scope["method"] in ("GET", "HEAD") else path
    if context.all(b"hx-request"):
        return Reply(401, (*CONSOLE, NO_STORE, (b"hx-redirect", path.encode())))
    return Reply(303, (*CONSOLE, NO_STORE, (b"location", target.encode())))


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone(context: RequestContext) -> ZoneInfo:
    """Return the viewer's time zone, as their browser or they themselves said; UTC where nobody did."""
    for header in context.all(b"cookie"):
        for pair in header.split(";"):
            name, _, text = pair.strip().partition("=")
            if name == ZONE_COOKIE and (zone := text.replace("%2F", "/")) in _zones():
                return ZoneInfo(zone)
    return ZoneInfo(UTC_NAME)
