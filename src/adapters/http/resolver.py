"""Names become addresses here, and all of them pass the guard, or none is dialled."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from adapters.http.failure import AddressRefused
from adapters.http.guard import AddressGuard

LOOKUPS_MAX: Final = 64
"""Threads that wait for name servers. Their own pool: a name server that never answers must hold up neither
password hashes, which share the loop's threads, nor (below this number) anyone else's names."""

ADDRESSES_DIALLED_MAX: Final = 4
"""Of one name. aiohttp starts over after each failure with the rest of the list, so the connections of one attempt
grow with the square of this: a name with 200 addresses would be a port scan."""

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""Every address of a host, as text; raises OSError for a host without any."""


class SystemLookup:
    """Asks the system's resolver (`/etc/hosts` included) on threads of its own. Close it after use."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="webhook-names")

    async def __call__(self, host: str) -> Sequence[str]:
        """Return every address of the host, or raise OSError."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _addresses_of, host)

    def close(self) -> None:
        """Take no more names. A lookup under way ends in its own time, at the latest when the resolver gives up."""
        self._threads.shutdown(wait=False, cancel_futures=True)


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
