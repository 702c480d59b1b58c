"""A fast receiver of webhooks in a process of its own: it answers, hangs or fails by path, and writes down what came.

`python -m tests.benchmark.receiver` listens on a port, prints it, and ends when its input ends. A line of input asks:
`count` for how many came since the last `forget`, `dump` for all of them, `forget` to begin anew.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Final, cast

import uvloop

HEAD_END: Final = b"\r\n\r\n"
LENGTH: Final = b"\r\ncontent-length:"
ID_LENGTH: Final = 30
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
FAILED: Final = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
HANGS: Final = "/hangs"
FAILS: Final = "/fails"
WRITTEN_MAX: Final = 5_000_000

Written = list[tuple[str, str, str, float]]


class Post(asyncio.Protocol):
    """One connection of the sender."""

    def __init__(self, written: Written) -> None:
        self._written = written
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so

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
            self._take(head.split(b" ", 2)[1].decode(), data[end + len(HEAD_END) :])

    def _take(self, path: str, body: bytes) -> None:
        assert self._transport is not None, "it is connected first"
        if path == HANGS:
            return
        if path == FAILS:
            self._transport.write(FAILED)
            return
        self._transport.write(OK)
        if len(self._written) < WRITTEN_MAX:
            self._written.append((path, _type_of(body), _transaction_of(body), time.monotonic()))


def _type_of(body: bytes) -> str:
    """Return the event's type, found without reading the whole: `"type":"…"` comes before the data."""
    at = body.find(b'"type"')
    return body[at + 6 : at + 60].split(b'"')[1].decode() if at >= 0 else ""


def _transaction_of(body: bytes) -> str:
    at = body.find(b"txn_")
    return body[at : at + ID_LENGTH].decode() if at >= 0 else ""


async def serve() -> None:
    """Listen, and answer the lines of input until it ends."""
    written: Written = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Post(written), "127.0.0.1", 0, backlog=4096)
    print(json.dumps(server.sockets[0].getsockname()[1]), flush=True)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while asked := (await lines.readline()).decode().strip():
        match asked:
            case "count":
                print(json.dumps(len(written)), flush=True)
            case "dump":
                print(json.dumps(written), flush=True)
            case _:
                written.clear()
                print(json.dumps(0), flush=True)


if __name__ == "__main__":
    uvloop.run(serve())
