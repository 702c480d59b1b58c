"""How a background task ends."""

import asyncio
import logging

logger = logging.getLogger(__name__)


async def stop(task: asyncio.Task[None], *, within_seconds: float) -> None:
    """Give the task that long to end by itself, then cancel it and give it as long again.

    A task that outlives both is named in the log and left to the event loop's end: a bell never holds up
    the end of a process.
    """
    try:
        await asyncio.wait({task}, timeout=within_seconds)
    finally:
        task.cancel()
    _, alive = await asyncio.wait({task}, timeout=within_seconds)
    if alive:
        logger.warning("%s did not end when it was told to", task.get_name())
