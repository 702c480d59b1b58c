"""Payment keys: list, make, deactivate."""

from __future__ import annotations

from typing import Final

from entrypoints.http.operations import Call, NoBody, Operation, command, read
from entrypoints.http.query import PAGED
from entrypoints.http.response_schemas import PaymentKey
from payments_core import Answer, Scope
from payments_core.describe import JsonObject
from payments_core.ids import PaymentKeyId
from payments_core.merchant import PAYMENT_KEYS_MAX
from payments_core.page import Page
from payments_core.use_cases.read_lists import Seen

TAG: Final = "Payment keys"
PATH: Final = "/api/payments/payment_key/"
ONE: Final = f"{PATH}{{id}}/"


@read(
    PATH,
    tag=TAG,
    summary="List payment keys",
    access=Scope.PAYMENT_KEYS_READ,
    answer=PaymentKey,
    page=True,
    parameters=PAGED,
)
async def list_payment_keys(call: Call) -> Page[JsonObject]:
    """Those of this mode, inactive ones too, the newest first."""
    return await call.payments.read.payment_keys(call.caller, call.query.page)


@read(ONE, tag=TAG, summary="Look at a payment key", access=Scope.PAYMENT_KEYS_READ, answer=PaymentKey)
async def get_payment_key(call: Call) -> Seen[JsonObject]:
    """Active or not."""
    return await call.payments.read.payment_key(call.caller, call.id(PaymentKeyId))


@command(
    "POST",
    PATH,
    tag=TAG,
    summary="Make a payment key",
    access=Scope.PAYMENT_KEYS_WRITE,
    status=201,
    answer=PaymentKey,
    location=f"{PATH}{{}}/",
    problems=["too_many_payment_keys"],
    limits=f"Up to {PAYMENT_KEYS_MAX} active ones in each mode.",
)
async def make_payment_key(call: Call, _body: NoBody) -> Answer:
    """A channel through which payments come, of the caller's mode. It is not a secret and never authenticates."""
    return await call.payments.make_payment_key(call.caller, once=call.once)


@command(
    "DELETE",
    ONE,
    tag=TAG,
    summary="Deactivate a payment key",
    access=Scope.PAYMENT_KEYS_WRITE,
    status=204,
)
async def deactivate_payment_key(call: Call, _body: NoBody) -> None:
    """No payment comes through it afterwards."""
    await call.payments.deactivate_payment_key(call.caller, call.id(PaymentKeyId))


OPERATIONS: Final[tuple[Operation, ...]] = (
    list_payment_keys,
    get_payment_key,
    make_payment_key,
    deactivate_payment_key,
)
