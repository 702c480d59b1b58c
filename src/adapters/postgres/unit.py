"""The unit of work: what it reads, each in a statement of its own, and its own writes before what is stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final, Generic, TypeAlias, TypeVar

from sqlalchemy import ColumnElement, Select, select

from adapters.postgres.changes import Changes, Replay
from adapters.postgres.deliver import count_to_replay
from adapters.postgres.errors import NOTHING
from adapters.postgres.lookups import By, Key
from adapters.postgres.mapping import Kind, Kinds
from adapters.postgres.running import Row
from adapters.postgres.statements import KEYS
from payments_core.attempt import Attempt
from payments_core.audit import AuditEntry
from payments_core.errors import NotFound
from payments_core.event import Event
from payments_core.idempotency import Record
from payments_core.ids import (
    ApiKeyId,
    AttemptId,
    DeliveryId,
    EndpointId,
    JobId,
    MerchantId,
    PaymentKeyId,
    RefundId,
    SessionId,
    StaffId,
    StaffSessionId,
    TransactionId,
)
from payments_core.job import Job
from payments_core.merchant import ApiKey, Merchant, PaymentKey, RefreshToken, Session
from payments_core.ports import Versioned
from payments_core.refund import Refund
from payments_core.staff_member import StaffMember, StaffSession
from payments_core.transaction import Transaction
from payments_core.webhook import Delivery, Endpoint

T = TypeVar("T")
P = TypeVar("P", bound="Part[Any]")

Find: TypeAlias = Callable[[By, Key], Awaitable[Sequence[Row]]]
"""Return the rows of a table under a key, each with all its columns."""
Read: TypeAlias = Callable[[Select[Any]], Awaitable[Sequence[Row]]]
"""Run one statement and return its rows."""


class Part(Generic[T]):
    """What a unit does with things of one kind."""

    def __init__(self, changes: Changes, kind: Kind[T], find: Find, read: Read) -> None:
        self._changes: Final = changes
        self._writes: Final = changes.of(kind)
        self._find: Final = find
        self._read: Final = read
        self._columns: Final = kind.table.c

    def add(self, thing: T, /) -> None:
        self._writes.add(thing)

    def save(self, thing: T, /) -> None:
        self._writes.save(thing)

    async def _get(self, *identity: object) -> T:
        own = self._writes.own(*identity)
        if own is not None:
            return own
        kind = self._writes.kind
        rows = await self._find((kind.table, KEYS[kind.table.name]), identity)
        if not rows:
            raise NotFound(NOTHING)
        return kind.of_row(rows[0])

    async def _by(self, columns: tuple[str, ...], key: Key, *, keep: Callable[[T], bool]) -> T | None:
        """Return the one thing under a unique key that is not the primary one; `keep` says which of its own it is."""
        kind, own = self._writes.kind, self._writes.all
        for thing in own.values():
            if keep(thing):
                return thing
        stored = map(kind.of_row, await self._find((kind.table, columns), key))
        return next((thing for thing in stored if kind.identity_of(thing) not in own), None)

    async def _where(
        self, *conditions: ColumnElement[bool], keep: Callable[[T], bool], newest: int | None = None
    ) -> list[T]:
        """Return what is stored under the conditions and not written by this unit, and what it wrote and `keep` takes.

        In the order of the primary key; with `newest` only so many, backwards.
        """
        kind, own = self._writes.kind, self._writes.all
        statement = select(kind.table).where(*conditions)
        if newest is not None:
            statement = statement.order_by(*(column.desc() for column in kind.table.primary_key)).limit(newest)
        stored = {kind.identity_of(thing): thing for thing in map(kind.of_row, await self._read(statement))}
        merged = {
            identity: thing for identity, thing in {**stored, **own}.items() if identity not in own or keep(thing)
        }
        ordered = [thing for _, thing in sorted(merged.items(), reverse=newest is not None)]
        return ordered[:newest]


class PostgresMerchants(Part[Merchant]):
    """Merchants of a unit."""

    async def get(self, id: MerchantId, /) -> Merchant:
        return await self._get(id)

    async def by_email(self, email: str, /) -> Merchant | None:
        return await self._by(("email",), (email,), keep=lambda merchant: merchant.email == email)


class PostgresApiKeys(Part[ApiKey]):
    """API keys of a unit."""

    async def get(self, merchant: MerchantId, id: ApiKeyId, /) -> ApiKey:
        return await self._get(merchant, id)

    async def valid_of(self, merchant: MerchantId, /, *, at: datetime) -> Sequence[ApiKey]:
        columns = self._columns
        return await self._where(
            columns.merchant_id == merchant,
            columns.revoked_at.is_(None),
            columns.expires_at.is_(None) | (columns.expires_at > at),
            keep=lambda key: key.merchant == merchant and key.is_valid(at),
        )


class PostgresPaymentKeys(Part[PaymentKey]):
    """Payment keys of a unit."""

    async def get(self, merchant: MerchantId, livemode: bool, id: PaymentKeyId, /) -> PaymentKey:
        return await self._get(merchant, livemode, id)

    async def by_key(self, merchant: MerchantId, livemode: bool, key: str, /) -> PaymentKey | None:
        return await self._by(
            ("merchant_id", "livemode", "key"),
            (merchant, livemode, key),
            keep=lambda own: (own.merchant, own.livemode, own.key) == (merchant, livemode, key),
        )

    async def count(self, merchant: MerchantId, livemode: bool, /) -> int:
        found = await self._where(
            self._columns.merchant_id == merchant,
            self._columns.livemode == livemode,
            self._columns.is_active,
            keep=lambda own: (own.merchant, own.livemode) == (merchant, livemode) and own.is_active,
        )
        return len(found)


class PostgresSessions(Part[Session]):
    """Sessions of a unit, and their refresh tokens."""

    async def get(self, merchant: MerchantId, id: SessionId, /) -> Session:
        return await self._get(merchant, id)

    async def valid_of(self, merchant: MerchantId, /, *, at: datetime) -> Sequence[Session]:
        columns = self._columns
        return await self._where(
            columns.merchant_id == merchant,
            columns.revoked_at.is_(None),
            columns.expires_at > at,
            keep=lambda session: session.merchant == merchant and session.is_valid(at),
        )

    @property
    def _tokens(self) -> RefreshTokens:
        return RefreshTokens(self._changes, self._changes.kinds.refresh_tokens, self._find, self._read)

    async def refresh_token(self, digest: str, /) -> RefreshToken | None:
        return await self._tokens.by_digest(digest)

    def add_refresh_token(self, token: RefreshToken, /) -> None:
        self._tokens.add(token)

    def save_refresh_token(self, token: RefreshToken, /) -> None:
        self._tokens.save(token)


class RefreshTokens(Part[RefreshToken]):
    """Refresh tokens of a unit, which come with a digest and no merchant."""

    async def by_digest(self, digest: str) -> RefreshToken | None:
        return await self._by(("digest",), (digest,), keep=lambda token: token.digest == digest)


class PostgresTransactions(Part[Transaction]):
    """Transactions of a unit."""

    async def get(self, merchant: MerchantId, livemode: bool, id: TransactionId, /) -> Transaction:
        return await self._get(merchant, livemode, id)


class PostgresRefunds(Part[Refund]):
    """Refunds of a unit."""

    async def get(self, merchant: MerchantId, livemode: bool, id: RefundId, /) -> Refund:
        return await self._get(merchant, livemode, id)

    async def latest_of(self, merchant: MerchantId, transaction: TransactionId, /, *, limit: int) -> Sequence[Refund]:
        return await self._where(
            self._columns.merchant_id == merchant,
            self._columns.transaction_id == transaction,
            keep=lambda refund: (refund.merchant, refund.transaction) == (merchant, transaction),
            newest=limit,
        )


class PostgresAttempts(Part[Attempt]):
    """Attempts of a unit."""

    async def get(self, merchant: MerchantId, id: AttemptId, /) -> Attempt:
        return await self._get(merchant, id)

    async def of(self, merchant: MerchantId, subject: TransactionId | RefundId, /) -> Attempt | None:
        return await self._by(
            ("merchant_id", "subject_id"),
            (merchant, subject),
            keep=lambda own: (own.merchant, own.refund or own.transaction) == (merchant, subject),
        )


class PostgresEndpoints(Part[Endpoint]):
    """Endpoints of a unit."""

    async def get(self, merchant: MerchantId, livemode: bool, id: EndpointId, /) -> Endpoint:
        endpoint = await self._get(merchant, livemode, id)
        if endpoint.removed_at is not None:
            raise NotFound(NOTHING)
        return endpoint

    async def count(self, merchant: MerchantId, livemode: bool, /) -> int:
        found = await self._where(
            self._columns.merchant_id == merchant,
            self._columns.livemode == livemode,
            self._columns.removed_at.is_(None),
            keep=lambda own: (own.merchant, own.livemode) == (merchant, livemode) and own.removed_at is None,
        )
        return len(found)


class PostgresDeliveries(Part[Delivery]):
    """Deliveries of a unit."""

    async def get(self, merchant: MerchantId, endpoint: EndpointId, id: DeliveryId, /) -> Delivery:
        return await self._get(merchant, endpoint, id)

    async def replay(
        self, endpoint: Endpoint, /, *, since: datetime, until: datetime, only_failed: bool, at: datetime
    ) -> int:
        replay = Replay(endpoint=endpoint, since=since, until=until, only_failed=only_failed, at=at)
        self._changes.replay(replay)
        (row,) = await self._read(count_to_replay(replay))
        return int(row["number"])


class PostgresEvents(Part[Event]):
    """Events of a unit."""


class PostgresJobs(Part[Job]):
    """Jobs of a unit."""

    async def get(self, merchant: MerchantId, id: JobId, /) -> Job:
        if self._changes.jobs_done.own(merchant, id) is not None:
            raise NotFound(NOTHING)
        return await self._get(merchant, id)

    def expect(self, job: Job, /) -> None:
        self._changes.jobs_expected.append(job)

    def done(self, job: Job, /) -> None:
        self._changes.jobs_done.save(job)


class PostgresIdempotencyRecords(Part[Record]):
    """Idempotency records of a unit."""

    async def get(self, merchant: MerchantId, livemode: bool, key: str, /, *, at: datetime) -> Record | None:
        try:
            record = await self._get(merchant, livemode, key)
        except NotFound:
            return None
        return record if at < record.expires_at else None


class PostgresAuditEntries(Part[AuditEntry]):
    """Entries of the audit log of a unit."""


class PostgresStaffMembers(Part[StaffMember]):
    """Staff of a unit."""

    async def get(self, id: StaffId, /) -> StaffMember:
        return await self._get(id)

    async def by_email(self, email: str, /) -> StaffMember | None:
        return await self._by(("email",), (email,), keep=lambda member: member.email == email)


class PostgresStaffSessions(Part[StaffSession]):
    """Sessions of staff of a unit."""

    async def get(self, id: StaffSessionId, /) -> StaffSession:
        return await self._get(id)

    async def valid_of(self, member: StaffId, /, *, at: datetime) -> Sequence[StaffSession]:
        columns = self._columns
        return await self._where(
            columns.member_id == member,
            columns.revoked_at.is_(None),
            columns.expires_at > at,
            keep=lambda session: session.member == member and session.is_valid(at),
        )


class PostgresUnit:
    """A unit of work; its store commits `changes` when the block ends. Each part is made when it is first used."""

    def __init__(self, kinds: Kinds, find: Find, read: Read) -> None:
        self.changes: Final = Changes(kinds)
        self._kinds: Final = kinds
        self._find: Final = find
        self._read: Final = read
        self._parts: Final[dict[type[Any], Any]] = {}

    def expect(self, aggregate: Versioned, /) -> None:
        self.changes.expect(aggregate)

    @property
    def merchants(self) -> PostgresMerchants:
        return self._part(PostgresMerchants, self._kinds.merchants)

    @property
    def api_keys(self) -> PostgresApiKeys:
        return self._part(PostgresApiKeys, self._kinds.api_keys)

    @property
    def payment_keys(self) -> PostgresPaymentKeys:
        return self._part(PostgresPaymentKeys, self._kinds.payment_keys)

    @property
    def sessions(self) -> PostgresSessions:
        return self._part(PostgresSessions, self._kinds.sessions)

    @property
    def transactions(self) -> PostgresTransactions:
        return self._part(PostgresTransactions, self._kinds.transactions)

    @property
    def refunds(self) -> PostgresRefunds:
        return self._part(PostgresRefunds, self._kinds.refunds)

    @property
    def attempts(self) -> PostgresAttempts:
        return self._part(PostgresAttempts, self._kinds.attempts)

    @property
    def endpoints(self) -> PostgresEndpoints:
        return self._part(PostgresEndpoints, self._kinds.endpoints)

    @property
    def deliveries(self) -> PostgresDeliveries:
        return self._part(PostgresDeliveries, self._kinds.deliveries)

    @property
    def events(self) -> PostgresEvents:
        return self._part(PostgresEvents, self._kinds.events)

    @property
    def jobs(self) -> PostgresJobs:
        return self._part(PostgresJobs, self._kinds.jobs)

    @property
    def idempotency(self) -> PostgresIdempotencyRecords:
        return self._part(PostgresIdempotencyRecords, self._kinds.records)

    @property
    def audit(self) -> PostgresAuditEntries:
        return self._part(PostgresAuditEntries, self._kinds.audit_entries)

    @property
    def staff_members(self) -> PostgresStaffMembers:
        return self._part(PostgresStaffMembers, self._kinds.staff_members)

    @property
    def staff_sessions(self) -> PostgresStaffSessions:
        return self._part(PostgresStaffSessions, self._kinds.staff_sessions)

    def _part(self, part: type[P], kind: Kind[Any]) -> P:
        made = self._parts.get(part)
        if made is None:
            made = self._parts[part] = part(self.changes, kind, self._find, self._read)
        found: P = made
        return found
