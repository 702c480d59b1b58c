"""Events: what happened, in order."""

from __future__ import annotations

from typing import Final

from entrypoints.http.operations import Call, Operation, read
from entrypoints.http.query import CREATED_AFTER, CREATED_BEFORE, PAGED, one_of, text
from entrypoints.http.response_schemas import Event
from payments_core import Scope
from payments_core.describe import JsonObject
from payments_core.event import EventType
from payments_core.ids import EventId, TransactionId
from payments_core.page import Page
from payments_core.ports import EventFilter
from payments_core.use_cases.read_lists import Seen

TAG: Final = "Events"
PATH: Final = "/api/events/"

TYPE: Final = one_of("type", "Only of this type.", EventType)
TRANSACTION: Final = text("transaction", "Only of the transaction with this id, its refunds' included.")


@read(
    PATH,
    tag=TAG,
    summary="List events",
    access=Scope.EVENTS_READ,
    answer=Event,
    page=True,
    parameters=[*PAGED, TYPE, TRANSACTION, CREATED_AFTER, CREATED_BEFORE],
)
async def list_events(call: Call) -> Page[JsonObject]:
    """The oldest first, in an order in which nothing ever appears behind what was read already."""
    transaction = call.query.get(TRANSACTION)
    chosen = EventFilter(
        type=call.query.get(TYPE),
        transaction=None if transaction is None else TransactionId(transaction),
        created_after=call.query.get(CREATED_AFTER),
        created_before=call.query.get(CREATED_BEFORE),
    )
    return await call.payments.read.events(call.caller, call.query.page, chosen)


@read(f"{PATH}{{id}}/", tag=TAG, summary="Look at an event", access=Scope.EVENTS_READ, answer=Event)
async def get_event(call: Call) -> Seen[JsonObject]:
    """Letter by letter what webhooks get."""
    return await call.payments.read.event(call.caller, call.id(EventId))


OPERATIONS: Final[tuple[Operation, ...]] = (list_events, get_event)
