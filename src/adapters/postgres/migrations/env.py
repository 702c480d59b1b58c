"""Alembic's entrance: the connection and its transaction come from `migrate`."""

from typing import Any

from alembic import context
from sqlalchemy import Connection

from adapters.postgres.tables import SCHEMA, metadata


def _is_ours(name: str | None, type_: str, _: Any) -> bool:
    """Keep autogenerate away from other people's tables."""
    return type_ != "schema" or name == SCHEMA


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=_is_ours,
        compare_server_default=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


_run(context.config.attributes["connection"])
