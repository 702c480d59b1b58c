"""Rate limits as values: what may happen how often, and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most `amount` in any `per_seconds`; `name` keeps counters of different limits apart."""

    name: str
    amount: int
    per_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """The answer to one hit: whether it was allowed, and what is left until `reset_after_seconds` from now."""

    allowed: bool
    limit: Limit
    remaining: int
    reset_after_seconds: float


LOGIN_PER_ACCOUNT_AND_ADDRESS: Final = Limit(name="login_account_address", amount=10, per_seconds=15 * 60)
LOGIN_PER_ADDRESS: Final = Limit(name="login_address", amount=30, per_seconds=60)
REGISTRATION_PER_ADDRESS: Final = Limit(name="registration_address", amount=10, per_seconds=60 * 60)
API_PER_MERCHANT: Final = Limit(name="api_merchant", amount=200, per_seconds=2)
"""100 a second with bursts of 200: two seconds' worth may come at once."""
