"""The directory in which `up` keeps what must be there on the next start; nobody but its owner reads its files."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

DEFAULT: Final = Path(".payments")
KEY_FILE: Final = "secret_key"
SECRET_KEY_BYTES: Final = 32
SECRET_KEY_LENGTH_MIN: Final = 32
IGNORE_FILE: Final = ".gitignore"
IGNORE: Final = "# The data of `payments up`, with its secrets.\n*\n"
SCRATCH_SUFFIX: Final = ".new"
OF_THE_SYSTEM: Final = frozenset({"lost+found", ".DS_Store"})
"""What a fresh file system, or a look into a folder, leaves in a directory."""
LOCK: Final = "lock"
LOCK_TRIES: Final = 3
LOCK_EVERY_SECONDS: Final = 0.05
"""Who only looks whether it is held holds it for an instant."""


class DataDirectoryUnusable(Exception):
    """Nothing can be kept there; the message is one line with the cure."""


class DataDirectory:
    """Files of a few lines, each written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def make(self) -> None:
        """Make the directory where it isn't there.

        Raises DataDirectoryUnusable where it can't be written, and where it isn't ours: then it is left as it is.
        """
        try:
            foreign = self.foreign()
            if foreign is not None:
                raise DataDirectoryUnusable(f"{foreign}.")
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (self.path / IGNORE_FILE).exists():
                self.write(IGNORE_FILE, IGNORE)
        except FileExistsError:
            raise DataDirectoryUnusable(f"{self.path} is not a directory: choose another with --data-dir.") from None
        except OSError as error:
            raise DataDirectoryUnusable(
                f"The data directory {self.path} cannot be written ({error.strerror}): choose another with --data-dir."
            ) from error

    def foreign(self) -> str | None:
        """Return why this directory isn't ours to write in, with the cure; None where it is, or is yet to be made.

        It is ours where nothing of anybody's is in it (a start that was killed may have left a scratch), or what only
        `up` writes. Raises OSError where it can't be read.
        """
        if not self.path.is_dir() or all(map(_is_nobodys, self.path.iterdir())):
            return None
        ignore = self.path / IGNORE_FILE
        if ignore.is_file() and ignore.read_bytes() == IGNORE.encode():
            return None
        if any((self.path / name).is_file() for name in (KEY_FILE, LOCK)):
            return None
        cure = f"choose a new or an empty directory with --data-dir, such as {self.path / DEFAULT}"
        return f"{self.path} holds files, and none of them is of `payments up`: {cure}"

    def read(self, name: str) -> str | None:
        """Return a file's text, or None where there is none."""
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def write(self, name: str, text: str) -> None:
        """Write a file that its owner alone can read, in place of the one that is there."""
        self._scratch(name, text).replace(self.path / name)

    @contextlib.contextmanager
    def held(self) -> Generator[None, None, None]:
        """Hold the directory for one `up` while the block runs; raise DataDirectoryUnusable where another one does."""
        descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if not any(_taken(descriptor, wait=tries > 0) for tries in range(LOCK_TRIES)):
                holder = os.pread(descriptor, 20, 0).decode(errors="replace")
                raise DataDirectoryUnusable(
                    f"Another `payments up` (process {holder}) runs on the data directory {self.path}: "
                    "stop it, or choose another with --data-dir."
                )
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def is_held(self) -> bool:
        """Say whether an `up` runs on this directory now."""
        try:
            descriptor = os.open(self.path / LOCK, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _taken(descriptor)
        finally:
            os.close(descriptor)

    def has_database(self) -> bool:
        """Say whether an `up` had a Postgres of its own here."""
        return (self.path / "postgres").is_dir()

    def has_secret_key(self) -> bool:
        """Say whether an `up` made a secret key here."""
        return (self.path / KEY_FILE).is_file()

    def secret_key(self) -> str:
        """Return the secret key that is kept here, made once, before any data.

        Raises DataDirectoryUnusable where it is damaged or gone: with another key, sessions and webhook secrets are
        lost, and nobody but a person decides that.
        """
        path = self.path / KEY_FILE
        cure = (
            "put the old one back, or set PAYMENTS_SECRET_KEY to it. Where it is lost, nothing opens the webhook "
            f"secrets: `rm -r {self.path}` starts afresh."
        )
        if not path.exists():
            if self.has_database():
                raise DataDirectoryUnusable(f"The secret key {path} is missing, and the data needs it: {cure}")
            scratch = self._scratch(KEY_FILE, secrets.token_urlsafe(SECRET_KEY_BYTES) + "\n")
            try:
                os.link(scratch, path)  # unlike a rename it never replaces the key of a start that was faster
            except FileExistsError:
                pass
            finally:
                scratch.unlink()
        key = (self.read(KEY_FILE) or "").strip()
        if len(key) < SECRET_KEY_LENGTH_MIN:
            raise DataDirectoryUnusable(f"The secret key {path} is damaged, and the data needs it: {cure}")
        return key

    def _scratch(self, name: str, text: str) -> Path:
        path = self.path / f"{name}.{secrets.token_hex(4)}{SCRATCH_SUFFIX}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        return path


def _taken(descriptor: int, *, wait: bool = False) -> bool:
    """Take the lock, after a moment if `wait`, and say whether it is ours; the kernel frees it with its holder."""
    if sys.platform == "win32":
        return True  # where `up` says that it cannot run
    import fcntl  # not on Windows

    if wait:
        time.sleep(LOCK_EVERY_SECONDS)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_nobodys(path: Path) -> bool:
    return path.suffix == SCRATCH_SUFFIX or path.name in OF_THE_SYSTEM
