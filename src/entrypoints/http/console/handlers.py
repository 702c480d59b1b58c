"""Every page of the console as a handler, and the files that pages refer to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from litestar import Request
from litestar.handlers import HTTPRouteHandler, route
from litestar.types import Method

from entrypoints.http.console import (
    account,
    developers,
    export,
    overview,
    refunds,
    staff_account,
    staff_merchants,
    staff_things,
    staff_work,
    transactions,
)
from entrypoints.http.console.admission import answer
from entrypoints.http.console.page import Page
from entrypoints.http.console.rendering import STATIC, asset, asset_version
from entrypoints.http.console.visits import ROOT, STAFF_ROOT
from entrypoints.http.console.webhooks import pages as webhooks
from entrypoints.http.health import PUBLIC
from entrypoints.http.responses import BARE, NO_STORE, Reply
from entrypoints.services import Services
from payments_core import NotFound

AnyRequest: TypeAlias = Request[Any, Any, Any]

PAGES: Final[tuple[Page, ...]] = (
    *account.PAGES,
    *overview.PAGES,
    *staff_account.PAGES,
    *staff_merchants.PAGES,
    *staff_things.PAGES,
    *staff_work.PAGES,
    *developers.PAGES,
    *transactions.PAGES,
    *export.PAGES,
    *refunds.PAGES,
    *webhooks.PAGES,
)
CONSOLE: Final = "console"
"""The key of a Litestar handler's `opt` under which its pages are, by method."""
_FOR_GOOD: Final = (b"cache-control", b"public, max-age=31536000, immutable")
_ASKED_AGAIN: Final = (b"cache-control", b"no-cache")


def console_handlers(services: Services) -> list[HTTPRouteHandler]:
    """Return the handlers of all pages, one for each path."""
    paths: dict[str, dict[str, Page]] = {}
    for page in PAGES:
        for path in page.paths:
            pages = paths.setdefault(path, {})
            assert page.method not in pages, f"two pages are at {path}"
            pages[page.method] = page
    return [
        _static_handler(),
        _admin_handler(),
        *(_handler(services, path, pages) for path, pages in paths.items()),
    ]


def is_console(path: str) -> bool:
    """Say whether somebody who looks at this address expects a page, whatever it says."""
    return path == ROOT or path.startswith((f"{ROOT}/", "/admin"))


def _handler(services: Services, path: str, pages: Mapping[str, Page]) -> HTTPRouteHandler:
    methods: list[Method] = ["GET", "HEAD"] if "GET" in pages else []
    if "POST" in pages:
        methods.append("POST")
    template = path.replace("}", ":str}")

    async def handle(request: AnyRequest) -> Reply:
        page = pages["POST" if request.scope["method"] == "POST" else "GET"]
        return await answer(page, services, request.scope, request.receive, request.scope["path_params"])

    name = "console " + " ".join(page.name for page in pages.values()) + f" {path}"
    return route(template, http_method=methods, status_code=200, name=name, opt={CONSOLE: pages})(handle)


def _admin_handler() -> HTTPRouteHandler:
    @route("/admin", http_method=["GET", "HEAD"], opt=PUBLIC)
    async def admin() -> Reply:
        """Lead to the staff's pages, which are where everybody's are."""
        return Reply(303, (*BARE, NO_STORE, (b"location", STAFF_ROOT.encode())))

    return admin


def _static_handler() -> HTTPRouteHandler:
    @route(f"{STATIC}/{{name:str}}", http_method=["GET", "HEAD"], opt=PUBLIC)
    async def static(request: AnyRequest) -> Reply:
        name: str = request.path_params["name"]
        found = asset(name)
        if found is None:
            raise NotFound("There is no such file.")
        content_type, body = found
        kept = _FOR_GOOD if request.scope["query_string"] == b"v=" + asset_version(name).encode() else _ASKED_AGAIN
        return Reply(200, (*BARE, (b"content-type", content_type), kept), body)

    return static
