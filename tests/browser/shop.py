"""A shop in business: payments and refunds of every fate, endpoints that hear of them and one that does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.browser.receiver import Receiver
from tests.browser.service import Service
from tests.patience import PATIENCE_SECONDS
from tests.processes import PASSWORD

LOOK_SECONDS: Final = 0.1
"""Between two looks: the service, Chromium and these tests share the processors."""
IDEMPOTENCY_KEY: Final = "order-1001"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A merchant and what is there, by id."""

    email: str
    client: httpx.AsyncClient
    payment_key: str
    ids: dict[str, str]

    async def call(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **json: object) -> Any:
        """Make a call of the API that must succeed."""
        answer = await self.client.request(method, f"/api{path}", headers=headers, json=json or None)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def pay(self, amount: str, currency: str = "USD", **more: Any) -> Any:
        """Pay, and return the transaction as it was answered."""
        key = self.payment_key
        return await self.call("POST", "/transactions/pay", payment_key=key, amount=amount, currency=currency, **more)

    async def settled(self, path: str, **is_: str) -> Any:
        """Return a resource once it is so."""
        return await self._once(path, lambda found: all(found[name] == wanted for name, wanted in is_.items()))

    async def over(self, endpoint: str) -> Any:
        """Return the latest of the endpoint's deliveries, once there are some and none is under way any more."""
        path = f"/webhooks/{endpoint}/deliveries/"
        await self._once(f"{path}?status=pending", lambda found: not found["results"])
        return (await self._once(path, lambda found: bool(found["results"])))["results"][0]

    async def _once(self, path: str, holds: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds(found := await self.call("GET", path)):  # noqa: ASYNC110 - no event is set here
                await asyncio.sleep(LOOK_SECONDS)
        return found


@asynccontextmanager
async def open_shop(service: Service, email: str, *, name: str = "") -> AsyncGenerator[Shop]:
    """Register a merchant, make it a payment key, and have its client while the block runs."""
    async with httpx.AsyncClient(base_url=service.url, timeout=PATIENCE_SECONDS, trust_env=False) as client:
        body = {"email": email, "password": PASSWORD, **({"name": name} if name else {})}
        answer = await client.post("/api/auth/register/", json=body)
        assert answer.status_code == 201, answer.text
        client.headers["authorization"] = f"Token {answer.json()['api_key']}"
        made = (await client.post("/api/payments/payment_key/")).json()
        ids = {"merchant": str(answer.json()["id"]), "payment_key": str(made["id"])}
        yield Shop(email=email, client=client, payment_key=made["key"], ids=ids)


async def do_business(shop: Shop, receiver: Receiver) -> None:
    """Have something of everything happen, and return when all of it is over."""
    hears, broken = f"/{shop.email}", f"/{shop.email}/broken"
    receiver.breaks(broken)
    webhooks = [await shop.call("POST", "/webhooks/", url=receiver.url(path)) for path in (hears, broken)]
    paid, declined, returned, refused, unknown = await asyncio.gather(
        shop.pay(
            "1234.50",
            description="Two chairs and a table",
            reference="order-1001",
            metadata={"basket": "b-77", "channel": "web"},
            headers={"idempotency-key": IDEMPOTENCY_KEY},
        ),
        shop.pay("80.00", "EUR", description="A lamp", payment_method="pm_decline_fraud"),
        shop.pay("5000", "JPY", customer_reference="customer-5"),
        shop.pay("12.500", "KWD", payment_method="pm_refund_fails"),
        shop.pay("20.00", payment_method="pm_timeout_charged"),
    )
    await asyncio.gather(
        shop.settled(f"/transactions/{declined['id']}/", status="failed"),
        shop.settled(f"/transactions/{unknown['id']}/", status_reason="outcome_unknown"),
        *(shop.settled(f"/transactions/{one['id']}/", status="succeeded") for one in (paid, returned, refused)),
    )
    part, whole, never = await asyncio.gather(
        shop.call("POST", "/refunds/", transaction=paid["id"], amount="30.00", reason="One chair was scratched"),
        shop.call("POST", "/refunds/", transaction=returned["id"]),
        shop.call("POST", "/refunds/", transaction=refused["id"]),
    )
    await asyncio.gather(
        shop.settled(f"/refunds/{part['id']}/", status="succeeded"),
        shop.settled(f"/refunds/{whole['id']}/", status="succeeded"),
        shop.settled(f"/refunds/{never['id']}/", status="failed"),
    )
    deliveries = [await shop.over(webhook["id"]) for webhook in webhooks]
    events = await shop.call("GET", f"/transactions/{paid['id']}/events/")
    shop.ids.update(
        transaction=paid["id"],
        declined=declined["id"],
        unknown=unknown["id"],
        refund=part["id"],
        failed_refund=never["id"],
        endpoint=webhooks[0]["id"],
        broken_endpoint=webhooks[1]["id"],
        delivery=deliveries[0]["id"],
        exhausted_delivery=deliveries[1]["id"],
        event=events["results"][0]["id"],
        idempotency_key=IDEMPOTENCY_KEY,
        api_key=(await shop.call("GET", "/auth/api_keys/"))["results"][0]["id"],
    )
