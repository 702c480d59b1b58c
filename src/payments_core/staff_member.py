"""Those who run the service, by name: accounts that see every merchant, and the sessions in which they do.

They are no merchants: nothing of theirs is any merchant's, and no API key is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from payments_core.ids import StaffId, StaffSessionId

STAFF_SESSION_LIFETIME: Final = timedelta(hours=12)
"""From sign-in on, however much is done meanwhile: a working day."""
STAFF_SESSIONS_MAX: Final = 10
STAFF_MEMBERS_MAX: Final = 1_000
"""Accounts, disabled ones included: so that all can be shown at once. Two made in the same moment may pass it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffMember:
    """One of the staff. The e-mail address is in lower case; `name` is one line.

    A disabled member stays, as the audit log names it, and never signs in again.
    """

    id: StaffId
    email: str
    name: str
    password_hash: str = field(repr=False)
    created_at: datetime
    disabled_at: datetime | None = None
    version: int = 0

    def change_password(self, password_hash: str) -> StaffMember:
        """Return the member with another password."""
        return replace(self, password_hash=password_hash)

    def disable(self, at: datetime) -> StaffMember:
        """Return the member, shut out; one that is already stays as it is."""
        return self if self.disabled_at is not None else replace(self, disabled_at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffSession:
    """A member's stay, from signing in until it is revoked or expires.

    The id is what recognises the member (74 random bits): it is shown to nobody else, and whoever shows it does so in a
    signed cookie.
    """

    id: StaffSessionId
    member: StaffId
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    version: int = 0

    def is_valid(self, at: datetime) -> bool:
        """Say whether the session opens anything at that time."""
        return self.revoked_at is None and at < self.expires_at

    def revoke(self, at: datetime) -> StaffSession:
        """Return the session, ended; one that has ended already stays as it is."""
        return self if self.revoked_at is not None else replace(self, revoked_at=at)
