"""Jobs and attempts as plain values, for staff: merchants never see these."""

from __future__ import annotations

from datetime import datetime

from payments_core.attempt import Attempt
from payments_core.describe import JsonObject
from payments_core.job import Job
from payments_core.values import format_time


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


def _time(at: datetime | None) -> str | None:
    return None if at is None else format_time(at)
