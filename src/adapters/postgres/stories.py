"""What belongs to one transaction: the attempts at the gateway, and the deliveries of what happened to it.

Nothing of it needs an index of its own. Attempts are found by their subjects, of which a transaction has few; a
delivery's id follows from its event's and its endpoint's, and both are few.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from sqlalchemy import Select, Text, any_, func, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.mapping import Kinds
from adapters.postgres.statements import given, matching
from adapters.postgres.tables import attempts, deliveries, endpoints, events, refunds
from payments_core.attempt import Attempt
from payments_core.ids import EndpointId, EventId, MerchantId, TransactionId, delivery_id
from payments_core.transaction import REFUNDS_MAX
from payments_core.webhook import DELIVERIES_SHOWN_MAX, ENDPOINTS_MAX, REMOVED_SHOWN_MAX, STORY_EVENTS_MAX, Delivery

T = TypeVar("T")

ASKED: Final = "asked"
Read: TypeAlias = Callable[[AsyncConnection, Kinds, MerchantId, bool, TransactionId], Awaitable[Sequence[T]]]


async def read_attempts(
    connection: AsyncConnection, kinds: Kinds, merchant: MerchantId, livemode: bool, transaction: TransactionId
) -> Sequence[Attempt]:
    """Return the attempts for a transaction and its refunds, the oldest first."""
    refunded = (
        select(refunds.c.id)
        .where(refunds.c.merchant_id == merchant, refunds.c.transaction_id == transaction)
        .order_by(refunds.c.id.desc())
        .limit(REFUNDS_MAX)
    )
    subjects = func.array(refunded.scalar_subquery()).op("||")(literal(transaction, Text))
    found = select(attempts).where(
        attempts.c.merchant_id == merchant, attempts.c.subject_id == any_(subjects), attempts.c.livemode == livemode
    )
    rows = (await connection.execute(found)).mappings().all()
    return sorted((kinds.attempts.of_row(row) for row in rows), key=lambda attempt: attempt.id)


async def read_deliveries(
    connection: AsyncConnection, kinds: Kinds, merchant: MerchantId, livemode: bool, transaction: TransactionId
) -> Sequence[Delivery]:
    """Return the latest deliveries of a transaction's events, the oldest event first."""
    of_transaction = (
        select(events.c.id)
        .where(events.c.merchant_id == merchant, events.c.transaction_id == transaction, events.c.livemode == livemode)
        .order_by(events.c.sequence.desc())
        .limit(STORY_EVENTS_MAX)
    )
    event_ids = [EventId(id) for id in await connection.scalars(of_transaction)]
    endpoint_ids = [EndpointId(id) for id in await connection.scalars(_endpoints(merchant, livemode))]
    asked = [(delivery_id(event, endpoint), endpoint) for event in event_ids for endpoint in endpoint_ids]
    if not asked:
        return ()
    rows = given(ASKED, endpoint_id=Text, id=Text)
    found = (
        select(deliveries)
        .join_from(rows, deliveries, matching(deliveries, rows, ("endpoint_id", "id")))
        .where(deliveries.c.merchant_id == merchant)
        .order_by(deliveries.c.id.desc())
        .limit(DELIVERIES_SHOWN_MAX)
    )
    values = {f"{ASKED}_endpoint_id": [one for _, one in asked], f"{ASKED}_id": [id for id, _ in asked]}
    latest = (await connection.execute(found, values)).mappings().all()
    return [kinds.deliveries.of_row(row) for row in reversed(latest)]


def _endpoints(merchant: MerchantId, livemode: bool) -> Select[Any]:
    """Return the endpoints that there are, and those of the removed that were made last."""
    own = (endpoints.c.merchant_id == merchant, endpoints.c.livemode == livemode)
    latest = select(endpoints.c.id).where(*own).order_by(endpoints.c.id.desc())
    present = latest.where(endpoints.c.removed_at.is_(None)).limit(ENDPOINTS_MAX).subquery("present")
    recent = latest.limit(ENDPOINTS_MAX + REMOVED_SHOWN_MAX).subquery("recent")
    both = union_all(select(present.c.id), select(recent.c.id)).subquery("both")
    return select(both.c.id).distinct()
