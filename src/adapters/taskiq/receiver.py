"""How a process that runs an event loop of its own hears rings."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, final

from taskiq.receiver import Receiver

from adapters.taskiq.broker import DoorbellBroker
from adapters.taskiq.stop import stop

WAKES_AT_ONCE_MAX: Final = 8
STOP_TIMEOUT_SECONDS: Final = 0.5

logger = logging.getLogger(__name__)


@final
class Ears:
    """What hears the rings of other processes."""

    def __init__(self, broker: DoorbellBroker, hearing: asyncio.Task[None]) -> None:
        self._broker = broker
        self._hearing = hearing

    @property
    def trouble(self) -> str | None:
        """What keeps rings from being heard, or None."""
        if self._hearing.done():
            return "nobody listens for rings any more"
        return self._broker.listening.trouble


@asynccontextmanager
async def listening(broker: DoorbellBroker) -> AsyncGenerator[Ears, None]:
    """Let the rings of other processes ring `broker.bell` while the block runs.

    Begins without waiting for Redis and ends within a second. It is taskiq's receiver without what
    `taskiq.api.run_receiver_task` adds: a pool of threads for tasks that are not coroutines, a loop that
    starts a failed receiver again without a pause, and a warning at each regular end.
    """
    finish = asyncio.Event()
    receiver = Receiver(
        broker,
        run_startup=False,  # the broker's owner starts it
        max_async_tasks=WAKES_AT_ONCE_MAX,
        wait_tasks_timeout=STOP_TIMEOUT_SECONDS,
    )
    hearing = asyncio.create_task(_hear(receiver, finish), name="doorbell-listener")
    try:
        yield Ears(broker, hearing)
    finally:
        finish.set()
        await stop(hearing, within_seconds=STOP_TIMEOUT_SECONDS)


async def _hear(receiver: Receiver, finish: asyncio.Event) -> None:
    try:
        await receiver.listen(finish)
    except Exception:
        logger.exception("the receiver of rings broke; work is found by looking until the next start")
