"""Workers on a real Postgres and a real Valkey: rung at once, never dependent on the ring, each job done once."""

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest

from adapters.sandbox.postgres_ledger import PostgresLedger
from entrypoints.services import Services
from entrypoints.settings import Settings
from entrypoints.wiring import migrate, wire
from entrypoints.worker import run_worker
from payments_core import AddEndpoint, Caller, Pay, RefundTransaction, Register
from payments_core.ids import TransactionId
from payments_core.ports import TransactionFilter
from payments_core.use_cases.read_lists import ListQuery
from payments_core.values import Json
from payments_core.webhook import verify
from tests.integration.servers import Server

SECRET = "kP3vXq9RtL7wZ2mB8nC5jH1sD6fG4yA0"
PATIENCE_SECONDS = 20.0
"""How long a condition may take on a busy machine; idle, each is met within milliseconds."""
AT_ONCE_SECONDS = 1.0
NEVER = timedelta(hours=1)
"""Between two looks: only a ring wakes such a worker in time."""


@pytest.fixture
async def settings(database_url: str, redis_url: str) -> Settings:
    made = Settings(
        database_url=database_url,
        redis_url=redis_url,
        secret_key=SECRET,
        webhook_allowed_networks=(ip_network("127.0.0.0/8"),),
        sandbox_latency_seconds=(0.0, 0.0),
        metrics_port=0,
    )
    await migrate(made)
    return made


@asynccontextmanager
async def worker_of(settings: Settings, *, sweep_every: timedelta = NEVER) -> AsyncIterator[Services]:
    """Run a worker with services of its own, as a process of its own would have."""
    stop = asyncio.Event()
    async with wire(settings, hears_rings=True) as services:
        task = asyncio.create_task(run_worker(services, stop=stop, sweep_every=sweep_every))
        try:
            yield services
        finally:
            stop.set()
            await task


async def until(holds: Callable[[], Awaitable[bool]], *, seconds: float = PATIENCE_SECONDS) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - what is waited for happens in a server
            await asyncio.sleep(0.005)


@dataclass
class Shop:
    """A merchant with a payment key."""

    services: Services
    caller: Caller
    payment_key: str

    @classmethod
    async def open(cls, services: Services) -> "Shop":
        registered = await services.payments.register(Register(email="shop@example.com", password="correct horse"))
        caller = await services.payments.authenticator.by_api_key(str(registered.json["api_key"]))
        made = await services.payments.make_payment_key(caller)
        return cls(services, caller, str(made.json["key"]))

    async def pay(self, payment_method: str = "pm_approve") -> TransactionId:
        command = Pay(payment_key=self.payment_key, amount="10.00", currency="USD", payment_method=payment_method)
        return TransactionId(str((await self.services.payments.pay(self.caller, command)).resource))

    async def status(self, id: TransactionId) -> Json:
        return (await self.services.payments.read.transaction(self.caller, id)).value["status"]

    async def succeeds(self, id: TransactionId, *, seconds: float = PATIENCE_SECONDS) -> None:
        async def holds() -> bool:
            return await self.status(id) == "succeeded"

        await until(holds, seconds=seconds)

    async def all_are(self, status: str) -> None:
        async def holds() -> bool:
            query = ListQuery(limit=100)
            page = await self.services.payments.read.transactions(self.caller, query, TransactionFilter())
            return {item["status"] for item in page.items} == {status}

        await until(holds)


@dataclass
class Receiver:
    """A server that keeps what it is sent and answers 200."""

    url: str = ""
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
        lower = {name.lower(): value for name, value in headers.items()}
        body = await reader.readexactly(int(lower["content-length"]))
        self.received.append((lower, body))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    async with await asyncio.start_server(made.answer, "127.0.0.1", 0) as server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhooks"
        yield made


