"""Postgres: the truth. `PostgresStore` over an engine of `create_engine`; `migrate` makes its tables."""

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import Bounds, create_engine
from adapters.postgres.errors import Rejected
from adapters.postgres.migrations import migrate, missing_migrations
from adapters.postgres.replica import ReplicaViews
from adapters.postgres.store import PostgresStore

__all__ = [
    "AsyncEngine",
    "Bounds",
    "PostgresStore",
    "Rejected",
    "ReplicaViews",
    "create_engine",
    "migrate",
    "missing_migrations",
]
