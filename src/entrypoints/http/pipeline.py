"""The way of every request through the API: admitted, read, done, answered. One direction, one function for each."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import unquote_to_bytes

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler, route
from litestar.types import HTTPScope, Method, Receive

from entrypoints.http.authentication import authenticate, check_scope, count
from entrypoints.http.bodies import check_content_type, convert, parse_object, read_body
from entrypoints.http.etags import ANY, SHARED_HEADERS, TTL_SECONDS, Question, etag_of, key_of, matches, name_of
from entrypoints.http.operations import KEY, OPERATION, Call, Operation
from entrypoints.http.problems import problem_reply
from entrypoints.http.query import read_query
from entrypoints.http.request_context import RequestContext, client_address, path_as_sent
from entrypoints.http.responses import BARE, JSON, NO_STORE, Headers, Reply
from entrypoints.services import Services
from payments_core import Answer, NotFound, Once, OutcomeUnknown, Unavailable, describe
from payments_core.audit import Origin
from payments_core.errors import Fault, Invalid
from payments_core.idempotency import fingerprint, parse_key
from payments_core.page import Page
from payments_core.use_cases.read_lists import Seen
from payments_core.values import Json

AnyRequest: TypeAlias = Request[Any, Any, Any]

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
CUT_OFF: Final = "the server ended before the request did"
_encode: Final = msgspec.json.Encoder().encode


def handlers_of(operations: Sequence[Operation], services: Services) -> list[HTTPRouteHandler]:
    """Return the Litestar handlers that answer the operations' requests, and OPTIONS for each of their paths."""
    methods: dict[str, list[Method]] = {}
    for operation in operations:
        methods.setdefault(_template(operation), ["OPTIONS"]).extend(_methods(operation))
    # Those for OPTIONS first: Litestar would make its own, which name the methods of the path's first handler only.
    return [
        *(options_handler(path, names) for path, names in methods.items()),
        *(_handler(operation, services) for operation in operations),
    ]


def _methods(operation: Operation) -> list[Method]:
    return ["GET", "HEAD"] if operation.method == "GET" else [operation.method]


def _template(operation: Operation) -> str:
    path = operation.path.replace(f"{{{KEY}}}", f"{{{KEY}:path}}")
    return re.sub(r"{(\w+)}", r"{\1:str}", path)


def options_handler(path: str, methods: Iterable[Method]) -> HTTPRouteHandler:
    """Return the handler that tells which methods a path has."""
    allow = (b"allow", ", ".join(sorted(methods)).encode())

    async def tell_methods() -> Reply:
        return Reply(204, (*BARE, allow))

    return route(path, http_method=["OPTIONS"], status_code=200)(tell_methods)


def _handler(operation: Operation, services: Services) -> HTTPRouteHandler:
    async def handle(request: AnyRequest) -> Reply:
        scope: HTTPScope = request.scope
        return await answer(operation, services, scope, request.receive, scope["path_params"])

    # The Reply has the status; Litestar only wants one with which a handler may return something.
    declared = route(
        _template(operation),
        http_method=_methods(operation),
        name=operation.name,
        status_code=200,
        opt={OPERATION: operation},
    )
    return declared(handle)


async def answer(
    operation: Operation, services: Services, scope: HTTPScope, receive: Receive, ids: Mapping[str, str]
) -> Reply:
    """Return the answer to one request for a call; `ids` are in its path. Raises nothing."""
    context = RequestContext.of(scope)
    answer = _answer_read if operation.command is None else _answer_command
    try:
        return await answer(operation, await _admit(operation, services, scope, ids, context), receive, context)
    except Exception as error:
        # Whatever it is, the merchant gets a problem document.
        return problem_reply(error, context)
    except asyncio.CancelledError:
        # The server ends, and the time that it gives to requests under way is over. This is the last of them.
        return problem_reply(OutcomeUnknown(CUT_OFF) if context.begun else Unavailable(CUT_OFF), context)


async def _admit(
    operation: Operation, services: Services, scope: HTTPScope, ids: Mapping[str, str], context: RequestContext
) -> Call:
    caller = None
    address = client_address(scope, context, services.settings.trusted_proxies)
    origin = Origin(address=address, request_id=context.request_id)
    if operation.access != "public":
        caller = await authenticate(services, context, origin)
        await count(services, caller, context)
        check_scope(caller, operation.access)
    return Call(
        services=services,
        admitted=caller,
        origin=origin,
        connection=scope,
        context=context,
        ids={KEY: _key_of_path(operation, scope)} if KEY in ids else _checked(ids),
        query=read_query(scope["query_string"], operation.parameters),
    )


