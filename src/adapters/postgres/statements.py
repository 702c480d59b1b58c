"""The statements of the commit, each made once: over any number of rows, of any number of units.

Rows come as one JSON text (`running.document`), which Postgres reads as a table: an array for each column would cost
the driver ten times as much to write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    Boolean,
    Column,
    Delete,
    Executable,
    FromClause,
    Insert,
    Integer,
    LargeBinary,
    Select,
    Table,
    TableValuedAlias,
    Text,
    Update,
    and_,
    bindparam,
    cast,
    column,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlalchemy.sql.elements import ColumnElement

from adapters.postgres import tables

KEPT: Final[Mapping[str, frozenset[str]]] = {
    # `Credentials.touch` writes it without moving the version: a save would put back an older one.
    # What a key may do never changes: a save would drop what only a later version knows.
    "api_keys": frozenset({"last_used_at", "scopes", "later_scopes"}),
}
"""Columns that a save leaves alone."""

SqlType: TypeAlias = type[Text] | type[Boolean] | type[Integer]

ROWS: Final = "rows"
"""The parameter that has the rows, and the name of the table that is made of them."""


def given(name: str, **columns: SqlType) -> TableValuedAlias:
    """Return parameters, an array for each column (`name_column`), as a table."""
    arrays = [bindparam(f"{name}_{column}", type_=ARRAY(type)) for column, type in columns.items()]
    return func.unnest(*arrays).table_valued(*columns).render_derived(name=name)


def given_rows(columns: Iterable[Column[Any]], *more: Column[Any]) -> TableValuedAlias:
    """Return the parameter ROWS, a JSON text, as a table of that name with these columns; bytes are in base 64."""
    typed = [
        column(each.name, Text() if isinstance(each.type, LargeBinary) else each.type) for each in (*columns, *more)
    ]
    records = func.json_to_recordset(cast(bindparam(ROWS, type_=Text), JSON))
    return records.table_valued(*typed).render_derived(name=ROWS, with_types=True)


def _stored(rows: TableValuedAlias, column: Column[Any]) -> ColumnElement[Any]:
    value: ColumnElement[Any] = rows.c[column.name]
    return func.decode(value, "base64") if isinstance(column.type, LargeBinary) else value


def matching(table: FromClause, rows: TableValuedAlias, names: Sequence[str]) -> ColumnElement[bool]:
    """Join the given rows to a table by columns of these names, the first of which is text, with an index.

    The server takes a function's rows for a hundred, and would rather read a table of some thousand rows whole than
    look so often into its index. The last condition is always true, and taken to be true of one row in two hundred.
    """
    same = (table.c[name] == rows.c[name] for name in names)
    return and_(*same, rows.c[names[0]].concat(literal_column("''")) == rows.c[names[0]])


KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    table.name: tuple(column.name for column in table.primary_key) for table in tables.metadata.sorted_tables
}
"""The names of the columns of each table's primary key."""


# ── revisions ────────────────────────────────────────────────────────────────────────────────────────────────────────

_TRANSACTION_ID: Final = func.pg_current_xact_id().cast(Text).label("transaction_id")
TRANSACTION_ID: Final = select(_TRANSACTION_ID)


def _counters(*, patient: bool) -> Executable:
    revisions = tables.merchant_revisions
    rows = given_rows([revisions.c.merchant_id])
    return (
        select(revisions.c.merchant_id, revisions.c.events, _TRANSACTION_ID)
        .join_from(rows, revisions, matching(revisions, rows, ["merchant_id"]))
        .order_by(revisions.c.merchant_id)
        .with_for_update(of=revisions, key_share=True, skip_locked=not patient)
    )


def _move_counters() -> Update:
    revisions = tables.merchant_revisions
    rows = given_rows([revisions.c.merchant_id, revisions.c.revision, revisions.c.events])
    return (
        update(revisions)
        .where(matching(revisions, rows, ["merchant_id"]))
        .values(revision=revisions.c.revision + rows.c.revision, events=revisions.c.events + rows.c.events)
    )


MOVE_COUNTERS: Final = _move_counters()
"""Add to counters that are locked."""

_IN_PROGRESS: Final = text("""
    pg_is_in_recovery() OR EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'transactionid' AND transactionid = CAST(CAST(:id AS xid8) AS xid)
    )
""")


def in_progress(transaction_id: str) -> Select[Any]:
    """Return the statement that has a row unless a database transaction has surely ended.

    Each holds a lock on its own id until everybody can see how it ended; a server in recovery knows no such locks.
    After a crash the id may be another's: then ours has ended all the same. (`pg_xact_status` would refuse an id that
    the server has yet to give out again.)
    """
    return select(literal(1)).where(_IN_PROGRESS.bindparams(id=transaction_id))


# ── what a commit looks at ───────────────────────────────────────────────────────────────────────────────────────────

_UNWRITTEN: Final = (tables.merchant_revisions, tables.daily_totals)
"""The counters, which have statements of their own, and what the database keeps by itself."""
_ALL: Final = [table for table in tables.metadata.sorted_tables if table not in _UNWRITTEN]
_VERSIONED: Final = [table for table in _ALL if "version" in table.c]


