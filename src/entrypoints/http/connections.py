"""How many connections there may be, and who gives way where there are too many."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable
from typing import Final, Protocol

from entrypoints.http.request_context import Networks, direct_address

CONNECTIONS_MAX: Final = 1_000
CONNECTIONS_MIN: Final = 16
"""Fewer would serve nobody, however few files the process may open."""
FILES_RESERVED: Final = 384
"""Open files of a process that have no place here: databases, logs, metrics, and connections that are being closed."""
PER_ADDRESS_SHARE: Final = 0.5
"""Of all connections, for one address that is no trusted proxy. Behind a proxy that nobody named all come from one:
half leaves room beside a stranger, and is enough for that."""
REFUSED_MAX: Final = 64
"""Connections at a time that are told why they are refused; more are only closed."""
LEAVING_MAX: Final = 64
"""Connections at a time that give way and still have something to send; beyond them the first to leave is cut off."""
UNSENT_SECONDS: Final = 60.0
"""For a client to read an answer, or what was written of a long one, from when it is first seen to wait; what the
kernel has taken over counts as read."""
LOOK_SECONDS: Final = 5.0
"""Between two looks at who reads too slowly."""
_log: Final = logging.getLogger(__name__)


class Connection(Protocol):
    """What is counted: one connection of a client."""

    @property
    def unsent(self) -> object | None:
        """The answer, or the part of a long one, of which something waits for the client; None where nothing does."""
        ...

    def give_way(self) -> None:
        """Close: nothing is under way here, and another needs the place."""
        ...

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        ...


class Connections:
    """The connections of one server: at most so many, and so many of one address.

    Where all places are taken, whoever waits longest for a request of its client gives way, and where all of an address
    are taken, whoever of that address does. Where all have one under way, the newest is refused. Those of `trusted`
    proxies are not counted by their address.
    """

    def __init__(self, most: int = CONNECTIONS_MAX, trusted: Networks = ()) -> None:
        self._trusted: Final = trusted
        self.most: Final = _within_open_files(most)
        self.most_of_one: Final = max(1, int(self.most * PER_ADDRESS_SHARE))
        self.refusals = 0
        """How many were refused since that was last said in the log."""
        self._of_address: Final = Counter[str]()
        self._placed: Final = dict[Connection, str | None]()
        self._waiting: Final = dict[Connection, None]()
        self._waiting_of: Final = dict[str | None, dict[Connection, None]]()
        self._leaving: Final = dict[Connection, None]()
        self._refused: Final = set[Connection]()
        self._slow: Final = dict[Connection, tuple[object, float]]()

    def __len__(self) -> int:
        """Return how many have a place."""
        return len(self._placed) - len(self._leaving)

    def take_place(self, connection: Connection, peer: str) -> bool:
        """Count a new connection, which waits for its first request; say whether there was a place for it."""
        address = direct_address(peer, self._trusted)
        if not self._has_room(address):
            self.refusals += 1
            return False
        self._placed[connection] = address
        if address is not None:
            self._of_address[address] += 1
        self.waits(connection)
        return True

    def _has_room(self, address: str | None) -> bool:
        if address is not None and self._of_address[address] >= self.most_of_one:
            return self._make_room(self._waiting_of.get(address, ()))
        return len(self) < self.most or self._make_room(self._waiting)

    def _make_room(self, among: Iterable[Connection]) -> bool:
        longest = next(iter(among), None)
        if longest is None:
            return False
        if len(self._leaving) >= LEAVING_MAX:
            self._cut_off_first_to_leave()
        self.works(longest)  # it waits no more
        self._leaving[longest] = None
        self._uncount(longest)
        self._placed[longest] = None
        longest.give_way()
        return True

    def _cut_off_first_to_leave(self) -> None:
        """Who reads nothing would otherwise keep all others out for as long as those who leave may read."""
        first = next(iter(self._leaving))
        del self._leaving[first]
        del self._placed[first]
        first.abort()

    def _uncount(self, connection: Connection) -> None:
        address = self._placed[connection]
        if address is None:
            return
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]

    def may_be_told(self, connection: Connection) -> bool:
        """Say whether one that was refused may stay for as long as it takes to tell it why."""
        if len(self._refused) >= REFUSED_MAX:
            return False
        self._refused.add(connection)
        return True

    def leave(self, connection: Connection) -> None:
        """Count a connection no more, which is closed."""
        self._refused.discard(connection)
        self._leaving.pop(connection, None)
        if connection in self._placed:
            self.works(connection)  # it waits no more
            self._uncount(connection)
            del self._placed[connection]

    def waits(self, connection: Connection) -> None:
        """Note that nothing is under way on it: its place may be given to another."""
        if connection in self._placed and connection not in self._leaving:
            self._waiting[connection] = None
            self._waiting_of.setdefault(self._placed[connection], {})[connection] = None

    def works(self, connection: Connection) -> None:
        """Note that a request is under way on it."""
        if connection in self._waiting:
            del self._waiting[connection]
            address = self._placed[connection]
            del self._waiting_of[address][connection]
            if not self._waiting_of[address]:
                del self._waiting_of[address]

    async def watch(self, connections: Iterable[Connection]) -> None:
        """Cut off who reads too slowly, until cancelled; `connections` are all that are open at each look."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.refusals:
                _log.warning(
                    "%d connections were refused: at most %d are open at a time, and %d of one address that is not "
                    "among PAYMENTS_TRUSTED_PROXIES",
                    self.refusals,
                    self.most,
                    self.most_of_one,
                )
                self.refusals = 0
            self.cut_off_slow(connections, now=time.monotonic())

    def cut_off_slow(self, connections: Iterable[Connection], *, now: float) -> None:
        """Abort each connection on which one answer, or a part of one, has waited to be read for UNSENT_SECONDS."""
        slow: dict[Connection, tuple[object, float]] = {}
        for connection in [*connections]:
            answer = connection.unsent
            if answer is None:
                continue
            before, since = self._slow.get(connection, (None, now))
            if before != answer:
                since = now
            if now - since >= UNSENT_SECONDS:
                connection.abort()
            else:
                slow[connection] = (answer, since)
        self._slow.clear()
        self._slow.update(slow)


def _within_open_files(most: int) -> int:
    """Return how many connections there may be, given the files that this process may open; say so where it is less."""
    try:
        import resource
    except ImportError:  # no POSIX: no such limit to ask for
        return most
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY or files - FILES_RESERVED >= most:
        return most
    room = max(CONNECTIONS_MIN, files - FILES_RESERVED)
    if room >= most:
        return most
    _log.warning(
        "at most %d connections at a time rather than %d: this process may open %d files (ulimit -n)", room, most, files
    )
    return room
