"""A private Postgres and Valkey, started from wheels: no Docker, no service that has to be there first.

Each server owns one directory, listens on a Unix socket that nobody but its owner can reach, and ends with
the process that started it.
"""

from adapters.embedded.errors import (
    DataDirectoryInUse,
    EmbeddedServerError,
    OtherMajorVersion,
    ServerDidNotStart,
    UnsupportedPlatform,
    UnusableBinaries,
    WheelsMissing,
)
from adapters.embedded.postgres import EmbeddedPostgres
from adapters.embedded.valkey import EmbeddedValkey

__all__ = [
    "DataDirectoryInUse",
    "EmbeddedPostgres",
    "EmbeddedServerError",
    "EmbeddedValkey",
    "OtherMajorVersion",
    "ServerDidNotStart",
    "UnsupportedPlatform",
    "UnusableBinaries",
    "WheelsMissing",
]
