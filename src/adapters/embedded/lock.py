"""Who holds a data directory: two locks, because a server may outlive the process that started it.

`lock` is held by the starting process alone. `server.lock` is inherited by the server and everything that
it forks, so that it is free exactly when no process of that server is left. Both are `flock` locks: the
kernel frees them with their last holder, however that one ended.
"""

import contextlib
import glob
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.embedded.errors import DataDirectoryInUse, UnsupportedPlatform
from adapters.embedded.waiting import holds_within

SERVER_LOCK: Final = "server.lock"

# A server whose starter was killed is usually ending by itself already, so that it is left alone at first.
ORPHAN_UNDISTURBED_SECONDS: Final = 1.0
ORPHAN_INTERRUPTED_SECONDS: Final = 5.0
ORPHAN_KILLED_SECONDS: Final = 5.0


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _taken(descriptor: int) -> bool:
    """Whether the lock is ours now; it never waits."""
    if sys.platform == "win32":
        raise UnsupportedPlatform(sys.platform)
    import fcntl  # not on Windows, where the message above is wanted and not an ImportError

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _written_process(descriptor: int) -> int | None:
    digits = os.pread(descriptor, 20, 0).strip()
    return int(digits) if digits.isdigit() else None


class DirectoryLock:
    """The right of one object in one process to start a server in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the lock, or raise DataDirectoryInUse with its holder."""
        descriptor = _open(self._directory / "lock")
        if not _taken(descriptor):
            holder = _written_process(descriptor)
            os.close(descriptor)
            raise DataDirectoryInUse(self._directory, holder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; harmless where it isn't held."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def kill_holders(directory: Path) -> None:
    """Kill what else holds the server lock: frozen or busy, the children of a server outlive it.

    Only Linux tells who does; each child of Postgres leads a process group of its own. Who merely reads the file, or
    has another one at the same path of another file system, holds nothing.
    """
    lock = (directory / SERVER_LOCK).stat()
    for opened in glob.iglob("/proc/[0-9]*/fd/*"):  # noqa: PTH207 - Path.glob fails where a process ends meanwhile
        process_id = int(opened.split("/")[2])
        with contextlib.suppress(OSError):  # it ended meanwhile, or is somebody else's
            is_lock = process_id != os.getpid() and os.path.samestat(Path(opened).stat(), lock)
            if is_lock and "lock:" in Path(opened.replace("/fd/", "/fdinfo/")).read_text():
                os.kill(process_id, signal.SIGKILL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLock:
    """Proof that no process of an earlier server is left in the directory.

    `descriptor` is for the server to inherit and for the starter to close; `previous_process_id` is the
    server that ran here before, if one did.
    """

    descriptor: int
    previous_process_id: int | None


async def claim_server_lock(directory: Path) -> ServerLock:
    """End an orphaned server of this directory, if there is one, and take its lock.

    Call with the directory's own lock held. Raises DataDirectoryInUse where the orphan can't be ended.
    """
    descriptor = _open(directory / SERVER_LOCK)
    try:
        for number, patience_seconds in (
            (None, ORPHAN_UNDISTURBED_SECONDS),
            (signal.SIGINT, ORPHAN_INTERRUPTED_SECONDS),
            (signal.SIGKILL, ORPHAN_KILLED_SECONDS),
        ):
            previous = _written_process(descriptor)
            if number is not None and previous is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(previous, number)
            if number is signal.SIGKILL:
                kill_holders(directory)
            if await holds_within(lambda: _taken(descriptor), patience_seconds):
                return ServerLock(descriptor=descriptor, previous_process_id=previous)
        raise DataDirectoryInUse(directory, _written_process(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
