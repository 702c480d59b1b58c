"""The operator's egress proxy: a tunnel through it to one address, by CONNECT (RFC 9110, section 9.3.6).

Whose address is dialled is settled before: the proxy is asked for an address and never for a name, so that it cannot
resolve to something else what the guard has let pass.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from adapters.http.failure import ProxyFailed, TunnelRefused
from adapters.http.resolver import Lookup
from adapters.http.sockets import make_socket

PROXY_HEAD_BYTES_MAX: Final = 16_384
"""Of the proxy's answer to CONNECT."""

READ_BYTES: Final = 4_096

_NO_PROXY: Final = "the proxy is not a URL such as http://user:password@host:3128"
_CREDENTIALS_REFUSED: Final = 407
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")
_END_OF_HEAD: Final = b"\r\n\r\n"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Where the proxy is, and what it wants to hear; no guard judges its address, as the operator chose it."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def at(cls, url: str) -> Self:
        """Read `http://[user:password@]host:port`, name and password percent-encoded; raise ValueError.

        The error shows nothing of the text, which may hold a password.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ValueError(_NO_PROXY) from None
        if parts.scheme != "http" or not host or not port:
            raise ValueError(_NO_PROXY)
        if parts.username is None:
            return cls(host=host, port=port)
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        return cls(host=host, port=port, authorization=f"Basic {b64encode(credentials).decode()}")


class Tunnels:
    """Opens tunnels through one proxy. For one event loop."""

    def __init__(self, proxy: Proxy, look_up: Lookup, *, unsent_timeout_milliseconds: int) -> None:
        """`look_up` finds the proxy itself."""
        self._proxy = proxy
        self._look_up = look_up
        self._unsent_timeout_milliseconds = unsent_timeout_milliseconds

    async def open(self, address: str, port: int) -> socket.socket:
        """Return a socket that leads to this address, with nothing read from it yet.

        Raises ProxyFailed and TunnelRefused. Takes as long as the proxy does: the caller bounds it.
        """
        try:
            tunnel = await self._reach()
            try:
                await self._ask(tunnel, f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
            except BaseException:
                tunnel.close()
                raise
        except ProxyFailed as failure:
            _log.warning("webhooks cannot leave: %s", failure)  # merchants are told nothing of it
            raise
        return tunnel

    async def _reach(self) -> socket.socket:
        try:
            addresses = await self._addresses()
        except OSError as error:
            raise ProxyFailed("the proxy's name has no address") from error
        failure: OSError = OSError("the proxy's name has no address")
        for address in addresses:
            try:
                return await self._connect(address)
            except OSError as error:
                failure = error
        raise ProxyFailed("the proxy cannot be reached") from failure

    async def _addresses(self) -> Sequence[str]:
        try:
            ip_address(self._proxy.host)
        except ValueError:
            return await self._look_up(self._proxy.host)
        return [self._proxy.host]

    async def _connect(self, address: str) -> socket.socket:
        made = make_socket(
            socket.AF_INET6 if ":" in address else socket.AF_INET,
            socket.SOCK_STREAM,
            socket.IPPROTO_TCP,
            unsent_timeout_milliseconds=self._unsent_timeout_milliseconds,
        )
        try:
            made.setblocking(False)
            await asyncio.get_running_loop().sock_connect(made, (address, self._proxy.port))
        except BaseException:
            made.close()
            raise
        return made

    async def _ask(self, tunnel: socket.socket, authority: str) -> None:
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        if self._proxy.authorization is not None:
            lines.append(f"Proxy-Authorization: {self._proxy.authorization}")
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(tunnel, "\r\n".join([*lines, "", ""]).encode("ascii"))
            head = await _head(tunnel)
        except ProxyFailed:
            raise
        except OSError as error:
            raise ProxyFailed("the proxy hung up") from error
        status = _STATUS.match(head)
        if status is None or int(status[1]) == _CREDENTIALS_REFUSED:
            raise ProxyFailed("the proxy does not let us in, or speaks no HTTP")
        # Neither does a receiver of HTTP speak first: what came behind the head is not for us.
        if not 200 <= int(status[1]) < 300 or not head.endswith(_END_OF_HEAD):
            raise TunnelRefused("the proxy made no tunnel")


async def _head(tunnel: socket.socket) -> bytes:
    """Return what the proxy answers up to the end of its head, and what came in the same moment behind it."""
    loop = asyncio.get_running_loop()
    head = b""
    while _END_OF_HEAD not in head:
        more = await loop.sock_recv(tunnel, READ_BYTES)
        if not more or len(head) >= PROXY_HEAD_BYTES_MAX:
            raise ProxyFailed("the proxy's answer does not end, or ends too soon")
        head += more
    return head
