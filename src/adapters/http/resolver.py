"""Names become addresses here, and all of them pass the guard, or none is dialled."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import Final
from weakref import WeakValueDictionary

from aiohttp.abc import AbstractResolver, ResolveResult

from adapters.http.failure import AddressRefused
from adapters.http.guard import AddressGuard

LOOKUPS_MAX: Final = 256
"""Threads that wait for name servers, one for each host. Not the loop's own: a name server that never answers must
hold up neither what shares those nor (below this number) anyone else's names. Well above the attempts that a worker
makes at failing endpoints at a time (100), as a thread outlasts the attempt that gave up on it."""

ADDRESSES_DIALLED_MAX: Final = 4
"""Of one name. aiohttp starts over after each failure with the rest of the list, so the connections of one attempt
grow with the square of this: a name with 200 addresses would be a port scan."""

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""Every address of a host, as text; raises OSError for a host without any."""


class SystemLookup:
    """Asks the system's resolver (`/etc/hosts` included), on a thread of its own for each host.

    Whoever asks for a host that is just being looked up shares that answer. Nothing is kept of it afterwards.

    Those threads hold up nothing at the end of the process, unlike a pool's: the system's resolver cannot be told to
    stop, and may take half a minute to give up. For one event loop.
    """

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(LOOKUPS_MAX)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._under_way: dict[str, Future[Sequence[str]]] = {}

    async def __call__(self, host: str) -> Sequence[str]:
        """Return every address of the host, or raise OSError."""
        # One of those who ask for a host waits for a place; the next of them does where that one leaves.
        async with self._turns.setdefault(host, asyncio.Lock()):
            if host not in self._under_way:
                await self._places.acquire()
                self._start(host)
            answer = self._under_way[host]
        # It is running, so that whoever leaves cancels it for nobody else.
        return await asyncio.wrap_future(answer)

    def _start(self, host: str) -> None:
        loop = asyncio.get_running_loop()
        answer: Future[Sequence[str]] = Future()
        # Its place is given back when the thread ends, not when nobody waits for the answer any more.
        answer.add_done_callback(lambda _: _tell(loop, lambda: self._end(host)))
        answer.set_running_or_notify_cancel()
        self._under_way[host] = answer
        try:
            threading.Thread(target=_settle, args=(answer, host), name="webhook-name", daemon=True).start()
        except RuntimeError as error:  # the system has no thread left: those who wait are told, and the place is free
            answer.set_exception(error)

    def _end(self, host: str) -> None:
        del self._under_way[host]
        self._places.release()


def _settle(answer: Future[Sequence[str]], host: str) -> None:
    try:
        answer.set_result(_addresses_of(host))
    except Exception as error:  # UnicodeError for one: whoever waits for the answer is told
        answer.set_exception(error)


def _tell(loop: asyncio.AbstractEventLoop, tell: Callable[[], object]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(tell)


def _addresses_of(host: str) -> Sequence[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class GuardedResolver(AbstractResolver):
    """aiohttp's resolver hook: refuses a name if **any** of its addresses is refused.

    One bad address among good ones is enough, as the receiver chooses which of them is dialled. The connector
    dials the addresses returned here and asks no second time, so that a name that changes its mind (DNS rebinding)
    changes nothing.
    """

    def __init__(self, guard: AddressGuard, look_up: Lookup, *, scheme: str) -> None:
        self._guard = guard
        self._look_up = look_up
        self._scheme = scheme

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002  # the connector wants either family
    ) -> list[ResolveResult]:
        """Return the addresses to dial, at most `ADDRESSES_DIALLED_MAX`; raise OSError, as AddressRefused."""
        addresses = tuple(dict.fromkeys(await self._look_up(host)))
        if not addresses:
            raise OSError("the host name has no address")
        for address in addresses:
            failure = self._guard.judge_address(address, scheme=self._scheme, port=port)
            if failure is not None:
                raise AddressRefused(failure)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses[:ADDRESSES_DIALLED_MAX]
        ]

    async def close(self) -> None:
        """Do nothing: the lookup belongs to whoever made it."""
