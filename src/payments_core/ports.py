"""Everything that the core needs from outside, as Protocols without behaviour.

The store has five faces: `Begin` (units of work, which write), `Views` (snapshots, which list), `Oversight` (what staff
see), `Claims` (workers' leases) and `Books` (which are read from end to end). They may be one object. Errors that a
port raises are in its docstrings; `Unavailable` may come from each store call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeAlias

from payments_core.attempt import Attempt, AttemptState
from payments_core.audit import Action, AuditEntry
from payments_core.books import DeliveryPage, Dossier, GatewayEntry, KeyUse, LogPage
from payments_core.event import Event, EventType
from payments_core.gateway import Capabilities, Outcome, Sighting, Submission
from payments_core.idempotency import Record
from payments_core.ids import (
    ApiKeyId,
    AttemptId,
    DeliveryId,
    EndpointId,
    EventId,
    JobId,
    MerchantId,
    PaymentKeyId,
    RefundId,
    SessionId,
    StaffId,
    StaffSessionId,
    TransactionId,
)
from payments_core.job import Job, JobState
from payments_core.limits import Allowance, Limit
from payments_core.merchant import ApiKey, Merchant, PaymentKey, RefreshToken, Session
from payments_core.overall import EndpointSeen, Found, RecordFilter, RecordSeen
from payments_core.overview import EndpointHealth, Waiting
from payments_core.page import IDS, Position, Slice
from payments_core.refund import Refund
from payments_core.staff_member import StaffMember, StaffSession
from payments_core.totals import DayTotals
from payments_core.transaction import Status, Transaction
from payments_core.webhook import Delivery, DeliveryStatus, Endpoint


class Unique(StrEnum):
    """What a store keeps unique; the `constraint` of a Duplicate."""

    MERCHANT_EMAIL = "merchant_email"
    STAFF_EMAIL = "staff_email"
    TRANSACTION_REFERENCE = "transaction_reference"
    IDEMPOTENCY_KEY = "idempotency_key"
    ID = "id"
    """Any identity, digest or other value made of randomness."""


# ── the unit of work ─────────────────────────────────────────────────────────────────────────────────────────────────


class Merchants(Protocol):
    async def get(self, id: MerchantId, /) -> Merchant:
        """Return the merchant, or raise NotFound."""
        ...

    async def by_email(self, email: str, /) -> Merchant | None:
        """Return the merchant with this e-mail address (lower case), if there is one."""
        ...

    def add(self, merchant: Merchant, /) -> None:
        """Remember a new merchant; the commit raises Duplicate(MERCHANT_EMAIL) where the address is taken."""
        ...

    def save(self, merchant: Merchant, /) -> None:
        """Remember the new state; the commit raises StaleWrite where the version moved."""
        ...


class ApiKeys(Protocol):
    async def get(self, merchant: MerchantId, id: ApiKeyId, /) -> ApiKey:
        """Return the merchant's key, of either mode, or raise NotFound."""
        ...

    async def valid_of(self, merchant: MerchantId, /, *, at: datetime) -> Sequence[ApiKey]:
        """Return the merchant's keys that are neither revoked nor expired, of both modes, the oldest first."""
        ...

    def add(self, key: ApiKey, /) -> None:
        """Remember a new key."""
        ...

    def save(self, key: ApiKey, /) -> None:
        """Remember the new state; the commit raises StaleWrite where the version moved.

        `last_used_at` is not written: `Credentials.touch` does that, which moves no version.
        """
        ...


class PaymentKeys(Protocol):
    async def get(self, merchant: MerchantId, livemode: bool, id: PaymentKeyId, /) -> PaymentKey:
        """Return the merchant's key, or raise NotFound."""
        ...

    async def by_key(self, merchant: MerchantId, livemode: bool, key: str, /) -> PaymentKey | None:
        """Return the merchant's key with this public text, active or not, if there is one."""
        ...

    async def count(self, merchant: MerchantId, livemode: bool, /) -> int:
        """Return how many active keys the merchant has in this mode."""
        ...

    def add(self, key: PaymentKey, /) -> None:
        """Remember a new key."""
        ...

    def save(self, key: PaymentKey, /) -> None:
        """Remember the new state; the commit raises StaleWrite where the version moved."""
        ...


