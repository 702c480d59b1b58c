"""The directory into which the processes of a host write what they count (prometheus-client's multiprocess mode).

It belongs to a user, a port and an installation. Its processes hold a shared lock on it; one that finds nobody else
there begins anew, and the last one removes it. What killed processes left is removed by the next one that starts, and
what dead ones counted goes on in one file for all of them, so that restarts make it no larger.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import logging
import os
import shutil
import struct
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.mmap_dict import MmapedDict

from entrypoints.settings import Settings

LOCK: Final = "lock"
HOLD_TRIES_MAX: Final = 1_000
"""A try fails only where another process removes the directory in the same moment."""
PREFIX: Final = f"payments-metrics-{os.getuid()}-"
SUMMED: Final = ("counter", "histogram")
"""Files that outlive their process: a sum that went down would look like a restart of everything."""
DEAD: Final = "dead"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The directory and the shared lock on it; `alone`: nobody else had it, and what was left in it is gone."""

    path: Path
    descriptor: int
    alone: bool


@contextmanager
def metrics_directory(settings: Settings) -> Generator[Held | None, None, None]:
    """Hold the directory together with the other processes; None where it cannot be had, which a warning says."""
    parent = Path(tempfile.gettempdir())
    path = parent / f"{PREFIX}{settings.metrics_port}-{_mark(settings)}"
    try:
        for other in parent.glob(f"{PREFIX}*"):
            if other != path:
                _remove_if_left(other)
        held = hold(path)
    except OSError as error:
        _log.warning("metrics are of this process only: %s: %s", path, error.strerror or error)
        yield None
        return
    try:
        yield held
    finally:
        let_go(held)


def _mark(settings: Settings) -> str:
    """Return what tells installations on a host apart, and tells nobody anything of their secrets."""
    key, url = ("" if secret is None else secret.reveal() for secret in (settings.secret_key, settings.database_url))
    return hmac.new(key.encode(), f"metrics {url}".encode(), hashlib.sha256).hexdigest()[:12]


def hold(path: Path) -> Held:
    """Hold the directory together with others, made where it wasn't there; raise OSError where it can't be had."""
    for _ in range(HOLD_TRIES_MAX):
        # Between any two of these steps the last process before us may remove the directory.
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            path.mkdir(mode=0o700, exist_ok=True)
            descriptor = _open_lock(path)
            try:
                alone = _own_or_join(path, descriptor)
                if _is_there(path, descriptor):
                    return Held(path=path, descriptor=os.dup(descriptor), alone=alone)
            finally:
                os.close(descriptor)
    raise OSError("other processes remove it again and again")


def _own_or_join(path: Path, descriptor: int) -> bool:
    """Take the shared lock; say whether nobody else had it, in which case what was left is removed first."""
    alone = _try_to_own(descriptor)
    if alone:
        for left in path.glob("*.db"):
            left.unlink(missing_ok=True)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return alone


def let_go(held: Held) -> None:
    """Let the directory go; the last one removes it."""
    if _try_to_own(held.descriptor):
        shutil.rmtree(held.path, ignore_errors=True)
    os.close(held.descriptor)


def _open_lock(path: Path) -> int:
    found = path.lstat()
    if path.is_symlink() or found.st_uid != os.getuid():
        raise PermissionError(None, "it belongs to somebody else")
    return os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _try_to_own(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_there(path: Path, descriptor: int) -> bool:
    """Say whether what is locked is still the lock of the directory, and not one that was removed."""
    try:
        return os.path.samestat((path / LOCK).stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove_if_left(path: Path) -> None:
    """Remove a directory that no process holds any more: the last one was killed."""
    with contextlib.suppress(OSError):
        descriptor = _open_lock(path)
        try:
            if _try_to_own(descriptor):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(descriptor)


def fold_the_dead(path: Path) -> None:
    """Add what dead processes counted to one file for each kind, and remove theirs.

    For one process at a time, which lets nobody read the files meanwhile: half of this is a count too high.
    """
    for kind, file in list(_files_of_the_dead(path)):
        if kind in SUMMED:
            counted = _read(file)
            sums = MmapedDict(str(path / f"{kind}_{DEAD}.db"))  # type: ignore[no-untyped-call]  # the library leaves it open
            for key, value in counted:
                sums.write_value(key, sums.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]  # as above
            sums.close()  # type: ignore[no-untyped-call]  # as above
        file.unlink(missing_ok=True)


def _read(file: Path) -> list[tuple[str, float]]:
    """Return a process's counts; none where it was killed before its file was whole."""
    try:
        found = MmapedDict.read_all_values_from_file(str(file))  # type: ignore[no-untyped-call]  # as above
        return [(key, value) for key, value, _, _ in found]
    except (RuntimeError, ValueError, struct.error):
        _log.warning("a dead process left %s damaged; what it counted is lost", file.name)
        return []


def _files_of_the_dead(path: Path) -> Iterator[tuple[str, Path]]:
    for file in path.glob("*.db"):
        kind, _, process = file.stem.rpartition("_")
        if process.isdecimal() and not _lives(int(process)):
            yield kind, file


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
