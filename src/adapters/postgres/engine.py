"""The one place that makes an engine: bounded in connections and in time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import psycopg
from sqlalchemy import URL, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from adapters.postgres.connection import AnsweringConnection
from payments_core.values import Json, encode_json

DRIVER: Final = "postgresql+psycopg"
SCHEMES: Final = ("postgresql", "postgres", DRIVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many connections an engine holds, and how long anything may take.

    `statement_seconds`, `lock_seconds` and `idle_in_transaction_seconds` are the server's to keep; one that stands
    still keeps none of them, and is given up `answer_margin_seconds` later. The sum of `connections_max` over all
    processes stays under the server's `max_connections`.
    """

    connections_max: int = 10
    connections_kept: int = 10
    pool_wait_seconds: float = 3.0
    connect_seconds: int = 3
    statement_seconds: float = 5.0
    lock_seconds: float = 3.0
    idle_in_transaction_seconds: float = 10.0
    answer_margin_seconds: float = 3.0
    recycle_seconds: int = 30 * 60
    unasked_seconds: float = 0.5
    """How long a connection may be idle and is still handed out unasked: to ask costs as much as a short read."""
    unanswered_seconds: int = 10
    """How long the network may swallow what was sent before the connection is given up."""


BOUNDS: Final = Bounds()


def driver_url(url: str) -> URL:
    """Return the URL for SQLAlchemy with psycopg, or raise ValueError unless it is `postgresql://…`."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number is the latter, and quotes the URL
        raise ValueError("a database URL looks like postgresql://user:password@host:5432/name") from None
    if parsed.drivername not in SCHEMES:
        raise ValueError(f"a database URL begins with postgresql://, this one with {parsed.drivername}://")
    return parsed.set(drivername=DRIVER)


def create_engine(
    url: str, *, bounds: Bounds = BOUNDS, application_name: str = "payments-core", pooled: bool = False
) -> AsyncEngine:
    """Return an engine for `postgresql://…`, or raise ValueError; it connects when first used.

    `pooled`: a pooler in transaction mode is in between, so that nothing outlives a transaction: no statement is
    prepared, and the server's bounds are those of the role (see `role.bound_role`).

    A connection that was idle for a while is asked for a sign of life before it is handed out, so that those that a
    restart of the server cut are replaced unnoticed. Its owner disposes of it.
    """
    target = driver_url(url)
    engine = create_async_engine(
        target,
        pool_size=bounds.connections_kept,
        max_overflow=bounds.connections_max - bounds.connections_kept,
        pool_timeout=bounds.pool_wait_seconds,
        pool_recycle=bounds.recycle_seconds,
        # What is in a row is in no error message and in no log.
        hide_parameters=True,
        json_serializer=_json,
        connect_args={
            "async_creator_fn": partial(_connect, bounds),
            "connect_timeout": bounds.connect_seconds,
            "application_name": application_name,
            **({"prepare_threshold": None} if pooled else {"options": _options(target, bounds)}),
            "keepalives_idle": bounds.unanswered_seconds,
            "keepalives_interval": max(1, bounds.unanswered_seconds // 3),
            "keepalives_count": 3,
            "tcp_user_timeout": bounds.unanswered_seconds * 1000,
        },
    )
    _ask_the_idle(engine, bounds.unasked_seconds)
    return engine


async def _connect(bounds: Bounds, *args: Any, **options: Any) -> AnsweringConnection:
    connection = await AnsweringConnection.connect(*args, **options)
    connection.answer_seconds = bounds.statement_seconds + bounds.answer_margin_seconds
    return connection


def _ask_the_idle(engine: AsyncEngine, unasked_seconds: float) -> None:
    """Ping a connection before its use, as `pool_pre_ping` does, but only after a pause."""
    dialect = engine.dialect

    def note(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    def ask(connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        idle_since = record.info.get("idle_since")
        if idle_since is None or time.monotonic() - idle_since < unasked_seconds:
            return
        try:
            dialect.do_ping(connection)
        except psycopg.Error:
            raise InvalidatePoolError from None

    event.listen(engine.sync_engine, "checkin", note)
    event.listen(engine.sync_engine, "checkout", ask)


def server_settings(bounds: Bounds) -> Mapping[str, str]:
    """Return what the server is told to keep these bounds; times are in milliseconds."""
    return {
        "timezone": "UTC",
        "statement_timeout": _milliseconds(bounds.statement_seconds),
        "lock_timeout": _milliseconds(bounds.lock_seconds),
        "idle_in_transaction_session_timeout": _milliseconds(bounds.idle_in_transaction_seconds),
    }


def _options(target: URL, bounds: Bounds) -> str:
    given = target.query.get("options", "")
    own = " ".join(f"-c {name}={value}" for name, value in server_settings(bounds).items())
    return f"{own} {given if isinstance(given, str) else ' '.join(given)}".rstrip()


def _json(value: Json) -> str:
    return encode_json(value).decode()


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