def _versions(table: Table) -> Select[Any]:
    keys = KEYS[table.name]
    rows = given_rows(table.primary_key)
    return select(*table.primary_key, table.c.version).join_from(rows, table, matching(table, rows, keys))


def _locked(statement: Select[Any], table: Table, *, patient: bool) -> Select[Any]:
    return statement.order_by(*table.primary_key).with_for_update(of=table, key_share=True, skip_locked=not patient)


def _leases() -> Select[Any]:
    jobs = tables.jobs
    rows = given_rows(jobs.primary_key)
    return select(*jobs.primary_key, jobs.c.lease_token).join_from(rows, jobs, matching(jobs, rows, KEYS[jobs.name]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """The statements that lock, in the order of primary keys, what a commit looks at."""

    counters: Executable
    """Lock the counters of merchants; return what they are."""
    versions: Mapping[str, Select[Any]]
    """Find the versions of what is stored under primary keys, by table."""
    leases: Select[Any]
    """Find the lease tokens of jobs, and keep claims, which pass over locked rows, from them."""


def _looks(*, patient: bool) -> Looks:
    versions = {table.name: _versions(table) for table in _VERSIONED}
    # Claims move deliveries without the counter of their merchant: these are kept from them until the commit has ended.
    versions["deliveries"] = _locked(versions["deliveries"], tables.deliveries, patient=patient)
    # What is staff's is under no counter: its rows are locked themselves.
    for table in (tables.staff_members, tables.staff_sessions):
        versions[table.name] = _locked(versions[table.name], table, patient=patient)
    leases = _locked(_leases(), tables.jobs, patient=patient)
    return Looks(counters=_counters(patient=patient), versions=versions, leases=leases)


WAITING: Final = _looks(patient=True)
"""Those that wait for whoever else holds a row."""
PASSING_OVER: Final = _looks(patient=False)
"""Those that bring no row that anybody else holds."""
LOCKED: Final = frozenset({tables.deliveries.name, tables.jobs.name, *tables.OF_STAFF})
"""The tables whose rows they lock, beside the counters."""


def _records_taken() -> Select[Any]:
    records = tables.idempotency_records
    rows = given_rows(records.primary_key, records.c.created_at)
    return (
        select(*records.primary_key)
        .join_from(rows, records, matching(records, rows, KEYS[records.name]))
        .where(records.c.expires_at > rows.c.created_at)
    )


RECORDS_TAKEN: Final = _records_taken()
"""Find the keys of these that have a record which has not expired."""


def _references_taken() -> Select[Any]:
    transactions = tables.transactions
    names = ["merchant_id", "livemode", "reference"]
    rows = given_rows([transactions.c[name] for name in names])
    return select(*(transactions.c[name] for name in names)).join_from(
        rows, transactions, and_(matching(transactions, rows, names), transactions.c.reference.is_not(None))
    )


REFERENCES_TAKEN: Final = _references_taken()
"""Find the references of these that a transaction has."""


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _written(table: Table) -> list[Column[Any]]:
    return [column for column in table.c if column.computed is None]


def _insert(table: Table) -> Insert:
    columns = _written(table)
    rows = given_rows(columns)
    return insert(table).from_select(columns, select(*(_stored(rows, column) for column in columns)))


INSERT: Final[Mapping[str, Insert]] = {table.name: _insert(table) for table in _ALL}
INSERT_COUNTERS: Final = _insert(tables.merchant_revisions)


def _update(table: Table) -> Update:
    fence = "version" if "version" in table.c else "lease_token"
    keys = [*KEYS[table.name], fence]
    kept = KEPT.get(table.name, ())
    columns = [column for column in _written(table) if column.name not in kept]
    rows = given_rows(columns)
    written = {column.name: _stored(rows, column) for column in columns if column.name not in keys}
    if fence == "version":
        written["version"] = table.c.version + 1
    return update(table).where(matching(table, rows, keys)).values(written)


UPDATE: Final[Mapping[str, Update]] = {table.name: _update(table) for table in [*_VERSIONED, tables.jobs]}
"""By primary key and version (jobs: lease token), so that what has moved is not there to be updated."""


def _delete_jobs() -> Delete:
    jobs = tables.jobs
    rows = given_rows(jobs.primary_key, jobs.c.lease_token)
    return delete(jobs).where(matching(jobs, rows, [*KEYS[jobs.name], "lease_token"]))


DELETE_JOBS: Final = _delete_jobs()


def _insert_records() -> Insert:
    records = tables.idempotency_records
    columns = _written(records)
    rows = given_rows(columns)
    new = postgresql.insert(records).from_select(columns, select(*(_stored(rows, column) for column in columns)))
    return new.on_conflict_do_update(
        index_elements=list(records.primary_key),
        set_={column.name: new.excluded[column.name] for column in records.c if not column.primary_key},
        where=records.c.expires_at <= new.excluded.created_at,
    )


INSERT_RECORDS: Final = _insert_records()
"""Insert records; one whose key has a record that has not expired counts no row."""
