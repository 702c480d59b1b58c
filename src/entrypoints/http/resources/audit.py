"""The audit log: who did what, from where."""

from __future__ import annotations

from typing import Final

from entrypoints.http.operations import Call, Operation, read
from entrypoints.http.query import CREATED_AFTER, CREATED_BEFORE, PAGED, one_of, text
from entrypoints.http.response_schemas import AuditEntry
from payments_core import Scope
from payments_core.audit import Action
from payments_core.describe import JsonObject
from payments_core.page import Page
from payments_core.ports import AuditFilter

TAG: Final = "Audit log"
ACTION: Final = one_of("action", "Only of this action.", Action)
SUBJECT: Final = text("subject", "Only what was done to the thing with this id.")


@read(
    "/api/audit/",
    tag=TAG,
    summary="List what was done to the account",
    access=Scope.AUDIT_READ,
    answer=AuditEntry,
    page=True,
    parameters=[*PAGED, ACTION, SUBJECT, CREATED_AFTER, CREATED_BEFORE],
    cached=False,
)
async def list_audit_entries(call: Call) -> Page[JsonObject]:
    """Who logged in, made or revoked keys, changed endpoints, refunded, and from where; the newest first.

    Entries are never changed or removed. Those of this mode are there, and those that concern both.
    """
    chosen = AuditFilter(
        action=call.query.get(ACTION),
        subject=call.query.get(SUBJECT),
        created_after=call.query.get(CREATED_AFTER),
        created_before=call.query.get(CREATED_BEFORE),
    )
    return await call.payments.read.audit(call.caller, call.query.page, chosen)


OPERATIONS: Final[tuple[Operation, ...]] = (list_audit_entries,)
