"""The whole store, page by page, for whoever verifies it while others work: snapshots that only read, each a short one.

Every page is found in an index, and what belongs to it by its keys.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence, Set
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    Executable,
    RowMapping,
    Table,
    and_,
    any_,
    bindparam,
    func,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres import tables
from adapters.postgres.column_types import Text
from adapters.postgres.deliver import PENDING
from adapters.postgres.errors import NOTHING, translated
from adapters.postgres.mapping import Kind, Kinds
from adapters.postgres.statements import given
from payments_core.books import DeliveryPage, Dossier, KeyUse, LoggedEvent, LogPage, Subscription, dossiers
from payments_core.errors import NotFound
from payments_core.event import EventType
from payments_core.ids import AttemptId, DeliveryId, EndpointId, MerchantId, delivery_id
from payments_core.job import JobKind

T = TypeVar("T")

HELD_LOOKED_AT_MAX: Final = 1_000
"""Pending deliveries of one endpoint among which those are that a worker holds: ten in each."""
_KNOWN: Final = tables.jobs.c.kind.in_([kind.value for kind in JobKind])
"""Whoever runs a later version beside this one judges the others."""
_LISTENING: Final = [
    tables.endpoints.c[name] for name in ("id", "livemode", "events", "enabled", "removed_at", "subscribed_at")
]
_LOGGED: Final = [
    tables.events.c[name] for name in ("id", "position", "livemode", "type", "transaction_id", "at", "only_endpoint_id")
]
_IDS: Final[BindParameter[Sequence[str]]] = bindparam("ids", type_=ARRAY(Text))
_USED: Final = [tables.idempotency_records.c[name] for name in ("key", "route", "resource", "created_at")]


class PostgresBooks:
    """The port `Books`."""

    def __init__(self, engine: AsyncEngine, kinds: Kinds) -> None:
        self._engine: Final = engine
        self._kinds: Final = kinds

    async def merchants(self, *, after: str, limit: int) -> Sequence[MerchantId]:
        """Return ids of merchants."""
        id = tables.merchants.c.id
        async with self._snapshot() as snapshot:
            rows = await snapshot.rows(select(id).where(id > after).order_by(id).limit(limit))
        return [row["id"] for row in rows]

    async def dossiers(self, merchant: MerchantId, livemode: bool, /, *, after: str, limit: int) -> Sequence[Dossier]:
        """Return transactions of a mode, each with what belongs to it, all as of one moment."""
        kinds, table = self._kinds, tables.transactions
        page = select(table).where(*_own(table, merchant, livemode), table.c.id > after).order_by(table.c.id)
        async with self._snapshot() as snapshot:
            transactions = [kinds.transactions.of_row(row) for row in await snapshot.rows(page.limit(limit))]
            ids = [transaction.id for transaction in transactions]
            refunds = await snapshot.of(kinds.refunds, merchant, "transaction_id", ids)
            subjects = [*ids, *(refund.id for refund in refunds)]
            attempts = await snapshot.of(kinds.attempts, merchant, "subject_id", subjects)
            jobs = await snapshot.of(kinds.jobs, merchant, "subject", subjects, _KNOWN)
            events = await snapshot.of(kinds.events, merchant, "transaction_id", ids)
        return dossiers(transactions, refunds=refunds, attempts=attempts, jobs=jobs, events=events)

    async def log(self, merchant: MerchantId, /, *, after: int, limit: int) -> LogPage:
        """Return events, and which of their deliveries there are. Raises NotFound for nobody."""
        revisions, events, endpoints = tables.merchant_revisions.c, tables.events.c, tables.endpoints.c
        page = select(*_LOGGED).where(events.merchant_id == merchant, events.position > after).order_by(events.position)
        listening = select(*_LISTENING).where(endpoints.merchant_id == merchant, endpoints.enabled)
        async with self._snapshot() as snapshot:
            counters = await snapshot.rows(select(revisions.events).where(revisions.merchant_id == merchant))
            if not counters:
                raise NotFound(NOTHING)
            rows = await snapshot.rows(page.limit(limit))
            kept = await snapshot.kept(merchant, [row["transaction_id"] for row in rows if row["transaction_id"]])
            logged = [_logged(row, kept) for row in rows]
            subscriptions = [_subscription(row) for row in await snapshot.rows(listening)]
            deliveries = await snapshot.delivered(merchant, logged, subscriptions)
        return LogPage(events=logged, counted=counters[0]["events"], subscriptions=subscriptions, deliveries=deliveries)

    async def endpoints(
        self, merchant: MerchantId, livemode: bool, /, *, after: str, limit: int
    ) -> Sequence[EndpointId]:
        """Return ids of a mode's endpoints, removed ones included."""
        table = tables.endpoints
        page = select(table.c.id).where(*_own(table, merchant, livemode), table.c.id > after).order_by(table.c.id)
        async with self._snapshot() as snapshot:
            return [row["id"] for row in await snapshot.rows(page.limit(limit))]

    async def deliveries(
        self, merchant: MerchantId, livemode: bool, endpoint: EndpointId, /, *, after: str, limit: int
    ) -> DeliveryPage:
        """Return deliveries of an endpoint, or raise NotFound where the endpoint isn't there."""
        endpoints, table = tables.endpoints, tables.deliveries
        own = (table.c.merchant_id == merchant, table.c.endpoint_id == endpoint, table.c.id > after)
        listening = select(*_LISTENING).where(*_own(endpoints, merchant, livemode), endpoints.c.id == endpoint)
        async with self._snapshot() as snapshot:
            found = await snapshot.rows(listening)
            if not found:
                raise NotFound(NOTHING)
            rows = await snapshot.rows(select(table).where(*own).order_by(table.c.id).limit(limit))
            (held,) = await snapshot.rows(_held(merchant, endpoint))
        deliveries = [self._kinds.deliveries.of_row(row) for row in rows]
        return DeliveryPage(subscription=_subscription(found[0]), deliveries=deliveries, held_until=held["held_until"])

    async def key_uses(self, merchant: MerchantId, livemode: bool, /, *, after: str, limit: int) -> Sequence[KeyUse]:
        """Return what idempotency keys of a mode did, in the order of the keys."""
        table = tables.idempotency_records
        page = select(*_USED).where(*_own(table, merchant, livemode), table.c.key > after).order_by(table.c.key)
        async with self._snapshot() as snapshot:
            rows = await snapshot.rows(page.limit(limit))
            kept = await snapshot.kept(merchant, [row["resource"] for row in rows if row["resource"]])
        return [_use(row, kept) for row in rows]

    async def known_attempts(self, ids: Sequence[AttemptId], /) -> Set[AttemptId]:
        """Return those of these ids that are attempts of any merchant."""
        id = tables.attempts.c.id
        async with self._snapshot() as snapshot:
            return {row["id"] for row in await snapshot.rows(select(id).where(id == any_(_IDS)), ids=list(ids))}

    @asynccontextmanager
    async def _snapshot(self) -> AsyncGenerator[_Snapshot]:
        with translated():
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                yield _Snapshot(connection)


