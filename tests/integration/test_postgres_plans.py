"""Whatever is asked of a store that has grown is found in an index, and looks at no more than a page of it needs.

What is executed is heard, explained and judged. A method that nobody drives, or a filter that no drive sets, fails a
test of its own: a new query comes with its plan.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from typing import Any, Final
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.embedded import EmbeddedPostgres
from adapters.postgres import PostgresStore, create_engine, unit
from adapters.postgres.claims import COUNTED_MAX, PostgresClaims
from adapters.postgres.credentials import PostgresCredentials
from adapters.postgres.keyset import SCAN_ROWS_MAX
from adapters.postgres.leftovers import PostgresLeftovers
from adapters.postgres.oversight import PostgresAuditLog, PostgresOversight
from adapters.postgres.tables import metadata
from adapters.postgres.views import PostgresView
from payments_core.overview import COUNT_MAX, LOOKED_AT_MAX
from payments_core.use_cases.remove_leftovers import REMOVED_MAX
from payments_core.webhook import ENDPOINTS_MAX, REPLAYED_MAX
from tests.integration import drives
from tests.integration.crowded import HELD_DELIVERIES, crowd
from tests.integration.drives import Called
from tests.integration.plans import Said, hearing, nodes, pages, plans

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL_TABLES: Final = frozenset({"merchants", "merchant_revisions", "staff_members"})
"""Here they have some hundred rows, and the planner is right to read them as a whole."""
PAGE_ROWS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How much one statement may look at and sort, for rows and pages each."""

    rows_max: int = PAGE_ROWS_MAX
    sorted_max: int = PAGE_ROWS_MAX
    pages_max: int = 3 * PAGE_ROWS_MAX


FILTERED: Final = Bound(rows_max=SCAN_ROWS_MAX + 1)
"""A filter without an index looks at so many rows and says where to read on."""

DRIVES: Final = (
    (drives.transactions_listed, FILTERED),
    (drives.events_listed, FILTERED),
    (drives.deliveries_listed, FILTERED),
    (drives.the_audit_log_listed, FILTERED),
    (drives.the_rest_listed, FILTERED),
    (drives.single_things_read, Bound()),
    # The jobs of the merchant, and of each endpoint what is pending and what failed, are counted up to their bounds.
    (
        drives.the_overview_read,
        Bound(rows_max=max(LOOKED_AT_MAX, ENDPOINTS_MAX * COUNT_MAX), pages_max=2 * LOOKED_AT_MAX),
    ),
    (drives.units_read, Bound()),
    (drives.units_written, Bound()),
    (
        drives.an_endpoint_replayed,
        # Each row is looked up again by its key, to be locked and to be written.
        Bound(rows_max=REPLAYED_MAX + 1_000, sorted_max=REPLAYED_MAX, pages_max=10 * REPLAYED_MAX),
    ),
    (drives.a_refusal_noted, Bound()),
    (drives.credentials_looked_up, Bound()),
    # A claim passes over the deliveries that others hold, ten of each endpoint in each worker, and over no such job.
    (drives.work_claimed, Bound(rows_max=PAGE_ROWS_MAX + HELD_DELIVERIES)),
    (drives.backlog_counted, Bound(rows_max=COUNTED_MAX, pages_max=COUNTED_MAX)),
    (drives.staff_looks, FILTERED),
    (drives.staff_look_for_merchants, FILTERED),
    (drives.staff_look_at_transactions, FILTERED),
    (drives.staff_look_at_the_rest, FILTERED),
    (
        drives.staff_look_at_idempotency_records,
        # An index has them by time; those of one time, which are few, are sorted. At the position one row more is met.
        Bound(rows_max=SCAN_ROWS_MAX + 2, sorted_max=SCAN_ROWS_MAX),
    ),
    (drives.staff_find_ids, Bound()),
    (drives.leftovers_removed, Bound(rows_max=2 * REMOVED_MAX, sorted_max=0, pages_max=20 * REMOVED_MAX)),
)

