"""Domain objects for tests: coherent, each another, made by a clock that only these builders move.

Each object is a millisecond younger than the one built before, so that ids sort in the order of building. An object
names only what it was built from (a transaction its payment key, a refund its transaction): a store that checks
references is content where those were stored before, or in the same unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

from payments_core import keys
from payments_core.attempt import Attempt, AttemptKind
from payments_core.audit import Action, Actor, ActorKind, AuditEntry
from payments_core.event import ALL_EVENTS, Event, EventType
from payments_core.idempotency import KEPT, Fingerprint, Record
from payments_core.ids import (
    ApiKeyId,
    AttemptId,
    AuditEntryId,
    EndpointId,
    EventId,
    JobId,
    MerchantId,
    Moment,
    PaymentKeyId,
    RefundId,
    SessionId,
    StaffId,
    StaffSessionId,
    TransactionId,
)
from payments_core.job import Job, JobKind
from payments_core.merchant import ALL_SCOPES, ApiKey, ApiKeyKind, Merchant, PaymentKey, RefreshToken, Session
from payments_core.money import Money, currency
from payments_core.ports import Room
from payments_core.refund import Refund, RefundStatus
from payments_core.staff_member import STAFF_SESSION_LIFETIME, StaffMember, StaffSession
from payments_core.transaction import Status, Transaction
from payments_core.webhook import Endpoint, make_secret

START: Final = datetime(2026, 3, 1, 9, 30, 15, 123_457, tzinfo=UTC)
NOW: Final = START + timedelta(days=1)
"""Later than anything that the builders make by themselves."""
SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)
NEVER_STORED: Final = ("\0", "txn_1\0", "\ud800")
"""Texts that the core lets nobody write: a store may be unable to hold them, and is asked for them all the same."""

_built = count(1)


def a_moment(at: datetime | None = None) -> Moment:
    """Return a moment of its own: at `at`, or a millisecond after the one before."""
    number = next(_built)
    return Moment(at or START + number * timedelta(milliseconds=1), number.to_bytes(32, "big"))


def a_merchant(*, email: str | None = None, at: datetime | None = None) -> Merchant:
    """Return a merchant with an address that no other has."""
    moment = a_moment(at)
    id = MerchantId(moment.id("mer"))
    return Merchant(
        id=id,
        email=email or f"{id.lower()}@example.com",
        name="Corner Shop",
        password_hash="$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
        created_at=moment.now,
    )


def an_api_key(merchant: Merchant, *, livemode: bool = False, at: datetime | None = None) -> ApiKey:
    """Return a server's key with all scopes and no end."""
    moment = a_moment(at)
    secret = keys.make_api_key(moment.secret(keys.SECRET_BYTES), livemode=livemode)
    return ApiKey(
        id=ApiKeyId(moment.id("apk")),
        merchant=merchant.id,
        livemode=livemode,
        kind=ApiKeyKind.SERVER,
        name=None,
        scopes=ALL_SCOPES,
        digest=keys.digest(secret),
        prefix=secret[: keys.PREFIX_SHOWN_LENGTH],
        last_four=secret[-keys.LAST_SHOWN_LENGTH :],
        created_at=moment.now,
    )


def a_payment_key(merchant: Merchant, *, livemode: bool = False, at: datetime | None = None) -> PaymentKey:
    """Return an active payment key."""
    moment = a_moment(at)
    return PaymentKey(
        id=PaymentKeyId(moment.id("key")),
        merchant=merchant.id,
        livemode=livemode,
        key=keys.make_payment_key(moment.secret(keys.SECRET_BYTES), livemode=livemode),
        is_active=True,
        created_at=moment.now,
    )


def a_session(merchant: Merchant, *, livemode: bool = False, at: datetime | None = None) -> Session:
    """Return a session of thirty days."""
    moment = a_moment(at)
    return Session(
        id=SessionId(moment.id("ses")),
        merchant=merchant.id,
        livemode=livemode,
        created_at=moment.now,
        expires_at=moment.now + 30 * DAY,
    )


def a_refresh_token(session: Session) -> RefreshToken:
    """Return an unspent token of the session."""
    moment = a_moment()
    return RefreshToken(
        digest=keys.digest(moment.id("token")),
        session=session.id,
        merchant=session.merchant,
        created_at=moment.now,
        expires_at=moment.now + DAY,
    )


def a_transaction(
    payment_key: PaymentKey,
    *,
    amount_minor: int = 10_000,
    code: str = "USD",
    reference: str | None = None,
    customer_reference: str | None = None,
    metadata: Mapping[str, str] | None = None,
    at: datetime | None = None,
) -> Transaction:
    """Return a pending transaction through the key."""
    moment = a_moment(at)
    return Transaction(
        id=TransactionId(moment.id("txn")),
        merchant=payment_key.merchant,
        livemode=payment_key.livemode,
        payment_key=payment_key.id,
        amount=Money(amount_minor=amount_minor, currency=currency(code)),
        status=Status.PENDING,
        created_at=moment.now,
        updated_at=moment.now,
        gateway="sandbox",
        reference=reference,
        customer_reference=customer_reference,
        metadata=metadata or {},
    )


def a_refund(transaction: Transaction, *, amount_minor: int = 300, at: datetime | None = None) -> Refund:
    """Return a pending refund of the transaction."""
    moment = a_moment(at)
    return Refund(
        id=RefundId(moment.id("rfn")),
        merchant=transaction.merchant,
        livemode=transaction.livemode,
        transaction=transaction.id,
        amount=Money(amount_minor=amount_minor, currency=transaction.amount.currency),
        status=RefundStatus.PENDING,
        created_at=moment.now,
        updated_at=moment.now,
    )


