"""Rules about a merchant's events, their deliveries, and what idempotency keys did."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from payments_core.books import DeliveryPage, KeyUse, LogPage, Subscription
from payments_core.ids import MerchantId, delivery_id, lowest_id
from payments_core.verification.dossiers import overdue
from payments_core.verification.rules import Found, Terms
from payments_core.webhook import Delivery, DeliveryStatus

_MOMENT: Final = timedelta(microseconds=1)


def misplaced(merchant: MerchantId, page: LogPage, *, after: int, is_last: bool) -> Iterator[Found]:
    """Find gaps behind position `after`; the last page ends where the counter is."""
    last = after
    for event in page.events:
        if event.position != last + 1:
            yield event.id, f"has position {event.position}, and the one before it {last}"
        last = event.position
    if is_last and page.counted != last:
        yield merchant, f"counts {page.counted} events, and the last has position {last}"


def lost(page: LogPage) -> Iterator[Found]:
    """Find transactions of which nothing is left but their events."""
    for event in page.events:
        if not event.is_kept and event.transaction is not None:
            yield event.transaction, f"isn't there, and event {event.id} ({event.type}) tells of it"


def unsent(page: LogPage, terms: Terms) -> Iterator[Found]:
    """Find events without a delivery to an endpoint that surely listened."""
    for event in page.events:
        for subscription in page.subscriptions:
            wanted = subscription.wants(event) and event.at > subscription.since + terms.subscription_margin
            if wanted and delivery_id(event.id, subscription.endpoint) not in page.deliveries:
                yield event.id, f"{event.type} has no delivery to {subscription.endpoint}"


def unended_deliveries(page: DeliveryPage, terms: Terms) -> Iterator[Found]:
    """Find deliveries whose status nothing speaks for."""
    for delivery in page.deliveries:
        wrong = _unfounded(delivery, page.subscription, terms)
        if wrong is not None:
            yield delivery.id, f"to {delivery.endpoint} is {delivery.status}, {wrong}"


def _unfounded(delivery: Delivery, subscription: Subscription, terms: Terms) -> str | None:
    match delivery.status:
        case DeliveryStatus.PENDING if delivery.due_at is None:
            return "and never due"
        case DeliveryStatus.DELIVERED:
            codes = [attempt.status_code for attempt in delivery.attempts]
            if not any(code is not None and 200 <= code < 300 for code in codes):
                return "and no attempt was answered with success"
        case DeliveryStatus.EXHAUSTED if delivery.tries < terms.delivery_tries:
            return f"after {delivery.tries} tries of {terms.delivery_tries}"
        case DeliveryStatus.CANCELED:
            # An endpoint that was opened again has a subscription that began after what its end canceled.
            reopened = delivery.created_at <= subscription.since + terms.subscription_margin
            if subscription.is_open and not reopened:
                return "and its endpoint was open all the time"
        case _:
            pass
    return None


def late_deliveries(page: DeliveryPage, *, at: datetime, after: timedelta) -> Iterator[Found]:
    """Find the pending deliveries that nobody makes.

    Where a worker holds another one of their endpoint they wait for their turn: how long that takes is up to the
    receiver, of which few are in flight while it hangs or fails.
    """
    if page.held_until is not None and page.held_until > at:
        return
    for delivery in page.deliveries:
        if delivery.status is DeliveryStatus.PENDING:
            late = overdue(delivery.due_at, delivery.lease_expires_at, at=at, after=after)
            if late is not None:
                yield delivery.id, f"to {delivery.endpoint} has been due for {late.total_seconds():.0f} s"


def without_effect(use: KeyUse) -> Found | None:
    """Return what is wrong with what a key did, if anything is.

    A route that doesn't name the resource made it, in the moment of the record, which is the time in its id: a second
    key that names it, too, did so in a moment of its own.
    """
    if use.resource is None:
        return None
    if not use.is_kept:
        return use.resource, f"isn't there, and an idempotency key ({use.route}) says that it was made"
    prefix, at = use.resource.partition("_")[0], use.created_at
    made_then = lowest_id(prefix, at) <= use.resource < lowest_id(prefix, at, shift=_MOMENT)
    if not made_then and use.resource not in use.route:
        return use.resource, f"was not made by the idempotency key that says so ({use.route})"
    return None
