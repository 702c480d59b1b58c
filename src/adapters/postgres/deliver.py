"""Statements that make, cancel and repeat the deliveries of events, all in the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Insert,
    Select,
    Update,
    and_,
    any_,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql

from adapters.postgres.changes import Replay
from adapters.postgres.statements import given_rows, matching
from adapters.postgres.tables import deliveries, endpoints, events
from payments_core.event import ALL_EVENTS
from payments_core.ids import lowest_id
from payments_core.webhook import REPLAYED_MAX, DeliveryStatus, Endpoint

TIME_LENGTH: Final = 11
"""How many characters of its event's id begin a delivery's (`payments_core.ids.delivery_id`)."""
DIGEST_LENGTH: Final = 15


# Said as the partial indices say it: a parameter would keep the planner from them.
PENDING: Final = deliveries.c.status == literal(DeliveryStatus.PENDING.value, literal_execute=True)
_FAILED: Final = or_(
    *(
        deliveries.c.status == literal(status.value, literal_execute=True)
        for status in (DeliveryStatus.EXHAUSTED, DeliveryStatus.CANCELED)
    )
)


def delivery_id(event: ColumnElement[str], endpoint: ColumnElement[str]) -> ColumnElement[str]:
    """Return `payments_core.ids.delivery_id`, computed by the database."""
    digest = func.upper(func.substr(func.md5(event.concat(endpoint)), 1, DIGEST_LENGTH))
    return literal("dlv_").concat(func.substr(event, 5, TIME_LENGTH)).concat(digest)


def _listened(facts: FromClause, *columns: ColumnElement[Any]) -> Select[Any]:
    """Select from facts (rows with events' columns), each with the endpoints that listen to it or are addressed."""
    same_mode = and_(facts.c.merchant_id == endpoints.c.merchant_id, facts.c.livemode == endpoints.c.livemode)
    listens = and_(
        endpoints.c.enabled,
        endpoints.c.removed_at.is_(None),
        or_(
            facts.c.only_endpoint_id == endpoints.c.id,
            and_(
                facts.c.only_endpoint_id.is_(None),
                or_(literal(ALL_EVENTS) == any_(endpoints.c.events), facts.c.type == any_(endpoints.c.events)),
            ),
        ),
    )
    return select(*columns).join_from(facts, endpoints, same_mode).where(listens)


def _new_deliveries(facts: FromClause, due_at: ColumnElement[Any]) -> tuple[list[str], Select[Any]]:
    values: dict[str, ColumnElement[Any]] = {
        "merchant_id": facts.c.merchant_id,
        "endpoint_id": endpoints.c.id,
        "id": delivery_id(facts.c.id, endpoints.c.id),
        "livemode": facts.c.livemode,
        "event_id": facts.c.id,
        "event_type": facts.c.type,
        "status": literal(DeliveryStatus.PENDING.value),
        "created_at": due_at,
        "updated_at": due_at,
        "due_at": due_at,
        "tries": literal(0),
        "attempts": func.json_build_array(),
        "lease_token": literal(0),
        "lease_expires_at": null(),
        "version": literal(1),
    }
    return list(values), _listened(facts, *values.values())


TOLD: Final = ("merchant_id", "livemode", "id", "type", "at", "only_endpoint_id")
"""What of an event decides on its deliveries."""


def _insert_new() -> Insert:
    rows = given_rows([events.c[name] for name in TOLD])
    columns, new = _new_deliveries(rows, rows.c.at)
    return insert(deliveries).from_select(columns, new.where(matching(endpoints, rows, ["merchant_id", "livemode"])))


DELIVER: Final = _insert_new()
"""Make the deliveries of new events, of which TOLD is given."""


def _locked(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Lock rows in the order of the primary key, in which commits lock them."""
    return (
        select(*deliveries.primary_key)
        .where(*conditions)
        .order_by(*deliveries.primary_key)
        .with_for_update(key_share=True)
    )


def cancel_pending(closed: Sequence[Endpoint]) -> Update:
    """Cancel what is pending for endpoints that are disabled or removed; whoever holds one is refused."""
    of_closed = or_(
        *(
            and_(deliveries.c.merchant_id == endpoint.merchant, deliveries.c.endpoint_id == endpoint.id)
            for endpoint in closed
        )
    )
    return (
        update(deliveries)
        .where(tuple_(*deliveries.primary_key).in_(_locked(of_closed, PENDING)))
        .values(
            status=DeliveryStatus.CANCELED,
            due_at=None,
            lease_expires_at=None,
            version=deliveries.c.version + 1,
        )
    )


# ── replay ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _ended(replay: Replay) -> ColumnElement[bool]:
    """Tell the deliveries that a replay makes due again."""
    since, until = lowest_id("evt", replay.since), lowest_id("evt", replay.until)
    time = slice(4, 4 + TIME_LENGTH)
    endpoint = replay.endpoint
    conditions: list[ColumnElement[bool]] = [
        deliveries.c.merchant_id == endpoint.merchant,
        deliveries.c.endpoint_id == endpoint.id,
        # The time in a delivery's id is its event's, cut short: it bounds what is looked at, the event's id decides.
        deliveries.c.id >= f"dlv_{since[time]}",
        deliveries.c.id < f"dlv_{until[time]}~",
        deliveries.c.event_id >= since,
        deliveries.c.event_id < until,
    ]
    if replay.only_failed:
        conditions.append(_FAILED)
    else:
        conditions.append(deliveries.c.status != DeliveryStatus.PENDING)
        conditions.append(deliveries.c.event_id.in_(_within(replay, _listened(events, events.c.id))))
    return and_(*conditions)


def _within(replay: Replay, listened: Select[Any]) -> Select[Any]:
    """Narrow what `_listened` selects to the endpoint and the time of a replay."""
    return listened.where(
        events.c.merchant_id == replay.endpoint.merchant,
        events.c.id >= lowest_id("evt", replay.since),
        events.c.id < lowest_id("evt", replay.until),
        endpoints.c.id == replay.endpoint.id,
    )


def _never_sent(replay: Replay, listened: Select[Any]) -> Select[Any]:
    """Narrow what `_listened` selects to what a replay sends for the first time."""
    sent = select(deliveries.c.id).where(
        deliveries.c.merchant_id == events.c.merchant_id,
        deliveries.c.endpoint_id == endpoints.c.id,
        deliveries.c.id == delivery_id(events.c.id, endpoints.c.id),
    )
    # The offset keeps the planner from a join, for which it would read all deliveries there are: each is looked up.
    return _within(replay, listened).where(~sent.offset(0).exists())


def count_to_replay(replay: Replay) -> Select[Any]:
    """Count what `again` and `for_the_first_time` would do now, as `number`; of each, no more than are refused."""
    ended = _count(select(deliveries.c.id).where(_ended(replay)))
    if replay.only_failed:
        return select(ended.label("number"))
    return select((ended + _count(_never_sent(replay, _listened(events, events.c.id)))).label("number"))


def _count(rows: Select[Any]) -> ColumnElement[int]:
    some = rows.limit(REPLAYED_MAX + 1).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def again(replay: Replay) -> Update:
    """Make the ended deliveries of a replay due again, with their whole schedule before them."""
    return (
        update(deliveries)
        .where(tuple_(*deliveries.primary_key).in_(_locked(_ended(replay))))
        .values(
            status=DeliveryStatus.PENDING,
            due_at=replay.at,
            tries=0,
            updated_at=replay.at,
            version=deliveries.c.version + 1,
        )
    )


def for_the_first_time(replay: Replay) -> Insert:
    """Make the deliveries of a replay that never were."""
    columns, new = _new_deliveries(events, literal(replay.at, deliveries.c.due_at.type))
    return (
        postgresql.insert(deliveries)
        .from_select(columns, _never_sent(replay, new))
        .on_conflict_do_nothing(index_elements=list(deliveries.primary_key))
    )
