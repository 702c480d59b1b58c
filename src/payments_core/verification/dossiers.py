"""Rules about one transaction and what belongs to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from payments_core.attempt import SAID_BY, Attempt, AttemptKind, AttemptState
from payments_core.books import Dossier, GatewayEntry
from payments_core.ids import AttemptId
from payments_core.money import Money
from payments_core.refund import Refund, RefundStatus
from payments_core.transaction import REFUNDS_MAX, Status, Transaction
from payments_core.use_cases.prepare_attempt import CHARGE_GONE
from payments_core.verification.rules import Found

_OPEN: Final = frozenset({Status.PENDING, Status.PROCESSING})
_OF_CHARGE: Final[Mapping[AttemptState, frozenset[Status]]] = {
    **{state: frozenset({Status.PROCESSING}) for state in AttemptState},
    AttemptState.APPROVED: frozenset({Status.SUCCEEDED}),
    AttemptState.DECLINED: frozenset({Status.FAILED}),
}
_OF_REFUND: Final[Mapping[AttemptState, frozenset[RefundStatus]]] = {
    **{state: frozenset({RefundStatus.PENDING}) for state in AttemptState},
    AttemptState.APPROVED: frozenset({RefundStatus.SUCCEEDED}),
    AttemptState.DECLINED: frozenset({RefundStatus.FAILED}),
    # A failed refund that the gateway approves later: a person decides about the money.
    AttemptState.NEEDS_REVIEW: frozenset({RefundStatus.PENDING, RefundStatus.FAILED}),
}


def attempts_by_subject(dossier: Dossier) -> Mapping[str, Attempt]:
    """Return the attempt of the transaction and of each of its refunds that has one."""
    return {attempt.refund or attempt.transaction: attempt for attempt in dossier.attempts}


def unended(dossier: Dossier) -> Iterator[Found]:
    """Find what is open, with no job that will end it and no person who is to look."""
    awaited = {job.subject for job in dossier.jobs}  # a dead one waits for a person
    awaited.update(
        attempt.refund or attempt.transaction
        for attempt in dossier.attempts
        if attempt.state is AttemptState.NEEDS_REVIEW
    )
    for subject, is_open in _subjects(dossier):
        if is_open and subject.id not in awaited:
            yield subject.id, f"is {subject.status}, and no job will end it"


def _subjects(dossier: Dossier) -> Iterator[tuple[Transaction | Refund, bool]]:
    yield dossier.transaction, dossier.transaction.status in _OPEN
    for refund in dossier.refunds:
        yield refund, refund.status is RefundStatus.PENDING


def overdue(
    due_at: datetime | None, lease_expires_at: datetime | None, *, at: datetime, after: timedelta
) -> timedelta | None:
    """Return for how long work has been due and held by nobody, where that is longer than `after`."""
    if due_at is None:
        return None
    waiting = at - (due_at if lease_expires_at is None else max(due_at, lease_expires_at))
    return waiting if waiting > after else None


def late_jobs(dossier: Dossier, *, at: datetime, after: timedelta) -> Iterator[Found]:
    """Find the living jobs that nobody does."""
    for job in dossier.jobs:
        late = overdue(job.due_at, job.lease_expires_at, at=at, after=after) if job.dead_at is None else None
        if late is not None:
            yield job.id, f"the {job.kind} of {job.subject} has been due for {late.total_seconds():.0f} s"


def attempted_twice(dossier: Dossier) -> Iterator[Found]:
    """Find second attempts of one subject, and attempts that move something else than it."""
    amounts: dict[str, Money] = {dossier.transaction.id: dossier.transaction.amount}
    amounts.update((refund.id, refund.amount) for refund in dossier.refunds)
    seen = set[str]()
    for attempt in dossier.attempts:
        subject = attempt.refund or attempt.transaction
        if subject in seen:
            yield attempt.id, f"is another attempt for {subject}"
        elif amounts.get(subject) != attempt.amount:
            yield attempt.id, f"its amount is not that of {subject}"
        elif (attempt.kind is AttemptKind.REFUND) is (attempt.refund is None):
            yield attempt.id, f"it is a {attempt.kind}, which {subject} is not"
        seen.add(subject)


def status_disagrees(dossier: Dossier) -> Iterator[Found]:
    """Find a transaction and refunds that are elsewhere than their attempts say."""
    attempts = attempts_by_subject(dossier)
    transaction = dossier.transaction
    attempt = attempts.get(transaction.id)
    allowed = frozenset({Status.PENDING, Status.CANCELED}) if attempt is None else _OF_CHARGE[attempt.state]
    if transaction.status not in allowed:
        yield transaction.id, _elsewhere(transaction.status, attempt)
    for refund in dossier.refunds:
        attempt = attempts.get(refund.id)
        # Without one it fails where the charge turned out to be gone.
        without = frozenset({RefundStatus.PENDING, RefundStatus.FAILED})
        if refund.status not in (without if attempt is None else _OF_REFUND[attempt.state]):
            yield refund.id, _elsewhere(refund.status, attempt)


def _elsewhere(status: str, attempt: Attempt | None) -> str:
    if attempt is None:
        return f"is {status} without an attempt"
    return f"is {status}, and its attempt {attempt.id} {attempt.state}"


def refunds_off(dossier: Dossier) -> Iterator[Found]:
    """Find sums and counts of refunds that are not what the transaction says."""
    transaction = dossier.transaction
    sums = dict.fromkeys(RefundStatus, 0)
    for refund in dossier.refunds:
        sums[refund.status] += refund.amount.amount_minor
        if refund.amount.currency != transaction.amount.currency or refund.livemode is not transaction.livemode:
            yield refund.id, f"is of another currency or mode than {transaction.id}"
    said = {
        "refunded": (transaction.refunded_minor, sums[RefundStatus.SUCCEEDED]),
        "about to be refunded": (transaction.refund_pending_minor, sums[RefundStatus.PENDING]),
        "refunds": (transaction.refunds_count, len(dossier.refunds)),
    }
    wrong = [f"{name}: {told}, but {found}" for name, (told, found) in said.items() if told != found]
    total = sums[RefundStatus.SUCCEEDED] + sums[RefundStatus.PENDING]
    if total > transaction.amount.amount_minor:
        wrong.append(f"refunds of {total}, above the amount {transaction.amount.amount_minor}")
    if len(dossier.refunds) > REFUNDS_MAX:
        wrong.append(f"more than {REFUNDS_MAX} refunds")
    if wrong:
        yield transaction.id, "; ".join(wrong)


def settled(dossier: Dossier, gateway: str) -> Iterator[Attempt]:
    """Return the attempts at this gateway about which no more is to be learned: closed, and no look left."""
    looks = {job.subject for job in dossier.jobs}
    for attempt in dossier.attempts:
        is_closed = attempt.state in (AttemptState.APPROVED, AttemptState.DECLINED)
        if is_closed and attempt.gateway == gateway and (attempt.refund or attempt.transaction) not in looks:
            yield attempt


def disagreement(attempt: Attempt, entries: Mapping[AttemptId, GatewayEntry]) -> Found | None:
    """Return how the gateway's entry of a settled attempt contradicts it, if it does."""
    entry = entries.get(attempt.id)
    if entry is None:
        nothing = (attempt.id, f"is {attempt.state}, and the gateway has no entry of it")
        return None if _never_arrived(attempt) else nothing
    if (entry.kind, entry.amount) != (attempt.kind, attempt.amount):
        told, ours = (f"{one.kind} of {one.amount.format()} {one.amount.currency.code}" for one in (entry, attempt))
        return attempt.id, f"the gateway has a {told}, we a {ours}"
    if entry.moved is not (attempt.state is AttemptState.APPROVED):
        told = "approved" if entry.moved else "declined"
        return attempt.id, f"is {attempt.state}, and {told} by the gateway"
    return None


def _never_arrived(attempt: Attempt) -> bool:
    """Say whether the attempt was closed as one that the gateway never heard of.

    It was not sent again, as its charge was gone, or a person said so.
    """
    detail = attempt.detail or ""
    return attempt.state is AttemptState.DECLINED and (detail == CHARGE_GONE.code or SAID_BY in detail)