def _checked(ids: Mapping[str, str]) -> Mapping[str, str]:
    for id in ids.values():
        if _ID.fullmatch(id) is None:
            raise NotFound("There is nothing with this id.")
    return ids


def _key_of_path(operation: Operation, scope: HTTPScope) -> str:
    """Return the last part of the path as it was sent: an idempotency key may hold slashes and blanks."""
    raw = path_as_sent(scope).removesuffix(b"/")
    parts_before = operation.path.partition("{")[0].count("/")
    return unquote_to_bytes(raw.split(b"/", parts_before)[-1]).decode("latin-1")


async def _answer_command(operation: Operation, call: Call, receive: Receive, context: RequestContext) -> Reply:
    assert operation.command is not None
    sent: dict[str, Json] = {}
    body = await read_body(receive, context)
    if body or operation.needs_body:
        check_content_type(context)
        sent = parse_object(body)
    check = None if operation.check is None else partial(operation.check, call)
    struct = convert(sent, operation.body, check)
    if operation.once:
        call.once = _once(operation, call, sent)
    context.begun = True
    return _told(operation, await operation.command(call, struct))


def _once(operation: Operation, call: Call, sent: Mapping[str, Json]) -> Once | None:
    """Return what makes this request one with its repetitions, or None; raise Invalid (`invalid_idempotency_key`)."""
    given = call.context.all(b"idempotency-key")
    if not given:
        return None
    if len(given) > 1:
        fault = Fault(field="Idempotency-Key", code="duplicate_header", message="Is given more than once.")
        raise Invalid([fault], code="invalid_idempotency_key")
    route = f"{operation.method} {call.connection['path'].rstrip('/')}"
    return Once(
        key=parse_key(given[0]),
        route=route,
        status=operation.status,
        fingerprint=fingerprint(call.services.fingerprint_key, route=route, body=sent, scopes=call.caller.scopes),
    )


def _told(operation: Operation, answer: Answer | None) -> Reply:
    if answer is None or not answer.body:
        return Reply(operation.status, (*BARE, NO_STORE))
    reply = Reply(operation.status, (*JSON, NO_STORE), answer.body)
    if operation.location is not None and answer.resource is not None:
        reply.headers.append((b"location", operation.location.format(answer.resource).encode()))
    if answer.replayed:
        reply.headers.append((b"idempotent-replayed", b"true"))
    return reply


async def _answer_read(operation: Operation, call: Call, _receive: Receive, context: RequestContext) -> Reply:
    path = f"{call.connection['path'].rstrip('/')}/"
    if_none_match = context.all(b"if-none-match")
    if not operation.cached:
        body, _ = await _read(operation, call, path)
        return _shown(operation, name_of(body), body, if_none_match)
    question = Question.of(call.caller, call.query.target(path))
    name = question.name_at(await call.services.views.revision(call.caller.merchant))
    if if_none_match and matches(if_none_match, name):
        return _unchanged(operation, name)
    kept = await call.services.cache.get(key_of(name))
    if kept is not None:
        body = kept
    else:
        body, revision = await _read(operation, call, path)
        # Something may have been committed since: the page is filed under the revision that it shows.
        name = question.name_at(revision)
        await call.services.cache.put(key_of(name), body, ttl_seconds=TTL_SECONDS)
    return _shown(operation, name, body, if_none_match)


def _shown(operation: Operation, name: str, body: bytes, if_none_match: list[str]) -> Reply:
    if if_none_match and (matches(if_none_match, name) or ANY in if_none_match):
        return _unchanged(operation, name)
    return Reply(operation.status, (*JSON, *_named(operation, name)), body)


def _unchanged(operation: Operation, name: str) -> Reply:
    return Reply(304, (*BARE, *_named(operation, name)))


def _named(operation: Operation, name: str) -> Headers:
    kept = SHARED_HEADERS if operation.cached else (NO_STORE,)
    return (*kept, (b"etag", etag_of(name)))


async def _read(operation: Operation, call: Call, path: str) -> tuple[bytes, int]:
    assert operation.read is not None
    found = await operation.read(call)
    match found:
        case Seen():
            return _encode(found.value), found.revision
        case Page():
            links = {"next": call.query.link(path, found.next), "previous": call.query.link(path, found.previous)}
            return _encode(describe.page(found.items, **links)), found.revision
