"""What has expired goes: a single statement for each kind, short, on rows that nobody holds.

A record that was replaced after the statement began is looked at again when its row is locked, and stays. Who inserts
a key whose record is just being removed waits for that statement, and then inserts as if there had been none.

Rows are removed by their places (`ctid`), which the lock keeps: a join by key would let the planner read the table.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    Delete,
    Integer,
    Select,
    Table,
    and_,
    any_,
    bindparam,
    delete,
    func,
    lateral,
    literal_column,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.errors import translated
from adapters.postgres.tables import TIME, idempotency_records, refresh_tokens, sessions, staff_sessions

_BEFORE: Final = bindparam("expired_before", type_=TIME)
# Written out: the planner would take a number that it doesn't know for a tenth of the table.
_LIMIT: Final = bindparam("limit", type_=Integer, literal_execute=True)


def _place(table: Table) -> ColumnElement[Any]:
    return literal_column(f"{table.fullname}.ctid").label("place")


def _remove(table: Table, places: Select[Any]) -> Delete:
    return delete(table).where(literal_column(f"{table.fullname}.ctid") == any_(func.array(places.scalar_subquery())))


def _remove_expired(table: Table) -> Delete:
    """Remove what nothing else names."""
    expired = select(_place(table)).where(table.c.expires_at < _BEFORE).order_by(table.c.expires_at)
    return _remove(table, expired.limit(_LIMIT).with_for_update(skip_locked=True))


def _ended_sessions() -> CTE:
    ended = select(*sessions.primary_key).where(sessions.c.expires_at < _BEFORE).order_by(sessions.c.expires_at)
    return ended.limit(_LIMIT).cte("ended")


def _tokens_of(ended: CTE) -> ColumnElement[bool]:
    return and_(refresh_tokens.c.merchant_id == ended.c.merchant_id, refresh_tokens.c.session_id == ended.c.id)


def _remove_tokens() -> Delete:
    """Remove tokens of sessions that have ended: until then one that was spent tells of a thief."""
    ended = _ended_sessions()
    of_each = lateral(
        select(_place(refresh_tokens)).where(_tokens_of(ended)).limit(_LIMIT).with_for_update(skip_locked=True),
        "of_each",
    )
    return _remove(refresh_tokens, select(of_each.c.place).select_from(ended.join(of_each, true())).limit(_LIMIT))


def _remove_sessions() -> Delete:
    """Remove sessions that have ended and have no tokens any more."""
    ended = _ended_sessions()
    # The offset keeps the planner from a join with all tokens there are.
    has_tokens = select(refresh_tokens.c.digest).where(_tokens_of(ended)).offset(0).exists()
    same = and_(sessions.c.merchant_id == ended.c.merchant_id, sessions.c.id == ended.c.id)
    held = lateral(select(_place(sessions)).where(same).limit(1).with_for_update(skip_locked=True), "held")
    return _remove(sessions, select(held.c.place).select_from(ended.join(held, true())).where(~has_tokens))


_STATEMENTS: Final = (
    _remove_expired(idempotency_records),
    _remove_tokens(),
    _remove_sessions(),
    _remove_expired(staff_sessions),
)


class PostgresLeftovers:
    """The port `Leftovers`, over an engine that its owner disposes of."""

    def __init__(self, engine: AsyncEngine) -> None:
        # Each statement is a transaction of its own: its locks go when it ends.
        self._single: Final = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def remove(self, *, expired_before: datetime, limit: int) -> int:
        """Remove what expired before that time, of each kind at most `limit`; return how many rows went."""
        removed = 0
        with translated():
            async with self._single.connect() as connection:
                for statement in _STATEMENTS:
                    gone = await connection.execute(statement, {"expired_before": expired_before, "limit": limit})
                    removed += gone.rowcount
        return removed
