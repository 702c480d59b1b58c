"""Statements that make, cancel and repeat the deliveries of events, all in the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    Insert,
    Select,
    Update,
    and_,
    any_,
    bindparam,
    func,
    insert,
    literal,
    literal_column,
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


def _is(status: DeliveryStatus) -> ColumnElement[bool]:
    """Say it as the partial indices do: a parameter would keep the planner from them."""
    return deliveries.c.status == literal_column(f"'{status.value}'")


PENDING: Final = _is(DeliveryStatus.PENDING)
FAILED: Final = or_(_is(DeliveryStatus.EXHAUSTED), _is(DeliveryStatus.CANCELED))


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


def _given(name: str, like: ColumnElement[Any]) -> BindParameter[Any]:
    return bindparam(name, type_=like.type)


_MERCHANT: Final = _given("merchant", deliveries.c.merchant_id)
_ENDPOINT: Final = _given("endpoint", deliveries.c.endpoint_id)
_OF_ENDPOINT: Final = and_(deliveries.c.merchant_id == _MERCHANT, deliveries.c.endpoint_id == _ENDPOINT)


def _locked(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Lock rows in the order of the primary key, in which commits lock them."""
    return (
        select(*deliveries.primary_key)
        .where(*conditions)
        .order_by(*deliveries.primary_key)
        .with_for_update(key_share=True)
    )


def given_by_endpoint(endpoint: Endpoint) -> Mapping[str, object]:
    """Return the parameters of the statement for an endpoint that is closed."""
    return {"merchant": endpoint.merchant, "endpoint": endpoint.id}


CANCEL_PENDING: Final = (
    update(deliveries)
    .where(tuple_(*deliveries.primary_key).in_(_locked(_OF_ENDPOINT, PENDING)))
    .values(status=DeliveryStatus.CANCELED, due_at=None, lease_expires_at=None, version=deliveries.c.version + 1)
)
"""Cancel what is pending for an endpoint that is disabled or removed; whoever holds one is refused."""


# ── replay ───────────────────────────────────────────────────────────────────────────────────────────────────────────


_SINCE: Final = _given("since", deliveries.c.event_id)
_UNTIL: Final = _given("until", deliveries.c.event_id)
_AT: Final = _given("at", deliveries.c.due_at)


def given_by(replay: Replay) -> Mapping[str, object]:
    """Return the parameters of the statements for a replay."""
    since, until = lowest_id("evt", replay.since), lowest_id("evt", replay.until)
    time = slice(4, 4 + TIME_LENGTH)
    return {
        **given_by_endpoint(replay.endpoint),
        "since": since,
        "until": until,
        "from_delivery": f"dlv_{since[time]}",
        "to_delivery": f"dlv_{until[time]}~",
        "at": replay.at,
    }


def _ended(*, only_failed: bool) -> ColumnElement[bool]:
    """Tell the deliveries that a replay makes due again."""
    conditions: list[ColumnElement[bool]] = [
        _OF_ENDPOINT,
        # The time in a delivery's id is its event's, cut short: it bounds what is looked at, the event's id decides.
        deliveries.c.id >= _given("from_delivery", deliveries.c.id),
        deliveries.c.id < _given("to_delivery", deliveries.c.id),
        deliveries.c.event_id >= _SINCE,
        deliveries.c.event_id < _UNTIL,
    ]
    if only_failed:
        conditions.append(FAILED)
    else:
        conditions.append(deliveries.c.status != DeliveryStatus.PENDING)
        conditions.append(deliveries.c.event_id.in_(_within(_listened(events, events.c.id))))
    return and_(*conditions)


def _within(listened: Select[Any]) -> Select[Any]:
    """Narrow what `_listened` selects to the endpoint and the time of a replay."""
    return listened.where(
        events.c.merchant_id == _MERCHANT,
        events.c.id >= _SINCE,
        events.c.id < _UNTIL,
        endpoints.c.id == _ENDPOINT,
    )


def _never_sent(listened: Select[Any]) -> Select[Any]:
    """Narrow what `_listened` selects to what a replay sends for the first time."""
    sent = select(deliveries.c.id).where(
        deliveries.c.merchant_id == events.c.merchant_id,
        deliveries.c.endpoint_id == endpoints.c.id,
        deliveries.c.id == delivery_id(events.c.id, endpoints.c.id),
    )
    # The offset keeps the planner from a join, for which it would read all deliveries there are: each is looked up.
    return _within(listened).where(~sent.offset(0).exists())


def _number(*rows: Select[Any]) -> Select[Any]:
    counts = [
        select(func.count()).select_from(some.limit(REPLAYED_MAX + 1).subquery()).scalar_subquery() for some in rows
    ]
    return select(sum(counts[1:], start=counts[0]).label("number"))


_COUNT_FAILED: Final = _number(select(deliveries.c.id).where(_ended(only_failed=True)))
_COUNT_ALL: Final = _number(
    select(deliveries.c.id).where(_ended(only_failed=False)), _never_sent(_listened(events, events.c.id))
)


def count_to_replay(replay: Replay) -> Select[Any]:
    """Count what a replay would do now, as `number`; of what ended and of what never was, no more than are refused."""
    return (_COUNT_FAILED if replay.only_failed else _COUNT_ALL).params(given_by(replay))


def _again(*, only_failed: bool) -> Update:
    return (
        update(deliveries)
        .where(tuple_(*deliveries.primary_key).in_(_locked(_ended(only_failed=only_failed))))
        .values(
            status=DeliveryStatus.PENDING,
            due_at=_AT,
            tries=0,
            updated_at=_AT,
            version=deliveries.c.version + 1,
        )
    )


FAILED_AGAIN: Final = _again(only_failed=True)
"""Make the deliveries of a replay that failed due again, with their whole schedule before them."""
ALL_AGAIN: Final = _again(only_failed=False)
"""The same, of all that ended and are listened to."""


def _for_the_first_time() -> Insert:
    columns, new = _new_deliveries(events, _AT)
    return (
        postgresql.insert(deliveries)
        .from_select(columns, _never_sent(new))
        .on_conflict_do_nothing(index_elements=list(deliveries.primary_key))
    )


FOR_THE_FIRST_TIME: Final = _for_the_first_time()
"""Make the deliveries of a replay that never were."""
