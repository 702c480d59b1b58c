"""Whether rings go out and are heard."""

import asyncio
from typing import Final

from redis.exceptions import RedisError

from adapters.taskiq.broker import DoorbellBroker
from adapters.taskiq.doorbell import TaskiqDoorbell
from adapters.taskiq.receiver import Ears, listening
from payments_core.errors import Unavailable

RING_AGAIN_SECONDS: Final = 0.1


async def look(broker: DoorbellBroker, doorbell: TaskiqDoorbell, ears: Ears | None) -> None:
    """Return if rings can be sent and, where there are ears, heard; or raise Unavailable with what is in the way."""
    trouble = doorbell.trouble or (ears.trouble if ears else None)
    if trouble is not None:
        raise Unavailable(trouble)
    try:
        await broker.ping()
    except (RedisError, OSError) as error:  # TimeoutError is an OSError
        raise Unavailable(f"the queue's Redis does not answer ({type(error).__name__})") from None


async def hears_own_ring(redis_url: str, *, within_seconds: float) -> bool:
    """Ring as one process does and say whether another one hears it; a ring may be lost, so it rings until then."""
    ears, other = DoorbellBroker(redis_url), DoorbellBroker(redis_url)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_seconds
    async with ears, listening(ears), other, TaskiqDoorbell(other) as doorbell:
        while loop.time() < deadline:
            doorbell.ring()
            if await ears.bell.wait(RING_AGAIN_SECONDS):
                return True
    return False
