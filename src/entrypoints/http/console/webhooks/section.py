"""What the pages of webhooks share."""

from __future__ import annotations

from typing import Final

from entrypoints.http.console.sent_forms import Refused
from entrypoints.http.console.visits import Visit
from payments_core import NotFound
from payments_core.describe import JsonObject
from payments_core.errors import Fault, Invalid
from payments_core.ids import EndpointId

SECTION: Final = "webhooks"


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


def shown_faults(refused: Refused | Invalid | None) -> Invalid | None:
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
