"""What is kept sealed: how much of it under which key, and sealed again under the first one.

A walk goes through each table by its primary key, some rows at a time, and keeps nothing between them: one that was
broken off is begun again, and passes quickly over what is done. What an older key sealed is opened, sealed anew, and
written where the bytes are still those that were read: whoever wrote meanwhile has sealed by himself. Rows that others
hold are passed over, as by claims, and met by the next walk: nobody waits for anybody, in no order of locks. Versions
and revisions stay, as nothing that anybody is told has changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from sqlalchemy import (
    Column,
    ColumnElement,
    LargeBinary,
    RowMapping,
    Select,
    Table,
    Update,
    and_,
    any_,
    bindparam,
    case,
    func,
    literal_column,
    null,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.errors import translated
from adapters.postgres.mapping import Identity, Stored, endpoint_context, record_context
from adapters.postgres.running import document
from adapters.postgres.statements import KEYS, ROWS, given_rows, matching
from adapters.postgres.tables import endpoints, idempotency_records
from payments_core.errors import Unreadable
from payments_core.ports import Vault

ROWS_MAX: Final = 200
"""Rows that are read, and written, by one statement: some ten milliseconds of the store."""
UNREADABLE_NAMED_MAX: Final = 20

_WAS: Final = Column("was", LargeBinary)
_ANEW: Final = Column("anew", LargeBinary)


class HeadedVault(Vault, Protocol):
    """A vault that says by which of its keys something was sealed."""

    @property
    def headers(self) -> Sequence[bytes]:
        """How that begins which each key sealed, all equally long, the first one's first: it seals."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A column that holds sealed bytes, what they are, and the context in which those of a row are sealed."""

    name: str
    column: Column[Any]
    context_of: Callable[[Stored], str]

    @property
    def table(self) -> Table:
        """The column's table."""
        table = self.column.table
        assert isinstance(table, Table), "each column here is a table's"
        return table


def _endpoint_context(row: Stored) -> str:
    return endpoint_context(row["id"])


def _record_context(row: Stored) -> str:
    return record_context(row["merchant_id"], row["livemode"], row["key"])


PLACES: Final = (
    Place(name="signing secrets", column=endpoints.c.secret_sealed, context_of=_endpoint_context),
    Place(name="old signing secrets", column=endpoints.c.old_secrets_sealed, context_of=_endpoint_context),
    Place(name="kept answers", column=idempotency_records.c.body_sealed, context_of=_record_context),
)
"""All that is sealed in the database."""


@dataclass(slots=True, kw_only=True)
class Sealed:
    """What a walk found in one place, and did.

    `rows` are those under each header when it was there, `resealed` as many as it sealed again. `unreadable` are rows
    that no key opens, and `named` the first UNREADABLE_NAMED_MAX of them: the values of their primary keys.
    """

    name: str
    rows: Counter[bytes] = field(default_factory=Counter[bytes])
    resealed: int = 0
    unreadable: int = 0
    named: list[Identity] = field(default_factory=list[Identity])

    def note_unreadable(self, identity: Identity) -> None:
        """Count a row that no key opens."""
        self.unreadable += 1
        if len(self.named) < UNREADABLE_NAMED_MAX:
            self.named.append(identity)


