"""Domain objects to rows and back: by hand, once, here.

Secrets are sealed on the way in and opened on the way out: each endpoint's signing secrets (those that it had before
as one JSON document), and the body of every idempotency record, so that none has to be known for one that holds a
secret.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from sqlalchemy import Table

from adapters.postgres import tables
from payments_core.attempt import Attempt, AttemptKind, AttemptState
from payments_core.audit import Actor, AuditEntry
from payments_core.event import Event, EventType
from payments_core.idempotency import Fingerprint, Record
from payments_core.ids import MerchantId
from payments_core.job import Job, JobKind
from payments_core.merchant import ApiKey, ApiKeyKind, Merchant, PaymentKey, RefreshToken, Scope, Session
from payments_core.money import Money, currency
from payments_core.ports import Vault
from payments_core.refund import Refund, RefundStatus
from payments_core.staff_member import StaffMember, StaffSession
from payments_core.transaction import Failure, Status, StatusReason, Transaction
from payments_core.values import encode_json
from payments_core.webhook import Delivery, DeliveryAttempt, DeliveryStatus, Endpoint, OldSecret

T = TypeVar("T")

Row: TypeAlias = dict[str, Any]
"""Values by column name, to be written."""
Identity: TypeAlias = tuple[object, ...]
"""The values of a primary key."""
LATER_SCOPES: Final = frozenset({Scope.AUDIT_READ})
"""Scopes that came after the first version: in a column of their own, as that version refuses to read unknown ones."""
_KNOWN_SCOPES: Final = frozenset(map(str, Scope))
OF_NOBODY: Final = ""
"""The `merchant_id` of audit entries that concern no merchant (it is part of a primary key), and whose what is staff's
is counted as."""


class Stored(Protocol):
    """Values by column name, as they were read."""

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[T]):
    """One kind of thing: its table, its primary key, how it becomes a row and is made of one."""

    table: Table
    identity_of: Callable[[T], Identity]
    to_row: Callable[[T], Row]
    of_row: Callable[[Stored], T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """All kinds that a store keeps."""

    merchants: Kind[Merchant]
    api_keys: Kind[ApiKey]
    payment_keys: Kind[PaymentKey]
    sessions: Kind[Session]
    refresh_tokens: Kind[RefreshToken]
    transactions: Kind[Transaction]
    refunds: Kind[Refund]
    attempts: Kind[Attempt]
    endpoints: Kind[Endpoint]
    deliveries: Kind[Delivery]
    events: Kind[Event]
    jobs: Kind[Job]
    records: Kind[Record]
    audit_entries: Kind[AuditEntry]
    staff_members: Kind[StaffMember]
    staff_sessions: Kind[StaffSession]


def kinds(vault: Vault) -> Kinds:
    """Return the kinds, whose secrets this vault seals."""
    return Kinds(
        merchants=Kind(
            table=tables.merchants,
            identity_of=lambda merchant: (merchant.id,),
            to_row=_merchant_row,
            of_row=_merchant,
        ),
        api_keys=Kind(
            table=tables.api_keys,
            identity_of=lambda key: (key.merchant, key.id),
            to_row=_api_key_row,
            of_row=_api_key,
        ),
        payment_keys=Kind(
            table=tables.payment_keys,
            identity_of=lambda key: (key.merchant, key.livemode, key.id),
            to_row=_payment_key_row,
            of_row=_payment_key,
        ),
        sessions=Kind(
            table=tables.sessions,
            identity_of=lambda session: (session.merchant, session.id),
            to_row=_session_row,
            of_row=_session,
        ),
        refresh_tokens=Kind(
            table=tables.refresh_tokens,
            identity_of=lambda token: (token.merchant, token.digest),
            to_row=_refresh_token_row,
            of_row=_refresh_token,
        ),
        transactions=Kind(
            table=tables.transactions,
            identity_of=lambda transaction: (transaction.merchant, transaction.livemode, transaction.id),
            to_row=_transaction_row,
            of_row=_transaction,
        ),
        refunds=Kind(
            table=tables.refunds,
            identity_of=lambda refund: (refund.merchant, refund.livemode, refund.id),
            to_row=_refund_row,
            of_row=_refund,
        ),
        attempts=Kind(
            table=tables.attempts,
            identity_of=lambda attempt: (attempt.merchant, attempt.id),
            to_row=_attempt_row,
            of_row=_attempt,
        ),
        endpoints=Kind(
            table=tables.endpoints,
            identity_of=lambda endpoint: (endpoint.merchant, endpoint.livemode, endpoint.id),
            to_row=lambda endpoint: _endpoint_row(endpoint, vault),
            of_row=lambda row: _endpoint(row, vault),
        ),
        events=Kind(
            table=tables.events,
            identity_of=lambda event: (event.merchant, event.id),
            to_row=_event_row,
            of_row=_event,
        ),
        deliveries=Kind(
            table=tables.deliveries,
            identity_of=lambda delivery: (delivery.merchant, delivery.endpoint, delivery.id),
            to_row=_delivery_row,
            of_row=_delivery,
        ),
        jobs=Kind(
            table=tables.jobs,
            identity_of=lambda job: (job.merchant, job.id),
            to_row=_job_row,
            of_row=_job,
        ),
        records=Kind(
            table=tables.idempotency_records,
            identity_of=lambda record: (record.merchant, record.livemode, record.key),
            to_row=lambda record: _record_row(record, vault),
            of_row=lambda row: _record(row, vault),
        ),
        audit_entries=Kind(
            table=tables.audit_entries,
            identity_of=lambda entry: (entry.merchant or OF_NOBODY, entry.id),
            to_row=_audit_entry_row,
            of_row=_audit_entry,
        ),
        staff_members=Kind(
            table=tables.staff_members,
            identity_of=lambda member: (member.id,),
            to_row=_staff_member_row,
            of_row=_staff_member,
        ),
        staff_sessions=Kind(
            table=tables.staff_sessions,
            identity_of=lambda session: (session.id,),
            to_row=_staff_session_row,
            of_row=_staff_session,
        ),
    )


# ── merchants and what they hold ─────────────────────────────────────────────────────────────────────────────────────


def _merchant_row(merchant: Merchant) -> Row:
    return {
        "id": merchant.id,
        "email": merchant.email,
        "name": merchant.name,
        "password_hash": merchant.password_hash,
        "created_at": merchant.created_at,
        "suspended_at": merchant.suspended_at,
        "version": merchant.version,
    }


def _merchant(row: Stored) -> Merchant:
    return Merchant(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        password_hash=row["password_hash"],
        created_at=row["created_at"],
        suspended_at=row["suspended_at"],
        version=row["version"],
    )


def _api_key_row(key: ApiKey) -> Row:
    return {
        "merchant_id": key.merchant,
        "id": key.id,
        "livemode": key.livemode,
        "kind": key.kind,
        "name": key.name,
        "scopes": sorted(key.scopes - LATER_SCOPES),
        "digest": key.digest,
        "prefix": key.prefix,
        "last_four": key.last_four,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "version": key.version,
        "later_scopes": sorted(key.scopes & LATER_SCOPES),
    }


def _api_key(row: Stored) -> ApiKey:
    return ApiKey(
        id=row["id"],
        merchant=row["merchant_id"],
        livemode=row["livemode"],
        kind=ApiKeyKind(row["kind"]),
        name=row["name"],
        scopes=_scopes([*row["scopes"], *row["later_scopes"]]),
        digest=row["digest"],
        prefix=row["prefix"],
        last_four=row["last_four"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
        version=row["version"],
    )


def _scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Return the scopes of these names; one that a later version wrote allows nothing here."""
    return frozenset(Scope(name) for name in names if name in _KNOWN_SCOPES)


