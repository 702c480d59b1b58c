"""The bounds of a role in its database: ours where nobody stated others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import LiteralString
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import create_engine
from adapters.postgres.role import bound_role, unbounded

BOUNDS_OF = ("TimeZone", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


@pytest.fixture
def role() -> str:
    return f"role_{uuid4().hex}"


@pytest.fixture
async def engine(database_url: str, role: str) -> AsyncIterator[AsyncEngine]:
    """An engine as behind a pooler, with a role of its own that has no bounds."""
    await administer(database_url, "CREATE ROLE {role} LOGIN", role)
    made = create_engine(_text(make_url(database_url).set(username=role)), pooled=True)
    yield made
    await made.dispose()
    await administer(database_url, "DROP ROLE {role}", role)


async def test_a_role_without_bounds_gets_ours(engine: AsyncEngine) -> None:
    await bound_role(engine)
    await engine.dispose()
    assert await bounds_of(engine) == ["UTC", "5s", "3s", "10s"]
    assert await unbounded(engine) == []


async def test_what_somebody_stated_for_the_role_stays_however_often_the_schema_is_migrated(
    engine: AsyncEngine, database_url: str, role: str
) -> None:
    await administer(database_url, "ALTER ROLE {role} IN DATABASE {database} SET statement_timeout = '20s'", role)
    await administer(database_url, "ALTER ROLE {role} IN DATABASE {database} SET timezone = 'Europe/Berlin'", role)
    await administer(database_url, "ALTER ROLE {role} SET lock_timeout = '7s'", role)
    for _ in range(2):
        await bound_role(engine)
    await engine.dispose()
    assert await bounds_of(engine) == ["Europe/Berlin", "20s", "7s", "10s"]


async def test_what_was_reset_is_given_again(engine: AsyncEngine, database_url: str, role: str) -> None:
    await bound_role(engine)
    await administer(database_url, "ALTER ROLE {role} IN DATABASE {database} RESET lock_timeout", role)
    await engine.dispose()
    assert await unbounded(engine) == ["lock_timeout"]
    await bound_role(engine)
    await engine.dispose()
    assert await unbounded(engine) == []


async def bounds_of(engine: AsyncEngine) -> list[str]:
    """Return what a new connection of the role has."""
    async with engine.connect() as connection:
        return [str(await connection.scalar(text(f"SHOW {name}"))) for name in BOUNDS_OF]


async def administer(database_url: str, statement: LiteralString, role: str) -> None:
    names = {"role": sql.Identifier(role), "database": sql.Identifier(str(make_url(database_url).database))}
    connection = await psycopg.AsyncConnection.connect(
        _text(make_url(database_url).set(drivername="postgresql")), autocommit=True
    )
    async with connection:
        await connection.execute(sql.SQL(statement).format(**names))


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
