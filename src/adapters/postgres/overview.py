"""What a merchant sees at a glance: daily totals, what waits, how endpoints are. Each count ends at a bound."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Boolean, ColumnElement, Select, and_, bindparam, func, lateral, not_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.deliver import FAILED, PENDING
from adapters.postgres.mapping import Kind
from adapters.postgres.tables import KEY, attempts, daily_totals, deliveries, endpoints, jobs
from adapters.postgres.turns import AT
from payments_core.ids import MerchantId
from payments_core.job import JobKind
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
from payments_core.totals import DayTotals
from payments_core.webhook import DeliveryStatus, Endpoint

_MERCHANT: Final = bindparam("merchant", type_=KEY)
_LIVEMODE: Final = bindparam("livemode", type_=Boolean)
_LATELY: Final = bindparam("lately", type_=AT.type)
_PRESENT: Final = and_(
    endpoints.c.merchant_id == _MERCHANT, endpoints.c.livemode == _LIVEMODE, endpoints.c.removed_at.is_(None)
)


async def read_totals(
    connection: AsyncConnection, merchant: MerchantId, livemode: bool, first: date, last: date
) -> Sequence[DayTotals]:
    """Return the totals of these days, in the order of the primary key."""
    columns = daily_totals.c
    statement = (
        select(daily_totals)
        .where(columns.merchant_id == merchant, columns.livemode == livemode, columns.day.between(first, last))
        .order_by(columns.day, columns.currency)
    )
    return [
        DayTotals(
            day=row["day"],
            currency=row["currency"],
            accepted=row["accepted"],
            succeeded=row["succeeded"],
            succeeded_minor=int(row["succeeded_minor"]),
            failed=row["failed"],
            canceled=row["canceled"],
            refunds=row["refunds"],
            refunded_minor=int(row["refunded_minor"]),
        )
        for row in (await connection.execute(statement)).mappings()
    ]


# ── what waits ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _up_to(most: int, number: ColumnElement[int]) -> ColumnElement[int]:
    return func.least(number, most)


def _number(rows: Select[Any], most: int = COUNT_MAX) -> ColumnElement[int]:
    return select(func.count()).select_from(rows.limit(most).subquery()).scalar_subquery()


def _living_jobs() -> Select[Any]:
    """Count those of each kind among the merchant's oldest, in one look at them."""
    own = and_(jobs.c.merchant_id == _MERCHANT, jobs.c.dead_at.is_(None))
    looked = select(jobs.c.livemode, jobs.c.kind, jobs.c.due_at).where(own).order_by(jobs.c.id).limit(LOOKED_AT_MAX)
    rows = looked.subquery("living")
    due = rows.c.due_at <= AT
    counts = [
        _up_to(COUNT_MAX, func.count().filter(rows.c.livemode == _LIVEMODE, rows.c.kind == kind.value, time)).label(
            name
        )
        for kind, time, name in (
            (JobKind.CHARGE, due, "payments_due"),
            (JobKind.CHARGE, not_(due), "payments_later"),
            (JobKind.REFUND, due, "refunds_due"),
            (JobKind.REFUND, not_(due), "refunds_later"),
        )
    ]
    columns: list[ColumnElement[Any]] = [*counts, func.count().label("living")]
    return select(*columns).select_from(rows)


def _for_a_person(own: ColumnElement[bool], livemode: ColumnElement[bool], name: str) -> Select[Any]:
    """Count the mode's among what an index has of both."""
    rows = select(livemode.label("livemode")).where(own).limit(LOOKED_AT_MAX).subquery(name)
    counted = _up_to(COUNT_MAX, func.count().filter(rows.c.livemode == _LIVEMODE))
    columns: list[ColumnElement[Any]] = [counted.label(name), func.count().label(f"{name}_looked_at")]
    return select(*columns).select_from(rows)


def _deliveries(time: ColumnElement[bool]) -> ColumnElement[int]:
    own = and_(deliveries.c.merchant_id == _MERCHANT, deliveries.c.endpoint_id == endpoints.c.id, PENDING, time)
    each = lateral(select(deliveries.c.id).where(own).correlate(endpoints).limit(COUNT_MAX))
    return _number(select(endpoints.c.id).join(each, true()).where(_PRESENT))


