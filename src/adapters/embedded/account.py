"""Which user of the operating system a server runs as: Postgres refuses to run as root."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.embedded.errors import EmbeddedServerError, UnsupportedPlatform

ROOT: Final = 0
STAND_INS: Final = ("postgres", "nobody")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of the operating system."""

    user_id: int
    group_id: int
    name: str


def own_account() -> Account:
    """Return the user of this process; raise EmbeddedServerError where it has no name (initdb needs one)."""
    if sys.platform == "win32":
        raise UnsupportedPlatform(sys.platform)
    import pwd  # not on Windows

    user_id = os.geteuid()
    try:
        entry = pwd.getpwuid(user_id)
    except KeyError as error:
        raise EmbeddedServerError(
            f"The user id {user_id} has no name on this system, and Postgres needs one: add it to /etc/passwd."
        ) from error
    return Account(user_id=user_id, group_id=os.getegid(), name=entry.pw_name)


def stand_in_for_root(data: Path) -> Account | None:
    """Return whom the server runs as instead of root: the owner of its data, or else `postgres` or `nobody`.

    None where this process isn't root. The stand-in's other processes can't reach the data as long as the
    directory above it belongs to root alone.
    """
    if sys.platform == "win32":
        raise UnsupportedPlatform(sys.platform)
    import pwd  # not on Windows

    if os.geteuid() != ROOT:
        return None
    owner = data.stat().st_uid if data.exists() else ROOT
    for entry in pwd.getpwall():
        if entry.pw_uid == owner != ROOT:
            return Account(user_id=owner, group_id=entry.pw_gid, name=entry.pw_name)
    for name in STAND_INS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(user_id=entry.pw_uid, group_id=entry.pw_gid, name=name)
    raise EmbeddedServerError("Postgres refuses to run as root, and there is no user `postgres` or `nobody`.")
