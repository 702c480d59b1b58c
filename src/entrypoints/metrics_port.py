"""Metrics of all processes of a host on one port: each writes into a directory, and one of them serves it.

This is prometheus-client's multiprocess mode. The directory belongs to a user, a port and an installation; its
processes hold a shared lock on it, and one that finds nobody else there begins anew. The port belongs to the first
process that gets it; when that one ends, another takes over within PORT_EVERY_SECONDS.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import hmac
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, multiprocess, start_http_server, values

from entrypoints.metrics import Metrics
from entrypoints.services import Services
from entrypoints.settings import Settings
from payments_core.errors import PaymentsError

PORT_EVERY_SECONDS: Final = 5.0
"""How often the backlog is looked at by who has the port, and the port is tried by who has not."""
DIRECTORY_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
LOCK: Final = "lock"

_log = logging.getLogger(__name__)


@contextmanager
def sharing_metrics(settings: Settings) -> Generator[SharedMetrics, None, None]:
    """Give a process its metrics, which are shared with others of this installation on this host.

    Once for each process, before anything is counted. With the port 0, or where no directory can be had, the metrics
    are the process's own.
    """
    directory = _directory(settings) if settings.metrics_port else None
    if directory is None:
        yield SharedMetrics(metrics=Metrics(), directory=None, settings=settings, alone=True)
        return
    held = _hold(directory)
    before = os.environ.get(DIRECTORY_VARIABLE), values.ValueClass
    os.environ[DIRECTORY_VARIABLE] = str(directory)
    # The library chooses by the variable when it is first imported, which was before the settings were read.
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]  # the library leaves it open
    try:
        yield SharedMetrics(metrics=Metrics(), directory=directory, settings=settings, alone=held.alone)
    finally:
        os.environ.pop(DIRECTORY_VARIABLE)
        if before[0] is not None:
            os.environ[DIRECTORY_VARIABLE] = before[0]
        values.ValueClass = before[1]
        _let_go(directory, held)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedMetrics:
    """A process's metrics, and the means to serve them with those of its siblings. `alone`: it came first."""

    metrics: Metrics
    directory: Path | None
    settings: Settings
    alone: bool

    @asynccontextmanager
    async def serving(self, services: Services) -> AsyncGenerator[None, None]:
        """Serve `/metrics` while the block runs, or stand by to do so; a port that is taken only warns."""
        if not self.settings.metrics_port:
            yield
            return
        serving = asyncio.create_task(self._serve(services), name="metrics")
        try:
            yield
        finally:
            serving.cancel()
            await asyncio.wait({serving})

    async def _serve(self, services: Services) -> None:
        server: tuple[WSGIServer, Thread] | None = None
        said = False
        try:
            while True:
                server = server or self._take_port(quietly=said)
                said = True
                if server is not None:
                    await self._look_at_backlog(services)
                await asyncio.sleep(PORT_EVERY_SECONDS)
        finally:
            if server is not None:
                # Off the loop: the server's thread looks up twice a second.
                await asyncio.shield(asyncio.to_thread(_close, *server))

    def _take_port(self, *, quietly: bool) -> tuple[WSGIServer, Thread] | None:
        host, port = self.settings.metrics_host, self.settings.metrics_port
        try:
            server = start_http_server(port, addr=host, registry=self._registry())
        except OSError as error:
            if quietly:
                pass
            elif self.alone:
                _log.warning("no metrics for now: port %d of %s cannot be had: %s", port, host, error.strerror)
            else:
                _log.info("another process of this host serves the metrics on port %d", port)
            return None
        _log.info("metrics on http://%s:%d/metrics", host, port)
        return server

    def _registry(self) -> CollectorRegistry:
        if self.directory is None:
            return self.metrics.registry
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, path=str(self.directory))  # type: ignore[no-untyped-call]  # as above
        return registry

    async def _look_at_backlog(self, services: Services) -> None:
        try:
            self.metrics.backlog(await services.claims.backlog(at=services.clock.now()))
        except PaymentsError as error:
            _log.debug("the backlog is not known: %s", error.message)
        except Exception:
            _log.exception("looking at the backlog failed")


def _close(server: WSGIServer, thread: Thread) -> None:
    server.shutdown()
    thread.join()
    server.server_close()


def _directory(settings: Settings) -> Path | None:
    """Return the directory, made where it wasn't there, or None where it cannot be had or is somebody else's."""
    path = Path(tempfile.gettempdir()) / f"payments-metrics-{os.getuid()}-{settings.metrics_port}-{_mark(settings)}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        _log.warning("metrics are of this process only: %s: %s", path, error.strerror)
        return None
    if path.is_symlink() or found.st_uid != os.getuid():
        _log.warning("metrics are of this process only: %s belongs to somebody else", path)
        return None
    return path


def _mark(settings: Settings) -> str:
    """Return what tells installations on a host apart, and tells nobody anything of their secrets."""
    key = (settings.secret_key or "").encode()
    return hmac.new(key, b"metrics " + (settings.database_url or "").encode(), hashlib.sha256).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """The shared lock on a directory; `alone`: nobody else had it, and what earlier processes left is dropped."""

    descriptor: int
    alone: bool


def _hold(directory: Path) -> _Held:
    """Hold the directory together with the other processes."""
    while True:
        directory.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        alone = _try_to_own(descriptor)
        if alone:
            for left in directory.glob("*.db"):
                left.unlink()
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if (directory / LOCK).exists() and os.path.samestat((directory / LOCK).stat(), os.fstat(descriptor)):
            return _Held(descriptor=descriptor, alone=alone)
        os.close(descriptor)  # the last process before us removed the directory meanwhile


def _let_go(directory: Path, held: _Held) -> None:
    """Let the directory go; the last one removes it."""
    if _try_to_own(held.descriptor):
        shutil.rmtree(directory, ignore_errors=True)
    os.close(held.descriptor)


def _try_to_own(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