class Sessions(Protocol):
    async def get(self, merchant: MerchantId, id: SessionId, /) -> Session:
        """Return the merchant's session, or raise NotFound."""
        ...

    async def valid_of(self, merchant: MerchantId, /, *, at: datetime) -> Sequence[Session]:
        """Return the merchant's sessions that are neither revoked nor expired, the oldest first."""
        ...

    async def refresh_token(self, digest: str, /) -> RefreshToken | None:
        """Return the refresh token with this digest, spent or not, if there is one."""
        ...

    def add(self, session: Session, /) -> None:
        """Remember a new session."""
        ...

    def save(self, session: Session, /) -> None:
        """Remember the new state; the commit raises StaleWrite where the version moved."""
        ...

    def add_refresh_token(self, token: RefreshToken, /) -> None:
        """Remember a new refresh token."""
        ...

    def save_refresh_token(self, token: RefreshToken, /) -> None:
        """Remember the new state; the commit raises StaleWrite where the version moved: it is spent but once."""
        ...


class Transactions(Protocol):
    async def get(self, merchant: MerchantId, livemode: bool, id: TransactionId, /) -> Transaction:
        """Return the merchant's transaction, or raise NotFound."""
        ...

    def add(self, transaction: Transaction, /) -> None:
        """Remember a new transaction; the commit raises Duplicate(TRANSACTION_REFERENCE) for a taken reference."""
        ...

    def save(self, transaction: Transaction, /) -> None:
        """Remember the new state; the commit raises StaleWrite where the version moved."""
        ...


class Refunds(Protocol):
    async def get(self, merchant: MerchantId, livemode: bool, id: RefundId, /) -> Refund:
        """Return the merchant's refund, or raise NotFound."""
        ...

    async def latest_of(self, merchant: MerchantId, transaction: TransactionId, /, *, limit: int) -> Sequence[Refund]:
        """Return the latest refunds of a transaction, the newest first."""
        ...

    def add(self, refund: Refund, /) -> None:
        """Remember a new refund."""
        ...

    def save(self, refund: Refund, /) -> None:
        """Remember the new state; the commit raises StaleWrite where the version moved."""
        ...


class Attempts(Protocol):
    async def get(self, merchant: MerchantId, id: AttemptId, /) -> Attempt:
        """Return the attempt, or raise NotFound."""
        ...

    async def of(self, merchant: MerchantId, subject: TransactionId | RefundId, /) -> Attempt | None:
        """Return the attempt to charge a transaction or to pay out a refund, if one was prepared."""
        ...

    def add(self, attempt: Attempt, /) -> None:
        """Remember a new attempt; the commit raises Duplicate(ID) where its subject has one already."""
        ...

    def save(self, attempt: Attempt, /) -> None:
        """Remember the new state; the commit raises StaleWrite where the version moved."""
        ...


class Endpoints(Protocol):
    async def get(self, merchant: MerchantId, livemode: bool, id: EndpointId, /) -> Endpoint:
        """Return the merchant's endpoint, or raise NotFound; a removed one is not found."""
        ...

    async def count(self, merchant: MerchantId, livemode: bool, /) -> int:
        """Return how many endpoints the merchant has in this mode; removed ones don't count."""
        ...

    def add(self, endpoint: Endpoint, /) -> None:
        """Remember a new endpoint."""
        ...

    def save(self, endpoint: Endpoint, /) -> None:
        """Remember the new state; the commit raises StaleWrite where the version moved.

        An endpoint that is saved disabled or removed has its pending deliveries canceled by the same commit, after
        that commit's own saves of deliveries.
        """
        ...


