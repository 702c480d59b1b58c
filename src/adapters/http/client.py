"""An HTTP client for addresses that strangers choose: aiohttp, with connections that the guard sees.

What must not be here is switched off: cookies kept between merchants, redirects, proxies and passwords from the
environment, decoding of bodies. A proxy is the operator's, by a setting, or none.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, cast

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler

from adapters.http.destination import destination_of
from adapters.http.failure import AddressRefused, AnswerTooLarge
from adapters.http.guard import AddressGuard
from adapters.http.proxy import Proxy, Tunnels
from adapters.http.resolver import GuardedResolver, Lookup, SystemLookup
from adapters.http.sockets import make_socket
from adapters.http.tunnel import TunnelConnector

HEAD_LINE_BYTES_MAX: Final = 8_190
"""Of an answer's status line and of each header; aiohttp takes at most 128 headers."""

READ_AHEAD_BYTES: Final = 16_384
"""What aiohttp buffers of a body before it stops reading the socket (it stops at twice this)."""

CONNECTION_BYTES_MAX: Final = 131_072
"""Of all that a receiver sends, whatever it is: interim answers, head, body, what stands between a body's chunks.
aiohttp bounds none of the first and last, and parses thousands of them at each look at the socket."""


Target = tuple[int, int, int, str, tuple[object, ...]]
"""What `socket.getaddrinfo` gives for an address: family, kind, protocol, name, (address, port, ...)."""


class BoundedHandler(ResponseHandler):
    """aiohttp's end of a connection, which hangs up on a receiver that sends more than `CONNECTION_BYTES_MAX`.

    What came within the bound is still there for its reader: a long body often arrives together with its head.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._bytes_left = CONNECTION_BYTES_MAX
        self._hung_up = False

    def data_received(self, data: bytes) -> None:
        """Pass on what is within the bound, and hang up at the first byte beyond."""
        is_beyond = len(data) > self._bytes_left
        within = data[: self._bytes_left]
        self._bytes_left -= len(within)
        super().data_received(within)
        if is_beyond and self.transport is not None and self.exception() is None:
            self._hung_up = True
            self.set_exception(AnswerTooLarge())  # for who waits for the head
            self.transport.abort()

    def close(self) -> None:
        """Let go, of TLS at once: its goodbye would wait half a minute for a receiver that does not say its own."""
        if self.transport is not None and self.transport.get_extra_info("sslcontext") is not None:
            self.abort()
        else:
            super().close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Say why, where it was us: for who waits for more of the body."""
        if self._hung_up and self._payload is not None:
            self._payload.set_exception(AnswerTooLarge())
        super().connection_lost(exc)


class GuardedClient:
    """Sends requests, each over a connection of its own, to addresses that the guard has let pass.

    No connection is kept. A kept one would lead where it was checked, so no stranger gains by it; but the next
    attempt's name would not be resolved and checked again, and where the receiver closes it between two events the
    next POST would fail, as aiohttp rightly doesn't repeat one.

    Sessions are made by the first request, in its event loop. Close the client in the same loop.
    """

    def __init__(
        self,
        guard: AddressGuard,
        look_up: Lookup,
        *,
        connect_timeout_seconds: float,
        unsent_timeout_seconds: float,
        tls: ssl.SSLContext | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        """Take the limits: `connect_timeout_seconds` for name, connection, a proxy's tunnel and TLS together.

        `unsent_timeout_seconds` is how long the kernel may keep bytes that the receiver doesn't take. `tls` replaces
        the usual certificate authorities (certifi's, or those named by SSL_CERT_FILE). With a `proxy` every request
        goes through a tunnel of its own; its name is the system's to resolve.
        """
        self._guard = guard
        self._look_up = look_up
        self._connect_timeout_seconds = connect_timeout_seconds
        self._timeout = aiohttp.ClientTimeout(connect=connect_timeout_seconds, sock_connect=connect_timeout_seconds)
        self._unsent_timeout_milliseconds = round(unsent_timeout_seconds * 1000)
        self._tls = tls or httpx.create_ssl_context()
        self._tls.hostname_checks_common_name = False  # a certificate's names are where RFC 9525 wants them
        self._tunnels: Tunnels | None = None
        if proxy is not None:
            unsent = self._unsent_timeout_milliseconds
            self._tunnels = Tunnels(proxy, SystemLookup(), unsent_timeout_milliseconds=unsent)
        # aiohttp tells neither the resolver nor the socket factory the scheme: hence a session for each.
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._is_closed = False

    @asynccontextmanager
    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Send the body and yield the answer once its head is there; the connection ends with the block.

        The body of the answer is as sent, nothing is decoded. Raises what `failure.explain` explains, and `UrlRefused`;
        RuntimeError once the client is closed, as aiohttp does.
        """
        if self._is_closed:
            raise RuntimeError("the client is closed")
        dialled = destination_of(url).url
        session = self._sessions.get(dialled.scheme)
        if session is None:
            session = self._sessions[dialled.scheme] = self._session(dialled.scheme)
        async with session.post(dialled, headers=headers, data=body, allow_redirects=False) as response:
            yield response

    async def aclose(self) -> None:
        """End the sessions, and with them every connection that is still open; no request is taken any more."""
        self._is_closed = True
        for session in self._sessions.values():
            await session.close()

    def _session(self, scheme: str) -> aiohttp.ClientSession:
        connector = self._connector(scheme)
        # aiohttp has no public place for it; a test floods the client, and fails where this is not the place any more.
        handler = cast("type[ResponseHandler]", BoundedHandler)
        connector._factory = partial(handler, loop=asyncio.get_running_loop())
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=self._timeout,
            trust_env=False,
            max_line_size=HEAD_LINE_BYTES_MAX,
            max_field_size=HEAD_LINE_BYTES_MAX,
            read_bufsize=READ_AHEAD_BYTES,
        )

    def _connector(self, scheme: str) -> aiohttp.BaseConnector:
        resolver = GuardedResolver(self._guard, self._look_up, scheme=scheme)
        if self._tunnels is not None:
            return TunnelConnector(
                self._tunnels,
                self._guard,
                resolver,
                scheme=scheme,
                tls=self._tls,
                connect_timeout_seconds=self._connect_timeout_seconds,
            )
        return aiohttp.TCPConnector(
            ssl=self._tls,
            resolver=resolver,
            use_dns_cache=False,
            socket_factory=partial(self._socket, scheme=scheme),
            force_close=True,
            limit=0,  # the notifier counts: a wait in here would run on the receiver's time
        )

    def _socket(self, target: Target, *, scheme: str) -> socket.socket:
        """Make the socket for this final address, or raise AddressRefused.

        The last check, and the only one that sees literal addresses: aiohttp asks no resolver about them.
        """
        family, kind, protocol, _, (address, port, *_rest) = target
        failure = self._guard.judge_address(str(address), scheme=scheme, port=int(str(port)))
        if failure is not None:
            raise AddressRefused(failure)
        return make_socket(family, kind, protocol, unsent_timeout_milliseconds=self._unsent_timeout_milliseconds)
