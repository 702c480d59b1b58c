"""Whether Postgres answers, and what keeps it from doing so, in words that a person can act on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import driver_url
from adapters.postgres.errors import Rejected
from adapters.postgres.migrations import missing_migrations
from payments_core.errors import Unavailable

CONNECT_SECONDS: Final = 3
CAUSES: Final = (
    (("the database system is ",), "it is starting or stopping: try again"),
    (("unsupported startup parameter",), "a pooler in transaction mode is in between: set PAYMENTS_DATABASE_POOLER"),
    (("sslmode", "SSL", "certificate"), "it and this side do not agree on TLS: look at sslmode"),
    (("pg_hba.conf",), "it does not let this user in from here: look at its pg_hba.conf, and at sslmode"),
    (("password", "authentication", "role "), "it refuses the user name or the password"),
    (("database ",), "it has no such database"),
    (("resolve", "translate host", "not known"), "its host name has no address"),
    (("option", "URI"), "the URL has an option that libpq does not know"),
    (("refused", "timeout", "timed out", "No such file", "unreachable", "No route"), "nobody listens at this address"),
)
"""What libpq says, as it gives no codes before there is a connection, and what it means; the first that fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSeen:
    """A server that answers: its version, and how far its clock is from ours at the least, in seconds, never < 0."""

    version: str
    clock_skew_seconds: float


async def ping(engine: AsyncEngine) -> None:
    """Return if Postgres answers, or raise Unavailable, with the cause and without a value of the URL."""
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError) as error:  # TimeoutError is an OSError
        original = error.orig if isinstance(error, DBAPIError) else None
        cause = cause_of(original) if isinstance(original, psycopg.Error) else type(error).__name__
        raise Unavailable(f"Postgres does not answer ({cause})") from None


async def lacking(engine: AsyncEngine) -> list[str]:
    """Return the migrations that the database lacks, the oldest first, or raise Unavailable."""
    try:
        return await missing_migrations(engine)
    except Rejected as error:
        raise Unavailable(str(error)) from None


async def see_server(url: str) -> ServerSeen:
    """Ask the server over a connection of its own, within seconds.

    Raises Unavailable, whose message names the cause and then what libpq says: it may show host, user and database,
    never the password. Raises ValueError for a URL that is none.
    """
    target = driver_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        async with await psycopg.AsyncConnection.connect(target, connect_timeout=CONNECT_SECONDS) as connection:
            before = datetime.now(UTC)
            rows = await connection.execute("SELECT current_setting('server_version'), clock_timestamp()")
            row = await rows.fetchone()
            after = datetime.now(UTC)
    except psycopg.Error as error:
        raise Unavailable(f"Postgres does not answer: {cause_of(error)} ({' '.join(str(error).split())})") from None
    assert row is not None, "a SELECT without FROM has one row"
    version, there = row
    skew = max((before - there).total_seconds(), (there - after).total_seconds(), 0.0)
    return ServerSeen(version=str(version), clock_skew_seconds=skew)


def cause_of(error: psycopg.Error) -> str:
    """Return what a failure to connect means, without a value of the URL."""
    said = str(error)
    for signs, cause in CAUSES:
        if any(sign in said for sign in signs):
            return cause
    return type(error).__name__
