"""Merchants as the outside knows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.patience import PATIENCE_SECONDS
from tests.processes import PASSWORD


@dataclass(frozen=True, slots=True, kw_only=True)
class Merchant:
    """A merchant with what it needs in order to be paid."""

    id: str
    api_key: str = field(repr=False)
    payment_key: str

    @property
    def headers(self) -> dict[str, str]:
        """What authenticates its requests."""
        return {"Authorization": f"Token {self.api_key}"}


async def register(client: httpx.AsyncClient, name: str) -> Merchant:
    """Register a merchant with a payment key."""
    account = await made(client, "/api/auth/register/", {"email": f"{name}@example.com", "password": PASSWORD})
    headers = {"Authorization": f"Token {account['api_key']}"}
    channel = await made(client, "/api/payments/payment_key/", None, headers)
    return Merchant(id=account["id"], api_key=account["api_key"], payment_key=channel["key"])


async def listen(client: httpx.AsyncClient, merchant: Merchant, url: str, events: list[str]) -> str:
    """Have the merchant's events sent to a URL; return the endpoint's id."""
    endpoint = await made(client, "/api/webhooks/", {"url": url, "events": events}, merchant.headers)
    return str(endpoint["id"])


async def made(
    client: httpx.AsyncClient, path: str, body: dict[str, Any] | None, headers: dict[str, str] | None = None
) -> Any:
    """Post, and return what was made."""
    answer = await client.post(path, json=body, headers=headers, timeout=PATIENCE_SECONDS)
    assert answer.status_code == 201, f"{path}: {answer.status_code} {answer.text}"
    return answer.json()