UNIT: Final = [
    part
    for name, part in vars(unit).items()
    if inspect.isclass(part) and issubclass(part, unit.Part) and name.startswith("Postgres")
]
PARTS: Final = (
    PostgresView,
    PostgresClaims,
    PostgresCredentials,
    PostgresOversight,
    PostgresAuditLog,
    PostgresLeftovers,
    *UNIT,
)
UNDRIVEN: Final = {
    # A fact is written down once; nobody reads an event in a unit, or changes one.
    ("PostgresEvents", "save"),
    ("PostgresIdempotencyRecords", "save"),
    ("PostgresAuditEntries", "save"),
    # Its deliveries are added by the statement that adds an event.
    ("PostgresDeliveries", "add"),
    # Forgets what a cache knows: nothing here.
    ("PostgresCredentials", "forget"),
}


class OpenVault:
    """Seals nothing: the rows of the crowd hold no secrets."""

    def seal(self, plain: bytes, /, *, context: str) -> bytes:
        return plain

    def open(self, sealed: bytes, /, *, context: str) -> bytes:
        return sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowded:
    """The store, and all that was called of it and said to the server."""

    dsn: str
    called: Called
    said: dict[str, list[Said]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowded(running_postgres: EmbeddedPostgres, template_database: str) -> AsyncIterator[Crowded]:
    """Fill a database (half a minute), and drive a store on it through everything."""
    name = sql.Identifier(f"crowded_{uuid4().hex}")
    with psycopg.connect(running_postgres.dsn, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(template_database)))
        url = make_url(running_postgres.url).set(database=name.as_string().strip('"'))
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            crowd(plain)
            engine = create_engine(url.render_as_string(hide_password=False))
            try:
                yield await _driven(engine, plain)
            finally:
                await engine.dispose()
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


async def _driven(engine: AsyncEngine, dsn: str) -> Crowded:
    store, called = PostgresStore(engine, vault=OpenVault()), Called()
    said: dict[str, list[Said]] = {}
    for drive, _ in DRIVES:
        subject: Any = PostgresLeftovers(engine) if drive is drives.leftovers_removed else store
        with hearing(engine, said.setdefault(drive.__name__, [])):
            await drive(subject, called)
    return Crowded(dsn=dsn, called=called, said=said)


@pytest.mark.parametrize(("drive", "bound"), DRIVES, ids=lambda each: getattr(each, "__name__", ""))
async def test_everything_is_found_in_an_index_and_nothing_is_sorted_beyond_a_page(
    crowded: Crowded, drive: Any, bound: Bound
) -> None:
    said = [one for one in crowded.said[drive.__name__] if "payments." in one.statement]
    assert said, "something is asked"
    with psycopg.connect(crowded.dsn, autocommit=True) as connection:
        found = [fault for one in said for plan in plans(connection, one) for fault in _faults(plan, one, bound)]
    assert not found, "\n".join(dict.fromkeys(found))


def _faults(plan: Any, said: Said, bound: Bound) -> list[str]:
    faults: list[str] = []
    for node in nodes(plan):
        if not node.table:
            if node.rows > bound.sorted_max:
                faults.append(f"{node.kind} of {node.rows} rows")
        elif node.kind == "Seq Scan" and node.table not in SMALL_TABLES:
            faults.append(f"{node.kind} on {node.table}")
        elif node.rows > bound.rows_max:
            faults.append(f"{node.kind} looks at {node.rows} rows of {node.table}, and passes over {node.filtered}")
    if pages(plan) > bound.pages_max:
        faults.append(f"{pages(plan)} pages looked at")
    return [f"{fault}: {said.statement} {said.parameters}" for fault in faults]


async def test_every_method_of_a_store_is_driven(crowded: Crowded) -> None:
    there_are = {
        (part.__name__, name)
        for part in PARTS
        for name, _ in inspect.getmembers(part, inspect.isfunction)
        if not name.startswith("_")
    }
    assert there_are - crowded.called - UNDRIVEN == set()
    assert there_are >= UNDRIVEN, "what is no more needs no leave"


async def test_every_table_that_can_grow_is_looked_at(crowded: Crowded) -> None:
    statements = " ".join(one.statement for said in crowded.said.values() for one in said)
    missing = [table.fullname for table in metadata.sorted_tables if table.fullname not in statements]
    assert not missing


async def test_every_filter_of_a_list_is_set() -> None:
    for whole in (
        drives.TRANSACTION_FILTER,
        drives.EVENT_FILTER,
        drives.DELIVERY_FILTER,
        drives.AUDIT_FILTER,
        drives.MERCHANT_FILTER,
    ):
        unset = [field.name for field in fields(whole) if getattr(whole, field.name) is None]
        assert not unset
