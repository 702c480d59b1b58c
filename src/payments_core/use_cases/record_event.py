"""Write a fact down as an event of the unit, with the body that will be sent."""

from __future__ import annotations

from collections.abc import Sequence

from payments_core import describe
from payments_core.describe import JsonObject
from payments_core.event import BODY_BYTES_MAX, Event, EventType, Fact
from payments_core.ids import EndpointId, EventId, MerchantId, Moment
from payments_core.ports import UnitOfWork
from payments_core.refund import Refund
from payments_core.transaction import Transaction
from payments_core.values import encode_json
from payments_core.webhook import Endpoint


def record_transaction_event(
    work: UnitOfWork,
    moment: Moment,
    fact: Fact,
    transaction: Transaction,
    *,
    refunds: Sequence[Refund] = (),
    described: JsonObject | None = None,
    request_id: str | None,
) -> None:
    """Record what happened to a transaction; as many of its latest refunds are shown as a body has room for.

    `described` is its description, where the caller has made it already.
    """
    described = described or describe.transaction(transaction, refunds)
    event = _event(moment, fact, transaction, described, request_id)
    if len(event.body) > BODY_BYTES_MAX and refunds:
        fewer = refunds[: len(refunds) // 2]
        record_transaction_event(work, moment, fact, transaction, refunds=fewer, request_id=request_id)
    else:
        work.events.add(event)


def record_refund_event(
    work: UnitOfWork, moment: Moment, fact: Fact, refund: Refund, transaction: Transaction, *, request_id: str | None
) -> None:
    """Record what happened to a refund; its transaction counts the event."""
    work.events.add(_event(moment, fact, transaction, describe.refund(refund), request_id))


def record_endpoint_event(
    work: UnitOfWork,
    moment: Moment,
    type: EventType,
    endpoint: Endpoint,
    *,
    only: EndpointId | None = None,
    request_id: str | None,
) -> Event:
    """Record what happened to an endpoint, and return the event."""
    id = EventId(moment.id("evt"))
    data = describe.endpoint(endpoint)
    described = describe.event_body(id, type, livemode=endpoint.livemode, at=moment.now, sequence=None, data=data)
    event = Event(
        id=id,
        merchant=endpoint.merchant,
        livemode=endpoint.livemode,
        type=type,
        transaction=None,
        sequence=None,
        at=moment.now,
        body=encode_json(described),
        request_id=request_id,
        only=only,
    )
    work.events.add(event)
    return event


def _event(moment: Moment, fact: Fact, transaction: Transaction, data: JsonObject, request_id: str | None) -> Event:
    id = EventId(moment.id("evt"))
    merchant: MerchantId = transaction.merchant
    described = describe.event_body(
        id,
        fact.type,
        livemode=transaction.livemode,
        at=fact.at,
        sequence=fact.sequence,
        data={**data, **fact.detail},
    )
    return Event(
        id=id,
        merchant=merchant,
        livemode=transaction.livemode,
        type=fact.type,
        transaction=transaction.id,
        sequence=fact.sequence,
        at=fact.at,
        body=encode_json(described),
        request_id=request_id,
    )
