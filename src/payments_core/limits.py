"""Rate limits as values: what may happen how often, and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Network, ip_address
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
LOGIN_DELAY: Final = Limit(name="login_delay", amount=15, per_seconds=15 * 60)
"""Wrong passwords for each account from all addresses together. It refuses nobody: whoever tries then waits."""
LOGIN_DELAYS_SECONDS: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""What the last tries within the limit wait, one after another."""
LOGIN_DELAY_SECONDS_MAX: Final = 5.0
"""What all beyond wait. A stranger who guesses can slow an account's owner down by as much, and no more."""
LOGIN_PER_ADDRESS: Final = Limit(name="login_address", amount=30, per_seconds=60)
REGISTRATION_PER_ADDRESS: Final = Limit(name="registration_address", amount=10, per_seconds=60 * 60)
API_PER_MERCHANT: Final = Limit(name="api_merchant", amount=200, per_seconds=2)
"""100 a second with bursts of 200: two seconds' worth may come at once."""
CONSOLE_PER_VISITOR: Final = Limit(name="console_visitor", amount=300, per_seconds=60)
"""Pages for each session, and for each address of those who have not signed in; live updates included."""
IPV6_PREFIX_LENGTH: Final = 56
"""What one subscriber has, or nearly (RIPE-690: a /56 to a /48): counting less would count nothing."""


def login_delay_seconds(allowance: Allowance) -> float:
    """Return how long a try at a password waits, by what is left of its account's LOGIN_DELAY."""
    if not allowance.allowed:
        return LOGIN_DELAY_SECONDS_MAX
    waiting = len(LOGIN_DELAYS_SECONDS) - 1 - allowance.remaining
    return 0.0 if waiting < 0 else LOGIN_DELAYS_SECONDS[waiting]


def counted_as(address: str) -> str:
    """Return under which name an address is counted: of IPv6 its network of IPV6_PREFIX_LENGTH bits.

    IPv4 that is written as IPv6 (`::ffff:192.0.2.1`) is IPv4: all of it lies in one such network.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv4Address):
        return address
    # Its number alone: a zone (`fe80::1%eth0`) is any text, with which one address would be counted under many names.
    return str(parsed.ipv4_mapped or IPv6Network((int(parsed), IPV6_PREFIX_LENGTH), strict=False))
