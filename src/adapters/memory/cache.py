"""A cache inside one process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

ENTRIES_MAX: Final = 10_000
TOTAL_BYTES_MAX: Final = 64 * 1024 * 1024
VALUE_BYTES_MAX: Final = 512 * 1024


class MemoryCache:
    """Keeps the values read last, bounded in number and in bytes; forgets those read longest ago first."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime],
        entries_max: int = ENTRIES_MAX,
        total_bytes_max: int = TOTAL_BYTES_MAX,
        value_bytes_max: int = VALUE_BYTES_MAX,
    ) -> None:
        self._clock = clock
        self._entries_max = entries_max
        self._total_bytes_max = total_bytes_max
        self._value_bytes_max = min(value_bytes_max, total_bytes_max)
        self._entries: OrderedDict[str, tuple[bytes, datetime]] = OrderedDict()
        self._total_bytes = 0

    async def get(self, key: str, /) -> bytes | None:
        """Return the value, or None where there is none or its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, expires_at = entry
        if expires_at <= self._clock():
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return value

    async def put(self, key: str, value: bytes, /, *, ttl_seconds: int) -> None:
        """Keep the value that long, in place of an older one; a value too large to keep leaves nothing behind."""
        self._forget(key)
        if len(value) > self._value_bytes_max or ttl_seconds <= 0:
            return
        self._entries[key] = (value, self._clock() + timedelta(seconds=ttl_seconds))
        self._total_bytes += len(value)
        while len(self._entries) > self._entries_max or self._total_bytes > self._total_bytes_max:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._total_bytes -= len(entry[0])
