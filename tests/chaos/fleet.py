"""API and workers in processes of their own, each started again whenever it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

import httpx

from tests.chaos.plan import APIS, WORKERS
from tests.chaos.ports import HeldPort
from tests.patience import PATIENCE_SECONDS
from tests.processes import environment

PRELUDE: Final = Path(__file__).with_name("prelude.py")
LOOK_SECONDS: Final = 0.1
RESTART_SECONDS: Final = 0.2
END_SECONDS: Final = 15.0


class Role(Protocol):
    """What a process is for: the command's arguments, and how to see that it works."""

    arguments: tuple[str, ...]

    @abstractmethod
    def forget(self) -> None:
        """Remove what the process before has left."""

    @abstractmethod
    async def works(self) -> bool:
        """Say whether the process does its work."""


class Api(Role):
    """Answers HTTP on a port that stays the same."""

    def __init__(self, port: HeldPort) -> None:
        self.url = f"http://127.0.0.1:{port.number}"
        self.arguments = ("serve", "--port", str(port.number))

    def forget(self) -> None:
        """Nothing is left."""

    async def works(self) -> bool:
        """Whether it says that it is alive."""
        with contextlib.suppress(httpx.TransportError):
            async with httpx.AsyncClient(base_url=self.url, timeout=2) as client:
                return (await client.get("/health/live")).status_code == 200
        return False


class Worker(Role):
    """Does jobs; touches a file while it does."""

    def __init__(self, health_file: Path) -> None:
        self._health_file = health_file
        self.arguments = ("worker", "--health-file", str(health_file))

    def forget(self) -> None:
        """The file is the last one's."""
        self._health_file.unlink(missing_ok=True)

    async def works(self) -> bool:
        """Whether the file is there."""
        return self._health_file.exists()


class Slot:
    """The place of one process: it is started, watched, and started again after each end.

    `ended_alone` has each end of a working process that nobody brought about.
    """

    def __init__(self, name: str, role: Role, *, settings: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.role = role
        self.started = 0
        self.ended_alone: list[str] = []
        self._settings = settings
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._has_worked = False
        self._is_meant_to_end = False

    async def keep(self) -> None:
        """Have the process run until this is cancelled."""
        try:
            while True:
                self.role.forget()
                self._has_worked = self._is_meant_to_end = False
                process = self._process = await self._start()
                watch = asyncio.create_task(self._watch())
                status = await process.wait()
                watch.cancel()
                if self._has_worked and not self._is_meant_to_end:
                    self.ended_alone.append(f"{self.name}, process {process.pid}, ended by itself with {status}")
                await asyncio.sleep(RESTART_SECONDS)
        finally:
            await self._end()

    async def ready(self) -> bool:
        """Wait until the process works; say whether it does, within the patience of a test."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._has_worked and time.monotonic() < deadline:  # noqa: ASYNC110 - another program sets no event
            await asyncio.sleep(LOOK_SECONDS)
        return self._has_worked

    async def end(self, number: signal.Signals) -> None:
        """End the process by a signal, and return when it has ended; another one follows."""
        process = self._process
        self._is_meant_to_end, self._has_worked = True, False
        self.send(number)
        if process is not None:
            await process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if there is one."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _start(self) -> asyncio.subprocess.Process:
        self.started += 1
        with (self._folder / f"{self.name}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(PRELUDE), str(os.getpid())),
                *(sys.executable, "-m", "entrypoints.cli", *self.role.arguments),
                env=environment(self._settings),
                cwd=self._folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _watch(self) -> None:
        while not await self.role.works():  # noqa: ASYNC110 - another program sets no event
            await asyncio.sleep(LOOK_SECONDS)
        self._has_worked = True

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._is_meant_to_end = True
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
        self.send(signal.SIGKILL)
        await process.wait()


class Fleet:
    """All slots."""

    def __init__(self, settings: Mapping[str, str], folder: Path) -> None:
        self._ports = [HeldPort() for _ in APIS]
        apis = [Api(port) for port in self._ports]
        self.urls = [api.url for api in apis]
        roles: dict[str, Role] = dict(zip(APIS, apis, strict=True))
        roles |= {name: Worker(folder / f"{name}.works") for name in WORKERS}
        self.slots = {name: Slot(name, role, settings=settings, folder=folder) for name, role in roles.items()}
        self._kept: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start all, and return when all work."""
        self._kept = [asyncio.create_task(slot.keep(), name=slot.name) for slot in self.slots.values()]
        works = await asyncio.gather(*(slot.ready() for slot in self.slots.values()))
        lame = [name for name, does in zip(self.slots, works, strict=True) if not does]
        if lame:
            raise AssertionError(f"{', '.join(lame)} did not begin to work within {PATIENCE_SECONDS:.0f} s")

    async def close(self) -> None:
        """End all, and give the ports back."""
        for keeping in self._kept:
            keeping.cancel()
        await asyncio.gather(*self._kept, return_exceptions=True)
        for port in self._ports:
            port.release()

    @property
    def started(self) -> int:
        """How many processes were started in all."""
        return sum(slot.started for slot in self.slots.values())

    @property
    def ended_alone(self) -> list[str]:
        """Each end that nobody brought about."""
        return [end for slot in self.slots.values() for end in slot.ended_alone]