class Deliveries(Protocol):
    async def get(self, merchant: MerchantId, endpoint: EndpointId, id: DeliveryId, /) -> Delivery:
        """Return the endpoint's delivery with all its attempts, or raise NotFound."""
        ...

    def save(self, delivery: Delivery, /) -> None:
        """Remember the new state; the commit raises StaleWrite where the version moved (a claim moves it)."""
        ...

    async def replay(
        self, endpoint: Endpoint, /, *, since: datetime, until: datetime, only_failed: bool, at: datetime
    ) -> int:
        """Remember to make deliveries of events from `since` to before `until` due at `at`; return how many there are,
        or, where there are more than REPLAYED_MAX, at least one more than that: nobody need count on.

        `only_failed`: those that are exhausted or canceled. Otherwise each event that the endpoint listens to or that
        is addressed to it (`Event.only`), one that it was never sent included. Pending ones are left as they are and
        not counted.
        """
        ...


class Events(Protocol):
    def add(self, event: Event, /) -> None:
        """Remember an event; the commit gives its position and makes one pending delivery for each endpoint that
        listens to its type in its mode, due at `event.at`; where `event.only` is set, for that endpoint alone if it is
        enabled, whatever types it listens to.

        A delivery's id is `payments_core.ids.delivery_id(event.id, endpoint.id)`.
        """
        ...


class Jobs(Protocol):
    async def get(self, merchant: MerchantId, id: JobId, /) -> Job:
        """Return the merchant's job, or raise NotFound: one that is done is gone."""
        ...

    def add(self, job: Job, /) -> None:
        """Remember a new job."""
        ...

    def expect(self, job: Job, /) -> None:
        """Have the commit raise LeaseLost where a claimed job's `lease_token` moved; nothing of it is written.

        The job is not claimed by anybody else before the commit has ended.
        """
        ...

    def save(self, job: Job, /) -> None:
        """Remember a claimed job's new state; the commit raises LeaseLost where its `lease_token` moved."""
        ...

    def done(self, job: Job, /) -> None:
        """Remember to remove a claimed job; the commit raises LeaseLost where its `lease_token` moved."""
        ...


class IdempotencyRecords(Protocol):
    async def get(self, merchant: MerchantId, livemode: bool, key: str, /, *, at: datetime) -> Record | None:
        """Return what the key did, unless that has expired."""
        ...

    def add(self, record: Record, /) -> None:
        """Remember a record; the commit raises Duplicate(IDEMPOTENCY_KEY) where the key has one that has not expired
        at `record.created_at`; one that has expired is replaced.
        """
        ...


class AuditEntries(Protocol):
    def add(self, entry: AuditEntry, /) -> None:
        """Remember an entry of the audit log: it is written with what it tells of, or not at all.

        The commit raises StaleWrite where its merchant was never stored. One that is no merchant's moves no revision.
        """
        ...


class StaffMembers(Protocol):
    async def get(self, id: StaffId, /) -> StaffMember:
        """Return the member, disabled or not, or raise NotFound."""
        ...

    async def by_email(self, email: str, /) -> StaffMember | None:
        """Return the member with this e-mail address (lower case), disabled or not, if there is one."""
        ...

    def add(self, member: StaffMember, /) -> None:
        """Remember a new member; the commit raises Duplicate(STAFF_EMAIL) where the address is taken by another."""
        ...

    def save(self, member: StaffMember, /) -> None:
        """Remember the new state; the commit raises StaleWrite where the version moved."""
        ...


class StaffSessions(Protocol):
    async def get(self, id: StaffSessionId, /) -> StaffSession:
        """Return the session, valid or not, or raise NotFound."""
        ...

    async def valid_of(self, member: StaffId, /, *, at: datetime) -> Sequence[StaffSession]:
        """Return the member's sessions that are neither revoked nor expired, the oldest first."""
        ...

    def add(self, session: StaffSession, /) -> None:
        """Remember a new session."""
        ...

    def save(self, session: StaffSession, /) -> None:
        """Remember the new state; the commit raises StaleWrite where the version moved."""
        ...


Versioned: TypeAlias = Merchant | ApiKey | PaymentKey | Session | Transaction | Refund | Endpoint


