"""Waiting for something that tells nobody when it happens, without blocking the event loop."""

import asyncio
from collections.abc import Callable
from typing import Final

POLL_SECONDS: Final = 0.01


async def holds_within(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until the condition holds; False where it didn't in that time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True
