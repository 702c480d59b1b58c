"""Take a person's word on an attempt of which the gateway's word did not come, or was wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from payments_core.attempt import SAID_BY, Attempt, AttemptState
from payments_core.audit import NAME_LENGTH_MAX, Action, Actor, Origin
from payments_core.checks import Faults
from payments_core.describe import JsonObject
from payments_core.errors import Conflict
from payments_core.gateway import Approved, Declined
from payments_core.ids import AttemptId, MerchantId, Moment
from payments_core.ports import UnitOfWork
from payments_core.refund import Refund, RefundStatus
from payments_core.transaction import Transaction
from payments_core.use_cases.record_audit import audit_entry
from payments_core.use_cases.settle_attempt import failure_of
from payments_core.use_cases.settle_charge import Source, evidence_of, fail_charge, succeed_charge
from payments_core.use_cases.settle_refund import fail_refund, recover_refund, succeed_refund

CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
REFERENCE_LENGTH_MAX: Final = 255
MESSAGE_LENGTH_MAX: Final = 255
NOTE_LENGTH_MAX: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve:
    """What somebody (`by`) found out of an attempt at the gateway, and how (`note`).

    `correct`: it takes the place of another word, the gateway's or a person's, that closed the attempt before.
    """

    outcome: Approved | Declined
    by: str
    note: str | None = None
    correct: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The attempt as it is now, and whether it was changed: the same word again changes nothing."""

    attempt: Attempt
    changed: bool


def check_resolution(command: Resolve) -> None:
    """Raise Invalid with all that is wrong with a command, as far as it alone tells."""
    faults = Faults()
    match command.outcome:
        case Approved(reference=reference):
            faults.line("reference", reference, longest=REFERENCE_LENGTH_MAX)
        case Declined(code=code, message=message):
            if not CODE.fullmatch(code):
                faults.add("code", "malformed", "Must be a word such as `card_declined`: a to z, digits and `_`.")
            faults.line("message", message, longest=MESSAGE_LENGTH_MAX)
    faults.line("by", command.by, longest=NAME_LENGTH_MAX)
    faults.line("note", command.note, longest=NOTE_LENGTH_MAX)
    faults.raise_if_any()


async def resolve_attempt(
    work: UnitOfWork,
    moment: Moment,
    *,
    merchant: MerchantId,
    id: AttemptId,
    command: Resolve,
    who: Actor,
    origin: Origin,
) -> Resolved:
    """Close the attempt and what it is about as the gateway's word would have, or correct what was closed otherwise.

    Raises NotFound; Conflict (`attempt_open`, `attempt_closed`); RuleBroken where a refund that had failed would
    exceed what is left of its transaction.
    """
    attempt = await work.attempts.get(merchant, id)
    if attempt.is_open:
        message = f"The attempt is {attempt.state}: its job still asks the gateway. If that job is dead, revive it."
        raise Conflict("attempt_open", message)
    approved = isinstance(command.outcome, Approved)
    if attempt.state is (AttemptState.APPROVED if approved else AttemptState.DECLINED):
        return Resolved(attempt=attempt, changed=False)
    if attempt.state is not AttemptState.NEEDS_REVIEW and not command.correct:
        raise Conflict("attempt_closed", f"The attempt is {attempt.state}: only a correction changes that.")
    transaction = await work.transactions.get(merchant, attempt.livemode, attempt.transaction)
    refund = None if attempt.refund is None else await work.refunds.get(merchant, attempt.livemode, attempt.refund)
    if isinstance(command.outcome, Approved):
        resolved = attempt.approve(command.outcome.reference, moment.now, detail=_said(command))
        await _approve(work, moment, attempt, transaction, refund, command.outcome.reference)
    else:
        resolved = attempt.decline(f"{command.outcome.code}, {_said(command)}", moment.now)
        await _decline(work, moment, attempt, transaction, refund, command.outcome)
    work.attempts.save(resolved)
    _record(work, moment, attempt, resolved, command, who, origin)
    return Resolved(attempt=resolved, changed=True)


async def _approve(
    work: UnitOfWork, moment: Moment, attempt: Attempt, transaction: Transaction, refund: Refund | None, reference: str
) -> None:
    request_id, evidence = attempt.request_id, evidence_of(attempt, Source.STAFF)
    if refund is None:
        await succeed_charge(work, moment, attempt, transaction, reference, source=Source.STAFF)
    elif refund.status is RefundStatus.PENDING:
        succeed_refund(work, moment, transaction, refund, reference, request_id=request_id)
    else:
        recover_refund(work, moment, transaction, refund, reference, evidence=evidence, request_id=request_id)


async def _decline(
    work: UnitOfWork,
    moment: Moment,
    attempt: Attempt,
    transaction: Transaction,
    refund: Refund | None,
    declined: Declined,
) -> None:
    failure = failure_of(declined)
    if refund is None:
        await fail_charge(work, moment, attempt, transaction, failure, source=Source.STAFF)
    elif refund.status is not RefundStatus.FAILED:
        evidence = evidence_of(attempt, Source.STAFF)
        fail_refund(work, moment, transaction, refund, failure, evidence=evidence, request_id=attempt.request_id)


def _said(command: Resolve) -> str:
    """Return what is kept with the attempt: who said so, and why."""
    said = f"{SAID_BY}{command.by}"
    return said if command.note is None else f"{said}: {command.note}"


def _record(
    work: UnitOfWork,
    moment: Moment,
    before: Attempt,
    after: Attempt,
    command: Resolve,
    who: Actor,
    origin: Origin,
) -> None:
    detail: JsonObject = {
        "transaction": before.transaction,
        "refund": before.refund,
        "before": str(before.state),
        "after": str(after.state),
        "by": command.by,
        "note": command.note,
    }
    work.audit.add(
        audit_entry(
            moment,
            Action.ATTEMPT_RESOLVED,
            who,
            merchant=before.merchant,
            livemode=before.livemode,
            origin=origin,
            subject=before.id,
            detail=detail,
        )
    )