class UnitOfWork(Protocol):
    """Reads by identity, and writes that are remembered and applied together when the block ends.

    A read is a statement of its own that sees what is committed and this unit's own writes. An exception in the block
    discards the writes. The commit applies all of them or, raising StaleWrite, Duplicate or LeaseLost, none; it moves
    the revision of each merchant that it touches and gives the events their positions in that order. Objects that
    were saved are stored with the version after the one they carry; `version` 0 is one that was never stored.
    """

    @property
    def merchants(self) -> Merchants: ...
    @property
    def api_keys(self) -> ApiKeys: ...
    @property
    def payment_keys(self) -> PaymentKeys: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def transactions(self) -> Transactions: ...
    @property
    def refunds(self) -> Refunds: ...
    @property
    def attempts(self) -> Attempts: ...
    @property
    def endpoints(self) -> Endpoints: ...
    @property
    def deliveries(self) -> Deliveries: ...
    @property
    def events(self) -> Events: ...
    @property
    def jobs(self) -> Jobs: ...
    @property
    def idempotency(self) -> IdempotencyRecords: ...
    @property
    def audit(self) -> AuditEntries: ...
    @property
    def staff_members(self) -> StaffMembers: ...
    @property
    def staff_sessions(self) -> StaffSessions: ...

    def expect(self, aggregate: Versioned, /) -> None:
        """Have the commit raise StaleWrite where this aggregate's version moved; nothing of it is written.

        What the unit itself adds has not moved; what nobody has stored has.
        """
        ...


Begin: TypeAlias = Callable[[], AbstractAsyncContextManager[UnitOfWork]]
"""Begin a unit of work; the commit happens where the block ends without an exception.

Leaving the block may also raise Unavailable (nothing was done) or OutcomeUnknown.
"""


# ── views ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionFilter:
    """None means: any. Amounts are minor units and come with a currency; both ends of a time are exclusive.

    `text` (1 to TEXT_LENGTH_MAX characters) is an id of a transaction, or of a refund, which is its transaction's, or
    what `payments_core.search.holds` looks for. `metadata` is an entry, key and value, letter by letter.
    """

    status: Status | None = None
    currency: str | None = None
    payment_key: PaymentKeyId | None = None
    reference: str | None = None
    customer_reference: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    min_amount_minor: int | None = None
    max_amount_minor: int | None = None
    text: str | None = None
    metadata: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """None means: any."""

    type: EventType | None = None
    transaction: TransactionId | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """None means: any."""

    status: DeliveryStatus | None = None
    event_type: EventType | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """None means: any. Both ends of a time are exclusive."""

    action: Action | None = None
    subject: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which part of a list: at most `limit` items behind (or before) a position; from its start without one."""

    limit: int
    position: Position | None = None


class View(Protocol):
    """One merchant in one mode as of one moment: no method names a merchant, so that none can name another's.

    Lists are newest first (events: in the order of their position) and give a Slice whose keys are ids, for events
    the position in decimal. A filter that matches rarely may give a short slice with a key to read on from.
    """

    @property
    def revision(self) -> int:
        """The merchant's revision at this moment."""
        ...

    async def merchant(self) -> Merchant: ...
    async def transaction(self, id: TransactionId, /) -> Transaction:
        """Return the transaction, or raise NotFound."""
        ...

    async def refunds_of(
        self, transactions: Sequence[TransactionId], /, *, limit_each: int
    ) -> Mapping[TransactionId, Sequence[Refund]]:
        """Return the latest refunds of each, the newest first; one without refunds has an empty entry or none."""
        ...

    async def transactions(self, window: Window, filter: TransactionFilter, /) -> Slice[Transaction]: ...
    async def refund(self, id: RefundId, /) -> Refund:
        """Return the refund, or raise NotFound."""
        ...

    async def refunds(self, window: Window, transaction: TransactionId | None, /) -> Slice[Refund]: ...
    async def payment_key(self, id: PaymentKeyId, /) -> PaymentKey:
        """Return the payment key, active or not, or raise NotFound."""
        ...

    async def payment_keys(self, window: Window, /) -> Slice[PaymentKey]: ...
    async def api_key(self, id: ApiKeyId, /) -> ApiKey:
        """Return the key of this mode, or raise NotFound; a revoked one is not found."""
        ...

    async def api_keys(self, window: Window, /) -> Slice[ApiKey]:
        """The keys of this mode that are not revoked, expired ones and those of sessions included."""
        ...

    async def endpoint(self, id: EndpointId, /) -> Endpoint:
        """Return the endpoint, or raise NotFound; a removed one is not found."""
        ...

    async def endpoints(self, window: Window, /) -> Slice[Endpoint]: ...
    async def deliveries(self, endpoint: EndpointId, window: Window, filter: DeliveryFilter, /) -> Slice[Delivery]: ...
    async def delivery(self, endpoint: EndpointId, id: DeliveryId, /) -> Delivery:
        """Return the endpoint's delivery, or raise NotFound; a removed endpoint's is found."""
        ...

    async def attempts_of(self, transaction: TransactionId, /) -> Sequence[Attempt]:
        """Return the attempts to charge a transaction and to pay out its refunds, the oldest first."""
        ...

    async def deliveries_of(self, transaction: TransactionId, /) -> Sequence[Delivery]:
        """Return the deliveries of a transaction's events, over all endpoints, the oldest event first.

        Of many, the latest DELIVERIES_SHOWN_MAX, of its latest STORY_EVENTS_MAX events; of endpoints that are removed,
        at least those of the REMOVED_SHOWN_MAX that were made last.
        """
        ...

    async def event(self, id: EventId, /) -> Event:
        """Return the event, or raise NotFound."""
        ...

    async def events(self, window: Window, filter: EventFilter, /) -> Slice[Event]: ...
    async def record(self, key: str, /, *, at: datetime) -> Record:
        """Return what an idempotency key did, or raise NotFound."""
        ...

    async def audit(self, window: Window, filter: AuditFilter, /) -> Slice[AuditEntry]:
        """The entries of this mode and those that concern both."""
        ...

    async def totals(self, first: date, last: date, /) -> Sequence[DayTotals]:
        """Return the totals of these days, both included, by day and currency; see `payments_core.totals`."""
        ...

    async def waiting(self, *, at: datetime) -> Waiting:
        """Count what waits at that time."""
        ...

    async def endpoints_health(self, *, at: datetime) -> Sequence[EndpointHealth]:
        """Return how each endpoint is that was not removed, the newest first."""
        ...


