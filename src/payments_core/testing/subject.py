"""The store that a suite tests, and short ways to put things into it and to get them out again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

import pytest

from payments_core.attempt import Attempt
from payments_core.audit import AuditEntry
from payments_core.event import Event
from payments_core.idempotency import Record
from payments_core.job import Job
from payments_core.merchant import ApiKey, Merchant, PaymentKey, RefreshToken, Session
from payments_core.page import Position, Slice
from payments_core.ports import AuditLog, Claims, Credentials, Oversight, UnitOfWork, Views, Window
from payments_core.refund import Refund
from payments_core.testing import builders
from payments_core.transaction import Transaction
from payments_core.webhook import Endpoint

T = TypeVar("T")

PAGES_MAX = 1_000
"""A list that has not ended by then never does."""


class Store(Views, Protocol):
    """The faces of one store, which is empty when a test gets it."""

    def begin(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Begin a unit of work."""
        ...

    @property
    def claims(self) -> Claims: ...
    @property
    def oversight(self) -> Oversight: ...
    @property
    def credentials(self) -> Credentials: ...
    @property
    def audit(self) -> AuditLog: ...


Kept: TypeAlias = Merchant | ApiKey | PaymentKey | Session | RefreshToken | Transaction | Refund | Attempt | Endpoint
"""What carries a version and is read back by its identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A stored merchant with a payment key in each mode."""

    merchant: Merchant
    key: PaymentKey
    live_key: PaymentKey


async def open_shop(store: Store) -> Shop:
    """Store a merchant with a payment key in each mode, and return them as stored."""
    merchant = builders.a_merchant()
    key, live_key = (builders.a_payment_key(merchant, livemode=livemode) for livemode in (False, True))
    await put(store, merchant, key, live_key)
    async with store.begin() as work:
        return Shop(
            merchant=await work.merchants.get(merchant.id),
            key=await work.payment_keys.get(merchant.id, False, key.id),
            live_key=await work.payment_keys.get(merchant.id, True, live_key.id),
        )


def add(work: UnitOfWork, thing: Kept | Event | Job | Record | AuditEntry) -> None:  # noqa: C901 - a line for each kind
    """Add it where it belongs."""
    match thing:
        case Merchant():
            work.merchants.add(thing)
        case ApiKey():
            work.api_keys.add(thing)
        case PaymentKey():
            work.payment_keys.add(thing)
        case Session():
            work.sessions.add(thing)
        case RefreshToken():
            work.sessions.add_refresh_token(thing)
        case Transaction():
            work.transactions.add(thing)
        case Refund():
            work.refunds.add(thing)
        case Attempt():
            work.attempts.add(thing)
        case Endpoint():
            work.endpoints.add(thing)
        case Event():
            work.events.add(thing)
        case Job():
            work.jobs.add(thing)
        case Record():
            work.idempotency.add(thing)
        case AuditEntry():
            work.audit.add(thing)


def save(work: UnitOfWork, thing: Kept) -> None:
    """Save it where it belongs."""
    match thing:
        case Merchant():
            work.merchants.save(thing)
        case ApiKey():
            work.api_keys.save(thing)
        case PaymentKey():
            work.payment_keys.save(thing)
        case Session():
            work.sessions.save(thing)
        case RefreshToken():
            work.sessions.save_refresh_token(thing)
        case Transaction():
            work.transactions.save(thing)
        case Refund():
            work.refunds.save(thing)
        case Attempt():
            work.attempts.save(thing)
        case Endpoint():
            work.endpoints.save(thing)


async def get(work: UnitOfWork, thing: Kept) -> Kept:
    """Return what the unit reads under the thing's identity, or raise NotFound."""
    match thing:
        case Merchant():
            return await work.merchants.get(thing.id)
        case ApiKey():
            return await work.api_keys.get(thing.merchant, thing.id)
        case PaymentKey():
            return await work.payment_keys.get(thing.merchant, thing.livemode, thing.id)
        case Session():
            return await work.sessions.get(thing.merchant, thing.id)
        case RefreshToken():
            token = await work.sessions.refresh_token(thing.digest)
            assert token is not None
            return token
        case Transaction():
            return await work.transactions.get(thing.merchant, thing.livemode, thing.id)
        case Refund():
            return await work.refunds.get(thing.merchant, thing.livemode, thing.id)
        case Attempt():
            return await work.attempts.get(thing.merchant, thing.id)
        case Endpoint():
            return await work.endpoints.get(thing.merchant, thing.livemode, thing.id)


@asynccontextmanager
async def refused_unit(store: Store, error: type[Exception]) -> AsyncGenerator[UnitOfWork, None]:
    """Run a block in a unit of work that must end with this error."""
    with pytest.raises(error):
        async with store.begin() as work:
            yield work


async def put(store: Store, *things: Kept | Event | Job | Record | AuditEntry) -> None:
    """Add the things, in this order, in a unit of their own."""
    async with store.begin() as work:
        for thing in things:
            add(work, thing)


async def write(store: Store, *things: Kept) -> None:
    """Save the things, in this order, in a unit of their own."""
    async with store.begin() as work:
        for thing in things:
            save(work, thing)


async def stored(store: Store, thing: Kept) -> Kept:
    """Return what is stored under the thing's identity, or raise NotFound."""
    async with store.begin() as work:
        return await get(work, thing)


async def stored_transaction(store: Store, transaction: Transaction) -> Transaction:
    """Return the transaction as it is stored."""
    async with store.begin() as work:
        return await work.transactions.get(transaction.merchant, transaction.livemode, transaction.id)


async def stored_endpoint(store: Store, endpoint: Endpoint) -> Endpoint:
    """Return the endpoint as it is stored."""
    async with store.begin() as work:
        return await work.endpoints.get(endpoint.merchant, endpoint.livemode, endpoint.id)


async def read_all(
    read: Callable[[Window], Awaitable[Slice[T]]], *, limit: int = 100, start: Position | None = None
) -> list[T]:
    """Return the items of a whole list in the order in which they are read, page by page."""
    items: list[T] = []
    position = start
    for _ in range(PAGES_MAX):
        page = await read(Window(limit=limit, position=position))
        assert len(page.items) <= limit
        items.extend(page.items)
        if page.after is None:
            return items
        position = Position(key=page.after)
    raise AssertionError("the list does not end")
