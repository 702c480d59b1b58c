"""Locks on tables that are in use: all of them before the first change, or none."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from adapters.postgres.tables import SCHEMA

PATIENCE_MILLISECONDS: Final = 100
"""How long a lock is waited for while others may wait behind it. Servers look for a deadlock after a second."""
PAUSE_SECONDS: Final = 0.2
"""Between two tries, for those who waited to go on."""
TRIES_SECONDS_MAX: Final = 60.0


def lock_tables(connection: Connection, modes: Mapping[str, str]) -> None:
    """Lock tables of ours in these modes, in this order, until the end of the connection's transaction.

    Where one of them is held by somebody for longer than a commit takes, those that were locked are let go and all are
    tried anew, for TRIES_SECONDS_MAX. So whoever holds what is locked last and waits for what was locked first gets it:
    nobody is broken off for a deadlock, and nobody waits behind one who waits for long. Raises what the driver raises.
    """
    give_up_at = time.monotonic() + TRIES_SECONDS_MAX
    while not _are_locked(connection, modes, is_last=time.monotonic() >= give_up_at):
        connection.execute(text(f"SELECT pg_sleep({PAUSE_SECONDS})"))


def _are_locked(connection: Connection, modes: Mapping[str, str], *, is_last: bool) -> bool:
    try:
        with connection.begin_nested():
            before = connection.scalar(text("SELECT current_setting('lock_timeout')"))
            connection.execute(text(f"SET LOCAL lock_timeout = {PATIENCE_MILLISECONDS}"))
            for table, mode in modes.items():
                connection.execute(text(f'LOCK TABLE "{SCHEMA}"."{table}" IN {mode} MODE'))
            connection.execute(text("SELECT set_config('lock_timeout', :before, true)"), {"before": before})
    except DBAPIError as error:
        if is_last or not isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise
        return False
    return True
