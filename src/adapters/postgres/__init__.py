"""Postgres: the truth. `PostgresStore` over an engine of `create_engine`; `migrate` makes its tables."""

from adapters.postgres.engine import Bounds, create_engine
from adapters.postgres.errors import Rejected
from adapters.postgres.migrations import migrate, missing_migrations
from adapters.postgres.store import PostgresStore

__all__ = ["Bounds", "PostgresStore", "Rejected", "create_engine", "migrate", "missing_migrations"]
