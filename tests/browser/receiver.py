"""A receiver of webhooks on the loopback interface: it keeps what it gets, and answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

BODY_BYTES_MAX: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One webhook as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        """What it says."""
        return json.loads(self.body)


class Receiver:
    """Each test has a path of its own; a path answers 200 until it is told otherwise."""

    def __init__(self, port: int) -> None:
        self.port: Final = port
        self._lock = threading.Lock()
        self._got: list[Received] = []
        self._broken: set[str] = set()

    def url(self, path: str) -> str:
        """Return the address of a path, for an endpoint."""
        return f"http://127.0.0.1:{self.port}{path}"

    def got(self, path: str) -> Sequence[Received]:
        """Return what came to a path, in the order of its coming."""
        with self._lock:
            return [one for one in self._got if one.path == path]

    def breaks(self, path: str) -> None:
        """Answer 500 from now on."""
        with self._lock:
            self._broken.add(path)

    def is_mended(self, path: str) -> None:
        """Answer 200 again."""
        with self._lock:
            self._broken.discard(path)

    def take(self, received: Received) -> int:
        """Keep it, and return the status to answer with."""
        with self._lock:
            self._got.append(received)
            return 500 if received.path in self._broken else 200


@contextmanager
def receiving() -> Generator[Receiver, None, None]:
    """Have a receiver while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            assert length <= BODY_BYTES_MAX, f"a webhook of {length} bytes"
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take(Received(path=self.path, headers=headers, body=self.rfile.read(length)))
            said = b"thank you" if status == 200 else b"<b>our database is away</b>"
            self.send_response(status)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the tests look at what came."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver = Receiver(server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
