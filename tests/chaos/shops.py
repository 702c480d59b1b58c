"""Merchants as the outside knows them: their keys, their receivers, and what they were told so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.chaos.kinds import Kind, payment_method
from tests.chaos.receivers import Receiver
from tests.patience import PATIENCE_SECONDS
from tests.processes import PASSWORD

RANKS: Final[Mapping[str, int]] = {"pending": 0, "processing": 1, "succeeded": 2, "failed": 2, "canceled": 2}
"""A read never shows a lower one than what was told before."""


REFUND_SCRIPTS: Final = frozenset(map(payment_method, (Kind.GATEWAY_REFUND_FAILS, Kind.GATEWAY_REFUND_RETURNED)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """A payment that can be refunded."""

    id: str
    amount_minor: int
    method: str


@dataclass(slots=True, kw_only=True)
class Shop:
    """A merchant. `told` has the highest rank of each transaction that an answer or a webhook told of.

    `succeeded` are those that a webhook told to have, `refundable` those of them that nobody has refunded yet;
    `newest` is the payment that was accepted last.
    """

    merchant: str
    headers: dict[str, str]
    channel: str
    steady: Receiver
    unreliable: Receiver
    told: dict[str, int] = field(default_factory=dict)
    succeeded: set[str] = field(default_factory=set)
    refundable: deque[Paid] = field(default_factory=deque)
    newest: str | None = None

    def hear(self, event: Mapping[str, Any]) -> None:
        """Learn from a webhook."""
        data, kind = event["data"], str(event["type"])
        if kind.startswith("transaction."):
            self.learn(data["id"], data["status"])
        if kind == "transaction.succeeded" and data["id"] not in self.succeeded:
            self.succeeded.add(data["id"])
            paid = Paid(id=data["id"], amount_minor=minor(data["amount"]), method=data["payment_method"])
            if paid.method in REFUND_SCRIPTS:
                self.refundable.appendleft(paid)  # its fault comes with its refund
            else:
                self.refundable.append(paid)

    def learn(self, id: str, status: str) -> None:
        """Remember that the merchant was told of a transaction's status."""
        self.told[id] = max(self.told.get(id, 0), RANKS[status])


def minor(amount: str) -> int:
    """Return the minor units of an amount in dollars."""
    return int(amount.replace(".", ""))


def dollars(amount_minor: int) -> str:
    """Return an amount in dollars as it is sent."""
    return f"{amount_minor // 100}.{amount_minor % 100:02}"


async def open_shop(client: httpx.AsyncClient, name: str, *, steady: Receiver, unreliable: Receiver) -> Shop:
    """Register a merchant with a payment key and an endpoint for each receiver."""
    account = await _made(client, "/api/auth/register/", {"email": f"{name}@example.com", "password": PASSWORD}, {})
    headers = {"Authorization": f"Token {account['api_key']}"}
    channel = await _made(client, "/api/payments/payment_key/", None, headers)
    for receiver in (steady, unreliable):
        endpoint = await _made(client, "/api/webhooks/", {"url": receiver.url}, headers)
        receiver.endpoint, receiver.secret = endpoint["id"], endpoint["secret"]
    return Shop(merchant=account["id"], headers=headers, channel=channel["key"], steady=steady, unreliable=unreliable)


async def _made(
    client: httpx.AsyncClient, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
) -> Any:
    answer = await client.post(path, json=body, headers=headers, timeout=PATIENCE_SECONDS)
    assert answer.status_code == 201, f"{path}: {answer.status_code} {answer.text}"
    return answer.json()
