"""What must hold at the end of each history, whatever went wrong in it.

The clients' and the receivers' ledgers, the gateway's books and the witness of the commits are outside the system; our
state is inside. Each rule yields what breaks it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from payments_core.attempt import LOOKUP_SCHEDULE, Attempt, AttemptKind, AttemptState
from payments_core.event import EventType
from payments_core.ids import EventId
from payments_core.refund import Refund, RefundStatus
from payments_core.transaction import CLOSED, Status
from payments_core.units import Answer
from payments_core.use_cases.settle_attempt import LATE_APPROVAL
from tests.simulation.end import End
from tests.simulation.plan import Act
from tests.simulation.webhook_rules import (
    endpoints_are_switched_off_by_the_rules,
    events_reach_their_endpoints,
    what_is_wanted_again_is_posted_again,
)


def every_acknowledged_payment_ends(end: End) -> Iterator[str]:
    """It is there, and closed, or a person must look; a job is left only where a person must look at that."""
    reviewed = {one.transaction for one in end.attempts() if one.state is AttemptState.NEEDS_REVIEW}
    for told in end.clients.told:
        if told.operation.act is not Act.PAY or told.answer is None:
            continue
        transaction = end.account.transactions.get(str(told.answer.resource))
        if transaction is None:
            yield f"{told.key}: {told.answer.resource} was acknowledged and is not there"
        elif transaction.status not in CLOSED and transaction.id not in reviewed:
            yield f"{transaction.id} is {transaction.status} for ever"
    for refund in end.account.refunds.oldest_first():
        attempt = _attempt_of(end, refund)
        if refund.status is RefundStatus.PENDING and not (attempt and attempt.state is AttemptState.NEEDS_REVIEW):
            yield f"{refund.id} is pending for ever"
    for job in end.state.jobs.values():
        yield f"{job.id} ({job.kind} {job.subject}) is left: due {job.due_at}, dead {job.dead_at}, {job.last_error}"


def a_person_must_look_only_where_the_gateway_does_not_tell(end: End) -> Iterator[str]:
    """It was asked as often as it is to be and never had an entry, or its word came after the refund had failed."""
    books = {entry.submission.id for entry in end.gateway.books}
    for attempt in end.attempts():
        if attempt.state is not AttemptState.NEEDS_REVIEW:
            continue
        if attempt.refund is not None and attempt.detail == LATE_APPROVAL:
            refund = end.account.refunds.get(attempt.refund)
            if refund is None or refund.status is not RefundStatus.FAILED:
                yield f"{attempt.id} is of a refund that is {refund and refund.status}"
        elif attempt.id in books or attempt.lookups < len(LOOKUP_SCHEDULE):
            told = "has" if attempt.id in books else "has not"
            yield f"{attempt.id} was looked up {attempt.lookups} times; the gateway {told} seen it"


def our_state_equals_the_gateways_books(end: End) -> Iterator[str]:
    """The money of each attempt moved once at most, and as the books say, unless a person has to find out."""
    entries = Counter(entry.submission.id for entry in end.gateway.books)
    books = {entry.submission.id: entry for entry in end.gateway.books}
    attempts = {attempt.id: attempt for attempt in end.attempts()}
    yield from (f"{id} moved money {count} times" for id, count in entries.items() if count > 1)
    yield from (f"{id} is in the books and not in ours" for id in books if id not in attempts)
    charges = Counter(attempt.transaction for attempt in attempts.values() if attempt.kind is AttemptKind.CHARGE)
    yield from (f"{id} has {count} attempts" for id, count in charges.items() if count > 1)
    for attempt in attempts.values():
        entry = books.get(attempt.id)
        moved = entry is not None and entry.is_approved(end.world.loop.seconds)
        if attempt.state is not AttemptState.NEEDS_REVIEW and _is_moved(end, attempt) is not moved:
            yield f"{attempt.kind} {attempt.id} is {attempt.state} here; moved by the books: {moved}"
        if entry is not None and entry.submission.amount != attempt.amount:
            yield f"{attempt.id} was of another amount"


def _is_moved(end: End, attempt: Attempt) -> bool:
    if attempt.refund is None:
        transaction = end.account.transactions.get(attempt.transaction)
        return transaction is not None and transaction.status is Status.SUCCEEDED
    refund = end.account.refunds.get(attempt.refund)
    return refund is not None and refund.status is RefundStatus.SUCCEEDED


def _attempt_of(end: End, refund: Refund) -> Attempt | None:
    return next((attempt for attempt in end.attempts() if attempt.refund == refund.id), None)


def refunds_stay_within_the_amount(end: End) -> Iterator[str]:
    """Here and in the books; and the sums of a transaction are those of its refunds."""
    for transaction in end.account.transactions.oldest_first():
        refunds = [one for one in end.account.refunds.oldest_first() if one.transaction == transaction.id]
        sums = {
            status: sum(one.amount.amount_minor for one in refunds if one.status is status) for status in RefundStatus
        }
        kept = transaction.refunded_minor, transaction.refund_pending_minor, transaction.refunds_count
        summed = sums[RefundStatus.SUCCEEDED], sums[RefundStatus.PENDING], len(refunds)
        if kept != summed:
            yield f"{transaction.id}: refunded, pending and number are {kept}, of its refunds {summed}"
        if not 0 <= sum(kept[:2]) <= transaction.amount.amount_minor or min(kept) < 0:
            yield f"{transaction.id}: {kept} of {transaction.amount.amount_minor}"


def closed_states_change_only_by_a_correction(end: End) -> Iterator[str]:
    """Each commit took each transaction along the table, or corrected it with an event that says so."""
    yield from end.witness.wrong_steps


def a_canceled_payment_stays_canceled(end: End) -> Iterator[str]:
    """Where its client was told so."""
    for told in end.clients.told:
        if told.operation.act is Act.CANCEL and told.answer is not None:
            transaction = end.account.transactions.get(str(told.answer.resource))
            if transaction is None or transaction.status is not Status.CANCELED:
                yield f"{told.answer.resource} is {transaction and transaction.status}"


def events_are_without_gaps(end: End) -> Iterator[str]:
    """A merchant's events by position, a transaction's by sequence; and the last one says what the transaction is."""
    positions = [event.position for event in end.account.log]
    if positions != list(range(1, len(positions) + 1)):
        yield f"the positions are {positions}"
    for transaction in end.account.transactions.oldest_first():
        own = [event for event in end.account.log if event.transaction == transaction.id]
        if [event.sequence for event in own] != list(range(1, transaction.facts + 1)):
            yield f"{transaction.id}: {transaction.facts} facts, and {[event.sequence for event in own]}"
        if (said := _status_said([event.type for event in own])) not in (None, transaction.status):
            yield f"{transaction.id} is {transaction.status}, and its events say {said}"
    unwitnessed = {event.id for event in end.account.log} - {EventId(id) for id in end.witness.listeners}
    yield from (f"{id} was committed unseen" for id in unwitnessed)


def _status_said(types: list[EventType]) -> Status | None:
    """Return the status that the last event about it says; None where that is a correction, which may say any."""
    said = {
        EventType.TRANSACTION_CREATED: Status.PENDING,
        EventType.TRANSACTION_PROCESSING: Status.PROCESSING,
        EventType.TRANSACTION_SUCCEEDED: Status.SUCCEEDED,
        EventType.TRANSACTION_FAILED: Status.FAILED,
        EventType.TRANSACTION_CANCELED: Status.CANCELED,
    }
    for type in reversed(types):
        if type is EventType.TRANSACTION_CORRECTED:
            return None
        if type in said:
            return said[type]
    return None


def one_effect_for_each_idempotency_key(end: End) -> Iterator[str]:
    """One payment at most, the one that was acknowledged; and the same answer each time, byte for byte."""
    made = Counter(one.metadata["key"] for one in end.account.transactions.oldest_first())
    yield from (f"{key!r} made {count} payments" for key, count in made.items() if count > 1)
    paid = {told.key for told in end.clients.told if told.operation.act is Act.PAY and told.answer is not None}
    yield from (f"{key!r} made a payment of which nobody was told" for key in made if key not in paid)
    answers: dict[str, Answer] = {}
    for told in end.clients.told:
        if told.answer is None or told.operation.act in (Act.SWITCH, Act.REMOVE):
            continue
        first = answers.setdefault(told.key, told.answer)
        if (first.body, first.resource) != (told.answer.body, told.answer.resource):
            yield f"{told.key!r} was answered with {first.body!r} and with {told.answer.body!r}"
    refunds = Counter(str(answer.resource) for key, answer in answers.items() if key.startswith(Act.REFUND))
    there = {one.id for one in end.account.refunds.oldest_first()}
    yield from (f"{id} answers {count} keys" for id, count in refunds.items() if count > 1)
    yield from (f"{id} was acknowledged and is not there" for id in refunds if id not in there)
    keys = {told.key for told in end.clients.told if told.operation.act is Act.REFUND and told.answer is not None}
    if len(there) != len(keys):
        yield f"there are {len(there)} refunds, and {len(keys)} were acknowledged"


def payments_verify_finds_nothing(end: End) -> Iterator[str]:
    """The rules by which a running system is judged hold, too: what they find here they find there."""
    yield from (f"{one.rule.name}: {one.subject}: {one.message}" for one in end.report.breaches)


Rule = Callable[[End], Iterator[str]]

RULES: Final[tuple[Rule, ...]] = (
    every_acknowledged_payment_ends,
    a_person_must_look_only_where_the_gateway_does_not_tell,
    our_state_equals_the_gateways_books,
    refunds_stay_within_the_amount,
    events_reach_their_endpoints,
    endpoints_are_switched_off_by_the_rules,
    what_is_wanted_again_is_posted_again,
    closed_states_change_only_by_a_correction,
    a_canceled_payment_stays_canceled,
    events_are_without_gaps,
    one_effect_for_each_idempotency_key,
    payments_verify_finds_nothing,
)
