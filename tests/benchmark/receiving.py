"""The receiver's process, as seen from the benchmark."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.benchmark.loading import started
from tests.benchmark.receiver import FAILS, HANGS

__all__ = ["FAILS", "HANGS", "Receiver", "Webhook", "receiving"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """What came: to which path, of which type, about which transaction, and when by the machine's monotonic clock."""

    path: str
    type: str
    transaction: str
    at: float


class Receiver:
    """Answers webhooks, and says what came."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self._port = port

    def url(self, path: str) -> str:
        """Return where webhooks of this path go."""
        return f"http://127.0.0.1:{self._port}{path}"

    async def forget(self) -> None:
        """Forget what came so far."""
        await self._ask("forget")

    async def count(self) -> int:
        """Return how many came."""
        return int(await self._ask("count"))

    async def written(self) -> Sequence[Webhook]:
        """Return what came."""
        return [
            Webhook(path=path, type=type, transaction=transaction, at=at)
            for path, type, transaction, at in await self._ask("dump")
        ]

    async def _ask(self, what: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what}\n".encode())
        return json.loads(await self._process.stdout.readline())


@asynccontextmanager
async def receiving() -> AsyncGenerator[Receiver]:
    """Have a receiver run until the block ends."""
    async with started((sys.executable, "-m", "tests.benchmark.receiver")) as process:
        assert process.stdout is not None
        yield Receiver(process, json.loads(await process.stdout.readline()))