async def listening_to(services: Services, processes: int) -> None:
    """Wait until so many processes hear rings: what is rung before is lost, which other tests are about."""
    from redis.asyncio import Redis

    from adapters.taskiq.broker import CHANNEL

    assert services.settings.redis_url is not None
    async with Redis.from_url(services.settings.redis_url) as client:

        async def holds() -> bool:
            [(_, count)] = await client.pubsub_numsub(CHANNEL)
            return bool(count == processes)

        await until(holds)


async def test_a_payment_is_processed_and_told_to_a_real_receiver(settings: Settings, receiver: Receiver) -> None:
    async with wire(settings) as api, worker_of(settings):
        shop = await Shop.open(api)
        endpoint = (await api.payments.add_endpoint(shop.caller, AddEndpoint(url=receiver.url))).json
        await listening_to(api, 1)

        id = await shop.pay()
        await shop.succeeds(id)

        async def told() -> bool:
            return len(receiver.received) == 3

        await until(told)
        for headers, body in receiver.received:
            assert verify(str(endpoint["secret"]), headers=headers, body=body, at=datetime.now(UTC))
        types = {json.loads(body)["type"] for _, body in receiver.received}
        assert types == {"transaction.created", "transaction.processing", "transaction.succeeded"}

        refund = await api.payments.refund(shop.caller, RefundTransaction(transaction=id, amount="4.00"))
        assert refund.json["status"] == "pending"

        async def refunded() -> bool:
            shown = (await api.payments.read.transaction(shop.caller, id)).value
            return shown["amount_refunded"] == "4.00"

        await until(refunded)


async def test_a_ring_wakes_a_worker_in_another_process_at_once(settings: Settings) -> None:
    async with wire(settings) as api, worker_of(settings):
        shop = await Shop.open(api)
        await listening_to(api, 1)
        await shop.succeeds(await shop.pay())  # connections are made
        begun = time.monotonic()
        await shop.succeeds(await shop.pay(), seconds=AT_ONCE_SECONDS)
        assert time.monotonic() - begun < AT_ONCE_SECONDS


async def test_without_valkey_work_is_found_by_looking(settings: Settings, valkey_server: Server) -> None:
    async with wire(settings) as api, worker_of(settings, sweep_every=timedelta(seconds=0.2)):
        shop = await Shop.open(api)
        await valkey_server.stop()
        assert all([await check() is not None for check in api.useful.values()])
        await shop.succeeds(await shop.pay())
        assert all([await check() is None for check in api.vital.values()])


async def test_without_a_redis_url_work_is_found_by_looking(settings: Settings) -> None:
    from dataclasses import replace

    alone = replace(settings, redis_url=None)
    async with wire(alone) as api, worker_of(alone, sweep_every=timedelta(seconds=0.2)):
        shop = await Shop.open(api)
        await shop.succeeds(await shop.pay())


async def test_two_workers_at_once_do_each_job_once(settings: Settings) -> None:
    async with wire(settings) as api:
        shop = await Shop.open(api)
        ids = [await shop.pay() for _ in range(60)]
        async with AsyncExitStack() as workers:
            for _ in range(2):
                await workers.enter_async_context(worker_of(settings, sweep_every=timedelta(seconds=0.05)))
            await shop.all_are("succeeded")
        assert settings.database_url is not None
        ledger = PostgresLedger(settings.database_url)
        try:
            entries = await ledger.entries()
        finally:
            await ledger.close()
        assert len(entries) == len(ids) == len({entry.attempt for entry in entries})
        for id in ids:
            page = await api.payments.read.history(shop.caller, id, ListQuery())
            assert [event["sequence"] for event in page.items] == [1, 2, 3]


async def test_a_database_without_tables_is_said_with_its_cure(database_url: str, redis_url: str) -> None:
    from sqlalchemy import make_url

    empty = make_url(database_url).set(database="postgres").render_as_string(hide_password=False)
    settings = Settings(database_url=empty, redis_url=redis_url, secret_key=SECRET)
    async with wire(settings) as services:
        assert await services.vital["store"]() is None
        missing = await services.vital["migrations"]()
        assert missing is not None
        assert missing.endswith("run `payments migrate`")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@asynccontextmanager
