"""Metrics of all processes of a host on one port: each writes into a directory, and one of them serves it.

The port belongs to the first process that gets it; when that one ends, another takes over within PORT_EVERY_SECONDS.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

from prometheus_client import CollectorRegistry, Metric, multiprocess, values
from prometheus_client.registry import Collector

from entrypoints.metrics import Metrics
from entrypoints.metrics_directory import fold_the_dead, metrics_directory
from entrypoints.metrics_port import MetricsServer, close_port, open_port
from entrypoints.services import Services
from entrypoints.settings import Settings
from payments_core.errors import PaymentsError

PORT_EVERY_SECONDS: Final = 5.0
"""How often the backlog is looked at by who has the port, and the port is tried by who has not."""
DIRECTORY_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"

_log = logging.getLogger(__name__)


@contextmanager
def sharing_metrics(settings: Settings) -> Generator[SharedMetrics, None, None]:
    """Give a process its metrics, which are shared with others of this installation on this host.

    Once for each process, before anything is counted. With the port 0, or where no directory can be had, the metrics
    are the process's own.
    """
    if not settings.metrics_port:
        yield SharedMetrics(metrics=Metrics(), files=None, settings=settings, alone=True)
        return
    with metrics_directory(settings) as held:
        if held is None:
            yield SharedMetrics(metrics=Metrics(), files=None, settings=settings, alone=True)
            return
        with _writing_into(held.path):
            files = _Files(held.path)
            yield SharedMetrics(metrics=Metrics(), files=files, settings=settings, alone=held.alone)


@contextmanager
def _writing_into(directory: Path) -> Generator[None, None, None]:
    before = os.environ.get(DIRECTORY_VARIABLE), values.ValueClass
    os.environ[DIRECTORY_VARIABLE] = str(directory)
    # The library chooses by the variable when it is first imported, which was before the settings were read.
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]  # the library leaves it open
    try:
        yield
    finally:
        os.environ.pop(DIRECTORY_VARIABLE)
        if before[0] is not None:
            os.environ[DIRECTORY_VARIABLE] = before[0]
        values.ValueClass = before[1]


class _Files(Collector):
    """The sum of what all processes wrote; not read while the files of dead ones are folded."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = Lock()
        self._all = multiprocess.MultiProcessCollector(None, path=str(directory))  # type: ignore[no-untyped-call]  # as above

    def collect(self) -> Iterable[Metric]:
        """Return what is read now."""
        with self._lock:
            return list(self._all.collect())  # type: ignore[no-untyped-call]  # as above

    def fold(self) -> None:
        """Fold what dead processes left."""
        with self._lock:
            fold_the_dead(self._directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedMetrics:
    """A process's metrics, and the means to serve them with those of its siblings. `alone`: it came first."""

    metrics: Metrics
    files: _Files | None = field(repr=False)
    settings: Settings
    alone: bool

    @asynccontextmanager
    async def serving(self, services: Services) -> AsyncGenerator[None, None]:
        """Serve `/metrics` while the block runs, or stand by to do so; a port that is taken only warns."""
        if not self.settings.metrics_port:
            yield
            return
        serving = asyncio.create_task(self._serve_and_say(services), name="metrics")
        try:
            yield
        finally:
            serving.cancel()
            await asyncio.wait({serving})

    async def _serve_and_say(self, services: Services) -> None:
        try:
            await self._serve(services)
        except Exception:
            _log.exception("serving the metrics failed; they are not served by this process any more")

    async def _serve(self, services: Services) -> None:
        server: MetricsServer | None = None
        said = False
        try:
            while True:
                server = server or self._take_port(quietly=said)
                said = True
                if server is not None:
                    await self._look_at_backlog(services)
                    if self.files is not None:
                        await asyncio.to_thread(self.files.fold)
                await asyncio.sleep(PORT_EVERY_SECONDS)
        finally:
            if server is not None:
                await asyncio.shield(asyncio.to_thread(close_port, server))

    def _take_port(self, *, quietly: bool) -> MetricsServer | None:
        host, port = self.settings.metrics_host, self.settings.metrics_port
        try:
            server = open_port(host, port, self._registry())
        except OSError as error:
            if quietly:
                pass
            elif self.alone:
                _log.warning(
                    "no metrics for now: port %d of %s cannot be had: %s; PAYMENTS_METRICS_PORT names another, 0 none",
                    port,
                    host,
                    error.strerror,
                )
            else:
                _log.info("port %d is left to another process of this installation to serve the metrics", port)
            return None
        _log.info("metrics on http://%s:%d/metrics", host, port)
        return server

    def _registry(self) -> CollectorRegistry:
        if self.files is None:
            return self.metrics.registry
        registry = CollectorRegistry()
        registry.register(self.files)
        return registry

    async def _look_at_backlog(self, services: Services) -> None:
        try:
            self.metrics.backlog(await services.claims.backlog(at=services.clock.now()))
        except PaymentsError as error:
            _log.debug("the backlog is not known: %s", error.message)
        except Exception:
            _log.exception("looking at the backlog failed")
