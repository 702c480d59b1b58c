"""The Litestar application: which paths there are, and the one layer that every request goes through."""

from __future__ import annotations

import logging
import re
import time
from typing import Any, Final, cast
from urllib.parse import unquote

from litestar import Litestar, Request, Response
from litestar.enums import ScopeType
from litestar.types import HTTPScope, LifeSpanReceive, LifeSpanScope, LifeSpanSend, Message, Receive, Scope, Send

from entrypoints.http.console.errors import error_page
from entrypoints.http.console.handlers import console_handlers, is_console
from entrypoints.http.docs.pages import page_handlers
from entrypoints.http.entrance import add_headers, is_for_us, preflight_headers
from entrypoints.http.health import health_handlers
from entrypoints.http.operations import Operation
from entrypoints.http.pipeline import answer, handlers_of, options_handler
from entrypoints.http.problems import Refusal, problem_reply
from entrypoints.http.request_context import RequestContext, path_as_sent
from entrypoints.http.resources import (
    accounts,
    api_keys,
    audit,
    events,
    idempotency_keys,
    payment_keys,
    refunds,
    transactions,
    webhooks,
)
from entrypoints.http.responses import EVERYWHERE
from entrypoints.http.routes import Routes
from entrypoints.logs import request_id
from entrypoints.services import Services
from payments_core import NotFound

OPERATIONS: Final[tuple[Operation, ...]] = (
    *accounts.OPERATIONS,
    *api_keys.OPERATIONS,
    *payment_keys.OPERATIONS,
    *transactions.OPERATIONS,
    *refunds.OPERATIONS,
    *webhooks.OPERATIONS,
    *events.OPERATIONS,
    *idempotency_keys.OPERATIONS,
    *audit.OPERATIONS,
)
NO_ROUTE: Final = "none"
"""The route under which requests are counted and logged that met none."""
_ENCODED_SLASH: Final = re.compile(rb"%2[Ff]")
_log: Final = logging.getLogger(__name__)


def create_app(services: Services) -> Litestar:
    """Return the application over these services. It does nothing before its first request and keeps no globals."""
    pages = [*health_handlers(services), *page_handlers(OPERATIONS), *console_handlers(services)]
    app = _Application(
        route_handlers=[
            *handlers_of(OPERATIONS, services),
            *(options_handler(path, ["OPTIONS", *page.http_methods]) for page in pages for path in page.paths),
            *pages,
        ],
        exception_handlers={Exception: _answer_exception},
        openapi_config=None,
        logging_config=None,
    )
    app.services = services
    app.routes_of_calls = Routes(OPERATIONS)
    return app


def _answer_exception(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer what went wrong before or beside a handler: no such path, no such method, a Host that is none."""
    context = RequestContext.of(request.scope)
    reply = (error_page if is_console(request.scope["path"]) else problem_reply)(error, context)
    headers = {name.decode(): value.decode("latin-1") for name, value in reply.headers}
    # Litestar says itself that a text is UTF-8.
    media_type = headers.pop("content-type").removesuffix("; charset=utf-8")
    return Response(reply.body, status_code=reply.status, media_type=media_type, headers=headers)


class _Application(Litestar):
    """Litestar, within the one layer that sees every request and every answer, errors of routing included."""

    services: Services
    routes_of_calls: Routes

    async def __call__(
        self,
        scope: Scope | LifeSpanScope,
        receive: Receive | LifeSpanReceive,
        send: Send | LifeSpanSend,
    ) -> None:
        """Answer a request: note its id, answer HEAD as GET without a body, count it, log how it ended."""
        if scope["type"] == "lifespan" or scope["type"] == ScopeType.WEBSOCKET:
            await super().__call__(scope, receive, send)
            return
        request: HTTPScope = scope
        out = _Answer(cast(Send, send), RequestContext.note(request), method=request["method"])
        request = _as_routed(request)
        settings = self.services.settings
        if settings.trusted_proxies or settings.cors_origins:
            add_headers(request, out.context, settings)
        token = request_id.set(out.context.request_id)
        started = time.perf_counter()
        try:
            await self._answer(request, cast(Receive, receive), out)
        finally:
            request_id.reset(token)
            route = request.get("path_template") or NO_ROUTE
            seconds = time.perf_counter() - started
            self.services.metrics.request_done(route, out.method, out.status, seconds)
            if _log.isEnabledFor(logging.INFO):
                _log_end(out, route, seconds)

    async def _answer(self, request: HTTPScope, receive: Receive, out: _Answer) -> None:
        if b"//" in path_as_sent(request):
            # Litestar would pass over the empty segment: one call would have many names.
            nothing = NotFound("A path has no empty segments: write single slashes.")
            await problem_reply(nothing, out.context)(request, receive, out)
            return
        hosts = out.context.all(b"host")
        allowed = self.services.settings.allowed_hosts
        if allowed and not is_for_us(request["path"], hosts, allowed):
            await problem_reply(Refusal("misdirected_request"), out.context)(request, receive, out)
            return
        found = self.routes_of_calls.find(request["method"], request["path"], hosts)
        if found is None:
            await super().__call__(request, receive, out)
            return
        operation, ids = found
        request["path_template"] = operation.template
        reply = await answer(operation, self.services, request, receive, ids)
        await reply(request, receive, out)


def _as_routed(request: HTTPScope) -> HTTPScope:
    """Return the request as Litestar is to see it: HEAD as GET, and no slash that was percent-encoded parts a path."""
    # Copies: the server looks at its own scope to know that no body follows.
    if request["method"] == "HEAD":
        request = request.copy()
        request["method"] = "GET"
    path = path_as_sent(request)
    if _ENCODED_SLASH.search(path) is not None:
        request = request.copy()
        request["path"] = unquote(_ENCODED_SLASH.sub(b"%252F", path).decode("latin-1"))
    return request


def _log_end(answer: _Answer, route: str, seconds: float) -> None:
    # The template, not the path: ids and idempotency keys are in paths, and anything may be in a query.
    said = {
        "method": answer.method,
        "route": route,
        "status": answer.status,
        "milliseconds": round(seconds * 1_000, 1),
        "request_id": answer.context.request_id,
    }
    _log.info("request answered", extra=said)


class _Answer:
    """The way out: adds what every answer carries, and leaves the body of an answer to HEAD away."""

    __slots__ = ("_send", "context", "method", "status")

    def __init__(self, send: Send, context: RequestContext, *, method: str) -> None:
        self._send = send
        self.context = context
        self.method = method
        self.status = 500

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            said = message["headers"]
            preflight = preflight_headers(said, self.context) if self.method == "OPTIONS" else ()
            message["headers"] = [*said, *EVERYWHERE, *self.context.added, *preflight]
        elif message["type"] == "http.response.body" and self.method == "HEAD":
            message = {**message, "body": b""}
        await self._send(message)
