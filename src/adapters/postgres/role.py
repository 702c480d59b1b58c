"""The bounds of a role: what bounds statements where a pooler hands one server connection to many, one after another.

In transaction mode a pooler passes on no startup options, and what a session sets would be left to the next one. The
role's own settings hold from the beginning of each server connection: for single statements too, and without a round
trip more for each transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.engine import BOUNDS, Bounds, server_settings
from adapters.postgres.errors import translated

_UNBOUNDED: Final = text(
    "SELECT name FROM pg_settings WHERE setting = '0'"
    " AND name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') ORDER BY name"
)
_PLACE: Final = text("SELECT quote_ident(current_user), quote_ident(current_database())")
_STATED: Final = text("""
    SELECT split_part(stated, '=', 1) FROM pg_db_role_setting, unnest(setconfig) AS stated
    WHERE setrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)
    AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
""")


async def bound_role(engine: AsyncEngine, *, bounds: Bounds = BOUNDS) -> None:
    """Give the role of the engine these bounds in its database, for connections that are made from now on.

    What is stated for the role there, or wherever it connects, stays as it is. Whoever states bounds of its own keeps
    them. Raises Unavailable.
    """
    with translated():
        async with engine.begin() as connection:
            role, database = (await connection.execute(_PLACE)).one()
            stated = {str(name).casefold() for name in await connection.scalars(_STATED)}
            for name, value in server_settings(bounds).items():
                if name.casefold() not in stated:
                    await connection.execute(text(f"ALTER ROLE {role} IN DATABASE {database} SET {name} = '{value}'"))


async def unbounded(engine: AsyncEngine) -> Sequence[str]:
    """Return the names of the bounds that the server does not keep for this engine. Raises Unavailable."""
    with translated():
        async with engine.connect() as connection:
            return [row.name for row in await connection.execute(_UNBOUNDED)]


async def bound_transaction(connection: AsyncConnection, bounds: Bounds) -> None:
    """Set these bounds for what is left of the connection's transaction, in place of the role's."""
    for name, value in server_settings(bounds).items():
        await connection.execute(text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value})