def _waiting() -> Select[Any]:
    living = _living_jobs().subquery("jobs_living")
    dead = _for_a_person(
        and_(jobs.c.merchant_id == _MERCHANT, jobs.c.dead_at.is_not(None)), jobs.c.livemode, "dead_jobs"
    ).subquery("jobs_dead")
    review = _for_a_person(
        and_(attempts.c.merchant_id == _MERCHANT, attempts.c.needs_review), attempts.c.livemode, "attempts_in_review"
    ).subquery("attempts_reviewed")
    return (
        select(
            living,
            dead,
            review,
            _deliveries(deliveries.c.due_at <= AT).label("deliveries_due"),
            _deliveries(deliveries.c.due_at > AT).label("deliveries_later"),
        )
        .select_from(living)
        .join(dead, true())
        .join(review, true())
    )


_WAITING: Final = _waiting()


async def read_waiting(connection: AsyncConnection, merchant: MerchantId, livemode: bool, at: datetime) -> Waiting:
    """Count what waits."""
    given = {"merchant": merchant, "livemode": livemode, "at": at}
    row = (await connection.execute(_WAITING, given)).mappings().one()
    looked_at = (row["living"], row["dead_jobs_looked_at"], row["attempts_in_review_looked_at"])
    return Waiting(
        payments_due=row["payments_due"],
        payments_later=row["payments_later"],
        refunds_due=row["refunds_due"],
        refunds_later=row["refunds_later"],
        dead_jobs=row["dead_jobs"],
        attempts_in_review=row["attempts_in_review"],
        deliveries_due=row["deliveries_due"],
        deliveries_later=row["deliveries_later"],
        is_whole=max(looked_at) < LOOKED_AT_MAX,
    )


# ── endpoints ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _health() -> Select[Any]:
    """Select the present endpoints, each with what a look at its latest deliveries shows."""
    own = and_(deliveries.c.merchant_id == _MERCHANT, deliveries.c.endpoint_id == endpoints.c.id)
    newest = (
        select(deliveries.c.id, deliveries.c.status, deliveries.c.updated_at)
        .where(own)
        .order_by(deliveries.c.id.desc())
        .correlate(endpoints)
    )
    pending = select(deliveries.c.id).where(own, PENDING).correlate(endpoints)
    failed = newest.where(FAILED).limit(FAILURES_LOOKED_AT_MAX).subquery("failed")
    exhausted = and_(failed.c.status == DeliveryStatus.EXHAUSTED.value, failed.c.updated_at > _LATELY)
    looked = newest.limit(DELIVERIES_LOOKED_AT_MAX).subquery("looked")
    arrived = looked.c.status == DeliveryStatus.DELIVERED.value
    latest = lateral(newest.limit(1)).alias("latest")
    return (
        select(
            endpoints,
            _number(pending).label("pending"),
            select(func.count()).select_from(failed).where(exhausted).scalar_subquery().label("exhausted_lately"),
            select(func.max(looked.c.updated_at)).where(arrived).scalar_subquery().label("last_success_at"),
            latest.c.status.label("latest_status"),
            latest.c.updated_at.label("latest_at"),
        )
        .select_from(endpoints.outerjoin(latest, true()))
        .where(_PRESENT)
        .order_by(endpoints.c.id.desc())
    )


_HEALTH: Final = _health()


async def read_endpoints_health(
    connection: AsyncConnection, kind: Kind[Endpoint], merchant: MerchantId, livemode: bool, at: datetime
) -> Sequence[EndpointHealth]:
    """Return how each endpoint is, the newest first; a merchant has ENDPOINTS_MAX in a mode at most."""
    given = {"merchant": merchant, "livemode": livemode, "lately": at - LATELY}
    return [
        EndpointHealth(
            endpoint=kind.of_row(row),
            pending=row["pending"],
            exhausted_lately=row["exhausted_lately"],
            latest=None
            if row["latest_status"] is None
            else LatestDelivery(status=DeliveryStatus(row["latest_status"]), at=row["latest_at"]),
            last_success_at=row["last_success_at"],
        )
        for row in (await connection.execute(_HEALTH, given)).mappings()
    ]
