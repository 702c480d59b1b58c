"""The sandbox's books, as the core reads those of any gateway."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from adapters.sandbox.gateway import CAPABILITIES
from adapters.sandbox.ledger import EntryStatus, Ledger, LedgerAway, LedgerEntry
from payments_core.books import GatewayEntry
from payments_core.errors import Unavailable
from payments_core.ids import AttemptId


class SandboxBooks:
    """The port `GatewayLedger`, over the ledger that a `SandboxGateway` writes."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def gateway(self) -> str:
        """Return the sandbox's name."""
        return CAPABILITIES.name

    async def entries_of(self, attempts: Sequence[AttemptId], /) -> Mapping[AttemptId, GatewayEntry]:
        """Return the entries of these attempts."""
        with _translated():
            return {entry.attempt: _entry(entry) for entry in await self._ledger.find_all(attempts)}

    async def entries(self, *, after: str, limit: int) -> Sequence[GatewayEntry]:
        """Return up to `limit` entries in the order of their attempts' ids."""
        with _translated():
            return [_entry(entry) for entry in await self._ledger.entries(after=after, limit=limit)]


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except LedgerAway as away:
        raise Unavailable(str(away)) from away


def _entry(entry: LedgerEntry) -> GatewayEntry:
    moved = entry.status is not EntryStatus.DECLINED
    return GatewayEntry(attempt=entry.attempt, kind=entry.kind, amount=entry.amount, moved=moved)
