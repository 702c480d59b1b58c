"""Pages from templates. Everything that is put in is escaped, and a name that isn't there is a fault."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup

from entrypoints.http.etags import name_of

STATIC: Final = "/console/static"
_ASSETS: Final = {
    "console.css": b"text/css; charset=utf-8",
    "console.js": b"text/javascript; charset=utf-8",
    "htmx.min.js": b"text/javascript; charset=utf-8",
    "icon.svg": b"image/svg+xml",
}


def render(template: str, **values: Any) -> bytes:
    """Return the page."""
    return _environment().get_template(template).render(values).encode()


def asset(name: str) -> tuple[bytes, bytes] | None:
    """Return the content type and the bytes of a file that pages refer to, if there is one of this name."""
    # Only names that are ours are remembered: strangers may ask for any number of others.
    return _read_asset(name) if name in _ASSETS else None


@cache
def _read_asset(name: str) -> tuple[bytes, bytes]:
    return _ASSETS[name], (files("entrypoints.http.console") / "static" / name).read_bytes()


@cache
def asset_version(name: str) -> str:
    """Return what is in the address of a file, and another when its bytes are."""
    found = asset(name)
    assert found is not None, f"there is no file {name}"
    return name_of(found[1])[:16]


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(str(files("entrypoints.http.console"))) / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: Any = {"time": _time, "day": _day, "words": _words, "grouped": _grouped}
    functions: Any = {"asset": _asset_address, "link": _link}
    environment.filters.update(filters)
    environment.globals.update(functions)
    return environment


def _asset_address(name: str) -> str:
    return f"{STATIC}/{name}?v={asset_version(name)}"


def _link(path: str, **query: object) -> str:
    """Return an address with those parts of a query that are something."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def _read(at: str | datetime) -> datetime:
    return datetime.fromisoformat(at) if isinstance(at, str) else at


@jinja2.pass_context
def _time(context: jinja2.runtime.Context, at: str | datetime | None) -> Markup:
    """Show a time in the viewer's zone; in UTC where the pointer rests."""
    if at is None:
        return Markup('<span class="quiet">\N{EN DASH}</span>')
    moment = _read(at)
    local = moment.astimezone(context["visit"].zone)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.astimezone(UTC).isoformat(),
        f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        f"{local:%Y-%m-%d %H:%M:%S}",
    )


@jinja2.pass_context
def _day(context: jinja2.runtime.Context, at: str | datetime) -> str:
    return f"{_read(at).astimezone(context['visit'].zone):%Y-%m-%d}"


def _words(code: str | None) -> str:
    """Return a code as words: `needs_review` as `needs review`."""
    return "" if code is None else code.replace("_", " ")


def _grouped(amount: str) -> str:
    """Write an amount with its thousands apart: `1234.50` as `1,234.50`."""
    sign, unsigned = ("-", amount[1:]) if amount.startswith("-") else ("", amount)
    whole, separator, decimals = unsigned.partition(".")
    return f"{sign}{int(whole):,}{separator}{decimals}"
