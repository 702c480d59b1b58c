"""The doorbell that rings workers in this process and in others."""

import asyncio
from types import TracebackType
from typing import Final, Self, final

from adapters.taskiq.broker import DoorbellBroker
from adapters.taskiq.outage import Outage
from adapters.taskiq.stop import stop

KICK_SPACING_SECONDS: Final = 0.01
"""A first ring leaves at once; under load a hundred a second wake every worker as well as thousands would."""
CLOSE_TIMEOUT_SECONDS: Final = 0.5


@final
class TaskiqDoorbell:
    """Rings the worker of this process directly, and those of all others over the broker.

    Rings that come while one is under way are one ring, sent after it. A ring that cannot be sent is tried
    again, with pauses as in `Outage`, until the close; workers look for work by themselves meanwhile.

        async with broker, TaskiqDoorbell(broker) as doorbell:
            doorbell.ring()
    """

    def __init__(self, broker: DoorbellBroker) -> None:
        """Ring over `broker`, which the caller starts and shuts down."""
        self._broker = broker
        self._outage = Outage("sending rings")
        self._turn = asyncio.Event()
        self._owed = False
        self._closing = False
        self._sender: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to send."""
        self._sender = asyncio.create_task(self._send(), name="doorbell-sender")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send a ring that is still owed, within CLOSE_TIMEOUT_SECONDS, and end. Later rings stay local."""
        self._closing = True
        self._turn.set()
        if self._sender is not None:
            await stop(self._sender, within_seconds=CLOSE_TIMEOUT_SECONDS)

    @property
    def trouble(self) -> str | None:
        """What keeps rings from being sent, or None."""
        if self._sender is None or self._sender.done():
            return "rings are not sent any more"
        return self._outage.trouble

    def ring(self, /) -> None:
        """Say that there is work. Never waits, never raises; a ring may be lost, doubled or late.

        For the event loop's own thread only.
        """
        self._broker.bell.ring()
        if not self._closing:
            self._owed = True
            self._turn.set()

    async def _send(self) -> None:
        while self._owed or not self._closing:
            if self._owed:
                self._owed = False
                await asyncio.sleep(await self._kick())
            else:
                self._turn.clear()
                await self._turn.wait()

    async def _kick(self) -> float:
        """Send one ring and return the seconds to pause before the next."""
        try:
            await self._broker.wake.kiq()
        except Exception as error:  # the driver's, wrapped by taskiq, or a middleware's: none may end the sending
            self._owed = not self._closing
            return self._outage.failed(error.__cause__ or error)
        self._outage.ended()
        return KICK_SPACING_SECONDS
