"""The audit log: who did what, to what, and from where. An entry is written once and never changed.

It answers the questions that are asked after something went wrong (OWASP ASVS 5.0, 16.2 and 16.3): whose key was made
by whom, from where somebody tried to log in, who refunded what. What happened to money by itself is in the events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from payments_core.ids import AuditEntryId, MerchantId
from payments_core.merchant import Caller, CredentialKind
from payments_core.values import Json

NAME_LENGTH_MAX: Final = 100
"""Of what one of the staff is called."""


class Action(StrEnum):
    """What was done, or tried."""

    MERCHANT_REGISTERED = "merchant.registered"
    LOGIN_SUCCEEDED = "login.succeeded"
    LOGIN_FAILED = "login.failed"
    SESSION_ENDED = "session.ended"
    SESSIONS_ENDED = "sessions.ended"
    """All of them at once, wherever they were begun."""
    SESSION_STOLEN = "session.stolen"
    """A refresh token was used twice: its whole family was revoked."""
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 - a name, not a secret
    PASSWORD_REFUSED = "password.refused"  # noqa: S105 - a name, not a secret
    """Whoever wanted to change it did not know it."""
    PASSWORD_RESET = "password.reset"  # noqa: S105 - a name, not a secret
    API_KEY_MADE = "api_key.made"
    API_KEY_ROTATED = "api_key.rotated"
    API_KEY_REVOKED = "api_key.revoked"
    PAYMENT_KEY_MADE = "payment_key.made"
    PAYMENT_KEY_DEACTIVATED = "payment_key.deactivated"
    WEBHOOK_MADE = "webhook.made"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_REMOVED = "webhook.removed"
    WEBHOOK_SECRET_ROTATED = "webhook.secret_rotated"  # noqa: S105 - a name, not a secret
    TRANSACTION_CANCELED = "transaction.canceled"
    REFUND_MADE = "refund.made"
    MERCHANT_SUSPENDED = "merchant.suspended"
    MERCHANT_UNSUSPENDED = "merchant.unsuspended"
    MERCHANT_SEEN = "merchant.seen"
    MERCHANTS_LISTED = "merchants.listed"
    STAFF_MADE = "staff.made"
    STAFF_DISABLED = "staff.disabled"
    STAFF_LISTED = "staff.listed"
    JOBS_LISTED = "jobs.listed"
    ATTEMPTS_LISTED = "attempts.listed"
    AUDIT_LISTED = "audit.listed"
    LIST_SEEN = "list.seen"
    """One of the lists of what merchants have; its name is in the detail, and what was looked for if that was an id."""
    JOB_SEEN = "job.seen"
    JOB_REVIVED = "job.revived"
    ATTEMPT_SEEN = "attempt.seen"
    ATTEMPT_RESOLVED = "attempt.resolved"
    SECRETS_RESEALED = "secrets.resealed"
    """What is kept encrypted is encrypted again under another key: one entry as it begins, one with how much it was."""
    SHELL_OPENED = "shell.opened"


class ActorKind(StrEnum):
    """By what somebody was recognised."""

    SERVER_KEY = "server_key"
    SESSION_KEY = "session_key"
    ACCESS_TOKEN = "access_token"  # noqa: S105 - a name, not a secret
    CONSOLE = "console"
    TRUSTED = "trusted"
    """Code that calls the library itself."""
    PASSWORD = "password"  # noqa: S105 - a name, not a secret
    """Whoever knew the e-mail address and the password."""
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - a name, not a secret
    STAFF = "staff"
    NOBODY = "nobody"
    """Whoever was not recognised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it: `id` is the credential's, the name of one of the staff, or nothing that is known.

    `kind` is an ActorKind, or what a later version wrote.
    """

    kind: str
    id: str | None = None


NOBODY: Final = Actor(kind=ActorKind.NOBODY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a request comes from: the address of whoever sent it, and the request's id; None is not known."""

    address: str | None = None
    request_id: str | None = None


HERE: Final = Origin()
"""This machine: a command, or code that calls the library itself."""


NO_DETAIL: Final[Mapping[str, Json]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line of the log.

    `merchant` is whose it is; None where it concerns nobody's account, and then only staff see it. `livemode` is None
    where it concerns both modes. `action` is an Action, or what a later version wrote. `subject` is the id of what it
    was done to. `detail` holds plain values, never a secret, a password or what somebody typed as an e-mail address.
    """

    id: AuditEntryId
    merchant: MerchantId | None
    livemode: bool | None
    at: datetime
    action: str
    actor: Actor
    address: str | None = None
    request_id: str | None = None
    subject: str | None = None
    detail: Mapping[str, Json] = field(default_factory=dict[str, Json])


_KINDS: Final[Mapping[CredentialKind, ActorKind]] = {kind: ActorKind(kind.value) for kind in CredentialKind}


def actor_of(caller: Caller) -> Actor:
    """Return a caller as who did it."""
    return Actor(kind=_KINDS[caller.kind], id=caller.credential)


def origin_of(caller: Caller) -> Origin:
    """Return where a caller's request comes from."""
    return Origin(address=caller.address, request_id=caller.request_id)
