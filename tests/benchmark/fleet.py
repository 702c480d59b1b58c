"""Processes of the service, as a deployment runs them, and the memory that they take."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx

from tests.chaos.fleet import PRELUDE
from tests.patience import PATIENCE_SECONDS
from tests.processes import environment, free_port

LOOK_SECONDS: Final = 0.05
SAMPLE_SECONDS: Final = 0.5
END_SECONDS: Final = 15.0
KIBIBYTES_OF_MEGABYTE: Final = 1000 / 1.024
API: Final = "API"
WORKER: Final = "worker"


class Peaks:
    """The most memory that processes of each kind took, in MB, all their children included."""

    def __init__(self) -> None:
        self.megabytes: dict[str, float] = {}

    async def watch(self, kind: str, process_id: int) -> None:
        """Look at a process's memory now and then until this is cancelled."""
        while True:
            if (taken := memory_of(process_id)) is not None:
                self.megabytes[kind] = max(self.megabytes.get(kind, 0.0), taken)
            await asyncio.sleep(SAMPLE_SECONDS)


class Fleet:
    """Starts processes with settings and the memory watched; what they say goes to files in a folder."""

    def __init__(self, settings: Mapping[str, str], folder: Path, peaks: Peaks) -> None:
        self._settings = settings
        self._folder = folder
        self._peaks = peaks

    @asynccontextmanager
    async def api(self, **settings: str) -> AsyncGenerator[int]:
        """Have an API run until the block ends; its port."""
        port = free_port()
        async with self._running(API, ("serve", "--port", str(port)), settings) as process:
            await _until_ready(port, process)
            yield port

    @asynccontextmanager
    async def both(self) -> AsyncGenerator[int]:
        """Have an API and a worker run until the block ends, started together; the API's port."""
        port, health_file = free_port(), self._health_file()
        async with (
            self._running(API, ("serve", "--port", str(port)), {}) as api,
            self._running(WORKER, ("worker", "--health-file", str(health_file)), {}) as worker,
        ):
            await _until_ready(port, api)
            await _until_works(health_file, worker)
            yield port

    @asynccontextmanager
    async def worker(self, **settings: str) -> AsyncGenerator[None]:
        """Have a worker run until the block ends."""
        health_file = self._health_file()
        async with self._running(WORKER, ("worker", "--health-file", str(health_file)), settings) as process:
            await _until_works(health_file, process)
            yield

    def _health_file(self) -> Path:
        return self._folder / f"worker-{time.monotonic_ns()}.works"

    @asynccontextmanager
    async def _running(
        self, kind: str, arguments: tuple[str, ...], settings: Mapping[str, str]
    ) -> AsyncGenerator[asyncio.subprocess.Process]:
        log = self._folder / f"{kind}-{time.monotonic_ns()}.log"
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(PRELUDE), str(os.getpid())),
                *(sys.executable, "-m", "entrypoints.cli", *arguments),
                env=environment({**self._settings, **settings}),
                cwd=self._folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        watching = asyncio.create_task(self._peaks.watch(kind, process.pid))
        try:
            yield process
            if process.returncode is not None:
                raise AssertionError(f"{kind} ended by itself: {_tail(log)}")
        finally:
            watching.cancel()
            await end(process)


async def end(process: asyncio.subprocess.Process) -> None:
    """End a process in good order, by force where that takes too long."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def memory_of(process_id: int) -> float | None:
    """Return the memory of a process and its children in MB, shared pages by their share; None where nobody says."""
    proportional = _proportional_kibibytes(process_id)
    if proportional is None:
        return None
    own = proportional / KIBIBYTES_OF_MEGABYTE
    return own + sum(memory_of(child) or 0.0 for child in _children(process_id))


def _proportional_kibibytes(process_id: int) -> int | None:
    with contextlib.suppress(OSError):
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{process_id}/smaps_rollup").read_text(), re.MULTILINE)
        return None if found is None else int(found[1])
    return None


def _children(process_id: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(id) for id in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]
    return []


async def _until_ready(port: int, process: asyncio.subprocess.Process) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=2) as client:
        while time.monotonic() < deadline:
            assert process.returncode is None, "the API ended before it was ready"
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/health/ready")).status_code == 200:
                    return
            await asyncio.sleep(LOOK_SECONDS)
    raise AssertionError(f"the API was not ready in {PATIENCE_SECONDS:.0f} s")


async def _until_works(health_file: Path, process: asyncio.subprocess.Process) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert process.returncode is None, "the worker ended before it worked"
        if health_file.exists():  # noqa: ASYNC240 - a look at a local file takes microseconds
            return
        await asyncio.sleep(LOOK_SECONDS)
    raise AssertionError(f"the worker did not work in {PATIENCE_SECONDS:.0f} s")


def _tail(log: Path) -> str:
    return log.read_text()[-2000:]
