"""The only room that names concrete adapters: everything over Postgres and Redis, or everything in memory."""

from adapters.taskiq import hears_own_ring
from entrypoints.wiring.seals import seals_of
from entrypoints.wiring.servers import (
    embedded_postgres,
    embedded_urls,
    embedded_valkey,
    migrate,
    missing,
    see_database,
)
from entrypoints.wiring.services import encode, in_memory, wire
from entrypoints.wiring.shared import taskiq_broker

__all__ = [
    "embedded_postgres",
    "embedded_urls",
    "embedded_valkey",
    "encode",
    "hears_own_ring",
    "in_memory",
    "migrate",
    "missing",
    "seals_of",
    "see_database",
    "taskiq_broker",
    "wire",
]
