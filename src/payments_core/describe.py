"""The public JSON of each resource, as plain values. Answers, events and webhooks all use it; fields are only added."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast

from payments_core.attempt import SAID_BY, Attempt
from payments_core.audit import ActorKind, AuditEntry
from payments_core.event import API_VERSION, Event, EventType
from payments_core.idempotency import Record
from payments_core.ids import EventId
from payments_core.merchant import ApiKey, Merchant, PaymentKey
from payments_core.money import currency as currency_of
from payments_core.money import format_minor
from payments_core.overview import EndpointHealth, Waiting
from payments_core.refund import Refund
from payments_core.totals import DayTotals
from payments_core.transaction import Failure, Transaction
from payments_core.values import Json, format_time
from payments_core.webhook import Delivery, DeliveryAttempt, Endpoint

JsonObject = dict[str, Json]


def _time(at: datetime | None) -> str | None:
    return None if at is None else format_time(at)


def _failure(failure: Failure | None) -> Json:
    if failure is None:
        return None
    return {
        "code": failure.code,
        "message": failure.message,
        "gateway_code": failure.gateway_code,
        "retryable": failure.retryable,
    }


def merchant(merchant: Merchant) -> JsonObject:
    """Describe a merchant."""
    return {
        "id": merchant.id,
        "email": merchant.email,
        "name": merchant.name,
        "created_at": format_time(merchant.created_at),
    }


def api_key(key: ApiKey, *, secret: str | None = None) -> JsonObject:
    """Describe an API key; its secret is there only in the answer that made it."""
    described: JsonObject = {
        "id": key.id,
        "livemode": key.livemode,
        "kind": str(key.kind),
        "name": key.name,
        "scopes": sorted(key.scopes),
        "prefix": key.prefix,
        "last_four": key.last_four,
        "created_at": format_time(key.created_at),
        "expires_at": _time(key.expires_at),
        "last_used_at": _time(key.last_used_at),
    }
    if secret is not None:
        described["api_key"] = secret
    return described


def payment_key(key: PaymentKey) -> JsonObject:
    """Describe a payment key."""
    return {
        "id": key.id,
        "livemode": key.livemode,
        "key": key.key,
        "is_active": key.is_active,
        "created_at": format_time(key.created_at),
    }


def transaction(transaction: Transaction, refunds: Sequence[Refund] = ()) -> JsonObject:
    """Describe a transaction with its latest refunds, the newest first."""
    currency = transaction.amount.currency
    return {
        "id": transaction.id,
        "livemode": transaction.livemode,
        "status": str(transaction.status),
        "status_reason": None if transaction.status_reason is None else str(transaction.status_reason),
        "amount": transaction.amount.format(),
        "currency": currency.code,
        "amount_refunded": format_minor(transaction.refunded_minor, currency),
        "amount_refund_pending": format_minor(transaction.refund_pending_minor, currency),
        "amount_refundable": format_minor(transaction.refundable_minor, currency),
        "description": transaction.description,
        "reference": transaction.reference,
        "customer_reference": transaction.customer_reference,
        "metadata": dict(transaction.metadata),
        "payment_method": transaction.payment_method,
        "payment_key": transaction.payment_key,
        "gateway": transaction.gateway,
        "gateway_reference": transaction.gateway_reference,
        "failure": _failure(transaction.failure),
        "refunds": [refund(each) for each in refunds],
        "created_at": format_time(transaction.created_at),
        "updated_at": format_time(transaction.updated_at),
        "completed_at": _time(transaction.completed_at),
    }


def transaction_alone(of: Transaction) -> JsonObject:
    """Describe a transaction without its refunds, which were not looked for."""
    described = transaction(of)
    del described["refunds"]
    return described


def refund(refund: Refund) -> JsonObject:
    """Describe a refund."""
    return {
        "id": refund.id,
        "livemode": refund.livemode,
        "transaction": refund.transaction,
        "amount": refund.amount.format(),
        "currency": refund.amount.currency.code,
        "status": str(refund.status),
        "status_reason": None if refund.status_reason is None else str(refund.status_reason),
        "reason": refund.reason,
        "metadata": dict(refund.metadata),
        "failure": _failure(refund.failure),
        "created_at": format_time(refund.created_at),
        "updated_at": format_time(refund.updated_at),
    }


def attempt(attempt: Attempt) -> JsonObject:
    """Describe an attempt at the gateway to its merchant: that staff closed it, and not who of them."""
    code, said, _who_and_why = (attempt.detail or "").partition(SAID_BY)
    return {
        "id": attempt.id,
        "livemode": attempt.livemode,
        "kind": str(attempt.kind),
        "transaction": attempt.transaction,
        "refund": attempt.refund,
        "amount": attempt.amount.format(),
        "currency": attempt.amount.currency.code,
        "state": str(attempt.state),
        "gateway": attempt.gateway,
        "gateway_reference": attempt.reference,
        "detail": f"{code}{SAID_BY}staff" if said else attempt.detail,
        "lookups": attempt.lookups,
        "prepared_at": format_time(attempt.prepared_at),
        "called_at": format_time(attempt.called_at),
        "updated_at": format_time(attempt.updated_at),
    }


def endpoint(endpoint: Endpoint, *, secret: str | None = None) -> JsonObject:
    """Describe a webhook endpoint; its secret is there only in the answers that made it."""
    described: JsonObject = {
        "id": endpoint.id,
        "livemode": endpoint.livemode,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "description": endpoint.description,
        "enabled": endpoint.enabled,
        "created_at": format_time(endpoint.created_at),
    }
    if secret is not None:
        described["secret"] = secret
    return described


def delivery(delivery: Delivery) -> JsonObject:
    """Describe a delivery with all its attempts, the oldest first."""
    return {
        "id": delivery.id,
        "livemode": delivery.livemode,
        "endpoint": delivery.endpoint,
        "event": delivery.event,
        "event_type": str(delivery.event_type),
        "status": str(delivery.status),
        "next_attempt_at": _time(delivery.due_at),
        "attempts": [_delivery_attempt(attempt) for attempt in delivery.attempts],
        "created_at": format_time(delivery.created_at),
        "updated_at": format_time(delivery.updated_at),
    }


def _delivery_attempt(attempt: DeliveryAttempt) -> JsonObject:
    return {
        "number": attempt.number,
        "at": format_time(attempt.at),
        "milliseconds": attempt.milliseconds,
        "status_code": attempt.status_code,
        "error": attempt.error,
        "response": attempt.excerpt,
    }


def event_body(
    id: EventId, type: EventType, *, livemode: bool, at: datetime, sequence: int | None, data: JsonObject
) -> JsonObject:
    """Describe an event as it is sent and as `GET /api/events/` gives it."""
    return {
        "id": id,
        "type": str(type),
        "api_version": API_VERSION,
        "livemode": livemode,
        "timestamp": format_time(at),
        "sequence": sequence,
        "data": data,
    }


def recorded_event(event: Event) -> JsonObject:
    """Describe an event by the body that it got when it was recorded."""
    return cast(JsonObject, json.loads(event.body))


def idempotency_record(record: Record) -> JsonObject:
    """Describe what an idempotency key did; not the answer, which may hold a secret."""
    return {
        "key": record.key,
        "livemode": record.livemode,
        "route": record.route,
        "status": record.status,
        "resource": record.resource,
        "created_at": format_time(record.created_at),
        "expires_at": format_time(record.expires_at),
    }


OF_STAFF_ALONE: Final = frozenset({"by", "note"})
"""What is not shown of the detail of what staff did: their names, and what they wrote for each other."""


def audit_entry(entry: AuditEntry) -> JsonObject:
    """Describe an entry of the audit log to its merchant: that it was staff, and not who of them, nor from where."""
    by_staff = entry.actor.kind == ActorKind.STAFF
    return {
        "id": entry.id,
        "livemode": entry.livemode,
        "at": format_time(entry.at),
        "action": str(entry.action),
        "actor": {"kind": str(entry.actor.kind), "id": None if by_staff else entry.actor.id},
        "address": None if by_staff else entry.address,
        "request_id": None if by_staff else entry.request_id,
        "subject": entry.subject,
        "detail": {name: value for name, value in entry.detail.items() if not (by_staff and name in OF_STAFF_ALONE)},
    }


def day_totals(totals: DayTotals) -> JsonObject:
    """Describe the totals of a day in a currency; `amount` is what succeeded. Each may be below zero."""
    return {
        "day": totals.day.isoformat(),
        "currency": totals.currency,
        "accepted": totals.accepted,
        "succeeded": totals.succeeded,
        "amount": _signed(totals.succeeded_minor, totals.currency),
        "failed": totals.failed,
        "canceled": totals.canceled,
        "refunds": totals.refunds,
        "amount_refunded": _signed(totals.refunded_minor, totals.currency),
    }


def _signed(amount_minor: int, code: str) -> str:
    return ("-" if amount_minor < 0 else "") + format_minor(abs(amount_minor), currency_of(code))


def waiting(waiting: Waiting) -> JsonObject:
    """Describe what waits; a count of COUNT_MAX stands for so many or more."""
    return {
        "payments": {"due": waiting.payments_due, "later": waiting.payments_later},
        "refunds": {"due": waiting.refunds_due, "later": waiting.refunds_later},
        "deliveries": {"due": waiting.deliveries_due, "later": waiting.deliveries_later},
        "dead_jobs": waiting.dead_jobs,
        "attempts_in_review": waiting.attempts_in_review,
        "is_whole": waiting.is_whole,
    }


def endpoint_health(health: EndpointHealth) -> JsonObject:
    """Describe how an endpoint is."""
    latest = health.latest
    return {
        "endpoint": endpoint(health.endpoint),
        "in_trouble": health.in_trouble,
        "failing_since": _time(health.endpoint.failing_since),
        "pending": health.pending,
        "exhausted_lately": health.exhausted_lately,
        "latest": None if latest is None else {"status": str(latest.status), "at": format_time(latest.at)},
        "last_success_at": _time(health.last_success_at),
    }


def page(items: Sequence[Json], *, next: str | None, previous: str | None) -> JsonObject:
    """Describe a page of a list; `next` and `previous` are path-relative links."""
    return {"results": items, "next": next, "previous": previous}
