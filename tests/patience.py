"""How long tests wait for what happens elsewhere, said once.

A condition is waited for, never a time: idle, each is met within milliseconds. The bound is for the one that is never
met, and wide enough for a machine that freezes for seconds and crawls for minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

PATIENCE_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 0.01


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until it holds."""
    await until_seen(holds, True)


async def until_seen(look: Callable[[], Awaitable[object]], wanted: object) -> None:
    """Look again and again until what is seen is as wanted; fail with what was seen last."""
    seen: object = None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (seen := await look()) != wanted:  # noqa: ASYNC110 - what is waited for sets no event here
                await asyncio.sleep(PAUSE_SECONDS)
    except TimeoutError:
        raise AssertionError(f"wanted {wanted!r}, still {seen!r} after {PATIENCE_SECONDS:.0f} s") from None
