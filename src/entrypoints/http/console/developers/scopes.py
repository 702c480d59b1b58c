"""What an API key may do, in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from payments_core import Scope
from payments_core.merchant import ALL_SCOPES

WORDS: Final[Mapping[Scope, str]] = {
    Scope.TRANSACTIONS_READ: "See transactions, and export them",
    Scope.TRANSACTIONS_WRITE: "Take payments, and cancel those that are pending",
    Scope.REFUNDS_READ: "See refunds",
    Scope.REFUNDS_WRITE: "Refund payments",
    Scope.PAYMENT_KEYS_READ: "See payment keys",
    Scope.PAYMENT_KEYS_WRITE: "Make and deactivate payment keys",
    Scope.WEBHOOKS_READ: "See webhook endpoints and what was delivered to them",
    Scope.WEBHOOKS_WRITE: "Make, change and remove webhook endpoints, and send events again",
    Scope.API_KEYS_READ: "See API keys, never their secrets",
    Scope.API_KEYS_WRITE: "Make, rotate and revoke API keys",
    Scope.ACCOUNT_READ: "See the account, and what idempotency keys did",
    Scope.ACCOUNT_WRITE: "Change the password, and end sessions",
    Scope.EVENTS_READ: "See events",
    Scope.AUDIT_READ: "See the audit log",
}
"""In the order in which they are shown."""
READ_ONLY: Final = frozenset(scope for scope in Scope if scope.endswith(":read"))
EVERYTHING: Final = "Everything"


def in_short(scopes: Collection[str]) -> str:
    """Return what a key may do, in a few words."""
    match frozenset(scopes):
        case all_of_them if all_of_them == ALL_SCOPES:
            return EVERYTHING
        case reads if reads == READ_ONLY:
            return "Read only"
        case some:
            return f"{len(some)} of {len(ALL_SCOPES)} scopes"
