"""Several API processes on one port: the parent, which holds their sockets, replaces who dies and ends them all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Never

import click

from entrypoints.cli.errors import CommandFailed
from entrypoints.cli.serve.parent import READY

PAUSE_FIRST_SECONDS: Final = 0.1
PAUSE_MAX_SECONDS: Final = 5.0
"""Between the death of a process and the start of the next one; each early death doubles it."""
STEADY_SECONDS: Final = 30.0
"""Whoever lived as long as this did not die early."""
END_SECONDS: Final = 4.2
"""From the signal, for all processes to end; then they are killed, and the parent ends within its own 5 s."""
LISTENER: Final = "--as-one-of-several"

_log = logging.getLogger(__name__)


async def keep_answering(listeners: Sequence[socket.socket], *, debug: bool, all_answer: Callable[[], None]) -> Never:
    """Have one process answer on each listener until this is cancelled; call `all_answer` once, when all do.

    The first one starts alone, so that whatever keeps all of them from answering is told once: then this ends with its
    exit status. From then on a process that ends is replaced, and its connections that nobody has taken yet wait for
    the next one: the parent keeps the socket. At the end the parent lets go of the sockets. So does each process when
    it acts on its SIGTERM: who connects before that still reaches it.
    """
    keepers = [_Keeper(listener, debug=debug) for listener in listeners]
    try:
        await keepers[0].begin()
        async with asyncio.TaskGroup() as keeping:
            for keeper in keepers:
                keeping.create_task(keeper.keep())
            for keeper in keepers:
                await keeper.answers.wait()
            all_answer()
    finally:
        for listener in listeners:
            listener.close()
        ending = asyncio.create_task(end_all([keeper.child.process for keeper in keepers if keeper.child]))
        while not ending.done():
            # Whatever is broken off meanwhile: it is bounded, and a process that was left behind would be an orphan.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({ending})
        await ending
    raise AssertionError("keepers go on until they are cancelled")


class _Child:
    """A process, and the parent's end of the line between them, which ends with the process."""

    def __init__(self, listener: socket.socket, *, debug: bool) -> None:
        """Start it; raise OSError where the system has no room for it."""
        self._line, theirs = socket.socketpair()
        with theirs:
            descriptors = (listener.fileno(), theirs.fileno())
            command = ["-m", "entrypoints.cli", *(["--debug"] if debug else []), "serve", LISTENER]
            try:
                self.process: Final = subprocess.Popen(  # noqa: S603 - our own words and numbers
                    # -P: a directory named `adapters` where somebody starts the service hides nothing of ours.
                    [sys.executable, "-P", *command, *map(str, descriptors)],
                    stdin=subprocess.DEVNULL,
                    pass_fds=descriptors,
                    # A terminal's Ctrl-C reaches the parent alone, which passes it on to all.
                    process_group=0,
                )
            except OSError:
                self._line.close()
                raise
        self._line.setblocking(False)

    async def is_ready(self) -> bool:
        """Return True when it answers, False when it ended before that."""
        return await asyncio.get_running_loop().sock_recv(self._line, len(READY)) == READY

    async def end(self) -> int:
        """Return its exit status when it has ended."""
        while await asyncio.get_running_loop().sock_recv(self._line, len(READY)):
            pass
        self._line.close()
        return await asyncio.to_thread(self.process.wait)


class _Keeper:
    """Keeps one process on one listener."""

    def __init__(self, listener: socket.socket, *, debug: bool) -> None:
        self._listener: Final = listener
        self._debug: Final = debug
        self._pause_seconds = 0.0
        self._started = 0.0
        self.answers: Final = asyncio.Event()
        """Set while its process answers."""
        self.child: _Child | None = None

    async def begin(self) -> None:
        """Start the first process; raise click's Exit with its status where it ends instead, having said why."""
        child = self._start()
        if await child.is_ready():
            self.answers.set()
            return
        status = await child.end()
        self.child = None
        if status > 0:
            raise click.exceptions.Exit(status)
        raise CommandFailed(f"The first API process {_how(status)} before it answered; the log may say why.")

    async def keep(self) -> None:
        """Start a process whenever there is none."""
        while True:
            try:
                await self._look_after(self.child or self._start())
            except OSError as error:
                self._pause_after_early_death()
                _log.error("no API process can be started: %s; again in %.1f s", error, self._pause_seconds)
            await asyncio.sleep(self._pause_seconds)

    async def _look_after(self, child: _Child) -> None:
        if not self.answers.is_set() and await child.is_ready():
            self.answers.set()
            if self._pause_seconds:
                _log.info("API process %d answers in its place", child.process.pid)
        status = await child.end()
        self.answers.clear()
        self.child = None
        if time.monotonic() - self._started >= STEADY_SECONDS:
            self._pause_seconds = 0.0
        self._pause_after_early_death()
        _log.error(
            "API process %d %s; another one starts in %.1f s", child.process.pid, _how(status), self._pause_seconds
        )

    def _start(self) -> _Child:
        self._started = time.monotonic()
        self.child = _Child(self._listener, debug=self._debug)
        return self.child

    def _pause_after_early_death(self) -> None:
        self._pause_seconds = min(max(self._pause_seconds * 2, PAUSE_FIRST_SECONDS), PAUSE_MAX_SECONDS)


def _how(status: int) -> str:
    return f"was ended by signal {-status}" if status < 0 else f"ended by itself with status {status}"


async def end_all(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Stop the processes, and kill those that are not gone within END_SECONDS."""
    if not processes:
        return
    loop = asyncio.get_running_loop()
    # A thread for each: behind one that hangs nobody sees that another has ended.
    with ThreadPoolExecutor(max_workers=len(processes)) as threads:
        for process in processes:
            process.terminate()
        ends = {loop.run_in_executor(threads, process.wait): process for process in processes}
        _, late = await asyncio.wait(ends, timeout=END_SECONDS)
        if late:
            _log.error("%d API processes did not end within %s s: they are killed", len(late), END_SECONDS)
            for end in late:
                ends[end].kill()
            await asyncio.wait(late)
