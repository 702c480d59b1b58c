"""The requests of a load as bytes, made once: what is sent a thousand times a second is not put together each time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.benchmark.merchants import Merchant

HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request's bytes. Where `after_key` is not None, a key that is new each time goes between the two parts."""

    before_key: str
    after_key: str | None = None


def pay(merchant: Merchant) -> Request:
    """Return a payment as careful merchants send it, with an Idempotency-Key."""
    body = json.dumps(payment(merchant))
    head = _head("POST", "/api/transactions/pay", merchant)
    described = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return Request(before_key=f"{head}{described}Idempotency-Key: ", after_key=f"\r\n\r\n{body}")


def get(merchant: Merchant, target: str) -> Request:
    """Return a read."""
    return Request(before_key=_head("GET", target, merchant) + "\r\n")


def payment(merchant: Merchant) -> dict[str, object]:
    """Return the body of a payment."""
    return {
        "payment_key": merchant.payment_key,
        "amount": "49.90",
        "currency": "USD",
        "description": "Order 10482, two tickets",
        "metadata": {"order": "10482", "channel": "web"},
    }


def as_values(requests: Sequence[Request]) -> list[list[str | None]]:
    """Return the requests as plain values for the loader's process."""
    return [[request.before_key, request.after_key] for request in requests]


def _head(method: str, target: str, merchant: Merchant) -> str:
    return f"{method} {target} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Token {merchant.api_key}\r\n"
