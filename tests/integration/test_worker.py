"""Workers on a real Postgres and a real Valkey: rung at once, never dependent on the ring, each job done once."""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from adapters.sandbox.postgres_ledger import PostgresLedger
from entrypoints.secret import Secret
from entrypoints.services import Services
from entrypoints.settings import Settings
from entrypoints.wiring import migrate, wire
from entrypoints.worker import run_worker
from entrypoints.worker.broker import make_broker
from entrypoints.worker.sweeper import WorkerBroke
from payments_core import AddEndpoint, Caller, Pay, RefundTransaction, Register
from payments_core.ids import TransactionId
from payments_core.ports import TransactionFilter
from payments_core.use_cases.read_lists import ListQuery
from payments_core.values import Json
from payments_core.webhook import verify
from tests.patience import PATIENCE_SECONDS, until, until_seen
from tests.processes import environment, free_port, run, running
from tests.servers import Server

SECRET = "kP3vXq9RtL7wZ2mB8nC5jH1sD6fG4yA0"
NEVER = timedelta(hours=1)
"""Between two looks: only a ring wakes such a worker in time."""


@pytest.fixture
async def settings(database_url: str, redis_url: str) -> Settings:
    made = Settings(
        database_url=Secret(database_url),
        redis_url=Secret(redis_url),
        secret_key=Secret(SECRET),
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

    async def succeeds(self, id: TransactionId) -> None:
        await until_seen(lambda: self.status(id), "succeeded")

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
    async with Redis.from_url(services.settings.redis_url.reveal()) as client:

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


async def test_a_ring_wakes_a_worker_in_another_process(settings: Settings) -> None:
    async with wire(settings) as api, worker_of(settings, sweep_every=NEVER):
        shop = await Shop.open(api)
        await listening_to(api, 1)
        await shop.succeeds(await shop.pay())


async def test_without_valkey_work_is_found_by_looking(settings: Settings, valkey_server: Server) -> None:
    async with wire(settings) as api, worker_of(settings, sweep_every=timedelta(seconds=0.2)):
        shop = await Shop.open(api)
        await valkey_server.stop()
        assert all([await check() is not None for check in api.useful.values()])
        await shop.succeeds(await shop.pay())
        assert all([await check() is None for check in api.vital.values()])


async def test_without_a_redis_url_work_is_found_by_looking(settings: Settings) -> None:
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
        ledger = PostgresLedger(settings.database_url.reveal())
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
    settings = Settings(database_url=Secret(empty), redis_url=Secret(redis_url), secret_key=Secret(SECRET))
    async with wire(settings) as services:
        assert await services.vital["store"]() is None
        missing = await services.vital["migrations"]()
        assert missing is not None
        assert missing.endswith("run `payments migrate`")


async def test_another_secret_key_than_the_one_of_the_database_is_said_with_its_cure(settings: Settings) -> None:
    async with wire(settings) as services:
        assert await services.vital["secrets"]() is None, "nothing is sealed yet"
        shop = await Shop.open(services)
        await services.payments.add_endpoint(shop.caller, AddEndpoint(url="http://127.0.0.1/"))
    other = "another key that is long enough for one"
    async with wire(replace(settings, secret_key=Secret(other))) as services:
        wrong = await services.vital["secrets"]()
        assert wrong is not None
        assert "PAYMENTS_SECRET_KEY=new,old" in wrong
    async with wire(replace(settings, secret_key=Secret(f"{other},{SECRET}"))) as services:
        assert await services.vital["secrets"]() is None


@contextmanager
def worker_process(
    settings: Settings, cwd: Path, port: int, *arguments: str
) -> Generator[tuple[subprocess.Popen[bytes], Path], None, None]:
    """Run `payments worker` in a directory of its own, which ends with the block; give it and its log."""
    own = cwd / uuid4().hex
    own.mkdir()
    environ = {**environ_of(settings), "PAYMENTS_METRICS_PORT": str(port), "PYTHONWARNINGS": "error"}
    with running("worker", *arguments, settings=environ, cwd=own) as process:
        [log] = own.glob("*.log")
        yield process, log


def environ_of(settings: Settings) -> dict[str, str]:
    assert settings.database_url is not None
    assert settings.redis_url is not None
    return {
        "PAYMENTS_DATABASE_URL": settings.database_url.reveal(),
        "PAYMENTS_REDIS_URL": settings.redis_url.reveal(),
        "PAYMENTS_SECRET_KEY": SECRET,
        "PAYMENTS_METRICS_PORT": "0",
        "PAYMENTS_SANDBOX_LATENCY_SECONDS": "0",
    }


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


def ended(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(PATIENCE_SECONDS)


async def test_processes_of_a_host_share_one_metrics_port_and_end_on_sigterm(
    settings: Settings, tmp_path: Path
) -> None:
    port = free_port()
    with (
        worker_process(settings, tmp_path, port) as (first, first_log),
        worker_process(settings, tmp_path, port) as (second, second_log),
    ):
        async with wire(settings) as api:
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
        assert [ended(first), ended(second)] == [0, 0]
        for log in (first_log, second_log):
            assert "Traceback" not in log.read_text()
            assert "Error" not in log.read_text()
        assert directories_of(port) == []


async def test_a_worker_that_is_told_to_stop_hands_back_what_it_cannot_finish(
    settings: Settings, tmp_path: Path
) -> None:
    async with wire(settings) as api:
        shop = await Shop.open(api)
        with worker_process(settings, tmp_path, 0) as (process, _):
            id = await shop.pay("pm_slow")
            await until_seen(lambda: shop.status(id), "processing")
            assert not await api.claims.claim_jobs(at=api.clock.now(), limit=1, lease=timedelta(seconds=1))
            assert ended(process) == 0
        # Its lease of a minute, just begun or just extended, would have kept everybody else out.
        [job] = await api.claims.claim_jobs(at=api.clock.now(), limit=1, lease=timedelta(seconds=1))
        assert job.subject == id


async def test_the_metrics_port_is_taken_over_when_its_process_is_killed(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    async with wire(settings) as api:
        with worker_process(settings, tmp_path, port) as (first, _):

            async def served() -> bool:
                return await counted(port, "payments_jobs_dead") == 0

            await until(served)
            with worker_process(settings, tmp_path, port) as (second, _):
                await listening_to(api, 2)
                first.kill()
                first.wait()
                await until(served)
                assert ended(second) == 0
    assert directories_of(port) == []


async def test_a_taken_metrics_port_only_warns(settings: Settings, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: int = taken.getsockname()[1]
        with worker_process(settings, tmp_path, port) as (process, log):
            async with wire(settings) as api:
                shop = await Shop.open(api)
                await listening_to(api, 1)
                await shop.succeeds(await shop.pay())
            assert ended(process) == 0
    assert f"no metrics for now: port {port}" in log.read_text()


def stays_as_it_is(file: Path) -> None:
    """Look for longer than a worker waits between two renewals."""
    left = file.stat().st_mtime
    time.sleep(2.5)
    assert file.stat().st_mtime == left


def freeze(process: subprocess.Popen[bytes]) -> None:
    """Stop a process, and return when it has stopped."""
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)


async def test_the_health_file_is_renewed_as_long_as_work_is_looked_for(
    settings: Settings, tmp_path: Path, postgres_server: Server
) -> None:
    file = tmp_path / "health"

    def renewed_since(moment: float) -> Callable[[], Awaitable[bool]]:
        async def holds() -> bool:
            return file.exists() and file.stat().st_mtime > moment

        return holds

    with worker_process(settings, tmp_path, 0, "--health-file", str(file)) as (process, log):
        await until(renewed_since(0))
        await until(renewed_since(time.time()))
        await postgres_server.stop()

        async def told() -> bool:
            return "the store is away" in log.read_text()

        await until(told)
        stays_as_it_is(file)
        left = file.stat().st_mtime
        await postgres_server.start()
        await until(renewed_since(left))

        freeze(process)  # what a blocked event loop looks like from outside
        stays_as_it_is(file)
        left = file.stat().st_mtime
        process.send_signal(signal.SIGCONT)
        await until(renewed_since(left))
        assert ended(process) == 0


def test_a_health_file_that_cannot_be_written_is_one_clear_line(settings: Settings, tmp_path: Path) -> None:
    done = run("worker", "--health-file", "none/file", settings=environ_of(settings), cwd=tmp_path)
    assert done.returncode == 1
    assert "Error: The health file none/file cannot be written" in done.stderr


async def sweeper_of_this_process() -> asyncio.Task[object]:
    found: list[asyncio.Task[object]] = []

    async def sweeps() -> bool:
        found[:] = [task for task in asyncio.all_tasks() if task.get_name() == "sweeper"]
        return bool(found)

    await until(sweeps)
    return found[0]


async def test_a_worker_whose_sweeper_ends_by_itself_says_so(settings: Settings) -> None:
    async with wire(settings) as services:
        working = asyncio.create_task(run_worker(services))
        (await sweeper_of_this_process()).cancel()
        with pytest.raises(WorkerBroke, match="sweeper"):
            await working


# ── taskiq's own command ──────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def taskiq_process(settings: Settings, cwd: Path, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    arguments = ("-m", "taskiq", "worker", "entrypoints.worker.broker:make_broker", "--workers", "1")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=cwd,
        env=environment({**environ_of(settings), **more}),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_worker_of_taskiqs_own_command_does_the_same(settings: Settings, tmp_path: Path) -> None:
    async with taskiq_process(settings, tmp_path, PAYMENTS_WEBHOOK_ALLOW_HTTP="on") as process, wire(settings) as api:
        shop = await Shop.open(api)
        await listening_to(api, 1)
        await shop.succeeds(await shop.pay())
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            _, said = await process.communicate()
    assert b"Traceback" not in said
    assert b"webhooks may travel unencrypted" in said


async def test_a_process_of_taskiq_whose_worker_broke_says_so_and_ends(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in environ_of(settings).items():
        monkeypatch.setenv(name, value)
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    logs = logging.getLogger()
    handlers, level = logs.handlers, logs.level
    broker = make_broker()
    broker.is_worker_process = True
    try:
        await broker.startup()
        logs.addHandler(caplog.handler)
        (await sweeper_of_this_process()).cancel()

        async def ends() -> bool:
            return told == [signal.SIGTERM]

        await until(ends)
    finally:
        await broker.shutdown()
        signal.signal(signal.SIGTERM, before)
        logs.handlers, logs.level = handlers, level
    assert "the worker broke, and its process ends" in caplog.text
