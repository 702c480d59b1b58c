"""Make one attempt at a delivery, and write down what came of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from payments_core.errors import LeaseLost, NotFound
from payments_core.event import EventType
from payments_core.ids import Moment
from payments_core.ports import Answered, ClaimedDelivery, Clock, Notification, Notifier, UnitOfWork, Unreached
from payments_core.units import Behind, Units, turn_at
from payments_core.use_cases.record_event import record_endpoint_event
from payments_core.values import format_time
from payments_core.webhook import Delivery, DeliveryAttempt, DeliveryStatus, Endpoint, sign

GONE: Final = 410
"""The status by which a receiver asks for nothing more."""

UNTOLD: Final = frozenset({"blocked_address", "dns"})
"""Told apart, and by the time they took, these would say which names there are inside the network of the service."""
NOWHERE: Final = "dns: the host has no address that webhooks may reach"

_log = logging.getLogger(__name__)


async def deliver_webhook(
    units: Units, notifier: Notifier, clock: Clock, claimed: ClaimedDelivery, schedule: Sequence[timedelta]
) -> None:
    """Sign and post the event, no unit open, then record the attempt in one.

    Raises LeaseLost where the claim ran out meanwhile and somebody else has it.
    """
    at = clock.now()
    try:
        reply = await _post(notifier, claimed, at)
    except Exception:
        # Not recorded, it would be tried again at each end of its lease, for ever.
        _log.exception("delivery %s could not be attempted", claimed.delivery.id)
        reply = Unreached(code="internal", message="the attempt failed on our side", milliseconds=0)
    act = partial(record_attempt, claimed=claimed, reply=reply, at=at, schedule=schedule)
    on = turn_at(claimed.delivery.merchant, "delivery", claimed.delivery.id)
    delivery = await units.run_behind(act, of=Behind.DELIVERIES, on=on)
    if not _is_received(reply):
        _log.info(*_about_failure(delivery, delivery.attempts[-1], reply))


def _is_received(reply: Answered | Unreached) -> bool:
    return isinstance(reply, Answered) and 200 <= reply.status_code < 300


def _about_failure(delivery: Delivery, attempt: DeliveryAttempt, reply: Answered | Unreached) -> tuple[str, ...]:
    """Return the words for the log; not the URL, in which merchants keep secrets, nor what was answered."""
    if isinstance(reply, Answered):
        why = f"answered with status {reply.status_code}"
    else:
        why = f"{reply.code}: {reply.message}"
    then = f"next at {format_time(delivery.due_at)}" if delivery.due_at is not None else f"now {delivery.status}"
    where = f"webhook {delivery.endpoint}: delivery {delivery.id} of {delivery.event_type}"
    return "%s not delivered by attempt %s: %s; %s", where, str(attempt.number), why, then


async def _post(notifier: Notifier, claimed: ClaimedDelivery, at: datetime) -> Answered | Unreached:
    endpoint, event = claimed.endpoint, claimed.delivery.event
    signed = sign(endpoint.secrets_at(at), id=event, at=at, body=claimed.body)
    headers = {"content-type": "application/json", **signed}
    return await notifier.send(Notification(url=endpoint.url, headers=headers, body=claimed.body))


async def record_attempt(
    work: UnitOfWork,
    moment: Moment,
    *,
    claimed: ClaimedDelivery,
    reply: Answered | Unreached,
    at: datetime,
    schedule: Sequence[timedelta],
) -> Delivery:
    """Record what came back, when the delivery is due again, and what that says of the endpoint; return the delivery.

    An endpoint that has moved meanwhile is not held to what its old address answered.
    """
    delivery = await _delivery(work, moment, claimed.delivery)
    attempt = _attempt(delivery.next_attempt_number, at, reply)
    endpoint = await _endpoint(work, moment, claimed.endpoint)
    if endpoint is None or delivery.status is not DeliveryStatus.PENDING:
        tried = delivery.note(attempt)
    elif _is_received(reply):
        tried = delivery.deliver(attempt)
        if endpoint.url == claimed.endpoint.url:
            _save_if_changed(work, endpoint, endpoint.succeeded())
    elif endpoint.url != claimed.endpoint.url:
        tried = _failed(moment, delivery, attempt, reply, schedule)
    else:
        tried = _failed_at(work, moment, delivery, attempt, endpoint, reply, schedule)
    work.deliveries.save(tried)
    return tried


def _failed_at(
    work: UnitOfWork,
    moment: Moment,
    delivery: Delivery,
    attempt: DeliveryAttempt,
    endpoint: Endpoint,
    reply: Answered | Unreached,
    schedule: Sequence[timedelta],
) -> Delivery:
    """Return the delivery that failed, and hold that against its endpoint."""
    failing = endpoint.failed(at=attempt.at)
    gone = isinstance(reply, Answered) and reply.status_code == GONE
    if gone or failing.has_failed_too_long(at=attempt.at):
        disabled = failing.disable()
        work.endpoints.save(disabled)
        record_endpoint_event(work, moment, EventType.WEBHOOK_DISABLED, disabled, request_id=None)
        return delivery.cancel(attempt)
    _save_if_changed(work, endpoint, failing)
    return _failed(moment, delivery, attempt, reply, schedule)


def _failed(
    moment: Moment,
    delivery: Delivery,
    attempt: DeliveryAttempt,
    reply: Answered | Unreached,
    schedule: Sequence[timedelta],
) -> Delivery:
    seconds = reply.retry_after_seconds if isinstance(reply, Answered) else None
    retry_after = None if seconds is None else timedelta(seconds=seconds)
    jitter = int.from_bytes(moment.secret(4), "big") / 2**31 - 1
    return delivery.fail(attempt, now=moment.now, retry_after=retry_after, jitter=jitter, schedule=schedule)


async def _delivery(work: UnitOfWork, moment: Moment, claimed: Delivery) -> Delivery:
    """Return the delivery as it is now, or raise LeaseLost; the commit fails if it has moved."""
    if not moment.is_again:
        # A claim moves the version, so that nobody else's passes unnoticed.
        return claimed
    delivery = await work.deliveries.get(claimed.merchant, claimed.endpoint, claimed.id)
    if delivery.lease_token != claimed.lease_token:
        raise LeaseLost("another worker has claimed this delivery")
    return delivery


async def _endpoint(work: UnitOfWork, moment: Moment, claimed: Endpoint) -> Endpoint | None:
    """Return the endpoint as it is now, None where it is removed; the commit fails if that changes meanwhile."""
    if not moment.is_again:
        # Most have not moved since the claim: if this one has, the commit says so.
        work.expect(claimed)
        return claimed
    try:
        return await work.endpoints.get(claimed.merchant, claimed.livemode, claimed.id)
    except NotFound:
        return None


def _save_if_changed(work: UnitOfWork, before: Endpoint, after: Endpoint) -> None:
    if after is not before:
        work.endpoints.save(after)


def _attempt(number: int, at: datetime, reply: Answered | Unreached) -> DeliveryAttempt:
    match reply:
        case Answered():
            return DeliveryAttempt(
                number=number,
                at=at,
                milliseconds=reply.milliseconds,
                status_code=reply.status_code,
                excerpt=reply.excerpt,
            )
        case Unreached():
            if reply.code in UNTOLD:
                return DeliveryAttempt(number=number, at=at, milliseconds=0, error=NOWHERE)
            error = f"{reply.code}: {reply.message}"
            return DeliveryAttempt(number=number, at=at, milliseconds=reply.milliseconds, error=error)
