"""What can be done to one endpoint: change it, switch it on and off, give it another secret, try it, remove it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from entrypoints.http.console.page import form, page
from entrypoints.http.console.sent_forms import once_of
from entrypoints.http.console.visits import Visit, says
from entrypoints.http.console.webhooks.endpoints import chosen_events, entries_of, event_choices
from entrypoints.http.console.webhooks.section import SECTION, endpoint_id, shown_faults
from entrypoints.http.docs.quantities import in_time
from entrypoints.http.responses import Reply
from payments_core import ChangeEndpoint
from payments_core.errors import Invalid
from payments_core.values import Json
from payments_core.webhook import SECRET_OVERLAP

says(
    webhook_changed="The endpoint is changed.",
    webhook_enabled="The endpoint is enabled. What happens from now on is sent to it.",
    webhook_disabled="The endpoint is disabled, and what was waiting for it is canceled.",
    webhook_removed="The endpoint is removed.",
)


@page("/webhooks/{id}/edit", section=SECTION, for_staff=False)
async def edit_endpoint(visit: Visit) -> Reply:
    """Ask what is to be different."""
    endpoint = (await visit.payments.read.endpoint(visit.caller, endpoint_id(visit))).value
    return _form(visit, {**endpoint, "description": endpoint["description"] or ""})


@form("/webhooks/{id}/edit", section=SECTION)
async def change_endpoint(visit: Visit) -> Reply:
    """Change the endpoint."""
    command = ChangeEndpoint(
        url=visit.form.text("url"), events=chosen_events(visit), description=visit.form.get("description")
    )
    try:
        await visit.payments.change_endpoint(visit.caller, endpoint_id(visit), command)
    except Invalid as invalid:
        # What was entered is looked at before whose it is.
        endpoint = (await visit.payments.read.endpoint(visit.caller, endpoint_id(visit))).value
        return _form(visit, {**endpoint, **entries_of(visit)}, invalid)
    return visit.lead(f"/webhooks/{endpoint_id(visit)}", said="webhook_changed")


@form("/webhooks/{id}/enable", section=SECTION)
async def enable_endpoint(visit: Visit) -> Reply:
    """Send events to it again."""
    return await _switch(visit, enabled=True)


@form("/webhooks/{id}/disable", section=SECTION)
async def disable_endpoint(visit: Visit) -> Reply:
    """Send nothing more to it."""
    return await _switch(visit, enabled=False)


@page("/webhooks/{id}/rotate", section=SECTION, for_staff=False)
async def ask_to_rotate(visit: Visit) -> Reply:
    """Ask once more whether there is to be another secret."""
    return await _ask(visit, "webhooks/rotate.html")


@form("/webhooks/{id}/rotate", section=SECTION)
async def rotate_secret(visit: Visit) -> Reply:
    """Make another secret, and show it: this once."""
    id = endpoint_id(visit)
    once = visit.once("rotate_secret", {"id": id})
    answer = await visit.payments.rotate_endpoint_secret(visit.caller, id, once=once)
    endpoint = msgspec.json.decode(answer.body)
    return visit.show("webhooks/secret.html", endpoint=endpoint, is_new=False, overlap=in_time(SECRET_OVERLAP))


@page("/webhooks/{id}/remove", section=SECTION, for_staff=False)
async def ask_to_remove(visit: Visit) -> Reply:
    """Ask once more whether it is to go."""
    return await _ask(visit, "webhooks/remove.html")


@form("/webhooks/{id}/remove", section=SECTION)
async def remove_endpoint(visit: Visit) -> Reply:
    """Remove it; what was waiting for it is canceled."""
    await visit.payments.remove_endpoint(visit.caller, endpoint_id(visit))
    return visit.lead("/webhooks", said="webhook_removed")


PAGES: Final = (
    edit_endpoint,
    change_endpoint,
    enable_endpoint,
    disable_endpoint,
    ask_to_rotate,
    rotate_secret,
    ask_to_remove,
    remove_endpoint,
)


async def _switch(visit: Visit, *, enabled: bool) -> Reply:
    await visit.payments.change_endpoint(visit.caller, endpoint_id(visit), ChangeEndpoint(enabled=enabled))
    said = "webhook_enabled" if enabled else "webhook_disabled"
    return visit.lead(f"/webhooks/{endpoint_id(visit)}", said=said)


async def _ask(visit: Visit, template: str) -> Reply:
    endpoint = (await visit.payments.read.endpoint(visit.caller, endpoint_id(visit))).value
    return visit.show(template, endpoint=endpoint, once=once_of(visit), overlap=in_time(SECRET_OVERLAP))


def _form(visit: Visit, entries: Mapping[str, Json], invalid: Invalid | None = None) -> Reply:
    return visit.show("webhooks/edit.html", faults=shown_faults(invalid), entries=entries, choices=event_choices())
