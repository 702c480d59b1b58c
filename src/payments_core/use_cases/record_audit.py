"""Write down who did what: in the same commit as the deed."""

from __future__ import annotations

from collections.abc import Mapping

from payments_core.audit import HERE, NO_DETAIL, Action, Actor, ActorKind, AuditEntry, Origin, actor_of, origin_of
from payments_core.ids import AuditEntryId, MerchantId, Moment
from payments_core.merchant import Caller
from payments_core.ports import UnitOfWork
from payments_core.values import Json


def record_deed(
    work: UnitOfWork,
    moment: Moment,
    action: Action,
    caller: Caller,
    *,
    subject: str | None = None,
    of_account: bool = False,
    detail: Mapping[str, Json] = NO_DETAIL,
) -> None:
    """Record what a caller does, in the caller's mode; with `of_account` it concerns both modes."""
    work.audit.add(
        audit_entry(
            moment,
            action,
            actor_of(caller),
            merchant=caller.merchant,
            livemode=None if of_account else caller.livemode,
            origin=origin_of(caller),
            subject=subject,
            detail=detail,
        )
    )


def audit_entry(
    moment: Moment,
    action: Action,
    actor: Actor,
    *,
    merchant: MerchantId | None,
    livemode: bool | None = None,
    origin: Origin = HERE,
    subject: str | None = None,
    detail: Mapping[str, Json] = NO_DETAIL,
) -> AuditEntry:
    """Return the entry of this moment."""
    return AuditEntry(
        id=AuditEntryId(moment.id("aud")),
        merchant=merchant,
        livemode=livemode,
        at=moment.now,
        action=action,
        actor=actor,
        address=origin.address,
        request_id=origin.request_id,
        subject=subject,
        detail=detail,
    )


def staff(name: str) -> Actor:
    """Return one of the staff as who did it."""
    return Actor(kind=ActorKind.STAFF, id=name)
