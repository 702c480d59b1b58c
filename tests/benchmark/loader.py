"""A load of HTTP requests, in a process of its own: raw sockets, prebuilt bytes, one request in flight for each.

`python -m tests.benchmark.loader` reads a line of JSON, loads, and writes a line of JSON: see `Load` and `Loaded`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Final, cast

import uvloop

from tests.benchmark.figures import share

TICK_SECONDS: Final = 0.001
ERRORS_SHOWN_MAX: Final = 5
ID_LENGTH: Final = 30
HEAD_END: Final = b"\r\n\r\n"
LENGTH: Final = b"\r\ncontent-length:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to send. `requests` are the parts around a key (the second None where there is none), taken in turn.

    With a `rate` requests are due at their moments, whether or not the ones before were answered, and their latency
    counts from there; without one each connection sends again as soon as it was answered. `limit` ends the load after
    so many requests. With `keeps_ids` each transaction's id is returned with the time of its answer.
    """

    port: int
    connections: int
    seconds: float
    status: int
    requests: list[list[str | None]]
    key: str = ""
    rate: float | None = None
    limit: int | None = None
    keeps_ids: bool = False
    drain_seconds: float = 30.0
    """For the requests that are due or in flight when the time is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What came of a load; latencies are in seconds, times those of the machine's monotonic clock."""

    answered: int
    seconds: float
    p50: float
    p99: float
    errors: int
    shown_errors: list[str] = field(default_factory=list)
    ids: list[tuple[str, float, float]] = field(default_factory=list)
    """Transaction, when its request was due or sent, when it was answered."""
    unfinished_max: int = 0
    """How many requests may have been carried out, beyond those that were answered."""

    @property
    def rate(self) -> float:
        """Answers for each second."""
        return self.answered / self.seconds


class Connection(asyncio.Protocol):
    """One connection with at most one request in flight."""

    def __init__(self, loading: Loading) -> None:
        self._loading = loading
        self._buffer = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so

    def send(self, request: bytes, due_at: float) -> None:
        """Send a request whose latency counts from `due_at` on."""
        assert self._transport is not None, "it is connected first"
        self._sent_at = due_at
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer = data = self._buffer + data if self._buffer else data
        end = data.find(HEAD_END)
        if end < 0:
            return
        head = data[:end].lower()
        at = head.find(LENGTH)
        length = int(head[at + len(LENGTH) :].partition(b"\r\n")[0]) if at >= 0 else 0
        if len(data) >= end + len(HEAD_END) + length:
            self._buffer = b""
            self._loading.answered(self, int(head[9:12]), data[end + len(HEAD_END) :], self._sent_at)

    def connection_lost(self, exc: Exception | None) -> None:
        self._loading.lost(repr(exc))

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()


class Loading:
    """A load under way."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._parts = [
            (before.encode(), None if after is None else after.encode())
            for before, after in load.requests
            if before is not None
        ]
        self._count = 0
        self._in_flight = 0
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._ends_at = 0.0
        self._has_all = False
        self._is_over = False
        self._drained = asyncio.Event()
        self._latencies: list[float] = []
        self._errors = 0
        self._shown_errors: list[str] = []
        self._ids: list[tuple[str, float, float]] = []

    async def run(self) -> Loaded:
        """Load, wait for the last answers, and return what came of it."""
        loop = asyncio.get_running_loop()
        connections = [
            (await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._load.port))[1]
            for _ in range(self._load.connections)
        ]
        begun = time.monotonic()
        self._ends_at = begun + self._load.seconds
        if self._load.rate is None:
            for connection in connections:
                self._send(connection, time.monotonic())
        else:
            self._idle.extend(connections)
            await self._pace(begun, self._load.rate)
        try:
            async with asyncio.timeout(max(0.0, self._ends_at - time.monotonic()) + self._load.drain_seconds):
                await self._drained.wait()
        except TimeoutError:
            late = self._in_flight + len(self._due)
            self._fault(f"{late} requests were not answered {self._load.drain_seconds:g} s after the load")
        seconds = time.monotonic() - begun
        self._is_over = True
        for connection in connections:
            connection.close()
        latencies = sorted(self._latencies)
        return Loaded(
            answered=len(latencies),
            seconds=seconds,
            p50=share(latencies, 0.5),
            p99=share(latencies, 0.99),
            errors=self._errors,
            shown_errors=self._shown_errors,
            ids=self._ids,
        )

    def answered(self, connection: Connection, status: int, body: bytes, sent_at: float) -> None:
        """Take an answer, and send the next request."""
        now = time.monotonic()
        self._in_flight -= 1
        if status != self._load.status:
            self._fault(f"{status}: {body[:200].decode('latin-1')}")
        else:
            self._latencies.append(now - sent_at)
            if self._load.keeps_ids:
                at = body.find(b"txn_")
                self._ids.append((body[at : at + ID_LENGTH].decode(), sent_at, now))
        if self._load.rate is None and not self._has_ended(now):
            self._send(connection, now)
        elif self._due:
            self._send(connection, self._due.popleft())
        else:
            self._idle.append(connection)
            self._has_all = self._has_all or self._load.rate is None
            self._look_whether_drained()

    def lost(self, why: str) -> None:
        """Take note of a connection that was closed from the other side."""
        if not self._is_over:
            self._fault(f"a connection was closed: {why}")

    async def _pace(self, begun: float, rate: float) -> None:
        """Have requests sent at their moments until the time is over."""
        total = min(round(rate * self._load.seconds), self._load.limit or sys.maxsize)
        sent = 0
        while sent < total:
            now = time.monotonic()
            while sent < total and begun + sent / rate <= now:
                self._due.append(begun + sent / rate)
                sent += 1
            while self._due and self._idle:
                self._send(self._idle.popleft(), self._due.popleft())
            await asyncio.sleep(TICK_SECONDS)
        self._has_all = True
        self._look_whether_drained()

    def _look_whether_drained(self) -> None:
        if self._has_all and self._in_flight == 0 and not self._due:
            self._drained.set()

    def _has_ended(self, now: float) -> bool:
        return now >= self._ends_at or (self._load.limit is not None and self._count >= self._load.limit)

    def _send(self, connection: Connection, due_at: float) -> None:
        before, after = self._parts[self._count % len(self._parts)]
        self._count += 1
        self._in_flight += 1
        connection.send(before if after is None else b"%b%b-%d%b" % (before, self._key, self._count, after), due_at)

    @property
    def _key(self) -> bytes:
        return self._load.key.encode()

    def _fault(self, what: str) -> None:
        self._errors += 1
        if len(self._shown_errors) < ERRORS_SHOWN_MAX:
            self._shown_errors.append(what)


async def _load(load: Load) -> Loaded:
    return await Loading(load).run()


def main() -> None:
    """Do one load."""
    load = Load(**json.loads(sys.stdin.readline()))
    print(json.dumps(asdict(uvloop.run(_load(load)))))


if __name__ == "__main__":
    main()
