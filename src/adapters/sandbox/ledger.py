"""The books of the sandbox's company: what it decided about each attempt, and nothing of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from payments_core.attempt import AttemptKind
from payments_core.ids import AttemptId
from payments_core.money import Money

ENTRIES_MAX: Final = 10_000
"""The most entries that one read gives."""


class LedgerAway(Exception):
    """The ledger did not answer; what was asked may have been done all the same."""


class EntryStatus(StrEnum):
    """Where the money of an attempt is, by the gateway's books."""

    CHARGED = "charged"
    REFUNDED = "refunded"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One attempt and what was decided: `code` says why where `status` is DECLINED.

    `at` is when the gateway first decided, `changed_at` when it changed its mind, which it does once at most.
    """

    attempt: AttemptId
    kind: AttemptKind
    amount: Money
    status: EntryStatus
    reference: str
    charge_reference: str | None
    code: str | None
    at: datetime
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What the books say of an attempt; `is_new` for the one call that wrote it."""

    entry: LedgerEntry
    is_new: bool


class Ledger(Protocol):
    """Books with one entry for each attempt. Every method may raise LedgerAway."""

    async def record(self, entry: LedgerEntry, /) -> Recorded:
        """Write the entry unless its attempt has one, and return the attempt's."""
        ...

    async def revise(self, entry: LedgerEntry, /) -> LedgerEntry:
        """Write `status`, `code` and `changed_at` unless the recorded entry was changed before, and return it."""
        ...

    async def find(self, attempt: AttemptId, /) -> LedgerEntry | None:
        """Return the attempt's entry, if it has one."""
        ...

    async def find_all(self, attempts: Sequence[AttemptId], /) -> Sequence[LedgerEntry]:
        """Return the entries of those of these attempts that have one."""
        ...

    async def drop_first_call(self, attempt: AttemptId, /, *, at: datetime) -> bool:
        """Note a call that is to have no effect; True the first time for this attempt, False ever after."""
        ...

    async def entries(self, *, after: str = "", limit: int = ENTRIES_MAX) -> Sequence[LedgerEntry]:
        """Return up to `limit` entries in the order of their attempts' ids, from behind the id `after` on."""
        ...


class MemoryLedger:
    """Books that last as long as the process and grow without bound: for tests."""

    def __init__(self) -> None:
        self._entries: dict[AttemptId, LedgerEntry] = {}
        self._dropped: dict[AttemptId, datetime] = {}

    async def record(self, entry: LedgerEntry, /) -> Recorded:
        """Write the entry unless its attempt has one, and return the attempt's."""
        found = self._entries.setdefault(entry.attempt, entry)
        return Recorded(entry=found, is_new=found is entry)

    async def revise(self, entry: LedgerEntry, /) -> LedgerEntry:
        """Write the gateway's later decision unless there is one, and return the entry."""
        if self._entries[entry.attempt].changed_at is None:
            self._entries[entry.attempt] = entry
        return self._entries[entry.attempt]

    async def find(self, attempt: AttemptId, /) -> LedgerEntry | None:
        """Return the attempt's entry, if it has one."""
        return self._entries.get(attempt)

    async def find_all(self, attempts: Sequence[AttemptId], /) -> Sequence[LedgerEntry]:
        """Return the entries of those of these attempts that have one."""
        return [self._entries[attempt] for attempt in attempts if attempt in self._entries]

    async def drop_first_call(self, attempt: AttemptId, /, *, at: datetime) -> bool:
        """Say whether this is the first such call of the attempt."""
        is_first = attempt not in self._dropped
        self._dropped.setdefault(attempt, at)
        return is_first

    async def entries(self, *, after: str = "", limit: int = ENTRIES_MAX) -> Sequence[LedgerEntry]:
        """Return up to `limit` entries in the order of their attempts' ids."""
        behind = sorted(attempt for attempt in self._entries if attempt > after)
        return [self._entries[attempt] for attempt in behind[:limit]]
