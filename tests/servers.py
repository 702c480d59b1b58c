"""The real servers of a test run, which a test about outages may stop, kill and start."""

import os
import signal

from adapters.embedded import EmbeddedPostgres, EmbeddedValkey


class Server:
    """One server of the run. Whoever asks for it may leave it in any state: the fixture starts it again."""

    def __init__(self, server: EmbeddedPostgres | EmbeddedValkey) -> None:
        self._server = server

    @property
    def url(self) -> str:
        """The same after each start."""
        return self._server.url

    @property
    def running(self) -> bool:
        return self._server.process_id is not None

    async def start(self) -> None:
        """Start it where it isn't running, and return once it accepts connections."""
        if not self.running:
            await self._server.stop()  # gives back what a server that ended by itself still holds
            await self._server.start()

    async def stop(self) -> None:
        """End it in good order."""
        await self._server.stop()

    async def kill(self) -> None:
        """End it by SIGKILL, so that the next start has to recover."""
        process_id = self._server.process_id
        assert process_id is not None, "only a running server can be killed"
        os.kill(process_id, signal.SIGKILL)
        await self._server.stop()
