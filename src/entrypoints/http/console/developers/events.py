"""Events: what happened, the latest first, and the body that webhooks send."""

from __future__ import annotations

import json
from typing import Final

from entrypoints.http.console.days import read_span
from entrypoints.http.console.developers.section import SECTION, page_of
from entrypoints.http.console.page import page
from entrypoints.http.console.visits import Visit
from entrypoints.http.responses import Reply
from payments_core.checks import Faults
from payments_core.describe import JsonObject
from payments_core.errors import Invalid
from payments_core.event import EventType
from payments_core.ids import EventId
from payments_core.page import Page
from payments_core.ports import EventFilter
from payments_core.use_cases.read_lists import ListQuery

EVENTS_SHOWN: Final = 25


@page("/developers/events", section=SECTION)
async def events(visit: Visit) -> Reply:
    """Show what happened, the latest first, of a type and between days where one wants."""
    try:
        query = ListQuery(limit=EVENTS_SHOWN, cursor=visit.query.get("cursor"))
        found = await visit.payments.read.latest_events(visit.caller, query, _filter(visit))
    except Invalid as invalid:
        return _events(visit, None, faults=invalid)
    return _events(visit, found)


@page("/developers/events/{id}", section=SECTION)
async def event(visit: Visit) -> Reply:
    """Show one event with its body."""
    seen = await visit.payments.read.event(visit.caller, EventId(visit.ids["id"]))
    return visit.show(
        "developers/event.html",
        event=seen.value,
        about=_about(visit, seen.value),
        body=json.dumps(seen.value, indent=2, ensure_ascii=False),
    )


PAGES: Final = (events, event)


def _filter(visit: Visit) -> EventFilter:
    """Return what the address asks for. Raises Invalid."""
    faults = Faults()
    after, before = read_span(visit.query, visit.zone, faults)
    chosen, type = visit.query.get("type"), None
    if chosen is not None:
        if chosen in list(EventType):
            type = EventType(chosen)
        else:
            faults.add("type", "unknown_value", "Is no type of event.")
    faults.raise_if_any()
    return EventFilter(type=type, created_after=after, created_before=before)


def _about(visit: Visit, event: JsonObject) -> tuple[str, str | None]:
    """Return the id of what an event is about, and where that is shown."""
    match event["data"]:
        case {"id": str(id)}:
            return id, page_of(visit, id)
        case _:
            raise AssertionError("an event tells of something that has an id")


def _events(visit: Visit, found: Page[JsonObject] | None, *, faults: Invalid | None = None) -> Reply:
    # The list is in the order in which things happened; people look for the latest.
    latest = [(each, *_about(visit, each)) for each in reversed(found.items)] if found else []
    return visit.show(
        "developers/events.html",
        faults=faults,
        events=latest,
        pages={"previous": found.next, "next": found.previous} if found else {},
        types=[("", "Any"), *((type, type) for type in EventType)],
        filters={name: visit.query.get(name) for name in ("type", "from", "to")},
    )
