"""The port on which metrics are read: threads of its own, so that they can be read while the event loop is stuck.

A few connections at a time, each for a short time: whoever reaches this port costs the process little.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from http.server import ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Final, cast

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import MetricsHandler

CONNECTIONS_MAX: Final = 16
CONNECTION_SECONDS: Final = 30.0
"""From the opening of a connection to its end; each is for one answer."""
PATHS: Final = ("/metrics", "/")
_SAFE: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)
_log: Final = logging.getLogger(__name__)


class _Handler(MetricsHandler):
    """Answers GET, and says nothing of what answers."""

    timeout = CONNECTION_SECONDS

    def do_GET(self) -> None:  # noqa: N802 - the library's name
        """Answer with the metrics."""
        if any("\n" in value for value in self.headers.values()):
            # The parser joins folded lines with their ends, and a part of Accept comes back in Content-Type.
            self.send_error(400)
        elif self.path.partition("?")[0] not in PATHS:
            self.send_error(404)
        else:
            super().do_GET()

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin an answer, without the names and versions that the library puts into each."""
        self.send_response_only(code, message)
        self.send_header("Date", self.date_time_string())

    def end_headers(self) -> None:
        """End the headers with those of every answer."""
        for name, value in _SAFE:
            self.send_header(name, value)
        super().end_headers()


class MetricsServer(ThreadingHTTPServer):
    """A thread for each of a few connections. Raises OSError where the port cannot be had."""

    daemon_threads = True

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        self.address_family = family
        self._lock = Lock()
        self._since: dict[socket.socket, float] = {}
        super().__init__(cast(tuple[str, int], address[:2]), _Handler.factory(registry))

    def server_bind(self) -> None:
        """Bind, without asking a resolver for this machine's name as the library does."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, or close where there are as many as may be."""
        with self._lock:
            is_taken = len(self._since) < CONNECTIONS_MAX
            if is_taken:
                self._since[request] = time.monotonic()
        if is_taken:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._since.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End the connections that are open for too long; the library calls this twice a second."""
        late = time.monotonic() - CONNECTION_SECONDS
        with self._lock:
            for connection, since in self._since.items():
                if since < late:
                    with contextlib.suppress(OSError):  # its client was faster
                        connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - as the library has it
        """Log what went wrong with one connection; most often its client is gone."""
        _log.debug("reading the metrics failed", exc_info=True)


def open_port(host: str, port: int, registry: CollectorRegistry) -> MetricsServer:
    """Serve the registry on the port in threads, or raise OSError where it cannot be had; `close_port` ends it."""
    server = MetricsServer(host, port, registry)
    Thread(target=server.serve_forever, name="metrics port", daemon=True).start()
    return server


def close_port(server: MetricsServer) -> None:
    """End it; this waits for its thread, which looks up twice a second."""
    server.shutdown()
    server.server_close()
