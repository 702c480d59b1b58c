"""What staff do about merchants: find one, look at it, suspend it, give its owner a new password."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from payments_core.audit import Action
from payments_core.checks import Faults
from payments_core.ids import MerchantId
from payments_core.merchant import READING_SCOPES, Caller, CredentialKind, Merchant
from payments_core.page import Slice
from payments_core.ports import MerchantFilter, Window
from payments_core.staff_desk import StaffDesk
from payments_core.units import turn_at
from payments_core.use_cases.change_password import reset_password
from payments_core.use_cases.register_merchant import check_new_password, normal_email
from payments_core.use_cases.suspend_merchant import (
    REASON_LENGTH_MAX,
    Suspension,
    cancel_pending_of_suspended,
    suspend_merchant,
    unsuspend_merchant,
)

TEXT_LENGTH_MAX: Final = 200
"""Of what a merchant is looked for by."""
PAGE_LENGTH_MAX: Final = 100

_log = logging.getLogger(__name__)


class StaffMerchants(StaffDesk):
    """Merchants, as staff see and treat them."""

    __slots__ = ()

    async def merchants(self, window: Window, filter: MerchantFilter) -> Slice[Merchant]:
        """List merchants, the newest first. Raises Invalid (`text`)."""
        faults = Faults()
        faults.text("text", filter.text, longest=TEXT_LENGTH_MAX)
        faults.raise_if_any()
        await self._note_list(Action.MERCHANTS_LISTED, None)
        return await self.oversight.merchants(window, filter)

    async def merchant(self, id: MerchantId) -> Merchant:
        """Return a merchant. Raises NotFound."""
        merchant = await self.oversight.merchant(id)
        await self._note(Action.MERCHANT_SEEN, id, id, livemode=None)
        return merchant

    async def caller(self, merchant_id: MerchantId, *, livemode: bool, page: str) -> Caller:
        """Return a caller that looks at what is a merchant's, in the name of one of the staff.

        The merchant's audit log has it, with `page`, which says what is looked at. It has the scopes to read, and none
        to write. Raises NotFound, Invalid (`page`).
        """
        faults = Faults()
        faults.line("page", page, longest=PAGE_LENGTH_MAX)
        faults.raise_if_any()
        await self.oversight.merchant(merchant_id)
        await self._note(Action.MERCHANT_SEEN, merchant_id, merchant_id, livemode=livemode, detail={"page": page})
        return Caller(
            merchant=merchant_id,
            livemode=livemode,
            scopes=READING_SCOPES,
            kind=CredentialKind.STAFF,
            credential=self.name,
            request_id=self.origin.request_id,
            address=self.origin.address,
        )

    async def suspend(self, merchant_id: MerchantId, reason: str) -> Suspension:
        """Stop a merchant's credentials and cancel its payments that have not been attempted.

        The credentials stop at once in this process, within a second in all others. The merchant is told the reason,
        by its audit log. One that is suspended already stays so, for the reason that was given then; what of its
        payments is still pending is canceled all the same.

        Raises Invalid (`reason`), NotFound, Unavailable: where it is raised behind the suspension itself, which holds,
        workers cancel the payments that they come to, and the same call again cancels all.
        """
        faults = Faults()
        faults.line("reason", reason, longest=REASON_LENGTH_MAX)
        faults.raise_if_any()
        act = partial(suspend_merchant, id=merchant_id, reason=reason, by=self.who, origin=self.origin)
        try:
            merchant, changed = await self.units.run(act, on=turn_at(merchant_id, "account"))
        finally:
            # Also where the outcome is unknown: the merchant's credentials must not be believed any longer.
            self.credentials.forget(merchant_id)
        canceled = await self._cancel_pending(merchant_id)
        if changed:
            _log.info("%s is suspended; %d payments were canceled", merchant_id, canceled)
        return Suspension(merchant=merchant, changed=changed, canceled=canceled)

    async def unsuspend(self, merchant_id: MerchantId) -> Suspension:
        """Let a merchant go on: its credentials are good again, as far as they have not ended meanwhile.

        Payments that were pending when it was suspended are never charged: those that are still left are canceled
        first. One that is not suspended stays as it is. Raises NotFound, Unavailable.
        """
        merchant = await self.oversight.merchant(merchant_id)
        if merchant.suspended_at is None:
            # Nor is a suspension lifted that comes just now: what was pending then would be left, and charged.
            return Suspension(merchant=merchant, changed=False, canceled=0)
        canceled = await self._cancel_pending(merchant_id)
        act = partial(unsuspend_merchant, id=merchant_id, by=self.who, origin=self.origin)
        try:
            merchant, changed = await self.units.run(act, on=turn_at(merchant_id, "account"))
        finally:
            self.credentials.forget(merchant_id)
        if changed:
            _log.info("%s is not suspended any more", merchant_id)
        return Suspension(merchant=merchant, changed=changed, canceled=canceled)

    async def reset_password(self, email: str, password: str) -> Merchant:
        """Give the account with this address a new password and end its sessions; its API keys stay.

        Raises Invalid (`password`), NotFound, Unavailable.
        """
        check_new_password("password", password, self.passwords)
        password_hash = await self.passwords.hash(password)
        act = partial(
            reset_password,
            email=normal_email(email),
            password_hash=password_hash,
            by=self.who,
            origin=self.origin,
        )
        merchant = await self.units.run(act)
        self.credentials.forget(merchant.id)
        _log.info("the password of %s was reset", merchant.id)
        return merchant

    async def _cancel_pending(self, merchant: MerchantId) -> int:
        canceled = 0
        try:
            canceled = await cancel_pending_of_suspended(
                self.units, self.oversight, self.clock, merchant, request_id=self.origin.request_id
            )
        finally:
            # Also where it broke off: there may be webhooks to send.
            self.doorbell.ring()
        return canceled
