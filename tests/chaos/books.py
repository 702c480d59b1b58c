"""Reading what there is in the end: the gateway's books and the store by plain SQL, the rest as merchants see it."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import httpx
import psycopg

from tests.chaos.evidence import Entry, KeptDelivery, KeptJob, ShownEvent, ShownRefund, ShownTransaction
from tests.chaos.receivers import digest_of
from tests.chaos.shops import Shop, minor
from tests.patience import PATIENCE_SECONDS

LOOK_SECONDS: Final = 0.5

UNDER_WAY: Final = """
SELECT (SELECT count(*) FROM payments.jobs WHERE dead_at IS NULL)
     + (SELECT count(*) FROM payments.deliveries WHERE status = 'pending')
"""
ENTRIES: Final = "SELECT attempt, kind, amount_minor, status, reference, charge_reference FROM sandbox.entries"
JOBS: Final = """
SELECT id, subject, dead_at IS NOT NULL,
       extract(epoch FROM now() - greatest(due_at, coalesce(lease_expires_at, due_at)))::float8
FROM payments.jobs
"""
DELIVERIES: Final = """
SELECT id, endpoint_id, event_id, status, tries,
       extract(epoch FROM now() - greatest(due_at, coalesce(lease_expires_at, due_at)))::float8
FROM payments.deliveries
"""
POSITIONS: Final = "SELECT merchant_id, position, id FROM payments.events ORDER BY merchant_id, position"


async def until_nothing_is_due(dsn: str, seconds: float) -> bool:
    """Wait until no job and no delivery is left to do; say whether that came about within so many seconds."""
    deadline = time.monotonic() + seconds
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    async with connection:
        while time.monotonic() < deadline:
            found = await (await connection.execute(UNDER_WAY)).fetchone()
            if found == (0,):
                return True
            await asyncio.sleep(LOOK_SECONDS)
    return False


async def read_entries(dsn: str) -> list[Entry]:
    """Read the gateway's books."""
    names = ("attempt", "kind", "amount_minor", "status", "reference", "charge_reference")
    return [Entry(**dict(zip(names, row, strict=True))) for row in await _rows(dsn, ENTRIES)]


async def read_jobs(dsn: str) -> list[KeptJob]:
    """Read the jobs that are left."""
    return [
        KeptJob(id=id, subject=subject, dead=dead, overdue_seconds=overdue)
        for id, subject, dead, overdue in await _rows(dsn, JOBS)
    ]


async def read_deliveries(dsn: str) -> list[KeptDelivery]:
    """Read all deliveries."""
    names = ("id", "endpoint", "event", "status", "tries", "overdue_seconds")
    return [KeptDelivery(**dict(zip(names, row, strict=True))) for row in await _rows(dsn, DELIVERIES)]


async def read_positions(dsn: str) -> Mapping[str, list[tuple[int, str]]]:
    """Read the place of each event among its merchant's."""
    places: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for merchant, position, id in await _rows(dsn, POSITIONS):
        places[merchant].append((position, id))
    return places


async def _rows(dsn: str, statement: str) -> Sequence[tuple[Any, ...]]:
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    async with connection:
        return await (await connection.execute(statement.encode())).fetchall()


async def shown_transactions(client: httpx.AsyncClient, shop: Shop) -> list[ShownTransaction]:
    """List a merchant's transactions over the API."""
    return [
        ShownTransaction(
            id=each["id"],
            merchant=shop.merchant,
            order=each["metadata"].get("order", ""),
            status=each["status"],
            reason=each["status_reason"],
            amount_minor=minor(each["amount"]),
            refunded_minor=minor(each["amount_refunded"]),
            pending_minor=minor(each["amount_refund_pending"]),
            reference=each["gateway_reference"],
        )
        async for each in _listed(client, shop, "/api/transactions/")
    ]


async def shown_refunds(client: httpx.AsyncClient, shop: Shop) -> list[ShownRefund]:
    """List a merchant's refunds over the API."""
    return [
        ShownRefund(
            id=each["id"],
            merchant=shop.merchant,
            order=each["metadata"].get("order", ""),
            transaction=each["transaction"],
            status=each["status"],
            reason=each["status_reason"],
            amount_minor=minor(each["amount"]),
        )
        async for each in _listed(client, shop, "/api/refunds/")
    ]


async def shown_events(client: httpx.AsyncClient, shop: Shop) -> list[ShownEvent]:
    """List a merchant's events over the API, the oldest first."""
    events: list[ShownEvent] = []
    async for each in _listed(client, shop, "/api/events/"):
        kind = each["type"].partition(".")[0]
        owner = {"transaction": "id", "refund": "transaction"}.get(kind)
        events.append(
            ShownEvent(
                id=each["id"],
                type=each["type"],
                transaction=None if owner is None else each["data"][owner],
                sequence=each["sequence"],
                status=each["data"].get("status"),
                digest=digest_of(each),
            )
        )
    return events


async def _listed(client: httpx.AsyncClient, shop: Shop, path: str) -> AsyncIterator[dict[str, Any]]:
    next_page: str | None = f"{path}?limit=100"
    while next_page is not None:
        answer = await client.get(next_page, headers=shop.headers, timeout=PATIENCE_SECONDS)
        assert answer.status_code == 200, f"{next_page}: {answer.status_code} {answer.text}"
        page = answer.json()
        for each in page["results"]:
            yield each
        next_page = page["next"]
