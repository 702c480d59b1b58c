"""One fault alone: Redis stopped under load."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from adapters.embedded import EmbeddedValkey

AROUND_SECONDS: Final = 5.0
"""Of load before and after."""


async def take_away(valkey: EmbeddedValkey, seconds: float) -> tuple[float, float]:
    """Stop Redis for so many seconds; return when it was away by the harness's clock."""
    await asyncio.sleep(AROUND_SECONDS)
    since = time.monotonic()
    await valkey.stop()
    await asyncio.sleep(seconds)
    until = time.monotonic()
    await valkey.start()
    await asyncio.sleep(AROUND_SECONDS)
    return since, until
