"""Make and deactivate payment keys."""

from __future__ import annotations

from payments_core import describe
from payments_core.audit import Action
from payments_core.errors import RuleBroken
from payments_core.ids import Moment, PaymentKeyId
from payments_core.keys import SECRET_BYTES, make_payment_key
from payments_core.merchant import PAYMENT_KEYS_MAX, Caller, PaymentKey
from payments_core.ports import UnitOfWork
from payments_core.units import Made
from payments_core.use_cases.hold_account import hold_account
from payments_core.use_cases.record_audit import record_deed


async def add_payment_key(work: UnitOfWork, moment: Moment, *, caller: Caller) -> Made:
    """Open a channel for payments. Raises RuleBroken (`too_many_payment_keys`)."""
    await hold_account(work, caller.merchant)
    if await work.payment_keys.count(caller.merchant, caller.livemode) >= PAYMENT_KEYS_MAX:
        message = f"An account can have at most {PAYMENT_KEYS_MAX} active payment keys in each mode; delete one."
        raise RuleBroken("too_many_payment_keys", message)
    key = PaymentKey(
        id=PaymentKeyId(moment.id("key")),
        merchant=caller.merchant,
        livemode=caller.livemode,
        key=make_payment_key(moment.secret(SECRET_BYTES), livemode=caller.livemode),
        is_active=True,
        created_at=moment.now,
    )
    work.payment_keys.add(key)
    record_deed(work, moment, Action.PAYMENT_KEY_MADE, caller, subject=key.id)
    return Made(answer=describe.payment_key(key), resource=key.id)


async def deactivate_payment_key(work: UnitOfWork, moment: Moment, *, caller: Caller, id: PaymentKeyId) -> None:
    """Close the channel: no payment commits through it afterwards. Raises NotFound."""
    key = await work.payment_keys.get(caller.merchant, caller.livemode, id)
    if key.is_active:
        work.payment_keys.save(key.deactivate())
        record_deed(work, moment, Action.PAYMENT_KEY_DEACTIVATED, caller, subject=id)
