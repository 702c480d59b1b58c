"""What waits and how endpoints are, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice

from adapters.memory.state import Account, Table
from payments_core.attempt import AttemptState
from payments_core.ids import EndpointId
from payments_core.job import Job, JobKind
from payments_core.overview import (
    COUNT_MAX,
    DELIVERIES_LOOKED_AT_MAX,
    FAILURES_LOOKED_AT_MAX,
    LATELY,
    LOOKED_AT_MAX,
    EndpointHealth,
    LatestDelivery,
    Waiting,
)
from payments_core.webhook import Delivery, DeliveryStatus, Endpoint


def waiting_of(account: Account, jobs: Sequence[Job], livemode: bool, at: datetime) -> Waiting:
    """Count what waits in one mode; the jobs are those of the account, in both modes, the oldest first."""
    in_review = [one for one in account.attempts.oldest_first() if one.state is AttemptState.NEEDS_REVIEW]
    dead = [job for job in jobs if job.dead_at is not None]
    alive = [job for job in jobs if job.dead_at is None]

    def count(kind: JobKind, *, due: bool) -> int:
        found = (job for job in alive[:LOOKED_AT_MAX] if job.livemode is livemode and job.kind is kind)
        return _counted(job for job in found if (job.due_at <= at) is due)

    pending = [
        delivery
        for endpoint in present_endpoints(account, livemode)
        for delivery in _deliveries(account, endpoint.id).oldest_first()
        if delivery.status is DeliveryStatus.PENDING and delivery.due_at is not None
    ]
    return Waiting(
        payments_due=count(JobKind.CHARGE, due=True),
        payments_later=count(JobKind.CHARGE, due=False),
        refunds_due=count(JobKind.REFUND, due=True),
        refunds_later=count(JobKind.REFUND, due=False),
        dead_jobs=_counted(job for job in dead[:LOOKED_AT_MAX] if job.livemode is livemode),
        attempts_in_review=_counted(one for one in in_review[:LOOKED_AT_MAX] if one.livemode is livemode),
        deliveries_due=_counted(one for one in pending if one.due_at is not None and one.due_at <= at),
        deliveries_later=_counted(one for one in pending if one.due_at is not None and one.due_at > at),
        is_whole=max(len(alive), len(dead), len(in_review)) < LOOKED_AT_MAX,
    )


def health_of(account: Account, endpoint: Endpoint, at: datetime) -> EndpointHealth:
    """Return how an endpoint of the account is."""
    newest = list(_deliveries(account, endpoint.id).newest_first())
    lost = [one for one in newest if one.status in (DeliveryStatus.EXHAUSTED, DeliveryStatus.CANCELED)]
    arrived = [one for one in newest[:DELIVERIES_LOOKED_AT_MAX] if one.status is DeliveryStatus.DELIVERED]
    return EndpointHealth(
        endpoint=endpoint,
        pending=_counted(one for one in newest if one.status is DeliveryStatus.PENDING),
        exhausted_lately=sum(
            one.status is DeliveryStatus.EXHAUSTED and one.updated_at > at - LATELY
            for one in lost[:FAILURES_LOOKED_AT_MAX]
        ),
        latest=LatestDelivery(status=newest[0].status, at=newest[0].updated_at) if newest else None,
        last_success_at=max((one.updated_at for one in arrived), default=None),
    )


def present_endpoints(account: Account, livemode: bool) -> Sequence[Endpoint]:
    """Return the endpoints of one mode that were not removed, the newest first."""
    endpoints = account.endpoints.newest_first()
    return [one for one in endpoints if one.livemode is livemode and one.removed_at is None]


def _counted(things: Iterable[object]) -> int:
    return sum(1 for _ in islice(things, COUNT_MAX))


def _deliveries(account: Account, endpoint: EndpointId) -> Table[Delivery]:
    return account.deliveries.get(endpoint) or Table[Delivery]()
