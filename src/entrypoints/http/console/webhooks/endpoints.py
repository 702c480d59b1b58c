"""The endpoints of a merchant, each with how it is, and a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from entrypoints.http.console.page import form, page
from entrypoints.http.console.sent_forms import REFUSED, Refused, once_of, words_of
from entrypoints.http.console.visits import Visit
from entrypoints.http.console.webhooks.section import (
    SECTION,
    shown_faults,
    standing,
)
from entrypoints.http.responses import Reply
from payments_core import AddEndpoint
from payments_core.errors import Invalid
from payments_core.event import ALL_EVENTS, EventType
from payments_core.values import Json
from payments_core.webhook import ENDPOINTS_MAX


@page("/webhooks", section=SECTION)
async def endpoints(visit: Visit) -> Reply:
    """Show each endpoint and how it is."""
    found = (await visit.payments.read.endpoints_health(visit.caller)).value
    return visit.show(
        "webhooks/endpoints.html",
        endpoints=[{**health, "standing": standing(health)} for health in found],
        endpoints_max=ENDPOINTS_MAX,
    )


@page("/webhooks/new", section=SECTION, for_staff=False)
async def new_endpoint(visit: Visit) -> Reply:
    """Ask for what an endpoint needs."""
    return _form(visit, {"url": "", "events": [ALL_EVENTS], "description": ""})


@form("/webhooks/new", section=SECTION)
async def add_endpoint(visit: Visit) -> Reply:
    """Make an endpoint, and show its secret: this once."""
    command = AddEndpoint(
        url=visit.form.text("url"), events=chosen_events(visit), description=visit.form.get("description")
    )
    try:
        once = visit.once("add_endpoint", entries_of(visit))
        answer = await visit.payments.add_endpoint(visit.caller, command, once=once)
    except (Invalid, *REFUSED) as refused:
        return _form(visit, entries_of(visit), refused)
    return visit.show("webhooks/secret.html", endpoint=msgspec.json.decode(answer.body), is_new=True)


PAGES: Final = (endpoints, new_endpoint, add_endpoint)


def event_choices() -> Sequence[tuple[str, str]]:
    """Return what an endpoint can listen to, and the words for it."""
    return [(ALL_EVENTS, "All events, those of later versions too"), *((str(type), str(type)) for type in EventType)]


def chosen_events(visit: Visit) -> tuple[str, ...]:
    """Return the events that were ticked: all of them, where that is among them."""
    ticked = tuple(dict.fromkeys(visit.form.all("events")))
    return (ALL_EVENTS,) if ALL_EVENTS in ticked else ticked


def entries_of(visit: Visit) -> dict[str, Json]:
    """Return what was entered for an endpoint."""
    form = visit.form
    return {"url": form.text("url"), "events": form.all("events"), "description": form.text("description")}


def _form(visit: Visit, entries: Mapping[str, Json], refused: Refused | Invalid | None = None) -> Reply:
    return visit.show(
        "webhooks/new.html",
        faults=shown_faults(refused),
        error=words_of(refused),
        entries=entries,
        choices=event_choices(),
        once=once_of(visit, refused),
    )
