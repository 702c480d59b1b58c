"""Honest adapters in memory: atomic, unique, versioned. The standard library only."""

from adapters.memory.assembly import memory_payments
from adapters.memory.cache import MemoryCache
from adapters.memory.clock import HandClock, SystemClock
from adapters.memory.credentials import CachedCredentials
from adapters.memory.gateway import MemoryGateway
from adapters.memory.limits import MemoryRateLimits
from adapters.memory.notifier import MemoryNotifier
from adapters.memory.passwords import MemoryPasswords
from adapters.memory.store import MemoryStore
from adapters.memory.tokens import MemoryAccessTokens

__all__ = [
    "CachedCredentials",
    "HandClock",
    "MemoryAccessTokens",
    "MemoryCache",
    "MemoryGateway",
    "MemoryNotifier",
    "MemoryPasswords",
    "MemoryRateLimits",
    "MemoryStore",
    "SystemClock",
    "memory_payments",
]
