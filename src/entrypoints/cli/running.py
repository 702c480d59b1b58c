"""Running asynchronous work under a command: its event loop, and what signals do to it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Final, TypeVar

from entrypoints.cli.failure import Stopped

T = TypeVar("T")

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
SAME_SIGNAL_SECONDS: Final = 0.5
"""A terminal's Ctrl-C reaches a whole process group, and launchers such as `uv run` may pass it on once more."""
SHOW_CURSOR: Final = "\x1b[?25h"


def run(work: Coroutine[object, object, T]) -> T:
    """Run the work to its end and return what it gives.

    The first SIGINT or SIGTERM cancels it, so that it closes what it opened, and raises Stopped; a second one ends
    the process at once.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_until_stopped(work))


async def _until_stopped(work: Coroutine[object, object, T]) -> T:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work, name="command")
    first: tuple[int, float] | None = None

    def stop(number: int) -> None:
        nonlocal first
        if first is None:
            first = number, loop.time()
            task.cancel()
        elif loop.time() - first[1] > SAME_SIGNAL_SECONDS:
            _end_at_once(number)

    for number in SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except BaseException as error:
        if first is not None and isinstance(error, asyncio.CancelledError):
            raise Stopped(first[0]) from None
        raise


def _end_at_once(number: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(SHOW_CURSOR)
        sys.stderr.flush()
    os._exit(128 + number)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # not on Windows
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop
