"""What staff see of all merchants where the thing itself holds a secret: the rest of it. And whose an id is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from payments_core.ids import EndpointId, MerchantId, microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSeen:
    """A webhook endpoint without its secrets; removed ones are seen as well."""

    id: EndpointId
    merchant: MerchantId
    livemode: bool
    url: str
    events: tuple[str, ...]
    description: str | None
    enabled: bool
    created_at: datetime
    failing_since: datetime | None
    removed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSeen:
    """What an idempotency key did, without the answer and without what tells of the request."""

    merchant: MerchantId
    livemode: bool
    key: str
    route: str
    status: int
    resource: str | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """None means: any. `key` is the whole key."""

    key: str | None = None
    merchant: MerchantId | None = None


class ThingKind(StrEnum):
    """What an id may be of."""

    MERCHANT = "merchant"
    PAYMENT_KEY = "payment_key"
    TRANSACTION = "transaction"
    REFUND = "refund"
    ATTEMPT = "attempt"
    JOB = "job"
    EVENT = "event"
    ENDPOINT = "endpoint"


KINDS_OF_IDS: Final[Mapping[str, ThingKind]] = MappingProxyType(
    {
        "mer": ThingKind.MERCHANT,
        "key": ThingKind.PAYMENT_KEY,
        "txn": ThingKind.TRANSACTION,
        "rfn": ThingKind.REFUND,
        "att": ThingKind.ATTEMPT,
        "job": ThingKind.JOB,
        "evt": ThingKind.EVENT,
        "whk": ThingKind.ENDPOINT,
    }
)
"""By how the ids begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Whose an id is. `livemode` is None for a merchant, who has both modes."""

    id: str
    kind: ThingKind
    merchant: MerchantId
    livemode: bool | None


def kind_of(id: str) -> ThingKind | None:
    """Return what an id would be of, by how it begins."""
    return KINDS_OF_IDS.get(id.partition("_")[0])


def record_digest(merchant: str, livemode: bool, key: str) -> str:
    """Return what tells apart the records of one time, in 32 hexadecimal digits; no secret."""
    text = f"{merchant}/{int(livemode)}/{key}"
    return hashlib.md5(text.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()


def record_position(merchant: str, livemode: bool, key: str, expires_at: datetime) -> str:
    """Return a record's key in the list over all merchants, whatever characters its own key has."""
    return f"{microseconds(expires_at)}-{record_digest(merchant, livemode, key)}"
