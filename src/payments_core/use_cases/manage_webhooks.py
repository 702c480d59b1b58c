"""Make, change and remove webhook endpoints; rotate their secrets; send a test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from payments_core import describe
from payments_core.audit import Action
from payments_core.checks import Faults
from payments_core.describe import JsonObject
from payments_core.errors import Conflict, RuleBroken
from payments_core.event import ALL_EVENTS, EventType
from payments_core.ids import EndpointId, Moment
from payments_core.merchant import Caller
from payments_core.ports import Notifier, UnitOfWork
from payments_core.units import Made
from payments_core.use_cases.hold_account import hold_account
from payments_core.use_cases.record_audit import record_deed
from payments_core.use_cases.record_event import record_endpoint_event
from payments_core.values import UNSET, Unset
from payments_core.webhook import DESCRIPTION_LENGTH_MAX, ENDPOINTS_MAX, SECRET_BYTES, Endpoint, make_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class AddEndpoint:
    """What a merchant sends for a new endpoint; `*` among the events means all, future types included."""

    url: str
    events: tuple[str, ...] = (ALL_EVENTS,)
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeEndpoint:
    """What is to be different; UNSET leaves a field as it is."""

    url: str | Unset = UNSET
    events: tuple[str, ...] | Unset = UNSET
    description: str | Unset | None = UNSET
    enabled: bool | Unset = UNSET


def check_endpoint(command: AddEndpoint | ChangeEndpoint, notifier: Notifier) -> None:
    """Raise Invalid with all that is wrong with an endpoint, as far as the command alone tells."""
    faults = Faults()
    if not isinstance(command.url, Unset) and (why := notifier.refuses(command.url)) is not None:
        faults.add("url", "url_refused", why)
    if not isinstance(command.events, Unset):
        _check_events(faults, command.events)
    if not isinstance(command.description, Unset):
        faults.free_text("description", command.description, longest=DESCRIPTION_LENGTH_MAX)
    faults.raise_if_any()


def _check_events(faults: Faults, events: tuple[str, ...]) -> None:
    known = {ALL_EVENTS, *EventType}
    if not events:
        faults.add("events", "too_few", "At least one event type, or `*`.")
    if len(events) > len(known):
        faults.add("events", "too_many", f"At most {len(known)} event types.")
        return
    for index, event in enumerate(events):
        if event not in known:
            faults.add(f"events.{index}", "unknown_event_type", f"One of {', '.join(sorted(known))}.")


async def add_endpoint(
    work: UnitOfWork, moment: Moment, *, caller: Caller, command: AddEndpoint, notifier: Notifier
) -> Made:
    """Make an endpoint; its secret is in this answer only. Raises Invalid, RuleBroken (`too_many_endpoints`)."""
    check_endpoint(command, notifier)
    await hold_account(work, caller.merchant)
    if await work.endpoints.count(caller.merchant, caller.livemode) >= ENDPOINTS_MAX:
        message = f"An account can have at most {ENDPOINTS_MAX} endpoints in each mode; delete one."
        raise RuleBroken("too_many_endpoints", message)
    endpoint = Endpoint(
        id=EndpointId(moment.id("whk")),
        merchant=caller.merchant,
        livemode=caller.livemode,
        url=command.url,
        events=command.events,
        description=command.description,
        enabled=True,
        secret=make_secret(moment.secret(SECRET_BYTES)),
        created_at=moment.now,
        subscribed_at=moment.now,
    )
    work.endpoints.add(endpoint)
    record_deed(work, moment, Action.WEBHOOK_MADE, caller, subject=endpoint.id, detail={"url": place_of(endpoint.url)})
    return Made(answer=describe.endpoint(endpoint, secret=endpoint.secret), resource=endpoint.id)


async def change_endpoint(
    work: UnitOfWork,
    moment: Moment,
    *,
    caller: Caller,
    id: EndpointId,
    command: ChangeEndpoint,
    notifier: Notifier,
) -> Made:
    """Change an endpoint; disabling it cancels its pending deliveries. Raises Invalid, NotFound."""
    check_endpoint(command, notifier)
    endpoint = await work.endpoints.get(caller.merchant, caller.livemode, id)
    changed = replace(
        endpoint,
        url=endpoint.url if isinstance(command.url, Unset) else command.url,
        description=endpoint.description if isinstance(command.description, Unset) else command.description,
    )
    if not isinstance(command.events, Unset):
        changed = changed.subscribe(command.events, at=moment.now)
    if not isinstance(command.enabled, Unset) and command.enabled != endpoint.enabled:
        changed = changed.enable(at=moment.now) if command.enabled else changed.disable()
    if changed.url != endpoint.url:
        changed = changed.succeeded()  # another place, which has yet to fail
    if changed != endpoint:
        work.endpoints.save(changed)
        record_deed(work, moment, Action.WEBHOOK_CHANGED, caller, subject=id, detail=_changes(endpoint, changed))
    return Made(answer=describe.endpoint(changed), resource=changed.id)


async def remove_endpoint(work: UnitOfWork, moment: Moment, *, caller: Caller, id: EndpointId) -> None:
    """Remove an endpoint; its pending deliveries are canceled. Raises NotFound."""
    endpoint = await work.endpoints.get(caller.merchant, caller.livemode, id)
    work.endpoints.save(endpoint.remove(at=moment.now))
    record_deed(work, moment, Action.WEBHOOK_REMOVED, caller, subject=id, detail={"url": place_of(endpoint.url)})


async def rotate_endpoint_secret(work: UnitOfWork, moment: Moment, *, caller: Caller, id: EndpointId) -> Made:
    """Give the endpoint a new secret, in this answer only; the old one signs too for a day. Raises NotFound."""
    endpoint = await work.endpoints.get(caller.merchant, caller.livemode, id)
    rotated = endpoint.rotate_secret(make_secret(moment.secret(SECRET_BYTES)), at=moment.now)
    work.endpoints.save(rotated)
    record_deed(work, moment, Action.WEBHOOK_SECRET_ROTATED, caller, subject=id)
    return Made(answer=describe.endpoint(rotated, secret=rotated.secret), resource=rotated.id)


async def send_test_event(work: UnitOfWork, moment: Moment, *, caller: Caller, id: EndpointId) -> Made:
    """Send a `webhook.test` event to this endpoint only. Raises NotFound, Conflict (`webhook_disabled`)."""
    endpoint = await work.endpoints.get(caller.merchant, caller.livemode, id)
    require_enabled(endpoint)
    work.expect(endpoint)
    event = record_endpoint_event(
        work, moment, EventType.WEBHOOK_TEST, endpoint, only=endpoint.id, request_id=caller.request_id
    )
    return Made(answer=describe.recorded_event(event), resource=event.id)


def place_of(url: str) -> str:
    """Return scheme, host and port, which the audit log shows: merchants keep secrets in paths and queries."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _changes(before: Endpoint, after: Endpoint) -> JsonObject:
    """Return which fields differ, and what the log shows of them."""
    shown: JsonObject = {
        "url": place_of(after.url),
        "events": list(after.events),
        "description": None,
        "enabled": after.enabled,
    }
    fields = [name for name in shown if getattr(before, name) != getattr(after, name)]
    described = {name: shown[name] for name in fields if name != "description"}
    if "url" in fields:
        described["url_before"] = place_of(before.url)
    return {"fields": fields, **described}


def require_enabled(endpoint: Endpoint) -> None:
    """Raise Conflict (`webhook_disabled`) where nothing is sent to the endpoint."""
    if not endpoint.enabled:
        raise Conflict("webhook_disabled", "The endpoint is disabled; enable it with PATCH first.")
