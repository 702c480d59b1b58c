"""Ports of this machine that stay ours while nobody listens on them."""

from __future__ import annotations

import socket


class HeldPort:
    """A port of the loopback. While it is only held, connections to it are refused, and nobody else gets it.

    Two sockets may be bound to one port as long as one of them listens at most (`SO_REUSEADDR`), so that ours keeps
    the kernel from giving the port to an outgoing connection while its server is down.
    """

    def __init__(self) -> None:
        self._holder = _bound(0)
        self.number = int(self._holder.getsockname()[1])

    def socket(self) -> socket.socket:
        """Return a socket that is bound to the port, to listen with."""
        return _bound(self.number)

    def release(self) -> None:
        """Let others have it."""
        self._holder.close()


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made
