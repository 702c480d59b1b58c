"""The sandbox's books in Postgres: a schema and connections of their own, as another company's would be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Executable,
    MetaData,
    RowMapping,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    column,
    func,
    make_url,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.schema import CreateSchema

from adapters.sandbox.ledger import ENTRIES_MAX, EntryStatus, LedgerAway, LedgerEntry, Recorded
from payments_core.attempt import AttemptKind
from payments_core.gathered import Gathered
from payments_core.ids import AttemptId
from payments_core.money import Money, currency

SCHEMA: Final = "sandbox"
CONNECTIONS_MAX: Final = 10
RECORDED_MAX: Final = 200
"""Entries written in one statement; those that come meanwhile share the next."""
ANSWER_SECONDS: Final = 2.0
"""For one call with all its waiting, of which a decision takes two: less than the gateway's quiet period."""
WRITING_SECONDS: Final = 0.5
"""What a call must have left of these when its entry begins to be written: with less it would break off the others."""
CLOCK_SECONDS: Final = 1.0
"""How long it counts what the server's clock said, if nobody sets it meanwhile; to ask costs as much as to write."""
PREPARE_SECONDS: Final = 30.0
PREPARE_LOCK: Final = 0x73616E64626F78
"""The advisory lock's number: "sandbox" in ASCII."""

_tables: Final = MetaData(schema=SCHEMA)

entries: Final = Table(
    "entries",
    _tables,
    Column("attempt", Text(collation="C"), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("amount_minor", BigInteger, CheckConstraint("amount_minor >= 0"), nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, CheckConstraint("status IN ('charged', 'refunded', 'declined')"), nullable=False),
    # Not unique by an index: ON CONFLICT minds one only, and of two calls at once one would fail on the other.
    Column("reference", Text, nullable=False),
    Column("charge_reference", Text),
    Column("code", Text, CheckConstraint("(code IS NOT NULL) = (status = 'declined')")),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True)),
)

dropped_calls: Final = Table(
    "dropped_calls",
    _tables,
    Column("attempt", Text(collation="C"), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
)


def _recording() -> Executable:
    names = [column.name for column in entries.c]
    typed = [column(each.name, each.type) for each in entries.c]
    given = func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON)).table_valued(*typed)
    in_time = func.clock_timestamp() < bindparam("until", type_=DateTime(timezone=True))
    rows = select(given.render_derived(name="rows", with_types=True)).where(in_time)
    return (
        insert(entries)
        .from_select(names, rows)
        .on_conflict_do_nothing(index_elements=[entries.c.attempt])
        .returning(entries.c.attempt)
    )


_RECORD: Final = _recording()
"""Write the entries `rows`, a JSON text, of attempts that have none; return these attempts.

None is written from the moment `until` on, by the server's clock: what it comes to late, as after it stood still or
waited for a lock, is not done.
"""
_NOW: Final = select(func.clock_timestamp())
_FIND: Final = select(entries).where(entries.c.attempt == any_(bindparam("attempts", type_=ARRAY(Text))))
_ROWS: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """One call: two of one attempt are two, of which one alone can have written it.

    `deadline`, by the monotonic clock: its entry appears before that or never.
    """

    entry: LedgerEntry
    deadline: float


