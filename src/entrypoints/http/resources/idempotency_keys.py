"""What an idempotency key did."""

from __future__ import annotations

from typing import Final

from entrypoints.http.docs.quantities import in_time
from entrypoints.http.operations import Call, Operation, read
from entrypoints.http.response_schemas import IdempotencyKey
from payments_core import NotFound, Scope
from payments_core.describe import JsonObject
from payments_core.errors import Invalid
from payments_core.idempotency import KEPT, parse_key
from payments_core.use_cases.read_lists import Seen


@read(
    "/api/idempotency_keys/{key}/",
    tag="Idempotency keys",
    summary="What an idempotency key did",
    access=Scope.ACCOUNT_READ,
    answer=IdempotencyKey,
    cached=False,
    limits=f"Keys are kept for {in_time(KEPT)}.",
)
async def get_idempotency_key(call: Call) -> Seen[JsonObject]:
    """Its route, status, time and the id of what it made; of this mode's keys."""
    try:
        key = parse_key(call.ids["key"])
    except Invalid:
        raise NotFound("There is no such idempotency key.") from None
    return await call.payments.read.idempotency_key(call.caller, key)


OPERATIONS: Final[tuple[Operation, ...]] = (get_idempotency_key,)
