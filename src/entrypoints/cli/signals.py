"""Running asynchronous work under a command: its event loop, what signals do to it, and by when it has ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn, TypeVar

import click

from entrypoints.cli.errors import Stopped

T = TypeVar("T")

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
SAME_SIGNAL_SECONDS: Final = 0.5
"""A terminal's Ctrl-C reaches a whole process group, and launchers such as `uv run` may pass it on once more."""
CLOSE_SECONDS: Final = 3.5
"""From the signal: for requests and work under way, and for closing what was opened. Then closing is broken off."""
STOP_SECONDS_MAX: Final = 4.9
"""From the signal: whatever still runs then ends with the process. A stop takes 5 s at most."""
CANCEL_EVERY_SECONDS: Final = 0.2
CANCELS_MAX: Final = 5
SHOW_CURSOR: Final = "\x1b[?25h"


def run(work: Coroutine[object, object, T]) -> T:
    """Run the work to its end and return what it gives.

    The first SIGINT or SIGTERM cancels it, so that it closes what it opened, and raises Stopped; a second one ends
    the process at once, and so does the time when STOP_SECONDS_MAX have passed.
    """
    # A thread, so that it comes even if the event loop is stuck; it covers the end of the loop itself.
    deadline = threading.Timer(STOP_SECONDS_MAX, _too_late)
    deadline.daemon = True
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.get_loop().set_default_executor(_Threads())
            return runner.run(_until_stopped(work, deadline))
    finally:
        deadline.cancel()
        # uvloop leaves them such that they interrupt no read: a question asked after the work would be deaf to Ctrl-C.
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def ended_by_signals(said: str = "Stopped.") -> Generator[None, None, None]:
    """Take a signal for the end that the block is there for, and say so, below the ^C of a terminal."""
    try:
        yield
    except Stopped:
        with contextlib.suppress(OSError):  # nobody reads it any more
            click.echo(f"\n{said}", err=True)


async def ending_within(work: Coroutine[object, object, T], *, seconds: float) -> T:
    """Run the work. Where this is cancelled the work is, has so many seconds to end, and is cancelled again then.

    Again, because a library may take a cancellation for the end of its own time-out and go on (redis does so on
    Python 3.11); every CANCEL_EVERY_SECONDS, because each one breaks off only what is being closed at that moment.
    After CANCELS_MAX the work is left behind.
    """
    task = asyncio.create_task(work, name="command")
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=seconds)
        for _ in range(CANCELS_MAX):
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_EVERY_SECONDS)
        if task.done():
            await task  # tell what went wrong while it ended
        raise
    return await task


async def _until_stopped(work: Coroutine[object, object, T], deadline: threading.Timer) -> T:
    loop = asyncio.get_running_loop()
    task = loop.create_task(ending_within(work, seconds=CLOSE_SECONDS))
    first: tuple[int, float] | None = None

    def stop(number: int) -> None:
        nonlocal first
        if first is None:
            first = number, loop.time()
            task.cancel()
            deadline.start()
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


def _too_late() -> None:
    logging.getLogger(__name__).error("not everything ended within %s s: the rest is cut off", STOP_SECONDS_MAX)
    end_process(1)


def _end_at_once(number: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(SHOW_CURSOR)
    end_process(128 + number)


def end_process(status: int) -> NoReturn:
    """End this process without waiting for its threads; for when everything is closed, or nothing more helps.

    The interpreter's own end joins every thread of every pool, and the C library's those of uvloop: a name server
    that doesn't answer would hold the process for half a minute after its work was over.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(status)


class _Threads(ThreadPoolExecutor):
    """The event loop's threads; its end doesn't wait for them, as nobody waits for what they still do."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - see above
        super().shutdown(wait=False, cancel_futures=True)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the fastest event loop that is here; None for Python's own."""
    try:
        import uvloop  # not on Windows
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop
