"""What must hold of webhooks at the end of each history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from payments_core.use_cases.deliver_webhook import GONE
from payments_core.webhook import DISABLED_AFTER, RETRY_SCHEDULE, Delivery, DeliveryStatus
from tests.simulation.end import End
from tests.simulation.world import CLOCK_JUMP_SECONDS_MAX

SLACK_SECONDS: Final = 2 * CLOCK_JUMP_SECONDS_MAX + 120
"""By how much times of ours and of the receivers may differ."""


def events_reach_their_endpoints(end: End) -> Iterator[str]:
    """At least once, or all attempts were made, or the endpoint was switched off."""
    for event in end.account.log:
        for endpoint in end.witness.listeners.get(event.id, ()):
            deliveries = end.account.deliveries.get(endpoint)
            found = next((d for d in deliveries.oldest_first() if d.event == event.id), None) if deliveries else None
            if found is None:
                yield f"{event.id} ({event.type}) has no delivery to {endpoint}"
            else:
                yield from _ended(end, found)


def _ended(end: End, delivery: Delivery) -> Iterator[str]:
    posts = [post for post in end.receivers[delivery.endpoint].posts if post.event == delivery.event]
    match delivery.status:
        case DeliveryStatus.DELIVERED if not any(200 <= post.status_code < 300 for post in posts):
            yield f"{delivery.id} is delivered, and its receiver never took it"
        case DeliveryStatus.EXHAUSTED if min(delivery.tries, len(posts)) < len(RETRY_SCHEDULE):
            yield f"{delivery.id} is exhausted after {delivery.tries} tries, of which {len(posts)} were made"
        case DeliveryStatus.CANCELED if delivery.endpoint not in {id for id, _ in end.witness.switched_off}:
            yield f"{delivery.id} is canceled, and its endpoint was never switched off"
        case DeliveryStatus.PENDING:
            yield f"{delivery.id} is pending for ever: due {delivery.due_at}, leased until {delivery.lease_expires_at}"
        case _:
            return


def endpoints_are_switched_off_by_the_rules(end: End) -> Iterator[str]:
    """By their merchant, by a 410, or by five days of failure alone; and the merchant is told each time, once."""
    yield from end.witness.wrong_ends
    for endpoint, receiver in end.receivers.items():
        yield from (f"{endpoint}: {wrong}" for wrong in receiver.wrong)
    for endpoint, at in end.witness.given_up:
        posts = [post for post in end.receivers[endpoint].posts if post.at <= at]
        refused = [post for post in posts if not 200 <= post.status_code < 300]
        gone = any(post.status_code == GONE for post in refused)
        failing_for = at - min((post.at for post in refused), default=at)
        if not gone and failing_for < DISABLED_AFTER.total_seconds() - SLACK_SECONDS:
            yield f"{endpoint} was disabled after {failing_for:.0f} s of failure"


def what_is_wanted_again_is_posted_again(end: End) -> Iterator[str]:
    """Each delivery that a client was told to be queued again is attempted again, or its endpoint is switched off."""
    told = {told.key for told in end.clients.told if told.answer is not None}
    for key, wanted in end.clients.wanted_again.items():
        for one in wanted if key in told else ():
            tried = any(p.event == one.event and p.at >= one.since for p in end.receivers[one.endpoint].posts)
            off = any(id == one.endpoint and at >= one.since for id, at in end.witness.switched_off)
            if not tried and not off:
                yield f"{key!r} was to post {one.event} to {one.endpoint} again, and nobody did"