async def process_of(settings: Settings, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a worker as a process of its own, which ends with the block."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    environ = os.environ | {
        "PAYMENTS_DATABASE_URL": settings.database_url,
        "PAYMENTS_REDIS_URL": settings.redis_url,
        "PAYMENTS_SECRET_KEY": SECRET,
        "PAYMENTS_METRICS_PORT": str(port),
        "PAYMENTS_SANDBOX_LATENCY_SECONDS": "0",
        "PYTHONWARNINGS": "error",
    }
    code = (
        "import os; from entrypoints.settings import read_settings; from entrypoints.worker import worker_process; "
        "worker_process(read_settings(os.environ, env_file=None))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=environ, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def counted(port: int, line: str) -> float:
    """Return the value of a line of metrics, or -1 where nobody shows it."""
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            shown = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    except httpx.HTTPError:
        return -1
    values = [float(each.rsplit(" ", 1)[1]) for each in shown.splitlines() if each.startswith(line)]
    return values[0] if values else -1


def directories_of(port: int) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"payments-metrics-*-{port}-*"))


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = await process.communicate()
    assert time.monotonic() - begun < 5
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_processes_of_a_host_share_one_metrics_port_and_end_on_sigterm(settings: Settings) -> None:
    port = free_port()
    async with wire(settings) as api, process_of(settings, port) as first, process_of(settings, port) as second:
        shop = await Shop.open(api)
        await listening_to(api, 2)
        for _ in range(40):
            await shop.pay()
        await shop.all_are("succeeded")

        async def all_counted() -> bool:
            return await counted(port, 'payments_jobs_total{kind="charge",outcome="done"}') == 40

        await until(all_counted)
        assert await counted(port, "payments_jobs_dead") == 0
        assert len(directories_of(port)) == 1
        for process in (first, second):
            status, said = await ended(process)
            assert status == 0
            assert "Traceback" not in said
            assert "Error" not in said
        assert directories_of(port) == []


async def test_the_metrics_port_is_taken_over_when_its_process_is_killed(settings: Settings) -> None:
    port = free_port()
    async with wire(settings) as api, process_of(settings, port) as first:

        async def served() -> bool:
            return await counted(port, "payments_jobs_dead") == 0

        await until(served)
        async with process_of(settings, port) as second:
            await listening_to(api, 2)
            first.kill()
            await first.wait()
            await until(served)
            status, _ = await ended(second)
    assert status == 0
    assert directories_of(port) == []


async def test_a_taken_metrics_port_only_warns(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: int = taken.getsockname()[1]
        async with wire(settings) as api, process_of(settings, port) as process:
            shop = await Shop.open(api)
            await listening_to(api, 1)
            await shop.succeeds(await shop.pay())
            status, said = await ended(process)
    assert status == 0
    assert f"no metrics for now: port {port}" in said


async def test_a_worker_of_taskiqs_own_command_does_the_same(settings: Settings) -> None:
    assert settings.database_url is not None
    assert settings.redis_url is not None
    environ = os.environ | {
        "PAYMENTS_DATABASE_URL": settings.database_url,
        "PAYMENTS_REDIS_URL": settings.redis_url,
        "PAYMENTS_SECRET_KEY": SECRET,
        "PAYMENTS_METRICS_PORT": "0",
        "PAYMENTS_SANDBOX_LATENCY_SECONDS": "0",
    }
    arguments = ("-m", "taskiq", "worker", "entrypoints.worker.broker:make_broker", "--workers", "1")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environ, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with wire(settings) as api:
            shop = await Shop.open(api)
            await listening_to(api, 1)
            await shop.succeeds(await shop.pay())
        _, said = await ended(process)
        assert "Traceback" not in said
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
