"""Webhook endpoints and their deliveries."""

from __future__ import annotations

from typing import Final

from entrypoints.http.docs.quantities import in_time
from entrypoints.http.operations import Call, NoBody, Operation, check_command, command, read
from entrypoints.http.query import PAGED, one_of
from entrypoints.http.request_schemas import ReplayBody, WebhookBody, WebhookChanges
from entrypoints.http.response_schemas import Delivery, Event, Replayed, Webhook, WebhookWithSecret
from payments_core import Answer, Scope
from payments_core.describe import JsonObject
from payments_core.event import EventType
from payments_core.ids import DeliveryId, EndpointId
from payments_core.page import Page
from payments_core.ports import DeliveryFilter
from payments_core.use_cases.read_lists import Seen
from payments_core.webhook import (
    ATTEMPTS_KEPT_MAX,
    ENDPOINTS_MAX,
    REPLAY_WINDOW_MAX,
    REPLAYED_MAX,
    SECRET_OVERLAP,
    DeliveryStatus,
)

TAG: Final = "Webhooks"
PATH: Final = "/api/webhooks/"
ONE: Final = f"{PATH}{{id}}/"

STATUS: Final = one_of("status", "Only with this status.", DeliveryStatus)
EVENT_TYPE: Final = one_of("event_type", "Only of events of this type.", EventType)


@command(
    "POST",
    PATH,
    tag=TAG,
    summary="Add an endpoint",
    access=Scope.WEBHOOKS_WRITE,
    status=201,
    body=WebhookBody,
    check=check_command,
    answer=WebhookWithSecret,
    location=f"{PATH}{{}}/",
    problems=["too_many_endpoints", "card_number_refused"],
    limits=f"Up to {ENDPOINTS_MAX} endpoints in each mode.",
)
async def add_webhook(call: Call, body: WebhookBody) -> Answer:
    """The secret that signs what is sent is in this answer only."""
    return await call.payments.add_endpoint(call.caller, body.command(), once=call.once)


@read(
    PATH,
    tag=TAG,
    summary="List endpoints",
    access=Scope.WEBHOOKS_READ,
    answer=Webhook,
    page=True,
    parameters=PAGED,
)
async def list_webhooks(call: Call) -> Page[JsonObject]:
    """The newest first."""
    return await call.payments.read.endpoints(call.caller, call.query.page)


@read(ONE, tag=TAG, summary="Look at an endpoint", access=Scope.WEBHOOKS_READ, answer=Webhook)
async def get_webhook(call: Call) -> Seen[JsonObject]:
    """Without its secret."""
    return await call.payments.read.endpoint(call.caller, call.id(EndpointId))


@command(
    "PATCH",
    ONE,
    tag=TAG,
    summary="Change an endpoint",
    access=Scope.WEBHOOKS_WRITE,
    status=200,
    body=WebhookChanges,
    check=check_command,
    answer=Webhook,
    problems=["card_number_refused"],
)
async def change_webhook(call: Call, body: WebhookChanges) -> Answer:
    """Fields that are left out stay as they are. Disabling it cancels its pending deliveries."""
    return await call.payments.change_endpoint(call.caller, call.id(EndpointId), body.command())


@command("DELETE", ONE, tag=TAG, summary="Remove an endpoint", access=Scope.WEBHOOKS_WRITE, status=204)
async def remove_webhook(call: Call, _body: NoBody) -> None:
    """Its pending deliveries are canceled."""
    await call.payments.remove_endpoint(call.caller, call.id(EndpointId))


@command(
    "POST",
    f"{ONE}rotate_secret/",
    tag=TAG,
    summary="Give an endpoint a new secret",
    access=Scope.WEBHOOKS_WRITE,
    status=200,
    answer=WebhookWithSecret,
    limits=f"The old one signs too for {in_time(SECRET_OVERLAP)}.",
)
async def rotate_webhook_secret(call: Call, _body: NoBody) -> Answer:
    """It is in this answer only."""
    return await call.payments.rotate_endpoint_secret(call.caller, call.id(EndpointId), once=call.once)


@command(
    "POST",
    f"{ONE}test/",
    tag=TAG,
    summary="Send a test event",
    access=Scope.WEBHOOKS_WRITE,
    status=202,
    answer=Event,
    problems=["webhook_disabled"],
)
async def send_test_event(call: Call, _body: NoBody) -> Answer:
    """A `webhook.test` event, to this endpoint only, now."""
    return await call.payments.send_test_event(call.caller, call.id(EndpointId), once=call.once)


@read(
    f"{ONE}deliveries/",
    tag=TAG,
    summary="List an endpoint's deliveries",
    access=Scope.WEBHOOKS_READ,
    answer=Delivery,
    page=True,
    parameters=[*PAGED, STATUS, EVENT_TYPE],
    limits=f"Of one delivery the latest {ATTEMPTS_KEPT_MAX} attempts are kept.",
)
async def list_deliveries(call: Call) -> Page[JsonObject]:
    """The newest first, each with its attempts."""
    chosen = DeliveryFilter(status=call.query.get(STATUS), event_type=call.query.get(EVENT_TYPE))
    return await call.payments.read.deliveries(call.caller, call.id(EndpointId), call.query.page, chosen)


@command(
    "POST",
    f"{ONE}deliveries/{{delivery}}/retry/",
    tag=TAG,
    summary="Send one delivery again",
    access=Scope.WEBHOOKS_WRITE,
    status=202,
    answer=Delivery,
    problems=["webhook_disabled"],
)
async def retry_delivery(call: Call, _body: NoBody) -> Answer:
    """Now, with the same `webhook-id` and a fresh timestamp."""
    endpoint, delivery = call.id(EndpointId), call.id(DeliveryId, "delivery")
    return await call.payments.retry_delivery(call.caller, endpoint, delivery, once=call.once)


@command(
    "POST",
    f"{ONE}replay/",
    tag=TAG,
    summary="Send a window of events again",
    access=Scope.WEBHOOKS_WRITE,
    status=202,
    body=ReplayBody,
    check=check_command,
    answer=Replayed,
    problems=["webhook_disabled", "too_many_deliveries"],
    limits=f"At most {in_time(REPLAY_WINDOW_MAX)} and {REPLAYED_MAX:,} deliveries at once.",
)
async def replay(call: Call, body: ReplayBody) -> Answer:
    """Each with its own `webhook-id`, as it was."""
    return await call.payments.replay(call.caller, call.id(EndpointId), body.command(), once=call.once)


OPERATIONS: Final[tuple[Operation, ...]] = (
    add_webhook,
    list_webhooks,
    get_webhook,
    change_webhook,
    remove_webhook,
    rotate_webhook_secret,
    send_test_event,
    list_deliveries,
    retry_delivery,
    replay,
)