class _Snapshot:
    """What is read at one moment."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection: Final = connection

    async def rows(self, statement: Executable, **parameters: Any) -> Sequence[RowMapping]:
        return (await self._connection.execute(statement, parameters)).mappings().all()

    async def of(
        self, kind: Kind[T], merchant: MerchantId, column: str, ids: Sequence[str], *more: ColumnElement[bool]
    ) -> Sequence[T]:
        """Return the merchant's things that belong to these, by a column, the oldest first."""
        if not ids:
            return []
        columns = kind.table.c
        belonging = select(kind.table).where(columns.merchant_id == merchant, columns[column] == any_(_IDS), *more)
        return [kind.of_row(row) for row in await self.rows(belonging.order_by(columns.id), ids=list(ids))]

    async def kept(self, merchant: MerchantId, ids: Sequence[str]) -> Set[str]:
        """Return those of these ids of which there is something."""
        if not ids:
            return frozenset()
        return {row["id"] for row in await self.rows(_KEPT, ids=list(ids), merchant=merchant)}

    async def delivered(
        self, merchant: MerchantId, events: Sequence[LoggedEvent], subscriptions: Sequence[Subscription]
    ) -> Set[DeliveryId]:
        """Return the wanted deliveries that there are."""
        wanted = [
            (one.endpoint, delivery_id(event.id, one.endpoint))
            for event in events
            for one in subscriptions
            if one.wants(event)
        ]
        if not wanted:
            return frozenset()
        asked = given("asked", endpoint_id=Text, id=Text)
        columns = tables.deliveries.c
        same = and_(
            columns.merchant_id == merchant, columns.endpoint_id == asked.c.endpoint_id, columns.id == asked.c.id
        )
        found = select(columns.id).join_from(asked, tables.deliveries, same)
        endpoints, ids = zip(*wanted, strict=True)
        return {row["id"] for row in await self.rows(found, asked_endpoint_id=list(endpoints), asked_id=list(ids))}


