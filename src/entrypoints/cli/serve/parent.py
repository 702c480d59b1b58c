"""The parent of one API process among several, as that process sees it: a line that ends when the parent does."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from typing import Final

from entrypoints.cli.signals import STOP_SECONDS_MAX, end_process

READY: Final = b"1"
"""What the process says once, when it answers."""


class Parent:
    """The process's end of the line. Nothing but the end of the parent, however it ends, ends the other one."""

    def __init__(self, descriptor: int) -> None:
        self._line: Final = socket.socket(fileno=descriptor)

    def watch(self) -> None:
        """Have this process stop, as by SIGTERM, when the parent ends; at once where it has ended already.

        In a thread, so that a process whose event loop is stuck ends too.
        """
        threading.Thread(target=self._end_with_it, name="parent", daemon=True).start()

    def tell_ready(self) -> None:
        """Tell the parent that this process answers; one that has ended hears nothing."""
        try:
            self._line.send(READY)
        except BrokenPipeError:
            return  # `watch` sees the same, and stops this process

    def _end_with_it(self) -> None:
        while self._line.recv(1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_SECONDS_MAX)
        end_process(1)
