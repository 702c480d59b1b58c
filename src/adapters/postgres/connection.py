"""A connection that is given up where the server says nothing: the server's own time-outs need a server that runs."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

T = TypeVar("T")


class AnsweringConnection(psycopg.AsyncConnection[Any]):
    """Hangs up on a server that takes longer than `answer_seconds` for any answer; that is OperationalError then."""

    answer_seconds: float | None = None
    """None: wait for ever."""

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:  # noqa: ASYNC109 - the driver's
        """Do what the driver's own does, and hang up in time."""
        if self.answer_seconds is None:
            return await super().wait(gen, interval, timeout)
        hanging_up = asyncio.get_running_loop().call_later(self.answer_seconds, self._hang_up)
        try:
            return await super().wait(gen, interval, timeout)
        finally:
            hanging_up.cancel()

    def _hang_up(self) -> None:
        """End the connection under the driver, which then finds it ended and tidies up as after any loss."""
        with socket.socket(fileno=os.dup(self.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
