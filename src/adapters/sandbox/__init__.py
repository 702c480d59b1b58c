"""A gateway for tests and demonstrations: its outcomes follow a script, and it keeps books of its own.

`adapters.sandbox.postgres_ledger` is imported by its own name: the rest needs the standard library only.
"""

from adapters.sandbox.books import SandboxBooks
from adapters.sandbox.chance import parse_latency
from adapters.sandbox.gateway import SandboxGateway
from adapters.sandbox.ledger import EntryStatus, Ledger, LedgerAway, LedgerEntry, MemoryLedger, Recorded
from adapters.sandbox.scripts import SCRIPTS

__all__ = [
    "EntryStatus",
    "Ledger",
    "LedgerAway",
    "LedgerEntry",
    "MemoryLedger",
    "Recorded",
    "SCRIPTS",
    "SandboxBooks",
    "SandboxGateway",
    "parse_latency",
]
