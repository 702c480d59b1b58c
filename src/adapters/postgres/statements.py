"""The statements of the commit, each made once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    Boolean,
    CompoundSelect,
    Delete,
    Executable,
    Insert,
    Integer,
    Select,
    Table,
    TableValuedAlias,
    Text,
    Update,
    and_,
    any_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY

from adapters.postgres import tables
from adapters.postgres.mapping import Identity

KEPT: Final[Mapping[str, frozenset[str]]] = {
    # `Credentials.touch` writes it without moving the version: a save would put back an older one.
    "api_keys": frozenset({"last_used_at"}),
}
"""Columns that a save leaves alone."""

SqlType: TypeAlias = type[Text] | type[Boolean] | type[Integer]


def parameter(column: str) -> str:
    """Return the parameter of a column in an update; a column's bare name would mean to SQLAlchemy: set this one."""
    return f"p_{column}"


def given(name: str, **columns: SqlType) -> TableValuedAlias:
    """Return parameters, an array for each column (`name_column`), as a table."""
    arrays = [bindparam(f"{name}_{column}", type_=ARRAY(type)) for column, type in columns.items()]
    return func.unnest(*arrays).table_valued(*columns).render_derived(name=name)


# ── revisions ────────────────────────────────────────────────────────────────────────────────────────────────────────

_TRANSACTION_ID: Final = func.pg_current_xact_id().cast(Text).label("transaction_id")
TRANSACTION_ID: Final = select(_TRANSACTION_ID)

INSERT_REVISIONS: Final = insert(tables.merchant_revisions)


def _move_revisions() -> Executable:
    revisions = tables.merchant_revisions
    moves = given("moves", merchant_id=Text, moved=Integer, events=Integer)
    # An update alone would take the locks in any order.
    locked = (
        select(revisions.c.merchant_id)
        .where(revisions.c.merchant_id == any_(bindparam("moves_merchant_id", type_=ARRAY(Text))))
        .order_by(revisions.c.merchant_id)
        .with_for_update(key_share=True)
        .cte("locked")
    )
    return (
        update(revisions)
        .where(revisions.c.merchant_id == locked.c.merchant_id, moves.c.merchant_id == locked.c.merchant_id)
        .values(revision=revisions.c.revision + moves.c.moved, events=revisions.c.events + moves.c.events)
        .returning(revisions.c.merchant_id, revisions.c.events, _TRANSACTION_ID)
    )


MOVE_REVISIONS: Final = _move_revisions()
"""Lock the counters of the merchants `moves_…` in the order of their ids, then add to them."""

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


# ── expectations ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _moved_in(table: Table) -> Select[str, Any]:
    keys = {column.name: Boolean if column.name == "livemode" else Text for column in table.primary_key}
    expected = given(f"of_{table.name}", **keys, version=Integer)
    same = and_(*(table.c[name] == expected.c[name] for name in keys))
    return (
        select(literal(table.name, Text).label("table"), expected.c.id)
        .join_from(expected, table, same, isouter=True)
        .where(table.c.version.is_distinct_from(expected.c.version))
    )


_MOVED_IN: Final[Mapping[str, Select[str, Any]]] = {
    table.name: _moved_in(table)
    for table in (
        tables.merchants,
        tables.api_keys,
        tables.payment_keys,
        tables.sessions,
        tables.transactions,
        tables.refunds,
        tables.endpoints,
    )
}


def moved(
    expected: Mapping[tuple[str, Identity], set[int]],
) -> tuple[Select[str, Any] | CompoundSelect[str, Any], dict[str, list[object]]]:
    """Return the statement that finds what has another version than expected, or was never stored, with its arrays."""
    arrays: dict[str, list[object]] = {}
    names = sorted({table for table, _ in expected})
    for (table, identity), versions in sorted(expected.items()):
        columns = [column.name for column in tables.metadata.tables[f"{tables.SCHEMA}.{table}"].primary_key]
        for version in versions:
            for column, value in zip([*columns, "version"], [*identity, version], strict=True):
                arrays.setdefault(f"of_{table}_{column}", []).append(value)
    if len(names) == 1:
        return _MOVED_IN[names[0]], arrays
    return union_all(*(_MOVED_IN[name] for name in names)), arrays


def _held_jobs() -> Executable:
    jobs = tables.jobs
    held = given("held", merchant_id=Text, id=Text, lease_token=Integer)
    same = and_(*(jobs.c[column] == held.c[column] for column in ("merchant_id", "id", "lease_token")))
    return select(jobs.c.id).join_from(held, jobs, same).order_by(*jobs.primary_key).with_for_update(of=jobs, read=True)


HELD_JOBS: Final = _held_jobs()
"""Find the jobs `held_…` that are still under these leases, and keep claims, which pass over locked rows, from them."""


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _update(table: Table) -> Update:
    fence = table.c.version if "version" in table.c else table.c.lease_token
    keys = [*table.primary_key, fence]
    written = [
        column
        for column in table.c
        if column not in keys and column.computed is None and column.name not in KEPT.get(table.name, ())
    ]
    statement = (
        update(table)
        .where(*(column == bindparam(parameter(column.name)) for column in keys))
        .values({column: bindparam(parameter(column.name)) for column in written})
    )
    return statement.values(version=table.c.version + 1) if "version" in table.c else statement


_ALL: Final = [table for table in tables.metadata.sorted_tables if table is not tables.merchant_revisions]

INSERT: Final[Mapping[str, Insert]] = {table.name: insert(table) for table in _ALL}
UPDATE: Final[Mapping[str, Update]] = {
    table.name: _update(table) for table in _ALL if "version" in table.c or "lease_token" in table.c
}
"""By primary key and version (jobs: lease token), so that what has moved is not there to be updated."""


def _delete_jobs() -> Delete:
    keys = [*tables.jobs.primary_key, tables.jobs.c.lease_token]
    return delete(tables.jobs).where(*(column == bindparam(parameter(column.name)) for column in keys))


DELETE_JOBS: Final = _delete_jobs()


def _insert_records() -> Insert:
    records = tables.idempotency_records
    new = postgresql.insert(records)
    return new.on_conflict_do_update(
        index_elements=list(records.primary_key),
        set_={column.name: new.excluded[column.name] for column in records.c if not column.primary_key},
        where=records.c.expires_at <= new.excluded.created_at,
    ).execution_options(preserve_rowcount=True)


INSERT_RECORDS: Final = _insert_records()
"""Insert records; one whose key has a record that has not expired counts no row."""
