"""The migrations make what `tables.py` says, next to whatever else is in the database."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import sql
from sqlalchemy import Connection, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.embedded import EmbeddedPostgres
from adapters.postgres import create_engine, migrate, missing_migrations
from adapters.postgres.mapping import LATER_SCOPES
from adapters.postgres.migrations import configuration, daily_totals, locks
from adapters.postgres.tables import SCHEMA, metadata
from payments_core.errors import Unavailable
from payments_core.merchant import Scope
from payments_core.testing.builders import DAY
from tests.patience import until

CATALOGUES = (
    """
    SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name, generation_expression
    FROM information_schema.columns WHERE table_schema = 'payments' AND table_name <> 'alembic_version'
    ORDER BY table_name, ordinal_position
    """,
    """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'payments'::regnamespace AND conrelid::regclass::text <> 'payments.alembic_version'
    ORDER BY 1, 2
    """,
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'payments' AND tablename <> 'alembic_version' ORDER BY 1",
    """
    SELECT relname, obj_description(oid, 'pg_class'), ARRAY(SELECT unnest(reloptions) ORDER BY 1) FROM pg_class
    WHERE relnamespace = 'payments'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version' ORDER BY 1
    """,
)


@pytest.fixture
async def empty_url(running_postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of a database without tables."""
    name = f"empty_{uuid4().hex}"
    async with await psycopg.AsyncConnection.connect(running_postgres.dsn, autocommit=True) as server:
        await server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield make_url(running_postgres.url).set(database=name).render_as_string(hide_password=False)
        await server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