class Views(Protocol):
    def view(self, merchant: MerchantId, livemode: bool, /) -> AbstractAsyncContextManager[View]:
        """Open a snapshot: all reads in the block see one moment, the revision's. Raises NotFound for nobody."""
        ...

    async def revision(self, merchant: MerchantId, /) -> int:
        """Return the merchant's revision, never older than what was committed before the call. Raises NotFound."""
        ...


# ── staff ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """None means: any."""

    state: JobState | None = None
    merchant: MerchantId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFilter:
    """None means: any."""

    state: AttemptState | None = None
    merchant: MerchantId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantFilter:
    """None means: any. `text` is a whole id, or a part of an e-mail address or name (A to Z in either case)."""

    text: str | None = None
    suspended: bool | None = None

    @property
    def id(self) -> MerchantId | None:
        """The id that the text is, if it is one."""
        is_id = self.text is not None and self.text.startswith("mer_") and IDS.fullmatch(self.text) is not None
        return MerchantId(self.text) if self.text is not None and is_id else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffSessionHolder:
    """A session of one of the staff, and whose it is."""

    session: StaffSession
    member: StaffMember


class Oversight(Protocol):
    """What staff see, over all merchants and both modes: a port of its own, so that a merchant's code path has none.

    Lists go by merchant, in the order of their ids, and of each merchant the oldest first; the keys of their slices
    are the merchant's id, `/` and the thing's. A filter that matches rarely may give a short slice with a key to read
    on from; dead jobs, and attempts that need review, are found at once however many others there are. Merchants, and
    the audit log, whoever it concerns, are newest first, and their keys are ids.
    Lists of jobs and attempts go by merchant, in the order of their ids, and of each merchant the oldest first; the
    keys of their slices are the merchant's id, `/` and the thing's. Dead jobs, and attempts that need review, are found
    at once however many others there are. The other lists are newest first, of a merchant or of everybody, and their
    keys are ids; those of idempotency records are like `payments_core.page.RECORDS`. A filter that matches rarely may
    give a short slice with a key to read on from. Nobody's merchant has nothing, which is no error.
    """

    async def merchants(self, window: Window, filter: MerchantFilter, /) -> Slice[Merchant]:
        """List merchants; one whose id is asked for is found at once."""
        ...

    async def merchant(self, id: MerchantId, /) -> Merchant:
        """Return the merchant, or raise NotFound."""
        ...

    async def staff_members(self, *, limit: int) -> Sequence[StaffMember]:
        """Return up to `limit` of the staff, disabled ones included, the oldest first."""
        ...

    async def staff_session(self, id: StaffSessionId, /) -> StaffSessionHolder | None:
        """Return the session, valid or not, with its member, disabled or not, if there is one: by a single read."""
        ...

    async def jobs(self, window: Window, filter: JobFilter, /, *, at: datetime) -> Slice[Job]:
        """List jobs by what they wait for at that time."""
        ...

    async def job(self, id: JobId, /) -> Job:
        """Return the job, or raise NotFound: one that is done is gone."""
        ...

    async def attempts(self, window: Window, filter: AttemptFilter, /) -> Slice[Attempt]: ...

    async def attempt(self, id: AttemptId, /) -> Attempt:
        """Return the attempt, or raise NotFound."""
        ...

    async def audit(self, window: Window, filter: AuditFilter, merchant: MerchantId | None, /) -> Slice[AuditEntry]:
        """List the entries of a merchant, or of everybody and nobody."""
        ...

    # what merchants have, of all of them and of both modes

    async def transactions(
        self, window: Window, filter: TransactionFilter, merchant: MerchantId | None, /
    ) -> Slice[Transaction]: ...
    async def refunds(self, window: Window, merchant: MerchantId | None, /) -> Slice[Refund]: ...
    async def payment_keys(self, window: Window, merchant: MerchantId | None, /) -> Slice[PaymentKey]: ...
    async def endpoints(self, window: Window, merchant: MerchantId | None, /) -> Slice[EndpointSeen]:
        """List endpoints, removed ones included."""
        ...

    async def idempotency_records(self, window: Window, filter: RecordFilter, /) -> Slice[RecordSeen]:
        """List records, those that have expired and are still there included."""
        ...

    async def find(self, id: str, /) -> Found:
        """Say whose an id is, of the kinds in `payments_core.overall.KINDS_OF_IDS`, or raise NotFound."""
        ...