def an_attempt(subject: Transaction | Refund) -> Attempt:
    """Return the prepared attempt to charge the transaction, or to pay out the refund."""
    moment = a_moment()
    refund = subject if isinstance(subject, Refund) else None
    return Attempt(
        id=AttemptId(moment.id("att")),
        merchant=subject.merchant,
        livemode=subject.livemode,
        kind=AttemptKind.REFUND if refund else AttemptKind.CHARGE,
        transaction=subject.transaction if isinstance(subject, Refund) else subject.id,
        refund=refund.id if refund else None,
        amount=subject.amount,
        gateway="sandbox",
        payment_method=None,
        charge_reference=None,
        prepared_at=moment.now,
        called_at=moment.now,
        updated_at=moment.now,
    )


def an_endpoint(
    merchant: Merchant,
    *,
    livemode: bool = False,
    events: Sequence[str] = (ALL_EVENTS,),
    at: datetime | None = None,
) -> Endpoint:
    """Return an enabled endpoint that listens to these types."""
    moment = a_moment(at)
    return Endpoint(
        id=EndpointId(moment.id("whk")),
        merchant=merchant.id,
        livemode=livemode,
        url="https://example.com/webhooks",
        events=tuple(events),
        description=None,
        enabled=True,
        secret=make_secret(moment.secret(32)),
        created_at=moment.now,
        subscribed_at=moment.now,
    )


def an_event(
    merchant: Merchant,
    *,
    type: EventType = EventType.TRANSACTION_CREATED,
    livemode: bool = False,
    transaction: Transaction | None = None,
    sequence: int = 1,
    only: Endpoint | None = None,
    at: datetime | None = None,
) -> Event:
    """Return an event; its sequence counts where it has a transaction."""
    moment = a_moment(at)
    id = EventId(moment.id("evt"))
    return Event(
        id=id,
        merchant=merchant.id,
        livemode=livemode,
        type=type,
        transaction=transaction.id if transaction else None,
        sequence=sequence if transaction else None,
        at=moment.now,
        body=f'{{"id":"{id}","type":"{type}"}}'.encode(),
        only=only.id if only else None,
    )


def a_job(subject: Transaction | Refund, *, due_at: datetime | None = None) -> Job:
    """Return the job to charge the transaction or to pay out the refund, due at once or when told."""
    moment = a_moment()
    return Job(
        id=JobId(moment.id("job")),
        merchant=subject.merchant,
        livemode=subject.livemode,
        kind=JobKind.REFUND if isinstance(subject, Refund) else JobKind.CHARGE,
        subject=subject.id,
        due_at=due_at or moment.now,
        created_at=moment.now,
    )


def a_record(merchant: Merchant, *, key: str = "order-1", livemode: bool = False, at: datetime | None = None) -> Record:
    """Return what an idempotency key did, kept for as long as they are."""
    moment = a_moment(at)
    return Record(
        merchant=merchant.id,
        livemode=livemode,
        key=key,
        route="POST /api/transactions/pay/",
        status=201,
        fingerprint=Fingerprint(digest=keys.digest(key), fields={"amount": "0" * 32}),
        body=b'{"id":"txn_1"}',
        resource=moment.id("txn"),
        created_at=moment.now,
        expires_at=moment.now + KEPT,
    )


def a_staff_member(*, email: str | None = None, at: datetime | None = None) -> StaffMember:
    """Return one of the staff with an address that no other has."""
    moment = a_moment(at)
    id = StaffId(moment.id("stf"))
    return StaffMember(
        id=id,
        email=email or f"{id.lower()}@example.com",
        name="Ada",
        password_hash="$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
        created_at=moment.now,
    )


def a_staff_session(member: StaffMember, *, at: datetime | None = None) -> StaffSession:
    """Return a session that is valid at NOW."""
    moment = a_moment(at)
    return StaffSession(
        id=StaffSessionId(moment.id("sss")),
        member=member.id,
        created_at=moment.now,
        expires_at=max(moment.now, NOW) + STAFF_SESSION_LIFETIME,
    )


def an_audit_entry(
    merchant: Merchant | None,
    *,
    livemode: bool | None = False,
    action: str = Action.REFUND_MADE,
    at: datetime | None = None,
) -> AuditEntry:
    """Return an entry of a merchant's audit log, or of nobody's."""
    moment = a_moment(at)
    return AuditEntry(
        id=AuditEntryId(moment.id("aud")),
        merchant=None if merchant is None else merchant.id,
        livemode=livemode,
        at=moment.now,
        action=action,
        actor=Actor(kind=ActorKind.SERVER_KEY, id=moment.id("apk")),
        address="192.0.2.7",
        request_id="req-1",
        subject=moment.id("rfn"),
        detail={"amount": "1.00", "fields": ["url"], "nothing": None},
    )


def a_room(
    *,
    limit: int = 100,
    limit_failing: int = 100,
    limit_each: int = 100,
    limit_each_failing: int = 100,
    limit_each_merchant: int = 100,
    under_way: Mapping[Endpoint, int] | None = None,
) -> Room:
    """Return a worker's room for deliveries: much, unless said otherwise, and nothing under way."""
    counts = {(endpoint.merchant, endpoint.id): number for endpoint, number in (under_way or {}).items()}
    return Room(
        limit=limit,
        limit_failing=limit_failing,
        limit_each=limit_each,
        limit_each_failing=limit_each_failing,
        limit_each_merchant=limit_each_merchant,
        under_way=counts,
    )
