"""Cancel a payment that has not been attempted."""

from __future__ import annotations

from payments_core import describe
from payments_core.audit import Action
from payments_core.ids import Moment, TransactionId
from payments_core.merchant import Caller
from payments_core.ports import UnitOfWork
from payments_core.transaction import StatusReason
from payments_core.units import Made
from payments_core.use_cases.record_audit import record_deed
from payments_core.use_cases.record_event import record_transaction_event


async def cancel_transaction(work: UnitOfWork, moment: Moment, *, caller: Caller, id: TransactionId) -> Made:
    """Cancel a pending transaction; its job finds nothing left to do.

    Raises NotFound, Conflict (`transaction_not_cancelable`).
    """
    transaction = await work.transactions.get(caller.merchant, caller.livemode, id)
    canceled, fact = transaction.cancel(at=moment.now, reason=StatusReason.REQUESTED)
    work.transactions.save(canceled)
    record_transaction_event(work, moment, fact, canceled, request_id=caller.request_id)
    record_deed(work, moment, Action.TRANSACTION_CANCELED, caller, subject=canceled.id)
    return Made(answer=describe.transaction(canceled), resource=canceled.id)