class AuditLog(Protocol):
    async def append(self, entry: AuditEntry, /) -> None:
        """Write an entry at once: of what changes nothing else, such as a refusal, or of what concerns no merchant.

        Moves no revision, and waits for nobody who holds one. Raises Duplicate where its id is taken.
        """
        ...


# ── verification ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Books(Protocol):
    """The whole store, for whoever verifies it while others work on it.

    Each call is one short snapshot that only reads: it locks nothing, and nothing is held between two calls. A page has
    up to `limit` items in the order of their ids, from behind `after` on ("" is the start); one with fewer is the last.
    """

    async def merchants(self, *, after: str, limit: int) -> Sequence[MerchantId]:
        """Return ids of merchants."""
        ...

    async def dossiers(self, merchant: MerchantId, livemode: bool, /, *, after: str, limit: int) -> Sequence[Dossier]:
        """Return transactions of a mode, each with what belongs to it, all as of one moment."""
        ...

    async def log(self, merchant: MerchantId, /, *, after: int, limit: int) -> LogPage:
        """Return events of both modes with positions above `after`, and which of their deliveries there are.

        Raises NotFound for nobody.
        """
        ...

    async def endpoints(
        self, merchant: MerchantId, livemode: bool, /, *, after: str, limit: int
    ) -> Sequence[EndpointId]:
        """Return ids of a mode's endpoints, removed ones included."""
        ...

    async def deliveries(
        self, merchant: MerchantId, livemode: bool, endpoint: EndpointId, /, *, after: str, limit: int
    ) -> DeliveryPage:
        """Return deliveries of an endpoint, or raise NotFound where the endpoint isn't there."""
        ...

    async def key_uses(self, merchant: MerchantId, livemode: bool, /, *, after: str, limit: int) -> Sequence[KeyUse]:
        """Return what idempotency keys of a mode did, in the order of the keys, expired ones included."""
        ...

    async def known_attempts(self, ids: Sequence[AttemptId], /) -> Set[AttemptId]:
        """Return those of these ids that are attempts of any merchant."""
        ...


