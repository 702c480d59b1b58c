"""Answering HTTP: a socket that is bound before anything else starts, and uvicorn on it while a block runs."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias, cast

if TYPE_CHECKING:
    from entrypoints.http.connections import Connection, Connections

Application: TypeAlias = Callable[..., Awaitable[None]]
"""An ASGI application; each library has types of its own for what is handed to one."""

BACKLOG_CONNECTIONS: Final = 2048
KEEP_ALIVE_SECONDS: Final = 75
"""Longer than the idle time of common load balancers (60 s), so that no request meets an end that is closed."""
GRACE_SECONDS: Final = 2
"""For requests that are under way; with what is closed after them it stays within the 5 s of a whole stop."""
CANCELED_SECONDS: Final = 0.5
"""For requests that were broken off, and for the application's own end."""


class AddressUnusable(Exception):
    """Nobody can listen there; the message is one line with the cure."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens on host and port (0: any free one), or raise AddressUnusable.

    It listens at once, because two sockets may be bound to one port as long as neither listens. Connections that
    come before the server is ready wait.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):
        raise AddressUnusable(f"{host} is no address or name of this machine: choose another with --host.") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG_CONNECTIONS)
    except OSError as error:
        listener.close()
        raise AddressUnusable(_why(error, host, port)) from error
    listener.setblocking(False)
    return listener


def bind_several(host: str, port: int, *, sockets: int) -> list[socket.socket]:
    """Return sockets that listen on one host and port (0: any free one), or raise AddressUnusable.

    Where the kernel can, it spreads connections over them evenly; otherwise all are one, and who accepts first has the
    connection. A connection stays with its socket until that is accepted or every holder of the socket has closed it.
    """
    first = bind(host, port)
    listeners = [first]
    try:
        while len(listeners) < sockets:
            listeners.append(_beside(first) if sys.platform == "linux" else first.dup())
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise AddressUnusable(_why(error, host, port)) from error
    return listeners


def _beside(first: socket.socket) -> socket.socket:
    """Return another socket on the address of the first.

    Only once that has its port alone does it share it, so that a second service on this port is refused as ever.
    """
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener = socket.socket(first.family, first.type, first.proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(first.getsockname())
        listener.listen(BACKLOG_CONNECTIONS)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def inherited(descriptor: int) -> socket.socket:
    """Return the listening socket that the parent of this process has bound."""
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    return listener


def _why(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"Port {port} on {host} is taken: stop what listens there, or choose another with --port."
        case errno.EADDRNOTAVAIL:
            return f"{host} is not an address of this machine: choose another with --host."
        case errno.EACCES | errno.EPERM:
            return f"Port {port} needs more rights than this user has: choose one above 1023 with --port."
        case _:
            return f"Cannot listen on {host}, port {port}: {error.strerror}."


def url_of(listener: socket.socket) -> str:
    """Return where clients of this machine reach the listener."""
    name: tuple[str, int] = listener.getsockname()[:2]
    host, port = name
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def serving(
    app: Application,
    listener: socket.socket,
    *,
    grace_seconds: int = GRACE_SECONDS,
    places: Connections | None = None,
) -> AsyncGenerator[asyncio.Task[None], None]:
    """Answer requests on the listener while the block runs, which begins once the application is ready.

    Gives the server's task, which ends by itself only when it fails. Wait for it by `asyncio.wait`: an `await` hands
    a cancellation on to it, and then it breaks off requests instead of ending them. At the end of the block requests
    under way have `grace_seconds`. `places` bounds the connections, with its defaults unless given. Signals are left to
    the caller. Raises RuntimeError where the application does not start.
    """
    import uvicorn  # heavy, and not needed to bind

    from entrypoints.http.connections import Connections
    from entrypoints.http.protocol import BoundedProtocol

    counted = Connections() if places is None else places

    class Counted(BoundedProtocol):
        places = counted

    class Server(uvicorn.Server):
        ready = asyncio.Event()

        @contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            """Leave the signals to the command, which has more to end than this server."""
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            try:
                await super().startup(sockets)
            except SystemExit:
                raise RuntimeError("The HTTP application did not start; the log says why.") from None
            self.ready.set()

    server = Server(
        uvicorn.Config(
            app,
            loop="none",
            http=Counted,
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            lifespan="on",
            backlog=BACKLOG_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=grace_seconds,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]), name="HTTP server")
    ready = asyncio.create_task(server.ready.wait())
    watch = asyncio.create_task(
        counted.watch(cast("set[Connection]", server.server_state.connections)), name="slow readers"
    )
    try:
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield task
    finally:
        ready.cancel()
        watch.cancel()
        server.should_exit = True
        try:
            await asyncio.wait({task}, timeout=grace_seconds + CANCELED_SECONDS)
        finally:
            listener.close()
            task.cancel()  # which does nothing to a server that has ended
            await asyncio.wait({task}, timeout=CANCELED_SECONDS)
