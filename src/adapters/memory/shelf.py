"""One kind of thing within one unit of work: what is committed, and over it the unit's own writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import Generic, TypeVar

from adapters.memory.kinds import Kind, Versioned
from adapters.memory.state import Account, Key, State
from payments_core.errors import Duplicate, NotFound, StaleWrite
from payments_core.ids import MerchantId
from payments_core.ports import Unique

V = TypeVar("V", bound=Versioned)


class Shelf(Generic[V]):
    """Reads, and remembers writes until `check` and `apply`. Each read lets others run first."""

    def __init__(self, kind: Kind[V], state: State) -> None:
        self._kind = kind
        self.state = state
        self._own: dict[Key, V] = {}
        self._added: list[Key] = []
        self._expected: list[tuple[Key, int]] = []

    def add(self, thing: V, /) -> None:
        """Remember a new thing."""
        key = self._kind.key(thing)
        self._added.append(key)
        self._own[key] = thing

    def save(self, thing: V, /) -> None:
        """Remember the new state."""
        self._own[self._kind.key(thing)] = thing

    def expect(self, thing: V) -> None:
        """Remember the version that the commit must find."""
        self._expected.append((self._kind.key(thing), thing.version))

    async def find(self, *key: str) -> V | None:
        """Return the thing as the unit sees it, if there is one."""
        await asyncio.sleep(0)
        own = self._own.get(key)
        return own if own is not None else self._kind.stored(self.state, key)

    async def read(self, *key: str, wanted: Callable[[V], bool] = lambda _: True) -> V:
        """Return the thing as the unit sees it; raise NotFound where there is none or it is not wanted."""
        found = await self.find(*key)
        if found is None or not wanted(found):
            raise NotFound("There is nothing with this id.")
        return found

    async def find_by(self, value: Hashable, matches: Callable[[V], bool]) -> V | None:
        """Return the thing with a unique value, which `matches` recognises among the unit's own."""
        await asyncio.sleep(0)
        for thing in self._own.values():
            if matches(thing):
                return thing
        key = self.state.taken.get(value)
        found = None if key is None or key in self._own else self._kind.stored(self.state, key)
        return found if found is not None and matches(found) else None

    async def all(
        self, merchant: MerchantId, rows: Callable[[Account], Iterable[V]], wanted: Callable[[V], bool]
    ) -> list[V]:
        """Return what the unit sees among these rows of the merchant, and its own, in the order of keys."""
        await asyncio.sleep(0)
        account = self.state.accounts.get(merchant)
        return self.seen(
            rows(account) if account else (), lambda thing: self._kind.key(thing)[0] == merchant and wanted(thing)
        )

    def seen(self, rows: Iterable[V], wanted: Callable[[V], bool]) -> list[V]:
        """Return what the unit sees among these rows, and its own, in the order of keys."""
        things = {self._kind.key(thing): thing for thing in rows}
        things.update(self._own)
        return [thing for _, thing in sorted(things.items(), key=lambda item: item[0]) if wanted(thing)]

    def own(self) -> Iterable[V]:
        """Return what the unit writes, in its last state."""
        return self._own.values()

    def merchants(self) -> set[MerchantId]:
        """Return whose things are written."""
        return {MerchantId(key[0]) for key in self._own} if self._kind.of_merchant else set()

    def check_versions(self) -> None:
        """Raise StaleWrite where a version moved; what the unit itself adds has none yet."""
        saved = [(key, thing.version) for key, thing in self._own.items()]
        for key, version in (*self._expected, *saved):
            if key in self._added:
                continue
            found = self._kind.stored(self.state, key)
            if found is None or found.version != version:
                raise StaleWrite("another unit of work wrote first")

    def check_unique(self) -> None:
        """Raise Duplicate where an identity or another unique value is taken, also by the unit itself."""
        if len(set(self._added)) < len(self._added):
            raise Duplicate(Unique.ID)
        if any(self._kind.stored(self.state, key) is not None for key in self._added):
            raise Duplicate(Unique.ID)
        claimed = dict[Hashable, Key]()
        for key, thing in self._own.items():
            for constraint, value in self._kind.values(thing):
                if claimed.setdefault(value, self.state.taken.get(value, key)) != key:
                    raise Duplicate(constraint)

    def apply(self) -> None:
        """Write everything. Raises nothing, after the checks."""
        for key, thing in self._own.items():
            before = self._kind.stored(self.state, key)
            for _, value in self._kind.values(before) if before is not None else ():
                self.state.taken.pop(value, None)
            for _, value in self._kind.values(thing):
                self.state.taken[value] = key
            self._kind.put(self.state, replace(thing, version=thing.version + 1))
