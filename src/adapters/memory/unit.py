"""Units of work in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.memory import kinds
from adapters.memory.shelf import Shelf
from adapters.memory.state import Account, State
from payments_core.attempt import Attempt
from payments_core.event import Event
from payments_core.idempotency import Record
from payments_core.ids import (
    ApiKeyId,
    AttemptId,
    DeliveryId,
    EndpointId,
    MerchantId,
    PaymentKeyId,
    RefundId,
    SessionId,
    TransactionId,
)
from payments_core.job import Job
from payments_core.merchant import ApiKey, Merchant, PaymentKey, RefreshToken, Session
from payments_core.ports import Versioned
from payments_core.refund import Refund
from payments_core.transaction import Transaction
from payments_core.webhook import Delivery, DeliveryStatus, Endpoint


class MemoryMerchants(Shelf[Merchant]):
    """The port `Merchants`."""

    async def get(self, id: MerchantId, /) -> Merchant:
        """Return the merchant, or raise NotFound."""
        return await self.read(id)
