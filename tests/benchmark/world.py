"""The servers of a run, and the stores of its cases: each a copy of one that has merchants and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import psycopg
import redis.asyncio as redis

from adapters.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.benchmark import requests
from tests.benchmark.fleet import Fleet, Peaks
from tests.benchmark.merchants import Merchant, copied, listen, made, register
from tests.benchmark.options import MERCHANTS
from tests.benchmark.receiving import Receiver, receiving
from tests.benchmark.store import ACCEPTED, Literals, Store
from tests.patience import until
from tests.processes import SECRET_KEY, free_port, run

BASE: Final = "base"
SAMPLE_PATH: Final = "/sample"
SAMPLE_KEY: Final = "sample"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What all cases share. `sample` is a merchant with one payment that has gone its whole way, in each store.

    `accepted` are the rows that its acceptance wrote, by table.
    """

    folder: Path
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    receiver: Receiver
    merchants: Sequence[Merchant]
    sample: Merchant
    accepted: Mapping[str, Literals]
    peaks: Peaks
    kept: set[str] = field(default_factory=set[str])
    """The stores that stay until the run ends."""

    @asynccontextmanager
    async def store(self, name: str, *, keep: bool = False) -> AsyncGenerator[Store]:
        """Have a new store with the merchants and nothing else; it is gone with the block unless it is kept."""
        await self._admin(f'CREATE DATABASE "{name}" TEMPLATE "{BASE}" STRATEGY FILE_COPY')
        try:
            async with self.opened(name) as store:
                yield store
            if keep:
                self.kept.add(name)
        finally:
            if name not in self.kept:
                await self._admin(f'DROP DATABASE "{name}" WITH (FORCE)')

    @asynccontextmanager
    async def opened(self, name: str) -> AsyncGenerator[Store]:
        """Have a store that is there already."""
        async with _opened(self.postgres, self.valkey, self.folder, self.peaks, name) as store:
            yield store

    async def _admin(self, statement: str) -> None:
        async with await psycopg.AsyncConnection.connect(self.postgres.dsn, autocommit=True) as connection:
            await connection.execute(statement.encode())


@asynccontextmanager
async def running_world(folder: Path) -> AsyncGenerator[World]:
    """Start the servers below a folder and make the merchants; end everything with the block."""
    async with AsyncExitStack() as opened:
        postgres = await opened.enter_async_context(EmbeddedPostgres(folder / "postgres"))
        valkey = await opened.enter_async_context(EmbeddedValkey(folder / "valkey"))
        receiver = await opened.enter_async_context(receiving())
        peaks = Peaks()
        async with await psycopg.AsyncConnection.connect(postgres.dsn, autocommit=True) as connection:
            await connection.execute(f'CREATE DATABASE "{BASE}"'.encode())
        migrated = await asyncio.to_thread(run, "migrate", settings=settings(postgres, valkey, BASE), cwd=folder)
        assert migrated.returncode == 0, migrated.stdout + migrated.stderr
        async with _opened(postgres, valkey, folder, peaks, BASE) as store:
            sample, merchants, accepted = await _furnish(store, receiver)
        peaks.megabytes.clear()
        yield World(
            folder=folder,
            postgres=postgres,
            valkey=valkey,
            receiver=receiver,
            merchants=merchants,
            sample=sample,
            accepted=accepted,
            peaks=peaks,
        )


@asynccontextmanager
async def _opened(
    postgres: EmbeddedPostgres, valkey: EmbeddedValkey, folder: Path, peaks: Peaks, name: str
) -> AsyncGenerator[Store]:
    # Another store's merchants have the same ids and revisions: nothing of it may be found in this one's cache.
    async with redis.Redis.from_url(valkey.url) as cache:
        await cache.flushall()
    async with await psycopg.AsyncConnection.connect(dsn_of(postgres, name), autocommit=True) as connection:
        fleet = Fleet(settings(postgres, valkey, name), folder, peaks)
        yield Store(name=name, dsn=dsn_of(postgres, name), fleet=fleet, connection=connection)


async def _furnish(store: Store, receiver: Receiver) -> tuple[Merchant, Sequence[Merchant], Mapping[str, Literals]]:
    """Make the merchants, and have one payment of another go its whole way: the sample of what it leaves behind."""
    async with store.fleet.api() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        sample = await register(client, "sample")
        await listen(client, sample, receiver.url(SAMPLE_PATH), ["transaction.succeeded"])
        merchants = await copied(store, sample, MERCHANTS)
        headers = {**sample.headers, "Idempotency-Key": SAMPLE_KEY}
        await made(client, "/api/transactions/pay", requests.payment(sample), headers)
        accepted = {table: await store.literals(table, sample.id) for table in ACCEPTED}
        async with store.fleet.worker():

            async def delivered() -> bool:
                return bool(await store.value("SELECT count(*) FROM payments.deliveries WHERE status = 'delivered'"))

            await until(delivered)
    return sample, merchants, accepted


def dsn_of(postgres: EmbeddedPostgres, name: str) -> str:
    """Return libpq's address of one database of the server."""
    return postgres.dsn.replace("@/postgres?", f"@/{name}?", 1)


def settings(postgres: EmbeddedPostgres, valkey: EmbeddedValkey, name: str) -> dict[str, str]:
    """Return the settings of processes on one database: every feature on but the limits of each merchant."""
    return {
        "PAYMENTS_DATABASE_URL": dsn_of(postgres, name),
        "PAYMENTS_REDIS_URL": valkey.url,
        "PAYMENTS_SECRET_KEY": SECRET_KEY,
        "PAYMENTS_METRICS_PORT": str(free_port()),
        "PAYMENTS_RATE_LIMITS": "off",
        "PAYMENTS_SANDBOX_LATENCY_SECONDS": "0",
        "PAYMENTS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "PAYMENTS_WEBHOOK_ALLOW_HTTP": "on",
        "PAYMENTS_LOG_FORMAT": "json",
    }
