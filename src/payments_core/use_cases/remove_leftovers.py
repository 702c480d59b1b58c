"""Remove what has expired, a little at a time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from payments_core.ports import Leftovers

REMOVED_MAX: Final = 1_000
"""Rows of each kind in one statement: some ten milliseconds of the store."""
CLOCKS_APART_MAX: Final = timedelta(hours=1)
"""By how much clocks of processes may differ: what has expired for one may yet be good for another."""


async def remove_leftovers(leftovers: Leftovers, *, at: datetime) -> bool:
    """Remove some of what expired CLOCKS_APART_MAX ago or earlier; say whether there may be more.

    Until then a repeated request finds its record as if it had not expired in every process that thinks so.
    """
    return await leftovers.remove(expired_before=at - CLOCKS_APART_MAX, limit=REMOVED_MAX) >= REMOVED_MAX
