"""The store as one process sees it: the memory store, with faults, and with an observer of every commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from adapters.memory.state import State
from adapters.memory.unit import MemoryUnitOfWork
from payments_core.errors import OutcomeUnknown, Unavailable
from payments_core.event import Event, EventType
from payments_core.ids import EndpointId, EventId, TransactionId
from payments_core.ports import UnitOfWork
from payments_core.transaction import ALLOWED, CLOSED, Status
from payments_core.webhook import Delivery, DeliveryStatus
from tests.simulation.plan import Fault
from tests.simulation.world import World

REFUSED_SHARE: Final = 0.03
UNTOLD_SHARE: Final = 0.03


@dataclass
class Witness:
    """Sees each commit as it happens, and remembers what cannot be told from the end of a history.

    `listeners` has for each event who had to get it when it was committed; `switched_off` each time that an endpoint
    was disabled or removed, and `given_up` those of them that were our doing, in seconds of the world.
    """

    state: State
    committed: Callable[[], None]
    seconds: Callable[[], float]
    listeners: dict[EventId, list[EndpointId]] = field(default_factory=dict)
    switched_off: list[tuple[EndpointId, float]] = field(default_factory=list)
    given_up: list[tuple[EndpointId, float]] = field(default_factory=list)
    wrong_steps: list[str] = field(default_factory=list)
    wrong_ends: list[str] = field(default_factory=list)
    _statuses: dict[TransactionId, Status] = field(default_factory=dict)
    _enabled: dict[EndpointId, bool] = field(default_factory=dict)

    def commit(self, unit: MemoryUnitOfWork) -> None:
        """Commit, and look at what that changed."""
        canceled = self._canceled(unit)
        unit.commit()
        self._see_endpoints(unit)
        wrong = [one.id for one in canceled if self._enabled.get(one.endpoint, True)]
        self.wrong_ends += [f"{id} was canceled, and its endpoint is open" for id in wrong]
        for event in unit.events.added:
            self.listeners[event.id] = self._listeners(event)
        corrected = {e.transaction for e in unit.events.added if e.type is EventType.TRANSACTION_CORRECTED}
        for transaction in unit.transactions.own():
            before = self._statuses.get(transaction.id)
            if not _may_follow(before, transaction.status, corrected=transaction.id in corrected):
                self.wrong_steps.append(f"{transaction.id} went from {before} to {transaction.status}")
            self._statuses[transaction.id] = transaction.status
        self.committed()

    def _see_endpoints(self, unit: MemoryUnitOfWork) -> None:
        """Endpoints are switched off by their merchant, or by a delivery's attempt, which tells the merchant so."""
        is_attempt, given_up = any(True for _ in unit.deliveries.own()), 0
        for endpoint in unit.endpoints.own():
            if self._enabled.get(endpoint.id, True) and not endpoint.enabled:
                self.switched_off.append((endpoint.id, self.seconds()))
                if is_attempt:
                    self.given_up.append((endpoint.id, self.seconds()))
                    given_up += 1
            self._enabled[endpoint.id] = endpoint.enabled
        told = sum(1 for event in unit.events.added if event.type is EventType.WEBHOOK_DISABLED)
        if told != given_up:
            self.wrong_ends.append(f"one commit gave up {given_up} endpoints, and {told} events say so")

    def _canceled(self, unit: MemoryUnitOfWork) -> list[Delivery]:
        """Return the deliveries that this unit cancels."""
        canceled = [one for one in unit.deliveries.own() if one.status is DeliveryStatus.CANCELED]
        before = {one.id: self.state.delivery(one.merchant, one.endpoint, one.id) for one in canceled}
        return [one for one in canceled if (kept := before[one.id]) is None or kept.status is not one.status]

    def _listeners(self, event: Event) -> list[EndpointId]:
        endpoints = self.state.account(event.merchant).endpoints.oldest_first()
        if event.only is not None:
            return [endpoint.id for endpoint in endpoints if endpoint.id == event.only and endpoint.enabled]
        return [endpoint.id for endpoint in endpoints if endpoint.listens_to(event.type)]


def _may_follow(before: Status | None, after: Status, *, corrected: bool) -> bool:
    if before is None:
        return after is Status.PENDING
    if before is after:
        return True
    return after in ALLOWED[before] or (corrected and before in CLOSED and after in CLOSED)


class SimulatedStore:
    """`begin` with faults; the rest is the memory store's."""

    def __init__(self, world: World, witness: Witness) -> None:
        self._world = world
        self._witness = witness

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[UnitOfWork, None]:
        """Begin a unit of work. Raises Unavailable or OutcomeUnknown at its end, as a plan has it."""
        world = self._world
        if world.happens(Fault.STORE, REFUSED_SHARE):
            world.note("the store is away before anything is read")
            raise Unavailable("the store is away")
        unit = MemoryUnitOfWork(self._witness.state)
        yield unit
        await asyncio.sleep(0)
        if world.happens(Fault.STORE, REFUSED_SHARE):
            world.note("the store refuses a commit")
            raise Unavailable("the store is away")
        untold = world.happens(Fault.STORE, UNTOLD_SHARE)
        if untold and world.random.random() < 0.5:
            world.note("a commit did not happen, and nobody is told")
            raise OutcomeUnknown("lost")
        self._witness.commit(unit)
        # A process may be killed here: committed, and nobody told.
        await asyncio.sleep(0)
        if untold:
            world.note("a commit happened, and nobody is told")
            raise OutcomeUnknown("lost")
