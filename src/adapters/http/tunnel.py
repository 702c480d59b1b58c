"""aiohttp's connections through the operator's proxy, to addresses that the guard has let pass.

aiohttp speaks to proxies itself, but leaves names and plain http for them to resolve: what the guard saw and what is
dialled could then differ.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.tracing import Trace

from adapters.http.failure import AddressRefused, TunnelRefused
from adapters.http.guard import AddressGuard
from adapters.http.proxy import Tunnels
from adapters.http.resolver import GuardedResolver


class TunnelConnector(aiohttp.BaseConnector):
    """A connection for each request, each through a tunnel of its own. TLS is with the receiver, by its name."""

    def __init__(
        self,
        tunnels: Tunnels,
        guard: AddressGuard,
        resolver: GuardedResolver,
        *,
        scheme: str,
        tls: ssl.SSLContext,
        connect_timeout_seconds: float,
    ) -> None:
        super().__init__(force_close=True, limit=0)
        self._tunnels = tunnels
        self._guard = guard
        self._resolver = resolver
        self._scheme = scheme
        self._tls = tls
        self._connect_timeout_seconds = connect_timeout_seconds

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],  # noqa: ARG002  # nobody traces
        timeout: aiohttp.ClientTimeout,  # noqa: ARG002, ASYNC109  # bounds the whole call from outside already
    ) -> ResponseHandler:
        """Return a connection to the first of the host's addresses that the proxy reaches.

        Each but the last has its share of the time, so that one which swallows packets leaves some for the others;
        what bounds it all is around this call.
        """
        host, port = req.url.raw_host or "", req.url.port or 0
        addresses = await self._addresses(req, host, port)
        share_seconds = self._connect_timeout_seconds / len(addresses)
        for address in addresses[:-1]:
            try:
                async with asyncio.timeout(share_seconds):
                    return await self._connect(req, address, port)
            except (aiohttp.ClientConnectorError, TimeoutError):
                continue
        return await self._connect(req, addresses[-1], port)

    async def _addresses(self, req: ClientRequest, host: str, port: int) -> list[str]:
        try:
            ip_address(host)
        except ValueError:
            try:
                return [found["host"] for found in await self._resolver.resolve(host, port)]
            except OSError as error:
                raise aiohttp.ClientConnectorDNSError(req.connection_key, error) from error
        return [host]

    async def _connect(self, req: ClientRequest, address: str, port: int) -> ResponseHandler:
        failure = self._guard.judge_address(address, scheme=self._scheme, port=port)
        if failure is not None:
            raise AddressRefused(failure)
        tls = self._tls if req.is_ssl() else None
        name = (req.url.raw_host or "").rstrip(".")  # certificates hold names without it
        async with _explained(req):
            tunnel = await self._tunnels.open(address, port)
            _, handler = await self._loop.create_connection(
                self._factory, sock=tunnel, ssl=tls, server_hostname=name if tls else None
            )
        return handler


@asynccontextmanager
async def _explained(req: ClientRequest) -> AsyncGenerator[None]:
    """Raise what aiohttp's own connectors raise; ProxyFailed passes, as no other address would help."""
    try:
        yield
    except ssl.CertificateError as error:
        raise aiohttp.ClientConnectorCertificateError(req.connection_key, error) from error
    except ssl.SSLError as error:
        raise aiohttp.ClientConnectorSSLError(req.connection_key, error) from error
    except (TunnelRefused, ConnectionError) as error:
        raise aiohttp.ClientConnectorError(req.connection_key, error) from error
