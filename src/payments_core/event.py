"""Facts: what happened, in the words that merchants get.

A fact is what a transition returns; an event is a fact that was written down, with the body that every webhook
sends letter by letter and that is never rendered again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from payments_core.ids import EndpointId, EventId, MerchantId, TransactionId
from payments_core.values import Json

API_VERSION: Final = "1"
BODY_BYTES_MAX: Final = 64 * 1024
ALL_EVENTS: Final = "*"


class EventType(StrEnum):
    """The types there are; more may come, so that readers must pass over what they don't know."""

    TRANSACTION_CREATED = "transaction.created"
    TRANSACTION_PROCESSING = "transaction.processing"
    TRANSACTION_SUCCEEDED = "transaction.succeeded"
    TRANSACTION_FAILED = "transaction.failed"
    TRANSACTION_CANCELED = "transaction.canceled"
    TRANSACTION_CORRECTED = "transaction.corrected"
    REFUND_CREATED = "refund.created"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
    WEBHOOK_TEST = "webhook.test"
    WEBHOOK_DISABLED = "webhook.disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happened to a transaction or one of its refunds; `sequence` counts them from 1."""

    type: EventType
    transaction: TransactionId
    sequence: int
    at: datetime
    detail: Mapping[str, Json] = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact, written down.

    `position` is the event's place among all of its merchant's, from 1 without gaps; the commit gives it (0 before).
    `only` addresses a single endpoint; without it the event goes to each one that listens.
    """

    id: EventId
    merchant: MerchantId
    livemode: bool
    type: EventType
    transaction: TransactionId | None
    sequence: int | None
    at: datetime
    body: bytes
    request_id: str | None = None
    only: EndpointId | None = None
    position: int = 0
