"""Merchants, jobs, attempts and staff as plain values, for staff: merchants never see these."""

from __future__ import annotations

from datetime import datetime

from payments_core import describe
from payments_core.attempt import Attempt
from payments_core.audit import AuditEntry
from payments_core.describe import JsonObject
from payments_core.job import Job
from payments_core.merchant import Merchant
from payments_core.staff import Matter
from payments_core.staff_member import StaffMember
from payments_core.values import format_time


def audit_entry(entry: AuditEntry) -> JsonObject:
    """Describe an entry of the audit log wholly, and whose it is."""
    actor: JsonObject = {"kind": str(entry.actor.kind), "id": entry.actor.id}
    return {
        "merchant": entry.merchant,
        **describe.audit_entry(entry),
        "actor": actor,
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