def _payment_key_row(key: PaymentKey) -> Row:
    return {
        "merchant_id": key.merchant,
        "livemode": key.livemode,
        "id": key.id,
        "key": key.key,
        "is_active": key.is_active,
        "created_at": key.created_at,
        "version": key.version,
    }


def _payment_key(row: Stored) -> PaymentKey:
    return PaymentKey(
        id=row["id"],
        merchant=row["merchant_id"],
        livemode=row["livemode"],
        key=row["key"],
        is_active=row["is_active"],
        created_at=row["created_at"],
        version=row["version"],
    )


def _session_row(session: Session) -> Row:
    return {
        "merchant_id": session.merchant,
        "id": session.id,
        "livemode": session.livemode,
        "created_at": session.created_at,
        "expires_at": session.expires_at,
        "revoked_at": session.revoked_at,
        "version": session.version,
    }


def _session(row: Stored) -> Session:
    return Session(
        id=row["id"],
        merchant=row["merchant_id"],
        livemode=row["livemode"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        version=row["version"],
    )


def _refresh_token_row(token: RefreshToken) -> Row:
    return {
        "merchant_id": token.merchant,
        "digest": token.digest,
        "session_id": token.session,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "spent_at": token.spent_at,
        "version": token.version,
    }


def _refresh_token(row: Stored) -> RefreshToken:
    return RefreshToken(
        digest=row["digest"],
        session=row["session_id"],
        merchant=row["merchant_id"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        spent_at=row["spent_at"],
        version=row["version"],
    )


# ── money ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _failure_row(failure: Failure | None) -> Row:
    return {
        "failure_code": failure and failure.code,
        "failure_message": failure and failure.message,
        "failure_gateway_code": failure and failure.gateway_code,
        "failure_retryable": failure and failure.retryable,
    }


def _failure(row: Stored) -> Failure | None:
    if row["failure_code"] is None:
        return None
    return Failure(
        code=row["failure_code"],
        message=row["failure_message"],
        gateway_code=row["failure_gateway_code"],
        retryable=row["failure_retryable"],
    )


def _amount(row: Stored) -> Money:
    return Money(amount_minor=row["amount_minor"], currency=currency(row["currency"]))


def _status_reason(row: Stored) -> StatusReason | None:
    return None if row["status_reason"] is None else StatusReason(row["status_reason"])


def _transaction_row(transaction: Transaction) -> Row:
    return {
        "merchant_id": transaction.merchant,
        "livemode": transaction.livemode,
        "id": transaction.id,
        "payment_key_id": transaction.payment_key,
        "amount_minor": transaction.amount.amount_minor,
        "currency": transaction.amount.currency.code,
        "status": transaction.status,
        "status_reason": transaction.status_reason,
        "created_at": transaction.created_at,
        "updated_at": transaction.updated_at,
        "completed_at": transaction.completed_at,
        "gateway": transaction.gateway,
        "gateway_reference": transaction.gateway_reference,
        "payment_method": transaction.payment_method,
        "description": transaction.description,
        "reference": transaction.reference,
        "customer_reference": transaction.customer_reference,
        "metadata": dict(transaction.metadata),
        **_failure_row(transaction.failure),
        "refunded_minor": transaction.refunded_minor,
        "refund_pending_minor": transaction.refund_pending_minor,
        "refunds_count": transaction.refunds_count,
        "facts": transaction.facts,
        "version": transaction.version,
    }


def _transaction(row: Stored) -> Transaction:
    return Transaction(
        id=row["id"],
        merchant=row["merchant_id"],
        livemode=row["livemode"],
        payment_key=row["payment_key_id"],
        amount=_amount(row),
        status=Status(row["status"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        gateway=row["gateway"],
        status_reason=_status_reason(row),
        description=row["description"],
        reference=row["reference"],
        customer_reference=row["customer_reference"],
        metadata=row["metadata"],
        payment_method=row["payment_method"],
        gateway_reference=row["gateway_reference"],
        failure=_failure(row),
        refunded_minor=row["refunded_minor"],
        refund_pending_minor=row["refund_pending_minor"],
        refunds_count=row["refunds_count"],
        completed_at=row["completed_at"],
        facts=row["facts"],
        version=row["version"],
    )


def _refund_row(refund: Refund) -> Row:
    return {
        "merchant_id": refund.merchant,
        "livemode": refund.livemode,
        "id": refund.id,
        "transaction_id": refund.transaction,
        "amount_minor": refund.amount.amount_minor,
        "currency": refund.amount.currency.code,
        "status": refund.status,
        "status_reason": refund.status_reason,
        "created_at": refund.created_at,
        "updated_at": refund.updated_at,
        "reason": refund.reason,
        "metadata": dict(refund.metadata),
        "gateway_reference": refund.gateway_reference,
        **_failure_row(refund.failure),
        "version": refund.version,
    }


def _refund(row: Stored) -> Refund:
    return Refund(
        id=row["id"],
        merchant=row["merchant_id"],
        livemode=row["livemode"],
        transaction=row["transaction_id"],
        amount=_amount(row),
        status=RefundStatus(row["status"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        status_reason=_status_reason(row),
        reason=row["reason"],
        metadata=row["metadata"],
        gateway_reference=row["gateway_reference"],
        failure=_failure(row),
        version=row["version"],
    )


def _attempt_row(attempt: Attempt) -> Row:
    return {
        "merchant_id": attempt.merchant,
        "id": attempt.id,
        "livemode": attempt.livemode,
        "kind": attempt.kind,
        "transaction_id": attempt.transaction,
        "refund_id": attempt.refund,
        "amount_minor": attempt.amount.amount_minor,
        "currency": attempt.amount.currency.code,
        "gateway": attempt.gateway,
        "payment_method": attempt.payment_method,
        "charge_reference": attempt.charge_reference,
        "prepared_at": attempt.prepared_at,
        "called_at": attempt.called_at,
        "state": attempt.state,
        "reference": attempt.reference,
        "detail": attempt.detail,
        "lookups": attempt.lookups,
        "updated_at": attempt.updated_at,
        "request_id": attempt.request_id,
        "version": attempt.version,
    }


def _attempt(row: Stored) -> Attempt:
    return Attempt(
        id=row["id"],
        merchant=row["merchant_id"],
        livemode=row["livemode"],
        kind=AttemptKind(row["kind"]),
        transaction=row["transaction_id"],
        refund=row["refund_id"],
        amount=_amount(row),
        gateway=row["gateway"],
        payment_method=row["payment_method"],
        charge_reference=row["charge_reference"],
        prepared_at=row["prepared_at"],
        called_at=row["called_at"],
        state=AttemptState(row["state"]),
        reference=row["reference"],
        detail=row["detail"],
        lookups=row["lookups"],
        updated_at=row["updated_at"],
        request_id=row["request_id"],
        version=row["version"],
    )


# ── events and webhooks ──────────────────────────────────────────────────────────────────────────────────────────────


def _event_row(event: Event) -> Row:
    return {
        "merchant_id": event.merchant,
        "id": event.id,
        "livemode": event.livemode,
        "type": event.type,
        "transaction_id": event.transaction,
        "sequence": event.sequence,
        "at": event.at,
        "body": event.body,
        "request_id": event.request_id,
        "only_endpoint_id": event.only,
        "position": event.position,
    }


def _event(row: Stored) -> Event:
    return Event(
        id=row["id"],
        merchant=row["merchant_id"],
        livemode=row["livemode"],
        type=EventType(row["type"]),
        transaction=row["transaction_id"],
        sequence=row["sequence"],
        at=row["at"],
        body=row["body"],
        request_id=row["request_id"],
        only=row["only_endpoint_id"],
        position=row["position"],
    )


def endpoint_context(id: str) -> str:
    """Return the context in which an endpoint's secrets are sealed."""
    return f"endpoint:{id}"


def _endpoint_row(endpoint: Endpoint, vault: Vault) -> Row:
    context = endpoint_context(endpoint.id)
    return {
        "merchant_id": endpoint.merchant,
        "livemode": endpoint.livemode,
        "id": endpoint.id,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "description": endpoint.description,
        "enabled": endpoint.enabled,
        "secret_sealed": vault.seal(endpoint.secret.encode(), context=context),
        "old_secrets_sealed": _seal_old_secrets(endpoint.old_secrets, vault, context),
        "created_at": endpoint.created_at,
        "subscribed_at": endpoint.subscribed_at,
        "failing_since": endpoint.failing_since,
        "removed_at": endpoint.removed_at,
        "version": endpoint.version,
    }


def _endpoint(row: Stored, vault: Vault) -> Endpoint:
    context = endpoint_context(row["id"])
    return Endpoint(
        id=row["id"],
        merchant=row["merchant_id"],
        livemode=row["livemode"],
        url=row["url"],
        events=tuple(row["events"]),
        description=row["description"],
        enabled=row["enabled"],
        secret=vault.open(row["secret_sealed"], context=context).decode(),
        created_at=row["created_at"],
        subscribed_at=row["subscribed_at"],
        old_secrets=_open_old_secrets(row["old_secrets_sealed"], vault, context),
        failing_since=row["failing_since"],
        removed_at=row["removed_at"],
        version=row["version"],
    )


def _seal_old_secrets(old_secrets: Sequence[OldSecret], vault: Vault, context: str) -> bytes | None:
    if not old_secrets:
        return None
    document = [{"secret": old.secret, "until": old.until.isoformat()} for old in old_secrets]
    return vault.seal(encode_json(document), context=context)


def _open_old_secrets(sealed: bytes | None, vault: Vault, context: str) -> tuple[OldSecret, ...]:
    if sealed is None:
        return ()
    document = json.loads(vault.open(sealed, context=context))
    return tuple(OldSecret(secret=old["secret"], until=datetime.fromisoformat(old["until"])) for old in document)


def _delivery_row(delivery: Delivery) -> Row:
    return {
        "merchant_id": delivery.merchant,
        "endpoint_id": delivery.endpoint,
        "id": delivery.id,
        "livemode": delivery.livemode,
        "event_id": delivery.event,
        "event_type": delivery.event_type,
        "status": delivery.status,
        "created_at": delivery.created_at,
        "updated_at": delivery.updated_at,
        "due_at": delivery.due_at,
        "tries": delivery.tries,
        "attempts": [_delivery_attempt_row(attempt) for attempt in delivery.attempts],
        "lease_token": delivery.lease_token,
        "lease_expires_at": delivery.lease_expires_at,
        "version": delivery.version,
    }


def _delivery(row: Stored) -> Delivery:
    return Delivery(
        id=row["id"],
        merchant=row["merchant_id"],
        livemode=row["livemode"],
        endpoint=row["endpoint_id"],
        event=row["event_id"],
        event_type=EventType(row["event_type"]),
        status=DeliveryStatus(row["status"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        due_at=row["due_at"],
        tries=row["tries"],
        attempts=tuple(_delivery_attempt(attempt) for attempt in row["attempts"]),
        lease_token=row["lease_token"],
        lease_expires_at=row["lease_expires_at"],
        version=row["version"],
    )


def _delivery_attempt_row(attempt: DeliveryAttempt) -> Row:
    return {
        "number": attempt.number,
        "at": attempt.at.isoformat(),
        "milliseconds": attempt.milliseconds,
        "status_code": attempt.status_code,
        "error": attempt.error,
        "excerpt": attempt.excerpt,
    }


def _delivery_attempt(row: Stored) -> DeliveryAttempt:
    return DeliveryAttempt(
        number=row["number"],
        at=datetime.fromisoformat(row["at"]),
        milliseconds=row["milliseconds"],
        status_code=row["status_code"],
        error=row["error"],
        excerpt=row["excerpt"],
    )


# ── work and answers ─────────────────────────────────────────────────────────────────────────────────────────────────


def _job_row(job: Job) -> Row:
    return {
        "merchant_id": job.merchant,
        "id": job.id,
        "livemode": job.livemode,
        "kind": job.kind,
        "subject": job.subject,
        "due_at": job.due_at,
        "created_at": job.created_at,
        "failures": job.failures,
        "last_error": job.last_error,
        "dead_at": job.dead_at,
        "lease_token": job.lease_token,
        "lease_expires_at": job.lease_expires_at,
        "request_id": job.request_id,
    }


def _job(row: Stored) -> Job:
    return Job(
        id=row["id"],
        merchant=row["merchant_id"],
        livemode=row["livemode"],
        kind=JobKind(row["kind"]),
        subject=row["subject"],
        due_at=row["due_at"],
        created_at=row["created_at"],
        failures=row["failures"],
        last_error=row["last_error"],
        dead_at=row["dead_at"],
        lease_token=row["lease_token"],
        lease_expires_at=row["lease_expires_at"],
        request_id=row["request_id"],
    )


def record_context(merchant: MerchantId, livemode: bool, key: str) -> str:
    """Return the context in which the body of an idempotency record is sealed."""
    return f"idempotency:{merchant}:{int(livemode)}:{key}"


def _record_row(record: Record, vault: Vault) -> Row:
    context = record_context(record.merchant, record.livemode, record.key)
    return {
        "merchant_id": record.merchant,
        "livemode": record.livemode,
        "key": record.key,
        "route": record.route,
        "status": record.status,
        "digest": record.fingerprint.digest,
        "fields": dict(record.fingerprint.fields),
        "body_sealed": vault.seal(record.body, context=context),
        "resource": record.resource,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
    }


def _record(row: Stored, vault: Vault) -> Record:
    context = record_context(row["merchant_id"], row["livemode"], row["key"])
    return Record(
        merchant=row["merchant_id"],
        livemode=row["livemode"],
        key=row["key"],
        route=row["route"],
        status=row["status"],
        fingerprint=Fingerprint(digest=row["digest"], fields=row["fields"]),
        body=vault.open(row["body_sealed"], context=context),
        resource=row["resource"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )


# ── the audit log ────────────────────────────────────────────────────────────────────────────────────────────────────


def _audit_entry_row(entry: AuditEntry) -> Row:
    return {
        "merchant_id": entry.merchant or OF_NOBODY,
        "id": entry.id,
        "livemode": entry.livemode,
        "at": entry.at,
        "action": entry.action,
        "actor_kind": entry.actor.kind,
        "actor_id": entry.actor.id,
        "address": entry.address,
        "request_id": entry.request_id,
        "subject": entry.subject,
        "detail": dict(entry.detail),
    }


def _audit_entry(row: Stored) -> AuditEntry:
    return AuditEntry(
        id=row["id"],
        merchant=row["merchant_id"] or None,
        livemode=row["livemode"],
        at=row["at"],
        action=row["action"],
        actor=Actor(kind=row["actor_kind"], id=row["actor_id"]),
        address=row["address"],
        request_id=row["request_id"],
        subject=row["subject"],
        detail=row["detail"],
    )


# ── staff ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _staff_member_row(member: StaffMember) -> Row:
    return {
        "id": member.id,
        "email": member.email,
        "name": member.name,
        "password_hash": member.password_hash,
        "created_at": member.created_at,
        "disabled_at": member.disabled_at,
        "version": member.version,
    }


def _staff_member(row: Stored) -> StaffMember:
    return StaffMember(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        password_hash=row["password_hash"],
        created_at=row["created_at"],
        disabled_at=row["disabled_at"],
        version=row["version"],
    )


def _staff_session_row(session: StaffSession) -> Row:
    return {
        "id": session.id,
        "member_id": session.member,
        "created_at": session.created_at,
        "expires_at": session.expires_at,
        "revoked_at": session.revoked_at,
        "version": session.version,
    }


def _staff_session(row: Stored) -> StaffSession:
    return StaffSession(
        id=row["id"],
        member=row["member_id"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        version=row["version"],
    )
