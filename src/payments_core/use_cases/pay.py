"""Take a payment: accept it, promise the work, say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from payments_core import describe
from payments_core.checks import Faults
from payments_core.errors import RuleBroken
from payments_core.ids import JobId, Moment, TransactionId
from payments_core.job import Job, JobKind
from payments_core.keys import is_payment_key
from payments_core.merchant import Caller, PaymentKey
from payments_core.money import Money
from payments_core.ports import UnitOfWork
from payments_core.recent import Recent
from payments_core.transaction import (
    DESCRIPTION_LENGTH_MAX,
    PAYMENT_METHOD_LENGTH_MAX,
    REFERENCE_LENGTH_MAX,
    Status,
    Transaction,
)
from payments_core.units import Made
from payments_core.use_cases.record_event import record_transaction_event
from payments_core.use_cases.require_active import require_active


@dataclass(frozen=True, slots=True, kw_only=True)
class Pay:
    """What a merchant sends in order to be paid; `amount` is a decimal string in `currency`."""

    payment_key: str
    amount: str
    currency: str
    description: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    payment_method: str | None = None
    reference: str | None = None
    customer_reference: str | None = None


def check_payment(command: Pay, *, livemode: bool) -> Money:
    """Return the amount of a well-formed command, or raise Invalid with all that is wrong."""
    faults = Faults()
    amount = faults.amount_for_payment(command.amount, command.currency)
    faults.free_text("description", command.description, longest=DESCRIPTION_LENGTH_MAX)
    faults.metadata(command.metadata)
    faults.free_text("payment_method", command.payment_method, longest=PAYMENT_METHOD_LENGTH_MAX, shortest=1)
    faults.text("reference", command.reference, longest=REFERENCE_LENGTH_MAX)
    faults.text("customer_reference", command.customer_reference, longest=REFERENCE_LENGTH_MAX)
    if livemode and command.payment_method is None:
        faults.add("payment_method", "missing", "Required in live mode.")
    faults.raise_if_any()
    if amount is None:
        raise AssertionError("an amount that is no amount is a fault")
    return amount


async def pay(
    work: UnitOfWork,
    moment: Moment,
    *,
    caller: Caller,
    command: Pay,
    amount: Money,
    gateway: str,
    recent: Recent,
) -> Made:
    """Accept a payment: the transaction, its first event and the job that will make the attempt, in one commit.

    Raises RuleBroken (`invalid_payment_key`), Forbidden (`suspended`).
    """
    key = await _active_key(work, moment, caller, command.payment_key, recent)
    transaction = Transaction(
        id=TransactionId(moment.id("txn")),
        merchant=caller.merchant,
        livemode=caller.livemode,
        payment_key=key.id,
        amount=amount,
        status=Status.PENDING,
        created_at=moment.now,
        updated_at=moment.now,
        gateway=gateway,
        description=command.description,
        reference=command.reference,
        customer_reference=command.customer_reference,
        metadata=command.metadata,
        payment_method=command.payment_method,
        facts=1,
    )
    work.transactions.add(transaction)
    described = describe.transaction(transaction)
    record_transaction_event(
        work, moment, transaction.created(), transaction, described=described, request_id=caller.request_id
    )
    work.jobs.add(
        Job(
            id=JobId(moment.id("job")),
            merchant=caller.merchant,
            livemode=caller.livemode,
            kind=JobKind.CHARGE,
            subject=transaction.id,
            due_at=moment.now,
            created_at=moment.now,
            request_id=caller.request_id,
        )
    )
    return Made(answer=described, resource=transaction.id)


async def _active_key(work: UnitOfWork, moment: Moment, caller: Caller, text: str, recent: Recent) -> PaymentKey:
    """Return the payment key, active and its merchant not suspended; the commit fails if that changes meanwhile."""
    if not moment.is_again:
        merchant, key = recent.merchant(caller.merchant), recent.payment_key(caller, text)
        if merchant is not None and key is not None:
            work.expect(merchant)
            work.expect(key)
            return key
    merchant = await require_active(work, caller.merchant)
    key = await work.payment_keys.by_key(caller.merchant, caller.livemode, text) if is_payment_key(text) else None
    if key is None or not key.is_active:
        message = "There is no active payment key of this account and mode with this text (`pk_…`)."
        raise RuleBroken("invalid_payment_key", message)
    work.expect(key)
    recent.note(merchant, key)
    return key
