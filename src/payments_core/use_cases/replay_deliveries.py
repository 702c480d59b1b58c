"""Send again what was sent before: one delivery, or a window of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from payments_core import describe
from payments_core.checks import Faults
from payments_core.errors import RuleBroken
from payments_core.ids import DeliveryId, EndpointId, Moment
from payments_core.merchant import Caller
from payments_core.ports import UnitOfWork
from payments_core.units import Made
from payments_core.use_cases.manage_webhooks import require_enabled
from payments_core.webhook import REPLAY_WINDOW_MAX, REPLAYED_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Which events are to be sent again: from `since` to before `until` (now), or only those that never arrived."""

    since: datetime
    until: datetime | None = None
    only_failed: bool = False


def check_replay(command: Replay, *, now: datetime) -> None:
    """Raise Invalid where the window is none, or longer than REPLAY_WINDOW_MAX."""
    until = command.until or now
    faults = Faults()
    if command.since >= until:
        faults.add("since", "wrong_order", "Must be before `until`, which is now unless given.")
    elif until - command.since > REPLAY_WINDOW_MAX:
        faults.add("since", "window_too_long", f"The window can be at most {REPLAY_WINDOW_MAX.days} days long.")
    faults.raise_if_any()


async def retry_delivery(
    work: UnitOfWork, moment: Moment, *, caller: Caller, endpoint_id: EndpointId, id: DeliveryId
) -> Made:
    """Make one delivery due now, with its whole schedule before it. Raises NotFound, Conflict (`webhook_disabled`)."""
    endpoint = await work.endpoints.get(caller.merchant, caller.livemode, endpoint_id)
    delivery = await work.deliveries.get(caller.merchant, endpoint.id, id)
    require_enabled(endpoint)
    work.expect(endpoint)
    queued = delivery.queue_again(at=moment.now)
    work.deliveries.save(queued)
    return Made(answer=describe.delivery(queued), resource=queued.id)


async def replay_deliveries(
    work: UnitOfWork, moment: Moment, *, caller: Caller, endpoint_id: EndpointId, command: Replay
) -> Made:
    """Make a window of deliveries due now.

    Raises NotFound, Conflict (`webhook_disabled`), Invalid, RuleBroken (`too_many_deliveries`).
    """
    endpoint = await work.endpoints.get(caller.merchant, caller.livemode, endpoint_id)
    check_replay(command, now=moment.now)
    require_enabled(endpoint)
    work.expect(endpoint)
    queued = await work.deliveries.replay(
        endpoint, since=command.since, until=command.until or moment.now, only_failed=command.only_failed, at=moment.now
    )
    if queued > REPLAYED_MAX:
        message = f"There are more than {REPLAYED_MAX} deliveries in this window, and no more are replayed at once."
        raise RuleBroken("too_many_deliveries", message)
    return Made(answer={"queued": queued}, resource=endpoint.id)
