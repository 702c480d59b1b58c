"""The sockets that requests leave by."""

from __future__ import annotations

import socket
import sys


def make_socket(family: int, kind: int, protocol: int, *, unsent_timeout_milliseconds: int) -> socket.socket:
    """Make a socket whose kernel gives up bytes that the other end has not taken for so long.

    A receiver with a closed window would otherwise keep the socket, and what it was sent, for ever: closing waits for
    the last byte.
    """
    made = socket.socket(family, kind, protocol)
    if sys.platform == "linux":
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unsent_timeout_milliseconds)
    return made
