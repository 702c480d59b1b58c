"""The whole core over memory, for a first look, for tests and for a simulation."""

from __future__ import annotations

import os

from adapters.memory.clock import SystemClock
from adapters.memory.doorbell import MemoryDoorbell
from adapters.memory.gateway import MemoryGateway
from adapters.memory.limits import MemoryRateLimits
from adapters.memory.notifier import MemoryNotifier
from adapters.memory.passwords import MemoryPasswords
from adapters.memory.store import MemoryStore
from adapters.memory.tokens import MemoryAccessTokens
from payments_core import Payments, Ports
from payments_core.ports import Clock, Entropy, Gateway, Notifier, Passwords
from payments_core.schedules import Schedules
from payments_core.worker import Worker


def memory_payments(
    *,
    gateway: Gateway | None = None,
    notifier: Notifier | None = None,
    passwords: Passwords | None = None,
    clock: Clock | None = None,
    entropy: Entropy = os.urandom,
    schedules: Schedules = Schedules(),  # noqa: B008 - frozen
) -> tuple[Payments, Worker]:
    """Return the facade and its worker over an empty store in memory; what isn't given is the simplest there is.

    Nothing runs by itself: `await worker.sweep_until_idle()` does what is due.
    """
    clock = clock or SystemClock()
    store = MemoryStore()
    payments = Payments(
        Ports(
            begin=store.begin,
            views=store,
            oversight=store.oversight,
            audit=store.audit,
            credentials=store.credentials,
            passwords=passwords or MemoryPasswords(entropy=entropy),
            tokens=MemoryAccessTokens(),
            limits=MemoryRateLimits(clock=clock.now),
            gateways={False: gateway or MemoryGateway()},
            notifier=notifier or MemoryNotifier(),
            doorbell=MemoryDoorbell(),
            clock=clock,
            entropy=entropy,
            schedules=schedules,
        )
    )
    return payments, Worker(payments, store.claims, clock, wake=MemoryDoorbell().ring)
