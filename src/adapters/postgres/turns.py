"""Which due deliveries a claim takes: merchants take turns, and so do the endpoints of one merchant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    CTE,
    Column,
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    func,
    lateral,
    or_,
    select,
    true,
    tuple_,
)

from adapters.postgres.deliver import PENDING
from adapters.postgres.statements import given
from adapters.postgres.tables import TIME, deliveries, endpoints
from payments_core.ports import Room

AT: Final = bindparam("at", type_=TIME)
"""When it is."""
LIMIT: Final = bindparam("limit", type_=Integer)
FREE: Final = and_(
    deliveries.c.due_at <= AT, or_(deliveries.c.lease_expires_at.is_(None), deliveries.c.lease_expires_at <= AT)
)
"""What is due AT the time and held by nobody.

A claim passes over what others hold of an endpoint, which is the longest due: ten of it in each worker. An index that
leaves them out would be touched by each claim, for a fifth more log. Where ten workers hold all they can, both cost as
much; where forty do, a claim takes twice as long as by such an index.
"""


def _of_room(name: str) -> ColumnElement[int]:
    return bindparam(f"room_{name}", type_=Integer)


def due_deliveries() -> CTE:
    """Return the keys of the deliveries to claim, locked, as `chosen`; it takes AT and the parameters of `parameters`.

    More are locked than chosen, until the end of the statement: of each endpoint as many as it has room for.
    """
    candidates = _of_each_endpoint()
    in_endpoint = _numbered(candidates, "endpoint_turn", candidates.c.of_endpoint, "endpoint_id", "due_at", "id")
    in_merchant = _numbered(in_endpoint, "turn", in_endpoint.c.of_merchant, None, "endpoint_turn", "due_at", "id")
    in_turn = (in_merchant.c.turn, in_merchant.c.due_at, in_merchant.c.id)
    among_failing = func.row_number().over(partition_by=in_merchant.c.failing, order_by=in_turn)
    fitting = (
        select(*in_merchant.c, among_failing.label("failing_turn"))
        .where(in_merchant.c.turn <= _of_room("limit_each_merchant"))
        .cte("fitting")
    )
    return (
        select(*(fitting.c[column.name] for column in deliveries.primary_key))
        .where(or_(~fitting.c.failing, fitting.c.failing_turn <= _of_room("limit_failing")))
        .order_by(fitting.c.turn, fitting.c.due_at, fitting.c.id)
        .limit(_of_room("limit"))
        .cte("chosen")
    )


def parameters(room: Room) -> Mapping[str, Any]:
    """Return the parameters that say how much room there is, and what is under way already."""
    return {
        "room_limit": room.limit,
        "room_limit_failing": room.limit_failing,
        "room_limit_each": room.limit_each,
        "room_limit_each_failing": room.limit_each_failing,
        "room_limit_each_merchant": room.limit_each_merchant,
        "under_way_merchant_id": [merchant for merchant, _ in room.under_way],
        "under_way_endpoint_id": [endpoint for _, endpoint in room.under_way],
        "under_way_number": list(room.under_way.values()),
    }


def _waiting_endpoints() -> CTE:
    """Return the endpoints with pending deliveries: one look into the index for each, however long its queue is."""
    key = (deliveries.c.merchant_id, deliveries.c.endpoint_id)
    one = select(*key).where(PENDING).order_by(*key).limit(1)
    waiting = select(one.subquery("first")).cte("waiting", recursive=True)
    beyond = lateral(one.where(tuple_(*key) > tuple_(waiting.c.merchant_id, waiting.c.endpoint_id)), "beyond")
    return waiting.union_all(select(beyond).select_from(waiting.join(beyond, true())))


def _places() -> CTE:
    """Return the waiting endpoints of merchants that have room, each with how many of it it may have and has."""
    waiting = _waiting_endpoints()
    own = given("under_way", merchant_id=Text, endpoint_id=Text, number=Integer)
    of_merchant = (
        select(own.c.merchant_id, func.sum(own.c.number).cast(Integer).label("number"))
        .group_by(own.c.merchant_id)
        .cte("of_merchant")
    )
    has, merchant_has = func.coalesce(own.c.number, 0), func.coalesce(of_merchant.c.number, 0)
    failing = endpoints.c.failing_since.is_not(None)
    same = and_(
        endpoints.c.merchant_id == waiting.c.merchant_id,
        # Named, so that the primary key finds the one row.
        endpoints.c.livemode.in_([False, True]),
        endpoints.c.id == waiting.c.endpoint_id,
    )
    under_way = and_(own.c.merchant_id == waiting.c.merchant_id, own.c.endpoint_id == waiting.c.endpoint_id)
    return (
        select(
            *waiting.c,
            failing.label("failing"),
            has.label("of_endpoint"),
            merchant_has.label("of_merchant"),
            (case((failing, _of_room("limit_each_failing")), else_=_of_room("limit_each")) - has).label("room"),
        )
        .select_from(
            waiting.join(endpoints, same)
            .join(own, under_way, isouter=True)
            .join(of_merchant, of_merchant.c.merchant_id == waiting.c.merchant_id, isouter=True)
        )
        .where(merchant_has < _of_room("limit_each_merchant"))
        .cte("places")
    )


def _pending_of(place: CTE, *columns: Column[Any]) -> Select[Any]:
    """Select the pending deliveries of an endpoint, the longest due first."""
    same = and_(deliveries.c.merchant_id == place.c.merchant_id, deliveries.c.endpoint_id == place.c.endpoint_id)
    return select(*columns).where(same, PENDING).order_by(deliveries.c.due_at)


def _of_each_endpoint() -> CTE:
    """Lock the longest due deliveries of each endpoint, as many as it has room for; pass over what others locked."""
    place = _places()
    longest_due = (
        _pending_of(place, *deliveries.primary_key, deliveries.c.due_at)
        .where(FREE)
        .limit(func.greatest(0, place.c.room))
        .with_for_update(skip_locked=True)
    )
    due = lateral(longest_due, "due")
    return (
        select(due, place.c.failing, place.c.of_endpoint, place.c.of_merchant)
        .select_from(place.join(due, true()))
        .cte("candidates")
    )


def _numbered(rows: CTE, name: str, behind: ColumnElement[Any], within: str | None, *order: str) -> CTE:
    """Number the rows of each merchant, or of each of its `within`, in an order, behind what is under way."""
    partition = [rows.c.merchant_id] if within is None else [rows.c.merchant_id, rows.c[within]]
    number = func.row_number().over(partition_by=partition, order_by=[rows.c[each] for each in order])
    return select(*rows.c, (behind + number).label(name)).cte(f"with_{name}")
