"""Real servers, started once for a run; each test has an empty, migrated database and an empty Valkey."""

from collections.abc import AsyncIterator
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql
from redis.asyncio import Redis
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.servers import Server

TEMPLATE = "payments_template"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running_postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    """Postgres for the whole run; a test asks for `database_url` or `postgres_server` instead."""
    async with EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running_valkey(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedValkey]:
    """Valkey for the whole run; a test asks for `redis_url` or `valkey_server` instead."""
    async with EmbeddedValkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def template_database(running_postgres: EmbeddedPostgres) -> str:
    """The name of a database that was migrated once and is cloned for each test."""
    from adapters.postgres.migrations import migrate  # tests of the servers alone need no schema

    await _administer(running_postgres, "CREATE DATABASE {}", TEMPLATE)
    await migrate(_url(running_postgres, TEMPLATE))
    return TEMPLATE


@pytest.fixture
async def database_url(running_postgres: EmbeddedPostgres, template_database: str) -> AsyncIterator[str]:
    """The URL (SQLAlchemy, psycopg) of a migrated database without rows, for one test alone."""
    await Server(running_postgres).start()
    name = f"test_{uuid4().hex}"
    await _administer(running_postgres, "CREATE DATABASE {} TEMPLATE {}", name, template_database)
    yield _url(running_postgres, name)
    await Server(running_postgres).start()
    await _administer(running_postgres, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on that database."""
    from adapters.postgres import create_engine

    engine = create_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def redis_url(running_valkey: EmbeddedValkey) -> str:
    """The URL (redis-py) of a Valkey without keys."""
    await Server(running_valkey).start()
    async with Redis.from_url(running_valkey.url) as client:
        await client.flushall()
    return running_valkey.url


@pytest.fixture
async def postgres_server(running_postgres: EmbeddedPostgres) -> AsyncIterator[Server]:
    """The run's Postgres, for tests about its outage; it runs before and after the test."""
    server = Server(running_postgres)
    await server.start()
    yield server
    await server.start()


@pytest.fixture
async def valkey_server(running_valkey: EmbeddedValkey) -> AsyncIterator[Server]:
    """The run's Valkey, for tests about its outage; it runs before and after the test."""
    server = Server(running_valkey)
    await server.start()
    yield server
    await server.start()


def _url(server: EmbeddedPostgres, database: str) -> str:
    return make_url(server.url).set(database=database).render_as_string(hide_password=False)


async def _administer(server: EmbeddedPostgres, statement: str, *names: str) -> None:
    connection = await psycopg.AsyncConnection.connect(server.dsn, autocommit=True)
    async with connection:
        await connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
