"""What people look at: the landing page, the reference, a page for each problem. Nothing comes from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final, TypeAlias

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler, route

from entrypoints.http.docs.openapi import make_document
from entrypoints.http.etags import etag_of, matches, name_of
from entrypoints.http.health import LIVE_PATH, PUBLIC, READY_PATH
from entrypoints.http.operations import Operation
from entrypoints.http.problem_catalogue import KINDS, Kind
from entrypoints.http.query import take_no_query
from entrypoints.http.request_context import RequestContext
from entrypoints.http.responses import BARE, DOCS, JSON, NO_STORE, PAGE, Headers, Reply
from payments_core import NotFound

SCHEMA_PATH: Final = "/schema/openapi.json"
DOCS_PATH: Final = "/docs"
CONSOLE_PATH: Final = "/console"
API_PATH: Final = "/api"
"""The foot of all calls, which people look at too."""
PROBLEMS_PATH: Final = "/problems"
_ASKED_AGAIN: Final = (b"cache-control", b"no-cache")
_CODE: Final = re.compile(r"`([^`]+)`")
_ASSETS: Final = {
    "rapidoc-min.js": b"text/javascript; charset=utf-8",
    "docs.css": b"text/css; charset=utf-8",
    "style.css": b"text/css; charset=utf-8",
}

AnyRequest: TypeAlias = Request[Any, Any, Any]


def page_handlers(operations: Sequence[Operation]) -> list[HTTPRouteHandler]:
    """Return the handlers of all pages."""

    @cache
    def document() -> bytes:
        return msgspec.json.encode(make_document(operations))

    @route(["/", API_PATH], http_method=["GET", "HEAD"], opt=PUBLIC, before_request=take_no_query)
    async def landing(request: AnyRequest) -> Reply:
        return _reply(request, PAGE, _LANDING)

    @route(SCHEMA_PATH, http_method=["GET", "HEAD"], opt=PUBLIC, before_request=take_no_query)
    async def schema(request: AnyRequest) -> Reply:
        return _reply(request, JSON, document())

    @route(DOCS_PATH, http_method=["GET", "HEAD"], opt=PUBLIC, before_request=take_no_query)
    async def docs(request: AnyRequest) -> Reply:
        return _reply(request, DOCS, _static("docs.html"))

    @route(f"{DOCS_PATH}/{{name:str}}", http_method=["GET", "HEAD"], opt=PUBLIC, before_request=take_no_query)
    async def asset(request: AnyRequest) -> Reply:
        name: str = request.path_params["name"]
        if name not in _ASSETS:
            raise NotFound("There is no such file.")
        return _reply(request, (*BARE, (b"content-type", _ASSETS[name])), _static(name))

    @route(PROBLEMS_PATH, http_method=["GET", "HEAD"], opt=PUBLIC, before_request=take_no_query)
    async def problems(request: AnyRequest) -> Reply:
        return _reply(request, PAGE, _problem_list("Problems"))

    @route(f"{PROBLEMS_PATH}/{{code:str}}", http_method=["GET", "HEAD"], opt=PUBLIC, before_request=take_no_query)
    async def problem(request: AnyRequest) -> Reply:
        kind = KINDS.get(request.path_params["code"])
        return _no_such_problem(request) if kind is None else _reply(request, PAGE, _problem_page(kind))

    return [landing, schema, docs, asset, problems, problem]


def _no_such_problem(request: AnyRequest) -> Reply:
    """Answer a browser with the list of those that there are; raise NotFound for any other client."""
    if any("text/html" in given.lower() for given in RequestContext.of(request.scope).all(b"accept")):
        return Reply(404, (*PAGE, NO_STORE), _problem_list("There is no such problem"))
    raise NotFound(f"There is no such problem; {PROBLEMS_PATH} lists those that there are.")


def _reply(request: AnyRequest, headers: Headers, body: bytes) -> Reply:
    name = name_of(body)
    headers = (*headers, _ASKED_AGAIN, (b"etag", etag_of(name)))
    if matches(RequestContext.of(request.scope).all(b"if-none-match"), name):
        return Reply(304, [pair for pair in headers if pair[0] != b"content-type"])
    return Reply(200, headers, body)


@cache
def _static(name: str) -> bytes:
    return (files("entrypoints.http.docs") / "static" / name).read_bytes()


def _page(title: str, body: str) -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="{DOCS_PATH}/style.css"></head>'
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    ).encode()


_LANDING: Final = _page(
    "Payments",
    "<p>Payments, refunds and signed webhooks.</p>"
    f'<p><a href="{CONSOLE_PATH}">Console</a>, to look and to try · '
    f'<a href="{DOCS_PATH}">Reference</a>, where each call can be tried · '
    f'<a href="{SCHEMA_PATH}">OpenAPI document</a> · '
    f'<a href="{PROBLEMS_PATH}">Problems and their cures</a> · '
    f'<a href="{READY_PATH}">Health</a> (<a href="{LIVE_PATH}">alive?</a>)</p>',
)


def _prose(text: str) -> str:
    """Return words as HTML, what stands between backticks as code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _problem_page(kind: Kind) -> bytes:
    again = "Yes: the same request may work later." if kind.retryable else "Not before something has changed."
    return _page(
        kind.title,
        f'<p class="status"><code>{kind.code}</code> · HTTP {kind.status}</p>'
        f"<h2>What it means</h2><p>{_prose(kind.explanation)}</p>"
        f"<h2>What to do</h2><p>{_prose(kind.cure)}</p>"
        f"<h2>Worth a retry?</h2><p>{again}</p>"
        f'<nav><a href="{PROBLEMS_PATH}">All problems</a> · <a href="{DOCS_PATH}">Reference</a></nav>',
    )


def _problem_list(title: str) -> bytes:
    rows = "".join(
        f'<tr><td class="status">{kind.status}</td>'
        f'<td><a href="{PROBLEMS_PATH}/{kind.code}"><code>{kind.code}</code></a></td><td>{escape(kind.title)}</td></tr>'
        for kind in KINDS.values()
    )
    return _page(title, f'<table>{rows}</table><nav><a href="{DOCS_PATH}">Reference</a></nav>')
