"""One endpoint with what was sent to it, and one delivery with each of its attempts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from entrypoints.http.console.fields import Fields
from entrypoints.http.console.live import live, seconds_until, unchanged
from entrypoints.http.console.page import form, page
from entrypoints.http.console.sent_forms import once_of, words_of
from entrypoints.http.console.visits import Visit, says
from entrypoints.http.console.webhooks.section import SECTION, endpoint_id, health_of
from entrypoints.http.docs.quantities import in_time
from entrypoints.http.query import Parameter, T
from entrypoints.http.resources.webhooks import EVENT_TYPE, STATUS
from entrypoints.http.responses import Reply
from payments_core import NotFound
from payments_core.checks import Faults
from payments_core.describe import JsonObject
from payments_core.errors import Conflict, Fault, Invalid
from payments_core.event import EventType
from payments_core.ids import DeliveryId, EventId, delivery_id, made_at
from payments_core.overview import COUNT_MAX
from payments_core.page import Page
from payments_core.ports import DeliveryFilter
from payments_core.use_cases.read_lists import ListQuery
from payments_core.values import encode_json
from payments_core.webhook import ATTEMPTS_KEPT_MAX, DISABLED_AFTER, DeliveryStatus

DELIVERIES_SHOWN: Final = 20
NONE_FOUND: Final[Page[JsonObject]] = Page(items=(), next=None, previous=None, revision=0)

says(
    webhook_tested="A test event is on its way. What the endpoint answers will be shown here.",
    delivery_queued="It is sent again now. What the endpoint answers will be shown here.",
)


@page("/webhooks/{id}", section=SECTION)
async def endpoint(visit: Visit) -> Reply:
    """Show an endpoint, how it is, and its deliveries, those of one state or of one event alone."""
    return await _endpoint(visit)


@form("/webhooks/{id}/test", section=SECTION)
async def test_endpoint(visit: Visit) -> Reply:
    """Send a test event, and lead to where its answer will be seen."""
    id = endpoint_id(visit)
    try:
        answer = await visit.payments.send_test_event(visit.caller, id, once=visit.once("test_endpoint", {"id": id}))
    except Conflict as conflict:
        return await _endpoint(visit, error=words_of(conflict))
    assert answer.resource is not None
    delivery = delivery_id(EventId(answer.resource), id)
    return visit.lead(f"/webhooks/{id}/deliveries/{delivery}", said="webhook_tested")


@page("/webhooks/{id}/deliveries/{delivery}", section=SECTION)
async def delivery(visit: Visit) -> Reply:
    """Show a delivery: what was sent, each attempt with what came back, and when the next one is."""
    return await _delivery(visit)


@form("/webhooks/{id}/deliveries/{delivery}/retry", section=SECTION)
async def retry_delivery(visit: Visit) -> Reply:
    """Send it again now."""
    endpoint, id = endpoint_id(visit), DeliveryId(visit.ids["delivery"])
    try:
        once = visit.once("retry_delivery", {"endpoint": endpoint, "id": id})
        await visit.payments.retry_delivery(visit.caller, endpoint, id, once=once)
    except Conflict as conflict:
        return await _delivery(visit, error=words_of(conflict))
    return visit.lead(f"/webhooks/{endpoint}/deliveries/{id}", said="delivery_queued")


PAGES: Final = (endpoint, test_endpoint, delivery, retry_delivery)


async def _deliveries(visit: Visit) -> Page[JsonObject]:
    """Return the page of deliveries that is asked for. Raises Invalid."""
    faults = Faults()
    chosen = DeliveryFilter(
        status=_chosen(visit.query, STATUS, faults), event_type=_chosen(visit.query, EVENT_TYPE, faults)
    )
    faults.raise_if_any()
    query = ListQuery(limit=DELIVERIES_SHOWN, cursor=visit.query.get("cursor"))
    return await visit.payments.read.deliveries(visit.caller, endpoint_id(visit), query, chosen)


def _chosen(query: Fields, parameter: Parameter[T], faults: Faults) -> T | None:
    text = query.get(parameter.name)
    if text is None:
        return None
    found = parameter.parse(parameter.name, text)
    if isinstance(found, Fault):
        faults.add(found.field, found.code, found.message)
        return None
    return found


async def _endpoint(visit: Visit, *, error: str | None = None) -> Reply:
    health, found, refused = await health_of(visit, endpoint_id(visit)), NONE_FOUND, None
    try:
        found = await _deliveries(visit)
    except Invalid as invalid:
        refused = invalid
    updates = live(visit, [health, found.items], seconds_until(_due(found.items), visit.services.clock.now()))
    if updates.is_seen_by(visit):
        return unchanged(visit)
    return visit.show(
        "webhooks/endpoint.html",
        faults=refused,
        error=error,
        health=health,
        endpoint=health["endpoint"],
        found=found,
        looked_as_far_as=None if found.stopped_at is None else made_at(found.stopped_at),
        chosen={name: visit.query.text(name) for name in (STATUS.name, EVENT_TYPE.name)},
        cursor=visit.query.get("cursor"),
        statuses=[("", "All"), *((str(status), str(status)) for status in DeliveryStatus)],
        event_types=[("", "All"), *((str(type), str(type)) for type in EventType)],
        updates=updates,
        once=once_of(visit),
        count_max=COUNT_MAX,
        disabled_after=in_time(DISABLED_AFTER),
    )


async def _delivery(visit: Visit, *, error: str | None = None) -> Reply:
    read, endpoint = visit.payments.read, endpoint_id(visit)
    found = (await read.delivery(visit.caller, endpoint, DeliveryId(visit.ids["delivery"]))).value
    updates = live(visit, found, seconds_until(_due([found]), visit.services.clock.now()))
    if updates.is_seen_by(visit):
        return unchanged(visit)
    event = (await read.event(visit.caller, EventId(str(found["event"])))).value
    return visit.show(
        "webhooks/delivery.html",
        error=error,
        delivery=found,
        attempts=_attempts(found),
        attempts_max=ATTEMPTS_KEPT_MAX,
        endpoint=await _endpoint_if_there(visit),
        about=_about(event),
        body=encode_json(event).decode(),
        indented=json.dumps(event, indent=2, ensure_ascii=False),
        updates=updates,
        once=once_of(visit),
    )


async def _endpoint_if_there(visit: Visit) -> JsonObject | None:
    """Return the endpoint, None where it is removed: what was sent to it is shown all the same."""
    try:
        return (await visit.payments.read.endpoint(visit.caller, endpoint_id(visit))).value
    except NotFound:
        return None


def _attempts(delivery: JsonObject) -> Sequence[Any]:
    """Return the attempts, the latest first."""
    attempts: Any = delivery["attempts"]
    return list(reversed(attempts))


def _about(event: JsonObject) -> str | None:
    """Return the path of the page of what the event is about, behind the merchant's own; None where there is none."""
    data: Any = event["data"]
    match str(event["type"]).partition(".")[0]:
        case "transaction":
            return f"/transactions/{data['id']}"
        case "refund":
            return f"/refunds/{data['id']}"
        case _:
            return None


def _due(deliveries: Sequence[JsonObject]) -> Iterator[datetime]:
    """Give when each delivery that is pending will be attempted."""
    for delivery in deliveries:
        if delivery["status"] == DeliveryStatus.PENDING and delivery["next_attempt_at"] is not None:
            yield datetime.fromisoformat(str(delivery["next_attempt_at"]))