async def migrated(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def empty(empty_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(empty_url)
    yield engine
    await engine.dispose()


async def _catalogue(engine: AsyncEngine) -> list[Any]:
    async with engine.connect() as connection:
        return [(await connection.execute(text(query))).all() for query in CATALOGUES]


async def test_migrations_make_exactly_the_tables(migrated: AsyncEngine, empty: AsyncEngine) -> None:
    async with empty.begin() as connection:
        await connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        await connection.run_sync(metadata.create_all)
    made, meant = await _catalogue(migrated), await _catalogue(empty)
    assert made == meant
    assert all(made), "the queries find something"


async def test_alembic_finds_nothing_to_migrate(migrated: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[Any]:
        options = {
            "include_schemas": True,
            "include_name": lambda name, type_, _: type_ != "schema" or name == SCHEMA,
            "version_table_schema": SCHEMA,
            "compare_server_default": True,
        }
        found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        return found

    async with migrated.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_what_a_database_lacks_is_named_until_it_is_migrated(empty_url: str, empty: AsyncEngine) -> None:
    missing = await missing_migrations(empty)
    assert missing[0] == "0001"
    await migrate(empty_url)
    assert await missing_migrations(empty) == []


async def test_migrating_again_changes_nothing(migrated: AsyncEngine, database_url: str) -> None:
    before = await _catalogue(migrated)
    await migrate(database_url)
    assert await _catalogue(migrated) == before


async def test_two_migrations_at_once_are_as_good_as_one(empty_url: str, empty: AsyncEngine) -> None:
    await asyncio.gather(*(migrate(empty_url) for _ in range(3)))
    assert await missing_migrations(empty) == []


async def test_a_migration_that_meets_a_transaction_on_the_way_back_waits_and_breaks_nobody_off(
    empty_url: str, empty: AsyncEngine
) -> None:
    await upgrade(empty, "0003")
    async with await psycopg.AsyncConnection.connect(dsn_of(empty_url)) as other:
        await other.execute("UPDATE payments.deliveries SET tries = tries")
        migrating = asyncio.create_task(migrate(empty_url))
        await until(partial(somebody_waits, empty))
        # What the migration changes first, by one who holds what it changes later.
        await other.execute("SELECT FROM payments.attempts")
        await other.execute("UPDATE payments.merchant_revisions SET revision = revision")
        assert not migrating.done()
    await migrating
    assert await missing_migrations(empty) == []


async def test_a_migration_says_what_it_could_not_get_and_leaves_everything_as_it_was(
    empty_url: str, empty: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TRIES_SECONDS_MAX", 0.0)
    await upgrade(empty, "0003")
    before = await _catalogue(empty)
    async with await psycopg.AsyncConnection.connect(dsn_of(empty_url)) as other:
        await other.execute("SELECT FROM payments.jobs")
        with pytest.raises(Unavailable, match="55P03"):
            await migrate(empty_url)
    assert await _catalogue(empty) == before
    await migrate(empty_url)
    assert await missing_migrations(empty) == []


async def test_keys_that_could_do_everything_can_read_the_audit_log_and_others_cannot(empty: AsyncEngine) -> None:
    await upgrade(empty, "0004")
    earlier = sorted(str(scope) for scope in Scope if scope not in LATER_SCOPES)
    keys = {"full": earlier, "all but one": earlier[1:], "none": []}
    async with empty.begin() as connection:
        await connection.execute(
            text("INSERT INTO payments.merchants VALUES ('mer_1', 'a@b.example', NULL, 'hash', now(), NULL, 1)")
        )
        for name, scopes in keys.items():
            insert = text(
                "INSERT INTO payments.api_keys VALUES"
                " ('mer_1', :name, false, 'server', NULL, :scopes, :name,"
                " 'sk_test_', 'last', now(), NULL, NULL, NULL, 1)"
            )
            await connection.execute(insert, {"name": name, "scopes": scopes})
    await upgrade(empty, "head")
    async with empty.connect() as connection:
        rows = await connection.execute(text("SELECT id, later_scopes FROM payments.api_keys"))
        assert dict(rows.all()) == {"full": ["audit:read"], "all but one": [], "none": []}


# ── daily totals


def _paid(number: int, *, at: datetime, merchant: str = "mer_1") -> dict[str, Any]:
    body = f'{{"data":{{"amount":"10.00","currency":"USD","metadata":{{"currency":"EUR"}}}},"n":{number}}}'
    return {"merchant": merchant, "id": f"evt_{number:07}", "at": at, "body": body.encode(), "position": number}


_INSERT_EVENT = text(
    "INSERT INTO payments.events (merchant_id, id, livemode, type, at, body, position)"
    " VALUES (:merchant, :id, false, 'transaction.succeeded', :at, :body, :position)"
)
_NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


async def _open(connection: AsyncConnection, merchant: str, events: Sequence[dict[str, Any]]) -> None:
    """Write a merchant and their events, as a process of an earlier version did."""
    given = {"id": merchant, "email": f"{merchant}@b.example", "events": len(events)}
    await connection.execute(
        text("INSERT INTO payments.merchants VALUES (:id, :email, NULL, 'hash', now(), NULL, 1)"), given
    )
    await connection.execute(text("INSERT INTO payments.merchant_revisions VALUES (:id, 1, :events)"), given)
    if events:
        await connection.execute(_INSERT_EVENT, events)


async def _totals(engine: AsyncEngine) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT merchant_id, day::text, succeeded, succeeded_minor::bigint"
                " FROM payments.daily_totals ORDER BY 1, 2"
            )
        )
        return [tuple(row) for row in rows]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daily_totals, "BATCH_EVENTS_MAX", 3)


@pytest.mark.usefixtures("small_batches")
async def test_events_from_before_the_totals_are_added_to_them_once(empty_url: str, empty: AsyncEngine) -> None:
    await upgrade(empty, "0005")
    async with empty.begin() as connection:
        await _open(connection, "mer_0", [])
        await _open(connection, "mer_1", [_paid(number, at=_NOON + number * DAY / 4) for number in range(1, 9)])
        await _open(connection, "mer_2", [_paid(1, at=_NOON, merchant="mer_2")])
    await migrate(empty_url)
    expected = [
        ("mer_1", "2026-03-10", 1, 1000),
        ("mer_1", "2026-03-11", 4, 4000),
        ("mer_1", "2026-03-12", 3, 3000),
        ("mer_2", "2026-03-10", 1, 1000),
    ]
    assert await _totals(empty) == expected
    await migrate(empty_url)
    assert await _totals(empty) == expected


@pytest.mark.usefixtures("small_batches")
async def test_what_processes_of_the_earlier_version_write_meanwhile_counts_once(
    empty_url: str, empty: AsyncEngine
) -> None:
    await upgrade(empty, "0005")
    async with empty.begin() as connection:
        await _open(connection, "mer_1", [_paid(number, at=_NOON) for number in range(1, 9)])
    await upgrade(empty, "0007")
    async with empty.begin() as connection:
        await connection.execute(_INSERT_EVENT, [_paid(9, at=_NOON)])
        assert await connection.run_sync(daily_totals.add_some)
    # Broken off, and begun again.
    assert await _totals(empty) == [("mer_1", "2026-03-10", 4, 4000)]
    async with empty.begin() as connection:
        await connection.execute(_INSERT_EVENT, [_paid(10, at=_NOON), _paid(11, at=_NOON + DAY)])
    await migrate(empty_url)
    assert await _totals(empty) == [("mer_1", "2026-03-10", 10, 10_000), ("mer_1", "2026-03-11", 1, 1000)]
    assert await missing_migrations(empty) == []


async def test_a_commit_under_way_when_totals_begin_is_waited_for_and_counts_once(
    empty_url: str, empty: AsyncEngine
) -> None:
    await upgrade(empty, "0005")
    async with empty.begin() as connection:
        await _open(connection, "mer_1", [_paid(1, at=_NOON)])
    async with empty.begin() as connection:
        await connection.execute(text("UPDATE payments.merchant_revisions SET events = 2"))
        migrating = asyncio.create_task(migrate(empty_url))
        await until(partial(somebody_waits, empty))
        await connection.execute(_INSERT_EVENT, [_paid(2, at=_NOON)])
        assert not migrating.done()
    await migrating
    assert await _totals(empty) == [("mer_1", "2026-03-10", 2, 2000)]


async def test_going_back_to_before_the_totals_and_on_again_counts_everything(
    empty_url: str, empty: AsyncEngine
) -> None:
    await migrate(empty_url)
    async with empty.begin() as connection:
        await _open(connection, "mer_1", [_paid(1, at=_NOON)])
    before = await _totals(empty)
    async with empty.begin() as connection:
        await connection.run_sync(lambda known: command.downgrade(configuration(known), "0005"))
    await migrate(empty_url)
    assert await _totals(empty) == before == [("mer_1", "2026-03-10", 1, 1000)]


async def upgrade(engine: AsyncEngine, revision: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        await connection.run_sync(lambda known: command.upgrade(configuration(known), revision))


async def somebody_waits(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(await connection.scalar(text(waiting)))


def dsn_of(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


async def test_other_peoples_tables_are_left_alone(empty_url: str, empty: AsyncEngine) -> None:
    async with empty.begin() as connection:
        await connection.execute(text("CREATE TABLE merchants (mine int)"))
        await connection.execute(text("CREATE TABLE alembic_version (version_num text)"))
        await connection.execute(text("INSERT INTO alembic_version VALUES ('theirs')"))
    await migrate(empty_url)
    async with empty.connect() as connection:
        theirs = await connection.execute(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1")
        )
        assert theirs.scalars().all() == ["alembic_version", "merchants"]
        assert await connection.scalar(text("SELECT version_num FROM public.alembic_version")) == "theirs"


async def test_a_database_of_a_later_version_lacks_nothing_and_is_left_as_it_is(
    migrated: AsyncEngine, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with migrated.begin() as connection:
        await connection.execute(text("UPDATE payments.alembic_version SET version_num = '9999'"))
    assert await missing_migrations(migrated) == []
    await migrate(database_url)
    assert await missing_migrations(migrated) == []
    assert "of a later version" in caplog.text


async def test_a_database_that_is_not_there_is_unavailable(running_postgres: EmbeddedPostgres) -> None:
    url = make_url(running_postgres.url).set(database="nowhere").render_as_string(hide_password=False)
    with pytest.raises(Unavailable):
        await migrate(url)