class GatewayLedger(Protocol):
    """The books of a gateway that lets us read them. Every call may raise Unavailable."""

    @property
    def gateway(self) -> str:
        """The name of the gateway (`Capabilities.name`), which its attempts carry."""
        ...

    async def entries_of(self, attempts: Sequence[AttemptId], /) -> Mapping[AttemptId, GatewayEntry]:
        """Return the entries of these attempts; one that the gateway never heard of has none."""
        ...

    async def entries(self, *, after: str, limit: int) -> Sequence[GatewayEntry]:
        """Return up to `limit` entries in the order of their attempts' ids, from behind the id `after` on."""
        ...


# ── credentials ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHolder:
    """An API key and whether its merchant is suspended."""

    key: ApiKey
    suspended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHolder:
    """A session and whether its merchant is suspended."""

    session: Session
    suspended: bool


class Credentials(Protocol):
    """What authentication looks up. A cache may decorate it: up to a second old, never older."""

    async def api_key(self, digest: str, /) -> KeyHolder | None:
        """Return the API key with this digest, valid or not, if there is one."""
        ...

    async def session(self, merchant: MerchantId, id: SessionId, /) -> SessionHolder | None:
        """Return the merchant's session, valid or not, if there is one."""
        ...

    async def touch(self, merchant: MerchantId, id: ApiKeyId, /, *, at: datetime) -> None:
        """Note the key's last use, unless a later one is noted, or one less than USES_NOTED_EVERY before it.

        A key that is not there is passed over. Moves no version and no revision.
        """
        ...

    def forget(self, merchant: MerchantId, /) -> None:
        """Drop whatever is remembered of this merchant's credentials: some were revoked just now."""
        ...


