"""The place of one server: its directory, the locks on it, its socket's path and its process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from adapters.embedded.account import Account
from adapters.embedded.errors import ServerDidNotStart, UnsupportedPlatform
from adapters.embedded.lock import DirectoryLock, claim_server_lock, kill_holders
from adapters.embedded.process import end, last_lines, launch
from adapters.embedded.socket_path import client_directory, make_alias, remove_alias
from adapters.embedded.waiting import POLL_SECONDS, holds_within

START_TIMEOUT_SECONDS: Final = 60.0
LIFE_EVERY_SECONDS: Final = 0.5
"""Between two looks at whether a server lives; whoever needs it is told by it sooner."""


class Place:
    """A directory in which at most one server runs, and that server.

    `data` is where the server lives, `clients` the directory through which clients reach its socket, `log`
    what the process said (it starts empty with each process).
    """

    def __init__(self, directory: Path, *, server: str, socket: str) -> None:
        self.directory = directory.absolute()
        self.data = self.directory / "data"
        self.log = self.directory / "server.log"
        self.clients = client_directory(self.data, socket)
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = DirectoryLock(self.directory)
        self._server_lock: int | None = None

    @property
    def process_id(self) -> int | None:
        """The process that runs here now, or None."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process is not None and running else None

    async def enter(self) -> int | None:
        """Take the directory, and return the process id of the server that ran in it before.

        An orphaned server is ended first. Raises DataDirectoryInUse where the directory is someone else's.
        """
        if sys.platform == "win32":
            raise UnsupportedPlatform(sys.platform)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            claimed = await claim_server_lock(self.directory)
            self._server_lock = claimed.descriptor
            make_alias(self.clients, self.data)
        except BaseException:
            await self.leave(())
            raise
        return claimed.previous_process_id

    async def run(self, command: Sequence[str], *, directory: Path, account: Account | None) -> None:
        """Run a command to its end; raise ServerDidNotStart where it fails or takes too long."""
        process = self._launch(command, directory=directory, account=account)
        if not await holds_within(lambda: process.poll() is not None, START_TIMEOUT_SECONDS):
            raise self._failure(f"{Path(command[0]).name} took more than {START_TIMEOUT_SECONDS:.0f} s")
        if process.returncode:
            raise self._failure(f"{Path(command[0]).name} ended with {process.returncode}")

    async def serve(
        self,
        command: Sequence[str],
        *,
        account: Account | None,
        accepts: Callable[[int], Awaitable[bool]],
        logs: Callable[[], Sequence[Path]] = tuple,
    ) -> None:
        """Start the server and wait until it accepts connections; raise ServerDidNotStart where it doesn't.

        `accepts` is asked with the server's process id. `logs` finds where it says more than in its output.
        """
        process = self._launch(command, directory=self.data, account=account)
        self._close_server_lock()  # from now on the server alone holds it
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT_SECONDS
        while not await accepts(process.pid):
            if process.poll() is not None:
                raise self._failure(f"it ended with {process.returncode}", *logs())
            if asyncio.get_running_loop().time() > deadline:
                raise self._failure(f"no answer in {START_TIMEOUT_SECONDS:.0f} s", *logs())
            await asyncio.sleep(POLL_SECONDS)

    async def ended(self, *, logs: Callable[[], Sequence[Path]] = tuple) -> str:
        """Return when the server that serves here has ended: how, and where its log is, in words.

        `logs` finds where it says more than in its output, the latest first.
        """
        process = self._process
        if process is None:
            raise RuntimeError("Serve in the place before you wait for the server's end.")
        while process.poll() is None:  # noqa: ASYNC110 - its end sets no event
            await asyncio.sleep(LIFE_EVERY_SECONDS)
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"exit status {process.returncode}"
        return f"{self._server} ended by itself ({how}), its log is {next(iter(logs()), self.log)}"

    async def leave(self, ladder: Sequence[tuple[int, float]]) -> None:
        """End the process by each signal and its seconds in turn, and give the directory back.

        Harmless where this object doesn't hold the directory: whoever holds it isn't disturbed.
        """
        if not self._lock.held:
            return
        if self._process is not None:
            await end(self._process, ladder)
            if self._process.returncode == -signal.SIGKILL:
                kill_holders(self.directory)
            self._process = None
        self._close_server_lock()
        remove_alias(self.clients, self.data)
        self._lock.release()

    def _launch(self, command: Sequence[str], *, directory: Path, account: Account | None) -> subprocess.Popen[bytes]:
        if self._server_lock is None:
            raise RuntimeError("Enter the place before you launch in it.")
        self._process = launch(command, directory=directory, lock=self._server_lock, output=self.log, account=account)
        return self._process

    def _failure(self, reason: str, *logs: Path) -> ServerDidNotStart:
        return ServerDidNotStart(self._server, reason, last_lines(*logs, self.log))

    def _close_server_lock(self) -> None:
        if self._server_lock is not None:
            os.close(self._server_lock)
            self._server_lock = None
