"""The taskiq broker that carries rings from process to process over Redis pub/sub."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final, final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from taskiq import BrokerMessage
from taskiq.serializers import JSONSerializer
from taskiq_redis import PubSubBroker

from adapters.taskiq.bell import LocalBell
from adapters.taskiq.outage import Outage

CHANNEL: Final = "payments:doorbell"
WAKE_TASK: Final = "payments:wake"
CONNECTIONS_MAX: Final = 4
"""One listens, one publishes; the rest is for a listener that reconnects while its old one still closes."""
PUBLISH_TIMEOUT_SECONDS: Final = 0.5
QUIET_SECONDS: Final = 5.0


@final
class DoorbellBroker(PubSubBroker):
    """A broker with one task, `wake`, which rings the `bell` of each process that it arrives in.

    Every process that listens on the channel hears every ring. That is right and cheap: claims skip locked
    rows, so workers share the work that is there, and those that find none go back to sleep.
    Nothing is stored: a ring that nobody hears is gone, messages are JSON, and no result is kept.
    Channels do not belong to a Redis database: installations that share a server wake each other, which
    costs a look for work; give each a channel of its own to spare that.
    """

    def __init__(
        self,
        url: str,
        *,
        channel: str = CHANNEL,
        publish_timeout_seconds: float = PUBLISH_TIMEOUT_SECONDS,
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        """Prepare to reach the Redis at `url` (redis, rediss or unix); nothing is connected yet.

        `publish_timeout_seconds` bounds the sending of a ring as a whole, and a listener's connecting.
        After `quiet_seconds` without a word the listener asks whether the server still answers, and after
        as long again without an answer it reconnects.
        """
        super().__init__(
            url,
            queue_name=channel,
            max_connection_pool_size=CONNECTIONS_MAX,
            socket_connect_timeout=publish_timeout_seconds,
        )
        # The driver bounds each write by `asyncio.wait_for`, which on Python 3.11 may swallow a cancellation: then
        # a listener could not be stopped. `kick` and `listen` bound the whole instead, whatever the URL says.
        self.connection_pool.connection_kwargs["socket_timeout"] = None
        self.serializer = JSONSerializer()
        self.bell = LocalBell()
        self.listening = Outage("listening for rings")
        self._publish_timeout_seconds = publish_timeout_seconds
        self._quiet_seconds = quiet_seconds

        async def wake() -> None:
            self.bell.ring()

        self.wake = self.register_task(wake, task_name=WAKE_TASK)

    async def kick(self, message: BrokerMessage) -> None:
        """Publish the message within the time-out, or raise TimeoutError or the driver's error."""
        async with asyncio.timeout(self._publish_timeout_seconds):
            await super().kick(message)

    async def ping(self) -> None:
        """Return if the server answers over a connection of the broker's own, or raise as `kick` does."""
        async with asyncio.timeout(self._publish_timeout_seconds):
            await Redis(connection_pool=self.connection_pool).pubsub_numsub(self.queue_name)

    async def listen(self) -> AsyncGenerator[bytes, None]:
        """Yield what is published, for ever: a lost connection is made anew, with pauses as in `Outage`.

        What is published while no connection stands is not heard.
        """
        while True:
            try:
                async with Redis(connection_pool=self.connection_pool).pubsub() as pubsub:
                    async with asyncio.timeout(self._publish_timeout_seconds):
                        await pubsub.subscribe(self.queue_name)
                    while True:
                        yield await self._hear(pubsub)
            except Exception as error:  # whatever it is, a receiver would only try again, without a pause
                await asyncio.sleep(self.listening.failed(error))

    async def _hear(self, pubsub: PubSub) -> bytes:
        """Return the next message, or raise the driver's ConnectionError.

        Silence is no failure: reading is bounded here and not by the socket's time-out, and a server that
        vanished without closing the connection is found out by a ping.
        """
        asked = False
        while True:
            message = await pubsub.get_message(timeout=self._quiet_seconds)
            match message:
                case {"type": "message", "data": bytes() as data}:
                    return data
                case {"type": "subscribe"}:
                    self.listening.ended()
                case None if asked:
                    raise RedisConnectionError(f"no answer for {self._quiet_seconds} s")
                case None:
                    await pubsub.ping()
                case _:  # the answer to a ping
                    pass
            asked = message is None
