"""Writes into a memory store what no commit would."""

from __future__ import annotations

from adapters.memory import kinds
from adapters.memory.state import State, Table
from adapters.memory.store import MemoryStore
from payments_core.attempt import Attempt
from payments_core.event import Event
from payments_core.idempotency import Record
from payments_core.job import Job
from payments_core.refund import Refund
from payments_core.testing.verified import Row
from payments_core.transaction import Transaction
from payments_core.webhook import Delivery, Endpoint


class MemoryTampering:
    """The port `Tampering` of the contract of books."""

    def __init__(self, store: MemoryStore) -> None:
        self._state: State = store._state

    async def put(self, row: Row, /) -> None:
        """Write a row as it is."""
        state = self._state
        match row:
            case Transaction():
                kinds.TRANSACTION.put(state, row)
            case Refund():
                kinds.REFUND.put(state, row)
            case Attempt():
                kinds.ATTEMPT.put(state, row)
            case Endpoint():
                kinds.ENDPOINT.put(state, row)
            case Delivery():
                state.put_delivery(row)
            case Job():
                state.jobs[row.id] = row
            case Record():
                state.writable(row.merchant).records[row.livemode, row.key] = row
            case Event():
                account = state.writable(row.merchant)
                account.log[:] = sorted(
                    [*(event for event in account.log if event.id != row.id), row], key=lambda event: event.position
                )
                account.events[row.id] = row

    async def remove(self, row: Row, /) -> None:
        """Remove the row with its identity."""
        account = self._state.writable(row.merchant)
        match row:
            case Transaction():
                _remove(account.transactions, row.id)
            case Attempt():
                _remove(account.attempts, row.id)
            case Delivery():
                _remove(account.deliveries[row.endpoint], row.id)
            case Job():
                del self._state.jobs[row.id]
            case _:
                raise AssertionError(f"nobody removes a {type(row).__name__} yet")


def _remove(table: Table[Transaction] | Table[Attempt] | Table[Delivery], id: str) -> None:
    del table._rows[id]
    table._ids.remove(id)
