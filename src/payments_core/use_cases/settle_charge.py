"""What the gateway's word on a charge changes: the transaction, and an event."""

from __future__ import annotations

from enum import StrEnum

from payments_core.attempt import Attempt
from payments_core.ids import Moment
from payments_core.ports import UnitOfWork
from payments_core.transaction import REFUNDS_SHOWN_MAX, Failure, Status, Transaction
from payments_core.use_cases.record_event import record_transaction_event
from payments_core.values import Json


class Source(StrEnum):
    """Whose word it is."""

    GATEWAY = "gateway"
    STAFF = "staff"


def evidence_of(attempt: Attempt, source: Source) -> dict[str, Json]:
    """Return what a correction is based on, as it is made public: who said so is known, and not by name."""
    return {"source": str(source), "gateway": attempt.gateway, "attempt": attempt.id}


async def succeed_charge(
    work: UnitOfWork, moment: Moment, attempt: Attempt, transaction: Transaction, reference: str, *, source: Source
) -> None:
    """Record that the money moved; for a transaction that is closed already that is a correction by `source`."""
    if transaction.status is Status.PROCESSING:
        done, fact = transaction.succeed(at=moment.now, gateway_reference=reference)
        work.transactions.save(done)
        record_transaction_event(work, moment, fact, done, request_id=attempt.request_id)
    else:
        await _correct(work, moment, attempt, transaction, Status.SUCCEEDED, source, reference=reference)


async def fail_charge(
    work: UnitOfWork, moment: Moment, attempt: Attempt, transaction: Transaction, failure: Failure, *, source: Source
) -> None:
    """Record that the money did not move; for a transaction that is closed already that is a correction by `source`."""
    if transaction.status is Status.PROCESSING:
        done, fact = transaction.fail(at=moment.now, failure=failure)
        work.transactions.save(done)
        record_transaction_event(work, moment, fact, done, request_id=attempt.request_id)
    else:
        await _correct(work, moment, attempt, transaction, Status.FAILED, source, failure=failure)


async def _correct(
    work: UnitOfWork,
    moment: Moment,
    attempt: Attempt,
    transaction: Transaction,
    to: Status,
    source: Source,
    *,
    reference: str | None = None,
    failure: Failure | None = None,
) -> None:
    if transaction.status is to:
        return
    corrected, fact = transaction.correct(
        to, at=moment.now, evidence=evidence_of(attempt, source), gateway_reference=reference, failure=failure
    )
    refunds = await work.refunds.latest_of(transaction.merchant, transaction.id, limit=REFUNDS_SHOWN_MAX)
    work.transactions.save(corrected)
    record_transaction_event(work, moment, fact, corrected, refunds=refunds, request_id=attempt.request_id)
