"""A path to a socket that is short enough to connect to.

The kernel's `sockaddr_un` holds 108 bytes on Linux and 104 on macOS. A server binds relative to its own
directory; a client names the whole path, so a deep directory gets a short alias.
"""

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from adapters.embedded.errors import EmbeddedServerError

SOCKET_PATH_BYTES_MAX: Final = 100
ALIASES: Final = Path("/tmp")  # noqa: S108 - a private directory in it; tempfile's choice may be too long


def client_directory(directory: Path, socket: str) -> Path:
    """Return the directory through which a client reaches the socket: itself, or an alias; always the same."""
    if len(os.fsencode(directory / socket)) <= SOCKET_PATH_BYTES_MAX:
        return directory
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return ALIASES / f"payments-{os.geteuid()}-{digest}" / "data"


def make_alias(alias: Path, directory: Path) -> None:
    """Make the alias, in a directory that is ours alone; raise EmbeddedServerError where someone else has it."""
    if alias == directory:
        return
    try:
        alias.parent.mkdir(mode=0o700)
    except FileExistsError:
        found = alias.parent.lstat()
        private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
        if not private or found.st_uid != os.geteuid():
            raise EmbeddedServerError(
                f"{alias.parent} is not a directory of ours alone: remove it, or use a shorter data directory."
            ) from None
    alias.unlink(missing_ok=True)
    alias.symlink_to(directory)


def remove_alias(alias: Path, directory: Path) -> None:
    """Remove what make_alias made; harmless where there is nothing."""
    if alias != directory and alias.is_symlink():
        alias.unlink()
        alias.parent.rmdir()
