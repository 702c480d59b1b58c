"""What staff see, as plain values: whose it is beside what merchants see of it, and what merchants never see."""

from __future__ import annotations

from datetime import datetime

from payments_core import describe
from payments_core.attempt import Attempt
from payments_core.audit import AuditEntry
from payments_core.describe import JsonObject
from payments_core.job import Job
from payments_core.merchant import Merchant, PaymentKey
from payments_core.overall import EndpointSeen, Found, RecordSeen
from payments_core.refund import Refund
from payments_core.staff import Matter
from payments_core.staff_member import StaffMember
from payments_core.transaction import Transaction
from payments_core.values import format_time


def audit_entry(entry: AuditEntry) -> JsonObject:
    """Describe an entry of the audit log wholly, and whose it is."""
    actor: JsonObject = {"kind": str(entry.actor.kind), "id": entry.actor.id}
    return {
        "merchant": entry.merchant,
        **describe.audit_entry(entry),
        "actor": actor,
        "address": entry.address,
        "request_id": entry.request_id,
        "detail": dict(entry.detail),
    }


def merchant(merchant: Merchant) -> JsonObject:
    """Describe a merchant."""
    return {**describe.merchant(merchant), "suspended_at": _time(merchant.suspended_at)}


def staff_member(member: StaffMember) -> JsonObject:
    """Describe one of the staff."""
    return {
        "id": member.id,
        "email": member.email,
        "name": member.name,
        "created_at": format_time(member.created_at),
        "disabled_at": _time(member.disabled_at),
    }


def job(job: Job, *, at: datetime) -> JsonObject:
    """Describe a job; `state` is what it waits for at that time."""
    return {
        "id": job.id,
        "merchant": job.merchant,
        "livemode": job.livemode,
        "kind": str(job.kind),
        "subject": job.subject,
        "state": str(job.state_at(at)),
        "due_at": format_time(job.due_at),
        "failures": job.failures,
        "last_error": job.last_error,
        "dead_at": _time(job.dead_at),
        "lease_expires_at": _time(job.lease_expires_at),
        "created_at": format_time(job.created_at),
        "request_id": job.request_id,
    }


def attempt(attempt: Attempt) -> JsonObject:
    """Describe an attempt."""
    return {
        "id": attempt.id,
        "merchant": attempt.merchant,
        "livemode": attempt.livemode,
        "kind": str(attempt.kind),
        "state": str(attempt.state),
        "detail": attempt.detail,
        "amount": attempt.amount.format(),
        "currency": attempt.amount.currency.code,
        "transaction": attempt.transaction,
        "refund": attempt.refund,
        "gateway": attempt.gateway,
        "reference": attempt.reference,
        "charge_reference": attempt.charge_reference,
        "payment_method": attempt.payment_method,
        "lookups": attempt.lookups,
        "prepared_at": format_time(attempt.prepared_at),
        "called_at": format_time(attempt.called_at),
        "updated_at": format_time(attempt.updated_at),
        "request_id": attempt.request_id,
    }


def transaction(transaction: Transaction) -> JsonObject:
    """Describe a transaction without its refunds, and whose it is."""
    return {"merchant": transaction.merchant, **describe.transaction_alone(transaction)}


def refund(refund: Refund) -> JsonObject:
    """Describe a refund, and whose it is."""
    return {"merchant": refund.merchant, **describe.refund(refund)}


def payment_key(key: PaymentKey) -> JsonObject:
    """Describe a payment key, which is no secret, and whose it is."""
    return {"merchant": key.merchant, **describe.payment_key(key)}


def endpoint(endpoint: EndpointSeen) -> JsonObject:
    """Describe a webhook endpoint without its secrets, whose it is and how it is."""
    return {
        "id": endpoint.id,
        "merchant": endpoint.merchant,
        "livemode": endpoint.livemode,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "description": endpoint.description,
        "enabled": endpoint.enabled,
        "failing_since": _time(endpoint.failing_since),
        "removed_at": _time(endpoint.removed_at),
        "created_at": format_time(endpoint.created_at),
    }


def idempotency_record(record: RecordSeen) -> JsonObject:
    """Describe what an idempotency key did, and whose it is."""
    return {
        "merchant": record.merchant,
        "livemode": record.livemode,
        "key": record.key,
        "route": record.route,
        "status": record.status,
        "resource": record.resource,
        "created_at": format_time(record.created_at),
        "expires_at": format_time(record.expires_at),
    }


def found(found: Found) -> JsonObject:
    """Describe whose an id is."""
    return {"id": found.id, "kind": str(found.kind), "merchant": found.merchant, "livemode": found.livemode}


def matter(matter: Matter) -> JsonObject:
    """Describe what a job or an attempt is about; None is what is not there."""
    tried, transaction, refund = matter.attempt, matter.transaction, matter.refund
    return {
        "attempt": None if tried is None else attempt(tried),
        "transaction": None if transaction is None else describe.transaction_alone(transaction),
        "refund": None if refund is None else describe.refund(refund),
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else format_time(at)
