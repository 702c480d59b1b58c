"""Tries at passwords: bounded for each address, and slower and slower for each account, whoever tries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from payments_core.errors import TooMany
from payments_core.limits import (
    LOGIN_DELAY,
    LOGIN_PER_ACCOUNT_AND_ADDRESS,
    LOGIN_PER_ADDRESS,
    Allowance,
    Limit,
    counted_as,
    login_delay_seconds,
)
from payments_core.ports import Clock, RateLimits

WAITING_MAX: Final = 200
"""Tries of one process that wait at once. Others are not made to wait: a flood would hold every connection."""


@dataclass(slots=True, kw_only=True)
class Guesses:
    """Counts tries at passwords. An e-mail address that nobody has is counted too, so that the waits tell nothing."""

    limits: RateLimits
    clock: Clock
    _waiting: int = field(default=0, init=False)

    async def begin_login(self, email: str, address: str | None) -> Allowance:
        """Count a login and wait where there were many wrong ones at this account; raise TooMany."""
        if address is not None:
            await count(self.limits, LOGIN_PER_ADDRESS, counted_as(address))
        return await self.begin(email, address)

    async def begin(self, email: str, address: str | None) -> Allowance:
        """The same for a try that is no login. What is returned goes to `was_right` where the password was."""
        whence = "local" if address is None else counted_as(address)
        await count(self.limits, LOGIN_PER_ACCOUNT_AND_ADDRESS, f"{email} {whence}")
        allowance = await self.limits.hit(LOGIN_DELAY, email)
        seconds = login_delay_seconds(allowance)
        if seconds and self._waiting < WAITING_MAX:
            self._waiting += 1
            try:
                await self.clock.wait(seconds)
            finally:
                self._waiting -= 1
        return allowance

    async def was_right(self, email: str, allowance: Allowance) -> None:
        """Count the try no longer: only wrong ones slow an account down, or its owner's would tell that it is there."""
        if allowance.allowed:
            await self.limits.give_back(LOGIN_DELAY, email)


async def count(limits: RateLimits, limit: Limit, key: str) -> None:
    """Count one; raise TooMany beyond the limit."""
    allowance = await limits.hit(limit, key)
    if not allowance.allowed:
        raise TooMany(allowance)
