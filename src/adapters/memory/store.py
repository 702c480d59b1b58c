"""A whole store in memory: atomic, unique, versioned, for tests, simulations and trying things out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from adapters.memory.books import MemoryBooks
from adapters.memory.claims import MemoryClaims
from adapters.memory.credentials import MemoryCredentials
from adapters.memory.leftovers import MemoryLeftovers
from adapters.memory.oversight import MemoryAuditLog, MemoryOversight
from adapters.memory.state import State
from adapters.memory.unit import MemoryUnitOfWork
from adapters.memory.views import MemoryView
from payments_core.ids import MerchantId
from payments_core.ports import AuditLog, Books, Credentials, Leftovers, UnitOfWork, View


class MemoryStore:
    """The faces of a store: `begin` for units of work, `view` and `revision`, `claims`, `oversight`, `credentials`,
    `books`, `leftovers`, `audit`.

    Each read and each commit lets other tasks run first, so that races happen here as they do over a network; a
    commit itself checks and writes without waiting. It is for one event loop and for as long as the process lives.
    """

    def __init__(self) -> None:
        self._state = State()
        self.claims = MemoryClaims(self._state)
        self.oversight = MemoryOversight(self._state)
        self.audit: AuditLog = MemoryAuditLog(self._state)
        self.credentials: Credentials = MemoryCredentials(self._state)
        self.books: Books = MemoryBooks(self._state)
        self.leftovers: Leftovers = MemoryLeftovers(self._state)

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[UnitOfWork, None]:
        """Begin a unit of work; the commit happens where the block ends without an exception."""
        unit = MemoryUnitOfWork(self._state)
        yield unit
        await asyncio.sleep(0)
        unit.commit()
        # A task may be stopped here: committed, and nobody told. Callers must bear that.
        await asyncio.sleep(0)

    @asynccontextmanager
    async def view(self, merchant: MerchantId, livemode: bool, /) -> AsyncGenerator[View, None]:
        """Open a snapshot of one merchant in one mode. Raises NotFound for nobody."""
        await asyncio.sleep(0)
        account = self._state.account(merchant)
        account.seen = True
        jobs = sorted((job for job in self._state.jobs.values() if job.merchant == merchant), key=lambda job: job.id)
        yield MemoryView(account, jobs, livemode)

    async def revision(self, merchant: MerchantId, /) -> int:
        """Return the merchant's revision. Raises NotFound for nobody."""
        await asyncio.sleep(0)
        return self._state.account(merchant).revision
