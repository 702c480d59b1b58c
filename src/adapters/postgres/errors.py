"""What the driver says, in the words of the core.

Whoever logs an error gets no values of rows with it: the driver's own message holds them (its DETAIL), ours doesn't.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import psycopg
from sqlalchemy.exc import DBAPIError, PendingRollbackError, ResourceClosedError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from payments_core.errors import Duplicate, StaleWrite, Unavailable
from payments_core.ports import Unique

NOTHING: Final = "There is nothing with this id."
"""What is not there, another merchant's, the other mode's or removed is not told apart."""

UNIQUE: Final = {
    "uq_merchants_email": Unique.MERCHANT_EMAIL,
    "uq_staff_members_email": Unique.STAFF_EMAIL,
    "uq_transactions_reference": Unique.TRANSACTION_REFERENCE,
    "pk_idempotency_records": Unique.IDEMPOTENCY_KEY,
}
"""Constraints by name; every other one keeps an identity or something random unique."""

RACES: Final = frozenset({"40001", "40P01"})
"""serialization_failure and deadlock_detected: one of two was in the way of the other."""
BUSY_CLASSES: Final = frozenset({"08", "53", "57", "58"})
"""Connections, resources, operator's intervention (statement_timeout among them), the system below."""
BUSY: Final = frozenset({"25006", "25P03", "25P04", "55P03", "55006"})
"""read_only_sql_transaction, idle and transaction time-outs, lock_not_available, object_in_use."""
MISSING: Final = frozenset({"3D000", "3F000", "42P01", "42703"})
"""The database, schema, table or column isn't there."""


class Rejected(RuntimeError):
    """The database refused what this code wrote: a broken promise of the code, never of a caller; nothing was done."""


@contextmanager
def translated() -> Generator[None]:
    """Raise what the driver raises in the block as StaleWrite, Duplicate, Unavailable or Rejected."""
    try:
        yield
    except DBAPIError as error:
        raise translation(error.orig) from None
    except psycopg.Error as error:
        raise translation(error) from None
    except UnicodeError:
        raise Rejected("a text that the store cannot hold") from None
    except PoolTimeout:
        raise Unavailable("the store is busy: no connection came free in time") from None
    except (PendingRollbackError, ResourceClosedError):
        raise Unavailable("the connection to the store was lost") from None
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"the store cannot be reached: {error}") from None


def translation(original: BaseException | None) -> Exception:
    """Return the error that says what the driver's error means."""
    if not isinstance(original, psycopg.Error):
        return Rejected(f"the store refused a statement: {type(original).__name__}")
    state = original.sqlstate
    if state is None:
        lost = isinstance(original, psycopg.OperationalError | psycopg.InterfaceError) or is_out_of_step(original)
        return Unavailable("the store cannot be reached") if lost else Rejected(_about(original))
    if state in RACES:
        return StaleWrite("another commit was in the way")
    if state == "23505":
        return Duplicate(UNIQUE.get(original.diag.constraint_name or "", Unique.ID))
    if state in MISSING:
        return Unavailable("the store's tables are missing or of another version: run `payments migrate`")
    if state[:2] in BUSY_CLASSES or state in BUSY:
        return Unavailable(f"the store is away or too busy ({state})")
    return Rejected(_about(original))


def is_out_of_step(error: psycopg.Error) -> bool:
    """Say whether the driver heard what it had not asked for: a pooler whose server is gone answers in its place."""
    return isinstance(error, psycopg.InternalError) and error.sqlstate is None


def _about(error: psycopg.Error) -> str:
    constraint = error.diag.constraint_name
    where = f", constraint {constraint}" if constraint else ""
    return f"the database refused a write: {type(error).__name__}{where}"