class Passwords(Protocol):
    async def hash(self, password: str, /) -> str:
        """Return the hash to keep. Raises Unavailable where too many wait."""
        ...

    async def verify(self, password_hash: str | None, password: str, /) -> bool:
        """Say whether the password is right. None is an unknown account: False, after the same time."""
        ...

    def is_stale(self, password_hash: str, /) -> bool:
        """Say whether the hash was made with other parameters than today's."""
        ...

    def is_common(self, password: str, /) -> bool:
        """Say whether it is among the passwords that attackers try first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessClaims:
    """What an access token says."""

    merchant: MerchantId
    session: SessionId
    livemode: bool
    token_id: str
    issued_at: datetime
    expires_at: datetime


class AccessTokens(Protocol):
    def issue(self, claims: AccessClaims, /) -> str:
        """Return the signed token (RFC 9068)."""
        ...

    def read(self, token: str, /, *, at: datetime) -> AccessClaims:
        """Return what the token says, or raise InvalidCredentials: malformed, forged, expired, of another kind."""
        ...


class Vault(Protocol):
    def seal(self, plain: bytes, /, *, context: str) -> bytes:
        """Encrypt and authenticate; it opens in the same context only."""
        ...

    def open(self, sealed: bytes, /, *, context: str) -> bytes:
        """Return what was sealed, or raise Unreadable."""
        ...


class RateLimits(Protocol):
    async def hit(self, limit: Limit, key: str, /) -> Allowance:
        """Count one, over all processes. Never raises because the counter is away, and never says "no limit" then."""
        ...

    async def give_back(self, limit: Limit, key: str, /) -> None:
        """Count one less: the latest that was allowed, where one is still counted. Never raises either."""
        ...


class Cache(Protocol):
    """Bytes under a key. It may forget at any time; it never gives what was not put."""

    async def get(self, key: str, /) -> bytes | None:
        """Return the bytes, or None: never put, forgotten, or the cache is away."""
        ...

    async def put(self, key: str, value: bytes, /, *, ttl_seconds: int) -> None:
        """Remember the bytes for a while. Never raises because the cache is away."""
        ...


# ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedDelivery:
    """A delivery with all that it takes to make it."""

    delivery: Delivery
    endpoint: Endpoint
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many deliveries a worker has room for: `limit` more, and so many under way at once for each endpoint, for
    each endpoint that only fails now (`Endpoint.failing_since`), and for each merchant.

    `limit_failing` is how many more it takes of all endpoints that only fail. `under_way` counts what it has already.
    """

    limit: int
    limit_failing: int
    limit_each: int
    limit_each_failing: int
    limit_each_merchant: int
    under_way: Mapping[tuple[MerchantId, EndpointId], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits: counts, and how long the oldest due job has been due, in seconds."""

    jobs_due: int
    jobs_dead: int
    deliveries_due: int
    oldest_due_seconds: float


class Claims(Protocol):
    """Leases on due work. A claim raises the fencing token and ends what an expired lease held."""

    async def claim_jobs(self, *, at: datetime, limit: int, lease: timedelta) -> Sequence[Job]:
        """Lease up to `limit` due jobs that nobody holds, the longest due first; dead ones are passed over.

        Whose lease ran out counts as due from then on: what ends its worker each time keeps nobody else from a turn.
        """
        ...

    async def claim_deliveries(self, *, at: datetime, room: Room, lease: timedelta) -> Sequence[ClaimedDelivery]:
        """Lease due deliveries that nobody holds, as many as there is room for.

        Merchants take turns, and so do the endpoints of one merchant: whoever has less under way comes first, and of
        those who have as much the longest due. Of one endpoint the longest due come first.
        """
        ...

    async def extend(self, jobs: Sequence[Job], deliveries: Sequence[Delivery], /, *, until: datetime) -> None:
        """Extend leases that are still held; others are left alone."""
        ...

    async def release(self, jobs: Sequence[Job], deliveries: Sequence[Delivery], /) -> None:
        """Hand back what is still held, due as before."""
        ...

    async def backlog(self, *, at: datetime) -> Backlog:
        """Count what waits."""
        ...


class Leftovers(Protocol):
    """What has expired, and is kept for nobody."""

    async def remove(self, *, expired_before: datetime, limit: int) -> int:
        """Remove idempotency records, sessions with their refresh tokens, and those of staff, that expired before then.

        Return how many rows went, of each kind at most `limit`: as many of one kind may mean that there are more. A
        record that is being replaced is left alone, and so is what others hold. Nobody waits longer for it than for a
        short commit, and no revision moves.
        """
        ...


class Gateway(Protocol):
    """Another company's system that moves money. Never raises for what it or the network does: that is `Unknown`."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def submit(self, submission: Submission, /) -> Outcome:
        """Ask for the money to move, with the submission's id as the gateway's idempotency key."""
        ...

    async def lookup(self, submission: Submission, /) -> Sighting:
        """Ask what became of a submission."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One post to an endpoint."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The receiver answered; `excerpt` is what `payments_core.webhook.excerpt_of` keeps of its answer."""

    status_code: int
    milliseconds: int
    excerpt: str
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreached:
    """Nothing came back. Codes: blocked_address, invalid_url, dns, connect, tls, timeout, protocol,
    too_large, internal.
    """

    code: str
    message: str
    milliseconds: int


class Notifier(Protocol):
    def refuses(self, url: str, /) -> str | None:
        """Return why an endpoint cannot have this URL, as far as the URL alone tells; None where it can."""
        ...

    async def send(self, notification: Notification, /) -> Answered | Unreached:
        """Post it. Never raises for what the receiver or the network does, and takes a bounded time.

        Any status is Answered, redirects among them: they are not followed. Nothing goes to a URL that `refuses`
        refuses.
        """
        ...


class Doorbell(Protocol):
    def ring(self, /) -> None:
        """Say that there is work. Never waits, never raises; a ring may be lost, doubled or late."""
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        ...

    async def wait(self, seconds: float, /) -> None:
        """Return when so much time has passed; others go on meanwhile."""
        ...


Entropy: TypeAlias = Callable[[int], bytes]
"""Return that many unpredictable bytes (`os.urandom`, or a seeded source in a simulation)."""
