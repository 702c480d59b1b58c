"""In whose name staff act, from where, and how the audit log hears of it: what all that staff can do is built on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from payments_core.audit import HERE, NAME_LENGTH_MAX, NO_DETAIL, Action, Actor, Origin
from payments_core.checks import Faults
from payments_core.guesses import Guesses
from payments_core.ids import MerchantId
from payments_core.ports import AuditLog, Clock, Credentials, Doorbell, Oversight, Passwords
from payments_core.units import Units
from payments_core.use_cases.record_audit import audit_entry, staff
from payments_core.values import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffDesk:
    """What it takes to look and to act, in the name of one of the staff (`name`) who is at `origin`."""

    units: Units
    oversight: Oversight
    audit: AuditLog
    passwords: Passwords
    credentials: Credentials
    guesses: Guesses
    doorbell: Doorbell
    clock: Clock
    name: str = "staff"
    origin: Origin = HERE

    def named(self, name: str, origin: Origin = HERE) -> Self:
        """Return the same in the name of somebody, whose entries in the audit log say where they come from.

        It is one line of at most NAME_LENGTH_MAX characters. Raises Invalid.
        """
        faults = Faults()
        faults.line("name", name, longest=NAME_LENGTH_MAX)
        faults.raise_if_any()
        return replace(self, name=name, origin=origin)

    @property
    def who(self) -> Actor:
        """Whoever acts."""
        return staff(self.name)

    async def note(self, action: Action, detail: Mapping[str, Json] = NO_DETAIL) -> None:
        """Keep that somebody did what concerns the whole installation and no use case does. Raises Unavailable."""
        await self._append(action, merchant=None, detail=detail)

    async def _note_list(self, action: Action, merchant: MerchantId | None) -> None:
        """Keep that a page of a list was looked at: each, as nobody has to begin with the first."""
        await self._append(action, merchant=merchant)

    async def _note(
        self,
        action: Action,
        merchant: MerchantId,
        subject: str,
        *,
        livemode: bool | None,
        detail: Mapping[str, Json] = NO_DETAIL,
    ) -> None:
        """Keep that somebody of the staff looked at what is a merchant's."""
        await self._append(action, merchant=merchant, subject=subject, livemode=livemode, detail=detail)

    async def _append(
        self,
        action: Action,
        *,
        merchant: MerchantId | None,
        subject: str | None = None,
        livemode: bool | None = None,
        detail: Mapping[str, Json] = NO_DETAIL,
    ) -> None:
        entry = audit_entry(
            self.units.moment(),
            action,
            self.who,
            merchant=merchant,
            livemode=livemode,
            origin=self.origin,
            subject=subject,
            detail=detail,
        )
        await self.audit.append(entry)
