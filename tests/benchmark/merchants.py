"""Merchants as the outside knows them.

One is registered. The others are copies of its rows: to hash a password takes long, and nothing here logs in.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from payments_core.ids import SEED_BYTES, Moment
from payments_core.keys import SECRET_BYTES, digest, make_api_key, make_payment_key
from tests.benchmark.store import SCHEMA, Store
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


async def copied(store: Store, sample: Merchant, number: int) -> list[Merchant]:
    """Make so many merchants that are like one, each with keys of its own."""
    made = [_another() for _ in range(number)]
    own: Mapping[str, Mapping[str, str]] = {
        "merchants": {"id": "m.id", "email": "m.id || '@example.com'"},
        "merchant_revisions": {"merchant_id": "m.id"},
        "api_keys": {"merchant_id": "m.id", "digest": "m.digest"},
        "payment_keys": {"merchant_id": "m.id", "key": "m.payment_key"},
    }
    for table, values in own.items():
        columns = await store.columns(table)
        await store.do(
            f"INSERT INTO {SCHEMA}.{table} ({', '.join(columns)})"
            f" SELECT {', '.join(values.get(column, f's.{column}') for column in columns)} FROM {SCHEMA}.{table} s,"
            " unnest(%s::text[], %s::text[], %s::text[]) m(id, digest, payment_key)"
            f" WHERE s.{'id' if table == 'merchants' else 'merchant_id'} = %s",
            [merchant.id for merchant in made],
            [digest(merchant.api_key) for merchant in made],
            [merchant.payment_key for merchant in made],
            sample.id,
        )
    return made


def _another() -> Merchant:
    return Merchant(
        id=Moment(datetime.now(UTC), secrets.token_bytes(SEED_BYTES)).id("mer"),
        api_key=make_api_key(secrets.token_bytes(SECRET_BYTES), livemode=False),
        payment_key=make_payment_key(secrets.token_bytes(SECRET_BYTES), livemode=False),
    )


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
