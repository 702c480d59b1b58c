"""Merchants and what they hold: API keys, payment keys, sessions, refresh tokens."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from payments_core.ids import ApiKeyId, MerchantId, PaymentKeyId, SessionId

SESSION_KEY_LIFETIME: Final = timedelta(hours=24)
SESSION_KEYS_MAX: Final = 10
API_KEYS_MAX: Final = 100
PAYMENT_KEYS_MAX: Final = 100
SESSIONS_MAX: Final = 100
USES_NOTED_EVERY: Final = timedelta(minutes=1)
"""How often the last use of one API key is written down at most."""
ROTATION_OVERLAP: Final = timedelta(hours=24)
ACCESS_TOKEN_LIFETIME: Final = timedelta(minutes=5)
REFRESH_IDLE_LIFETIME: Final = timedelta(days=1)
SESSION_LIFETIME: Final = timedelta(days=30)
CONSOLE_SESSION_LIFETIME: Final = timedelta(hours=12)
"""Of a sign-in to the console, however busy it is (ASVS 5.0, 7.3.2)."""
EMAIL_LENGTH_MAX: Final = 254
NAME_LENGTH_MAX: Final = 200
PASSWORD_LENGTH_MIN: Final = 8
PASSWORD_LENGTH_MAX: Final = 128


class Scope(StrEnum):
    """What a credential may do: a resource, and whether it may read or also write it."""

    ACCOUNT_READ = "account:read"
    ACCOUNT_WRITE = "account:write"
    API_KEYS_READ = "api_keys:read"
    API_KEYS_WRITE = "api_keys:write"
    AUDIT_READ = "audit:read"
    EVENTS_READ = "events:read"
    PAYMENT_KEYS_READ = "payment_keys:read"
    PAYMENT_KEYS_WRITE = "payment_keys:write"
    REFUNDS_READ = "refunds:read"
    REFUNDS_WRITE = "refunds:write"
    TRANSACTIONS_READ = "transactions:read"
    TRANSACTIONS_WRITE = "transactions:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"


ALL_SCOPES: Final = frozenset(Scope)
READING_SCOPES: Final = frozenset(scope for scope in Scope if scope.endswith(":read"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Merchant:
    """Somebody who takes payments."""

    id: MerchantId
    email: str
    name: str | None
    password_hash: str = field(repr=False)
    created_at: datetime
    suspended_at: datetime | None = None
    version: int = 0

    def change_password(self, password_hash: str) -> Merchant:
        """Return the merchant with another password."""
        return replace(self, password_hash=password_hash)

    def suspend(self, at: datetime) -> Merchant:
        """Return the merchant that takes no payments; one that is suspended already stays as it is."""
        return self if self.suspended_at is not None else replace(self, suspended_at=at)

    def unsuspend(self) -> Merchant:
        """Return the merchant that takes payments again."""
        return replace(self, suspended_at=None)


class ApiKeyKind(StrEnum):
    """A server's key, or one that a login made for a day."""

    SERVER = "server"
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A secret that authenticates a merchant in one mode; only its digest is kept."""

    id: ApiKeyId
    merchant: MerchantId
    livemode: bool
    kind: ApiKeyKind
    name: str | None
    scopes: frozenset[Scope]
    digest: str
    prefix: str
    last_four: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    version: int = 0

    def is_valid(self, at: datetime) -> bool:
        """Say whether the key opens anything at that time."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)

    def revoke(self, at: datetime) -> ApiKey:
        """Return the key, closed; one that is closed already stays as it is."""
        return self if self.revoked_at is not None else replace(self, revoked_at=at)

    def expire_by(self, at: datetime) -> ApiKey:
        """Return the key, closing at `at` or earlier: the old key of a rotation."""
        return replace(self, expires_at=at if self.expires_at is None else min(at, self.expires_at))


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentKey:
    """A channel through which payments come; public, no secret, never authenticates."""

    id: PaymentKeyId
    merchant: MerchantId
    livemode: bool
    key: str
    is_active: bool
    created_at: datetime
    version: int = 0

    def deactivate(self) -> PaymentKey:
        """Return the key through which no payment comes any more."""
        return replace(self, is_active=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A family of refresh tokens: one login by `POST /api/auth/token/` (RFC 9700, section 4.14.2).

    A sign-in to the console is one without tokens, for CONSOLE_SESSION_LIFETIME: its cookie names it.
    """

    id: SessionId
    merchant: MerchantId
    livemode: bool
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    version: int = 0

    def is_valid(self, at: datetime) -> bool:
        """Say whether tokens of this family open anything at that time."""
        return self.revoked_at is None and at < self.expires_at

    def revoke(self, at: datetime) -> Session:
        """Return the family, ended; one that has ended already stays as it is."""
        return self if self.revoked_at is not None else replace(self, revoked_at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """One token of a family: opaque, kept as a digest, good for a single use."""

    digest: str
    session: SessionId
    merchant: MerchantId
    created_at: datetime
    expires_at: datetime
    spent_at: datetime | None = None
    version: int = 0

    def spend(self, at: datetime) -> RefreshToken:
        """Return the token, used."""
        return replace(self, spent_at=at)


class CredentialKind(StrEnum):
    """By what a caller was recognised; a server's own code is trusted without a credential."""

    SERVER_KEY = "server_key"
    SESSION_KEY = "session_key"
    ACCESS_TOKEN = "access_token"  # noqa: S105 - a name, not a secret
    CONSOLE = "console"
    """A sign-in to the console."""
    TRUSTED = "trusted"
    STAFF = "staff"
    """One of the staff who looks at what is the merchant's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: a merchant in one mode, what the credential allows, the request for which it asks, and from where."""

    merchant: MerchantId
    livemode: bool = False
    scopes: frozenset[Scope] = ALL_SCOPES
    kind: CredentialKind = CredentialKind.TRUSTED
    credential: str | None = None
    request_id: str | None = None
    address: str | None = None
