"""What the pages of webhooks share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from entrypoints.http.console.visits import Visit, new_once
from payments_core import NotFound
from payments_core.describe import JsonObject
from payments_core.errors import Fault, Invalid, KeyReused, Refused
from payments_core.ids import EndpointId

SECTION: Final = "webhooks"
SAID: Final[Mapping[str, str]] = {
    KeyReused.code: "This form was sent before, with other entries. These were not taken: send it again if they count.",
    "webhook_disabled": "The endpoint is disabled. Enable it first.",
}
"""What pages say where the words of the API, by these codes, would be no help."""


def endpoint_id(visit: Visit) -> EndpointId:
    """Return which endpoint the address names."""
    return EndpointId(visit.ids["id"])


async def health_of(visit: Visit, id: EndpointId) -> JsonObject:
    """Return an endpoint and how it is. Raises NotFound."""
    for health in (await visit.payments.read.endpoints_health(visit.caller)).value:
        if id_of(health) == id:
            return {**health, "standing": standing(health)}
    raise NotFound("There is no such endpoint.")


def id_of(health: JsonObject) -> object:
    """Return the id of the endpoint that this is about."""
    return _endpoint(health)["id"]


def standing(health: JsonObject) -> str:
    """Return how an endpoint is, in one word or a few."""
    if not _endpoint(health)["enabled"]:
        return "disabled" if health["failing_since"] is None else "disabled_after_failures"
    if health["in_trouble"]:
        return "failing"
    return "nothing_sent_yet" if health["latest"] is None else "healthy"


def once_of(visit: Visit, refused: Refused | None = None) -> str:
    """Return the key of a form that is shown, or shown again: its own, unless that has had its effect."""
    kept = visit.form.get("once")
    return new_once() if kept is None or isinstance(refused, KeyReused) else kept


def sentence_of(refused: Refused | None) -> str | None:
    """Return what is said above a form that is shown again after this; None where its fields say it."""
    if refused is None:
        return None
    if isinstance(refused, Invalid):
        # The key of a form has no field that people see.
        return next((fault.message for fault in refused.faults if fault.field == "once"), None)
    return SAID.get(refused.code, refused.message)


def shown_faults(refused: Refused | None) -> Invalid | None:
    """Return the faults by the fields of the page that have them: those of one choice belong to the choices."""
    if not isinstance(refused, Invalid):
        return None
    faults = [
        Fault(field=fault.field.partition(".")[0], code=fault.code, message=fault.message) for fault in refused.faults
    ]
    return Invalid(list(dict.fromkeys(faults)))


def _endpoint(health: JsonObject) -> JsonObject:
    found = health["endpoint"]
    assert isinstance(found, dict)
    return found