class PostgresSeals:
    """Walks through all that is sealed, over an engine that its owner disposes of."""

    def __init__(self, engine: AsyncEngine, vault: HeadedVault) -> None:
        # Each statement is a transaction of its own: its locks go when it ends.
        self._single: Final = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._vault: Final = vault
        self.headers: Final = tuple(vault.headers)

    async def walk(self, *, reseal: bool, told: Callable[[int], None]) -> Sequence[Sealed]:
        """Look at all that is sealed, seal again what an older key sealed if `reseal`, and return what was found.

        `told` is called with the number of rows that were looked at since. A row that somebody holds or changes at this
        moment is not sealed again; one that is written meanwhile may not be met. Raises Unavailable: what was done
        stays done.
        """
        return [await self._walk(place, reseal=reseal, told=told) for place in PLACES]

    async def _walk(self, place: Place, *, reseal: bool, told: Callable[[int], None]) -> Sealed:
        found = Sealed(name=place.name)
        read = _READ[place.name]
        after: Identity | None = None
        while True:
            rows = await self._read(read, after)
            await self._look(place, rows, found, reseal=reseal)
            told(len(rows))
            if len(rows) < ROWS_MAX:
                return found
            after = _identity(place, rows[-1])

    async def _read(self, read: _Read, after: Identity | None) -> Sequence[Stored]:
        first = self.headers[0]
        given: dict[str, object] = {"header_length": len(first), "seals_now": first}
        statement = read.first
        if after is not None:
            statement = read.following
            given |= {f"after_{number}": value for number, value in enumerate(after)}
        with translated():
            async with self._single.connect() as connection:
                rows: Sequence[RowMapping] = (await connection.execute(statement, given)).mappings().all()
                return rows

    async def _look(self, place: Place, rows: Sequence[Stored], found: Sealed, *, reseal: bool) -> None:
        anew: list[Mapping[str, object]] = []
        for row in rows:
            header: bytes | None = row["header"]
            if header is None:
                continue
            found.rows[header] += 1
            if header not in self.headers:
                found.note_unreadable(_identity(place, row))
            elif reseal and row["older"] is not None:
                again = self._sealed_again(place, row)
                if again is None:
                    found.note_unreadable(_identity(place, row))
                else:
                    anew.append(again)
        if anew:
            found.resealed += await self._write(place, anew)

    def _sealed_again(self, place: Place, row: Stored) -> Mapping[str, object] | None:
        """Return a row's key, what it holds and what it shall hold, or None where no key opens it."""
        context = place.context_of(row)
        try:
            plain = self._vault.open(row["older"], context=context)
        except Unreadable:
            return None
        key = {name: row[name] for name in KEYS[place.table.name]}
        return {**key, "was": row["older"], "anew": self._vault.seal(plain, context=context)}

    async def _write(self, place: Place, anew: Sequence[Mapping[str, object]]) -> int:
        with translated():
            async with self._single.connect() as connection:
                done = await connection.execute(_WRITE[place.name], {ROWS: document(anew)})
                return done.rowcount


def _identity(place: Place, row: Stored) -> Identity:
    return tuple(row[name] for name in KEYS[place.table.name])


# ── statements ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """The statements that read the first rows of a place, and those that follow a key."""

    first: Select[Any]
    following: Select[Any]


def _read(place: Place) -> _Read:
    """Read rows in the order of their keys: how each is sealed, and all of it where the first key did not seal it."""
    keys = list(place.table.primary_key)
    header = func.substr(place.column, 1, bindparam("header_length"))
    older = case((header != bindparam("seals_now", type_=LargeBinary), place.column), else_=null())
    first = select(*keys, header.label("header"), older.label("older")).order_by(*keys).limit(ROWS_MAX)
    after = tuple_(*(bindparam(f"after_{number}", type_=key.type) for number, key in enumerate(keys)))
    return _Read(first=first, following=first.where(tuple_(*keys) > after))


def _write(place: Place) -> Update:
    """Write rows that hold what was read, and that nobody holds; they are found again by the places that are locked."""
    table, names = place.table, KEYS[place.table.name]
    keys = list(table.primary_key)
    ctid: ColumnElement[Any] = literal_column(f"{table.fullname}.ctid")
    read = given_rows(keys, _WAS)
    held = (
        select(ctid)
        .join_from(read, table, and_(matching(table, read, names), place.column == func.decode(read.c.was, "base64")))
        .order_by(*keys)
        .with_for_update(of=table, key_share=True, skip_locked=True)
        .correlate(None)
    )
    rows = given_rows(keys, _ANEW)
    return (
        update(table)
        .where(matching(table, rows, names), ctid == any_(func.array(held.scalar_subquery())))
        .values({place.column: func.decode(rows.c.anew, "base64")})
    )


_READ: Final = {place.name: _read(place) for place in PLACES}
_WRITE: Final = {place.name: _write(place) for place in PLACES}
