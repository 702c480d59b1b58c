"""Check an account's password, no unit open while it is hashed, and act for its merchant if it is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from payments_core.audit import NOBODY, Action, Actor, ActorKind, Origin
from payments_core.errors import Forbidden, InvalidCredentials
from payments_core.ids import MerchantId, Moment
from payments_core.merchant import Merchant
from payments_core.ports import AuditLog, Passwords, UnitOfWork
from payments_core.units import Act, Units, turn_at
from payments_core.use_cases.change_password import rehash_password
from payments_core.use_cases.hold_account import PasswordMoved
from payments_core.use_cases.record_audit import audit_entry
from payments_core.use_cases.require_active import refuse_suspended
from payments_core.values import Json

T = TypeVar("T")

TRIES_MAX: Final = 3
"""Each further one is another's change of the password, or of the form in which it is kept, in that moment."""
MOVED: Final = "The password was changed meanwhile."


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordCheck:
    """Answers whose password it is, and has it noted where it is nobody's."""

    units: Units
    passwords: Passwords
    audit: AuditLog
    origin: Origin

    async def act(self, email: str, password: str, act: Callable[[Merchant], Act[T]]) -> tuple[Merchant, T]:
        """Run an act for the merchant with this address (lower case) and password; again where the password moved.

        Raises InvalidCredentials, after the same time for an unknown address, and Forbidden (`suspended`).
        """
        for _ in range(TRIES_MAX):
            try:
                merchant = await self._merchant(email, password)
                return merchant, await self.units.run(act(merchant), on=turn_at(merchant.id, "account"))
            except PasswordMoved:
                continue
        raise InvalidCredentials(MOVED)

    async def _merchant(self, email: str, password: str) -> Merchant:
        async def find(work: UnitOfWork, _moment: Moment) -> Merchant | None:
            return await work.merchants.by_email(email)

        merchant = await self.units.run(find)
        password_hash = None if merchant is None else merchant.password_hash
        if not await self.passwords.verify(password_hash, password) or merchant is None:
            # For an unknown address too: what is done for one and not for the other could be told by the clock.
            await self._note(None if merchant is None else merchant.id, NOBODY, {})
            raise InvalidCredentials("The e-mail address or the password is wrong.")
        try:
            refuse_suspended(merchant.suspended_at is not None)
        except Forbidden:
            await self._note(merchant.id, Actor(kind=ActorKind.PASSWORD), {"why": "suspended"})
            raise
        if not self.passwords.is_stale(merchant.password_hash):
            return merchant
        fresh = await self.passwords.hash(password)
        return await self.units.run(partial(rehash_password, checked=merchant, password_hash=fresh))

    async def _note(self, merchant: MerchantId | None, who: Actor, detail: Mapping[str, Json]) -> None:
        moment = self.units.moment()
        entry = audit_entry(moment, Action.LOGIN_FAILED, who, merchant=merchant, origin=self.origin, detail=detail)
        await self.audit.append(entry)