class PostgresLedger:
    """Books in the schema `sandbox` of the database at `url` (`postgresql://…`), which `prepare` makes.

    Every call answers or raises LedgerAway; one on a server that is there but silent takes ANSWER_SECONDS, and up to
    10 s more while the driver tries to cancel it, but for `record`, which leaves that to others.

    What `record` was asked appears in the books within ANSWER_SECONDS of the call or never, whatever became of the
    caller: an entry that still waits when its caller goes is not written; one whose statement runs may be, as the
    statement is that of others too.
    """

    def __init__(self, url: str) -> None:
        self._engine = create_async_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            # Each call is one statement that stands alone, or two of which the second only reads.
            isolation_level="AUTOCOMMIT",
            pool_size=CONNECTIONS_MAX,
            max_overflow=0,
            # As in the store's: what is in a row is in no error message and in no log.
            hide_parameters=True,
            # Statements prepared on one connection fail on the next behind a pooler in transaction mode.
            connect_args={"prepare_threshold": None},
        )
        self._server_clock: tuple[datetime, float] | None = None
        """What the server's clock said, and when that was heard by the monotonic one."""
        self._recording: Final = Gathered(self._record_all, keys_max=RECORDED_MAX)

    async def prepare(self) -> None:
        """Make the schema and its tables where they are missing; safe to run from several processes at once."""
        async with self._answering(PREPARE_SECONDS):
            engine = self._engine.execution_options(isolation_level="READ COMMITTED")
            async with engine.begin() as connection:
                await connection.execute(select(func.pg_advisory_xact_lock(PREPARE_LOCK)))
                await connection.execute(CreateSchema(SCHEMA, if_not_exists=True))
                await connection.run_sync(_tables.create_all)

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()

    async def record(self, entry: LedgerEntry, /) -> Recorded:
        """Write the entry unless its attempt has one, and return the attempt's."""
        call = _Call(entry, time.monotonic() + ANSWER_SECONDS)
        async with self._answering(ANSWER_SECONDS):
            recorded = await self._recording.get(call)
        if recorded is None:
            raise LedgerAway("the sandbox's ledger did not answer: it had too much to write before")
        return recorded

    async def _record_all(self, calls: Sequence[_Call]) -> Mapping[_Call, Recorded]:
        """Write the entries of calls that have time left in one statement; of an attempt given twice, the first.

        The statement ends before the first of these calls does. Of what it was too late for nothing is returned.
        """
        now = time.monotonic()
        calls = [call for call in calls if call.deadline - now >= WRITING_SECONDS]
        if not calls:
            return {}
        deadline = min(call.deadline for call in calls)
        first = {call.entry.attempt: call for call in reversed(calls)}
        async with self._connected(deadline - now) as connection:
            # In one order, so that no two writers wait for each other.
            rows = [_row(first[attempt].entry) for attempt in sorted(first)]
            given = {"rows": _ROWS.encode(rows).decode(), "until": await self._by_server(connection, deadline)}
            written = set(await connection.scalars(_RECORD, given))
            others = [attempt for attempt in first if attempt not in written]
            found = (await connection.execute(_FIND, {"attempts": others})).mappings().all() if others else ()
        known = {attempt: first[attempt].entry for attempt in written} | {
            entry.attempt: entry for entry in map(_entry, found)
        }
        return {
            call: Recorded(
                entry=known[call.entry.attempt],
                is_new=first[call.entry.attempt] is call and call.entry.attempt in written,
            )
            for call in calls
            if call.entry.attempt in known
        }

    async def _by_server(self, connection: AsyncConnection, deadline: float) -> datetime:
        """Return a moment of the monotonic clock by the server's, or one a little earlier."""
        if self._server_clock is None or time.monotonic() - self._server_clock[1] > CLOCK_SECONDS:
            now: datetime = (await connection.execute(_NOW)).scalar_one()
            self._server_clock = (now, time.monotonic())
        now, heard_at = self._server_clock
        return now + timedelta(seconds=deadline - heard_at)

    async def revise(self, entry: LedgerEntry, /) -> LedgerEntry:
        """Write the gateway's later decision unless there is one, and return the entry."""
        writing = (
            update(entries)
            .where(entries.c.attempt == entry.attempt, entries.c.changed_at.is_(None))
            .values(status=entry.status.value, code=entry.code, changed_at=entry.changed_at)
        )
        async with self._connected() as connection:
            await connection.execute(writing)
            return _entry((await connection.execute(_entry_of(entry.attempt))).mappings().one())

    async def find(self, attempt: AttemptId, /) -> LedgerEntry | None:
        """Return the attempt's entry, if it has one."""
        async with self._connected() as connection:
            found = (await connection.execute(_entry_of(attempt))).mappings().one_or_none()
            return None if found is None else _entry(found)

    async def find_all(self, attempts: Sequence[AttemptId], /) -> Sequence[LedgerEntry]:
        """Return the entries of those of these attempts that have one."""
        async with self._connected() as connection:
            found = await connection.execute(_FIND, {"attempts": list(attempts)})
            return [_entry(row) for row in found.mappings()]

    async def drop_first_call(self, attempt: AttemptId, /, *, at: datetime) -> bool:
        """Say whether this is the first such call of the attempt."""
        writing = insert(dropped_calls).values(attempt=attempt, at=at).on_conflict_do_nothing()
        async with self._connected() as connection:
            return await connection.scalar(writing.returning(dropped_calls.c.attempt)) is not None

    async def entries(self, *, after: str = "", limit: int = ENTRIES_MAX) -> Sequence[LedgerEntry]:
        """Return up to `limit` entries in the order of their attempts' ids."""
        reading = select(entries).where(entries.c.attempt > after).order_by(entries.c.attempt).limit(limit)
        async with self._connected() as connection:
            return [_entry(found) for found in (await connection.execute(reading)).mappings()]

    @asynccontextmanager
    async def _connected(self, seconds: float = ANSWER_SECONDS) -> AsyncGenerator[AsyncConnection]:
        async with self._answering(seconds), self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def _answering(self, seconds: float) -> AsyncGenerator[None]:
        """Bound the time, and turn whatever the driver raises into LedgerAway, without its text: that holds rows."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except (SQLAlchemyError, OSError) as error:
            raise LedgerAway(f"the sandbox's ledger did not answer: {type(error).__name__}") from error


def _entry_of(attempt: AttemptId) -> Select[Any]:
    return select(entries).where(entries.c.attempt == attempt)


def _row(entry: LedgerEntry) -> dict[str, object]:
    return {
        "attempt": entry.attempt,
        "kind": entry.kind.value,
        "amount_minor": entry.amount.amount_minor,
        "currency": entry.amount.currency.code,
        "status": entry.status.value,
        "reference": entry.reference,
        "charge_reference": entry.charge_reference,
        "code": entry.code,
        "at": entry.at,
        "changed_at": entry.changed_at,
    }


def _entry(row: RowMapping) -> LedgerEntry:
    changed_at: datetime | None = row["changed_at"]
    return LedgerEntry(
        attempt=AttemptId(row["attempt"]),
        kind=AttemptKind(row["kind"]),
        amount=Money(amount_minor=row["amount_minor"], currency=currency(row["currency"])),
        status=EntryStatus(row["status"]),
        reference=row["reference"],
        charge_reference=row["charge_reference"],
        code=row["code"],
        at=row["at"].astimezone(UTC),
        changed_at=None if changed_at is None else changed_at.astimezone(UTC),
    )