def _own(table: Table, merchant: MerchantId, livemode: bool) -> Sequence[ColumnElement[bool]]:
    return [table.c.merchant_id == merchant, table.c.livemode == livemode]


def _held(merchant: MerchantId, endpoint: EndpointId) -> Executable:
    """Find the last lease on an endpoint's pending deliveries: claims take the longest due, so that it is on these."""
    columns = tables.deliveries.c
    longest_due = (
        select(columns.lease_expires_at)
        .where(columns.merchant_id == merchant, columns.endpoint_id == endpoint, PENDING)
        .order_by(columns.due_at)
        .limit(HELD_LOOKED_AT_MAX)
        .subquery()
    )
    return select(func.max(longest_due.c.lease_expires_at).label("held_until"))


def _there_is() -> Executable:
    """Find ids among whatever an id may name; each by its primary key."""
    merchant = bindparam("merchant", type_=Text)
    kinds = (tables.transactions, tables.refunds, tables.endpoints, tables.payment_keys, tables.api_keys, tables.events)
    found = [select(table.c.id).where(table.c.merchant_id == merchant, table.c.id == any_(_IDS)) for table in kinds]
    deliveries, endpoints = tables.deliveries, tables.endpoints
    theirs = and_(deliveries.c.merchant_id == merchant, deliveries.c.endpoint_id == endpoints.c.id)
    return union_all(
        *found,
        select(deliveries.c.id)
        .join_from(endpoints, deliveries, theirs)
        .where(endpoints.c.merchant_id == merchant, deliveries.c.id == any_(_IDS)),
    )


_KEPT: Final = _there_is()


def _subscription(row: RowMapping) -> Subscription:
    return Subscription(
        endpoint=row["id"],
        livemode=row["livemode"],
        events=row["events"],
        is_open=row["enabled"] and row["removed_at"] is None,
        since=row["subscribed_at"],
    )


def _logged(row: RowMapping, kept: Set[str]) -> LoggedEvent:
    return LoggedEvent(
        id=row["id"],
        position=row["position"],
        livemode=row["livemode"],
        type=EventType(row["type"]),
        transaction=row["transaction_id"],
        at=row["at"],
        only=row["only_endpoint_id"],
        is_kept=row["transaction_id"] is None or row["transaction_id"] in kept,
    )


def _use(row: RowMapping, kept: Set[str]) -> KeyUse:
    return KeyUse(
        key=row["key"],
        route=row["route"],
        resource=row["resource"],
        created_at=row["created_at"],
        is_kept=row["resource"] is None or row["resource"] in kept,
    )
