"""A month in the life of a shop, over memory and by a clock that is moved: what pictures of the console show."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from entrypoints.settings import Settings
from payments_core.ids import MerchantId
from payments_core.ports import Answered, Notification, Unreached
from tests.unit.http_shop import PASSWORD, UNLIMITED, Api, Shop, open_api

DAYS: Final = 30
SEED: Final = 20
"""The same month each time: only what is made at random by the service itself, such as keys, differs."""
STAFF_EMAIL: Final = "ada@example.com"
OWNER_EMAIL: Final = "hello@oak-and-linen.example"
WARES: Final = (
    ("Oak chair", 18900),
    ("Linen cushion", 3450),
    ("Round table, 120 cm", 74900),
    ("Reading lamp", 8900),
    ("Wool blanket", 12900),
    ("Bench for the hall", 32900),
    ("Set of four bowls", 4800),
    ("Bookshelf, ash", 41900),
)
FATES: Final = (
    *(("pm_approve",) * 42),
    *(("pm_decline_insufficient_funds",) * 3),
    *(("pm_decline_expired",) * 2),
    "pm_decline_fraud",
    "pm_timeout_charged",
    "pm_refund_fails",
)
REASONS: Final = ("Arrived scratched", "Sent back within 14 days", "Ordered twice")
NEIGHBOURS: Final = (
    ("office@north-bakery.example", "North Bakery"),
    ("till@cafe-linden.example", "Café Linden"),
    ("shop@quick-phones.example", "Quick Phones"),
    ("info@paper-and-ink.example", "Paper & Ink"),
)
BROKEN: Final = "https://books.oak-and-linen.example/payments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """The service after that month, and what its pages need to be found: ids by name."""

    api: Api
    ids: Mapping[str, str]


@asynccontextmanager
async def a_month() -> AsyncGenerator[Month]:
    """Let a month pass, and have the service as it is then."""
    settings: Settings = replace(UNLIMITED, webhook_schedule=(timedelta(0), timedelta(minutes=5)))
    async with open_api(settings) as api:
        random = Random(SEED)
        await api.services.payments.staff.create_member(STAFF_EMAIL, "Ada Lovelace", PASSWORD)
        shop = await _open(api, OWNER_EMAIL, "Oak & Linen")
        for email, name in NEIGHBOURS:
            await _little_business(await _open(api, email, name), random)
        ids = await _business(shop, random)
        suspended = await api.client.post("/api/auth/login/", json={"email": NEIGHBOURS[2][0], "password": PASSWORD})
        staff = api.services.payments.staff.named(STAFF_EMAIL)
        await staff.suspend(MerchantId(suspended.json()["merchant"]["id"]), "Sells telephones that it does not have")
        yield Month(api=api, ids={**ids, "merchant": shop.id})


async def _open(api: Api, email: str, name: str) -> Shop:
    """Open an account and give it a payment key."""
    body = {"email": email, "password": PASSWORD, "name": name}
    made = (await api.client.post("/api/auth/register/", json=body)).json()
    shop = Shop(api=api, email=email, id=made["id"], secret=made["api_key"])
    key = (await shop.post("/api/payments/payment_key/")).json()
    return replace(shop, payment_key=key["key"], payment_key_id=key["id"])


async def _little_business(shop: Shop, random: Random) -> None:
    for _ in range(3):
        await shop.paid(amount=f"{random.randrange(500, 9000) / 100:.2f}", description="Order at the till")


async def _business(shop: Shop, random: Random) -> dict[str, str]:
    """Sell for a month, give some of it back, and return what was interesting about it."""
    api = shop.api
    till = await shop.add_webhook("https://oak-and-linen.example/webhooks/payments")
    books = (await shop.post("/api/webhooks/", {"url": BROKEN, "description": "The accountant's books"})).json()
    await shop.post("/api/auth/api_keys/", {"name": "Web shop", "scopes": ["payments:write", "transactions:read"]})
    first = api.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    number, ids = 1000, dict[str, str]()
    for day in range(DAYS):
        if day == DAYS - 2:
            api.notifier.answer = _broken_books
        for at in sorted(_hours(first + timedelta(days=day), random, weekend=(day % 7) in (5, 6))):
            api.clock.move(max(at - api.clock.now(), timedelta(seconds=1)))
            number += 1
            paid = await _sell(shop, random, number)
            if paid["status"] == "succeeded" and random.random() < 0.07:
                amount = paid["amount"] if random.random() < 0.4 else f"{float(paid['amount']) / 2:.2f}"
                body = {"transaction": paid["id"], "amount": amount, "reason": random.choice(REASONS)}
                refund = (await shop.post("/api/refunds/", body)).json()
                await api.work()
                ids.update(refunded=paid["id"], refund=refund["id"])
            if paid["status"] == "failed":
                ids["declined"] = paid["id"]
            elif paid["status"] == "succeeded" and paid["id"] != ids.get("refunded"):
                ids["refundable"] = paid["id"]
            ids["idempotency_key"] = f"order-{number}"
    await _last_minutes(shop)
    deliveries = (await shop.get(f"/api/webhooks/{books['id']}/deliveries/?status=exhausted")).json()["results"]
    events = (await shop.get(f"/api/transactions/{ids['refunded']}/events/")).json()["results"]
    keys = (await shop.get("/api/auth/api_keys/")).json()["results"]
    return {
        **ids,
        "endpoint": till["id"],
        "broken": books["id"],
        "delivery": deliveries[0]["id"],
        "event": events[-1]["id"],
        "payment_key": shop.payment_key_id,
        "api_key": keys[0]["id"],
    }


def _hours(day: datetime, random: Random, *, weekend: bool) -> list[datetime]:
    """Return when something is sold on a day."""
    return [
        day + timedelta(seconds=random.randrange(8 * 3600, 20 * 3600))
        for _ in range(random.randrange(2, 6) if weekend else random.randrange(5, 14))
    ]


async def _sell(shop: Shop, random: Random, number: int) -> Any:
    (what, cents), dollars = random.choice(WARES), random.random() < 0.2
    return await shop.paid(
        key=f"order-{number}",
        amount=f"{cents * random.choice((1, 1, 1, 2, 4)) / 100:.2f}",
        currency="USD" if dollars else "EUR",
        description=what,
        reference=f"order-{number}",
        customer_reference=f"customer-{random.randrange(1, 60):03}",
        metadata={"basket": f"b-{number * 7}", "channel": random.choice(("web", "telephone", "shop"))},
        payment_method=random.choice(FATES),
    )


async def _last_minutes(shop: Shop) -> None:
    """Leave something under way: a payment of which nobody knows what became, and one that nobody has come to."""
    await shop.paid(amount="89.00", currency="EUR", description="Reading lamp", payment_method="pm_timeout_not_charged")
    shop.api.clock.move(timedelta(seconds=0.4))
    await shop.pay(amount="189.00", currency="EUR", description="Oak chair", reference="order-next")


def _broken_books(notification: Notification) -> Answered | Unreached:
    if notification.url == BROKEN:
        return Answered(status_code=503, milliseconds=212, excerpt="The books are closed for the night.")
    return Answered(status_code=204, milliseconds=38, excerpt="")
