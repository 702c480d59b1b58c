"""What wiring makes: services that work, limits as they are set, metrics, logs, a JSON writer that changes nothing."""

import asyncio
import json
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.memory import HandClock, MemoryStore
from entrypoints.logs import QUIETER, request_id, set_up_logs
from entrypoints.metrics import Metrics
from entrypoints.metrics_server import sharing_metrics
from entrypoints.secret import Secret
from entrypoints.services import Services
from entrypoints.settings import Settings, SettingsError
from entrypoints.wiring import encode, in_memory, migrate, wire
from entrypoints.worker import run_worker, sweeper
from payments_core import Caller, LogIn, Pay, Register, TooMany, Unavailable
from payments_core.job import Job
from payments_core.limits import API_PER_MERCHANT, LOGIN_PER_ACCOUNT_AND_ADDRESS
from payments_core.ports import Backlog, ClaimedDelivery, TransactionFilter
from payments_core.use_cases.read_lists import ListQuery
from payments_core.values import Json, encode_json
from tests.patience import PATIENCE_SECONDS, until

SECRET = "kP3vXq9RtL7wZ2mB8nC5jH1sD6fG4yA0"
PASSWORD = "correct horse battery"

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=12,
)


class TestTheEncoder:
    @given(values)
    def test_writes_what_the_standard_library_writes(self, value: Json) -> None:
        assert encode(value) == encode_json(value)

    def test_keeps_the_order_of_keys_and_text_that_is_not_ascii(self) -> None:
        value: Json = {
            "z": "Zürich ☃ 𝄞",
            "a": ["</script>", '\x7f\u2028\x00\x1f"\\/\b\f\n\r\t'],
            "m": {"b": 1, "a": None},
        }
        assert encode(value) == encode_json(value)
        assert list(json.loads(encode(value))) == ["z", "a", "m"]


@asynccontextmanager
async def working(services: Services) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(run_worker(services, stop=stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def register(services: Services) -> str:
    answer = await services.payments.register(Register(email="shop@example.com", password=PASSWORD))
    key = answer.json["api_key"]
    assert isinstance(key, str)
    return key


async def test_services_in_memory_take_a_payment_through_its_worker() -> None:
    async with in_memory() as services, working(services):
        caller = await services.payments.authenticator.by_api_key(await register(services))
        key = (await services.payments.make_payment_key(caller)).json["key"]
        assert isinstance(key, str)
        await services.payments.pay(caller, Pay(payment_key=key, amount="1.00", currency="USD"))
        await until_status(services, caller, "succeeded")
        assert 'outcome="approved"' in services.metrics.text().decode()
    assert [await check() for check in services.vital.values()] == [None]


async def until_status(services: Services, caller: Caller, status: str) -> None:
    """Wait until the caller's only transaction has the status."""

    async def holds() -> bool:
        page = await services.payments.read.transactions(caller, ListQuery(), TransactionFilter())
        return [item["status"] for item in page.items] == [status]

    await until(holds)


class TestLimits:
    async def test_are_those_of_the_settings(self) -> None:
        settings = Settings(limit_api=replace(API_PER_MERCHANT, amount=3))
        async with in_memory(settings) as services:
            answers = [await services.limits.hit(API_PER_MERCHANT, "mer_1") for _ in range(4)]
        assert [answer.allowed for answer in answers] == [True, True, True, False]
        assert {answer.limit.amount for answer in answers} == {3}
        assert b'payments_rate_limited_total{limit="api_merchant"} 1.0' in services.metrics.text()

    async def test_that_are_off_allow_everything(self) -> None:
        async with in_memory(Settings(rate_limits=False)) as services:
            answers = [await services.limits.hit(API_PER_MERCHANT, "mer_1") for _ in range(300)]
        assert all(answer.allowed for answer in answers)

    async def test_that_are_on_hold_for_the_facade(self) -> None:
        settings = Settings(limit_login_account=replace(LOGIN_PER_ACCOUNT_AND_ADDRESS, amount=1))
        async with in_memory(settings) as services:
            await register(services)
            command = LogIn(email="shop@example.com", password=PASSWORD)
            await services.payments.log_in(command)
            with pytest.raises(TooMany):
                await services.payments.log_in(command)


async def test_wiring_says_what_is_not_set() -> None:
    with pytest.raises(SettingsError, match="PAYMENTS_DATABASE_URL is not set"):
        async with wire(Settings(secret_key=Secret(SECRET))):
            pass
    with pytest.raises(SettingsError, match="PAYMENTS_SECRET_KEY is not set"):
        async with wire(Settings(database_url=Secret("postgresql://nobody@localhost/none"))):
            pass
    with pytest.raises(SettingsError, match="PAYMENTS_DATABASE_URL is not set"):
        await migrate(Settings())


async def test_without_redis_it_wires_and_says_that_it_is_slower() -> None:
    settings = Settings(secret_key=Secret(SECRET), database_url=Secret("postgresql://nobody@localhost/none"))
    async with wire(settings) as services:
        said = {name: await check() for name, check in services.useful.items()}
        await services.cache.put("k", b"v", ttl_seconds=60)
        assert await services.cache.get("k") == b"v"
        assert (await services.limits.hit(API_PER_MERCHANT, "mer_1")).allowed
        services.bell.ring()
        assert await services.bell.wait(0)
    assert set(said) == {"cache", "queue"}
    assert all(line is not None and line.startswith("PAYMENTS_REDIS_URL is not set: ") for line in said.values())


async def test_a_redis_url_with_an_option_that_the_driver_does_not_know_is_refused_without_being_shown() -> None:
    settings = Settings(
        secret_key=Secret(SECRET),
        database_url=Secret("postgresql://nobody@localhost/none"),
        redis_url=Secret("redis://:hunter2@localhost?ssl_cert_reqs=none"),
    )
    with pytest.raises(SettingsError, match="PAYMENTS_REDIS_URL: ") as refused:
        async with wire(settings):
            pass
    assert "hunter2" not in str(refused.value)


async def test_a_key_that_is_too_short_is_refused_however_the_settings_were_made() -> None:
    with pytest.raises(SettingsError, match="PAYMENTS_SECRET_KEY: key 1 of 1 has 5 bytes"):
        async with wire(
            Settings(secret_key=Secret("short"), database_url=Secret("postgresql://nobody@localhost/none"))
        ):
            pass


class Away:
    """Claims of a store that is away, until it is back."""

    def __init__(self) -> None:
        self.away = True
        self.looks = 0

    async def looked(self, times: int) -> None:
        async def holds() -> bool:
            return self.looks >= times

        await until(holds)

    async def claim_jobs(self, **_: object) -> list[Job]:
        self.looks += 1
        if self.away:
            raise Unavailable("the store is away")
        return []

    async def claim_deliveries(self, **_: object) -> list[ClaimedDelivery]:
        return []

    async def extend(self, *_: object, **__: object) -> None: ...
    async def release(self, *_: object) -> None: ...
    async def backlog(self, **_: object) -> Backlog:
        return Backlog(jobs_due=1, jobs_dead=2, deliveries_due=3, oldest_due_seconds=4.5)


class TestAWorker:
    async def test_says_an_outage_once_and_goes_on_when_the_store_is_back(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, logger="entrypoints.worker")
        claims = Away()
        async with in_memory() as services, working(replace(services, claims=claims)):
            await claims.looked(3)
            claims.away = False

            async def said() -> bool:
                return any("the store is back" in message for message in caplog.messages)

            await until(said)
        assert sum("the store is away" in message for message in caplog.messages) == 1

    async def test_asks_a_store_that_is_away_with_growing_pauses_of_which_half_is_random(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spread: list[tuple[float, float]] = []

        def uniform(least: float, most: float) -> float:
            spread.append((least, most))
            return most

        monkeypatch.setattr(sweeper, "random", SimpleNamespace(uniform=uniform))
        monkeypatch.setattr(sweeper, "PAUSE_FIRST_SECONDS", 0.001)
        monkeypatch.setattr(sweeper, "PAUSE_MAX_SECONDS", 0.005)
        pauses: list[float] = []
        async with in_memory() as services:
            worker = sweeper.make_worker(services, wake=lambda: None)
            looks = sweeper._Sweeper(worker, services.bell, asyncio.Event(), timedelta(seconds=1), None)
            for _ in range(5):
                await looks._pause(Unavailable("away"))
                pauses.append(looks._pause_seconds)
        assert pauses == [0.001, 0.002, 0.004, 0.005, 0.005]
        assert spread == [(0.5, 1.0)] * 5

    async def test_looks_at_once_when_the_bell_rings(self) -> None:
        claims = Away()
        claims.away = False
        stop = asyncio.Event()
        async with in_memory() as services:
            services = replace(services, claims=claims)
            task = asyncio.create_task(run_worker(services, stop=stop, sweep_every=timedelta(hours=1)))
            await claims.looked(1)
            services.bell.ring()
            await claims.looked(2)
            stop.set()
            await task

    async def test_ends_at_once_when_it_is_told_to_while_the_store_is_away(self) -> None:
        claims, stop = Away(), asyncio.Event()
        async with in_memory() as services:
            task = asyncio.create_task(run_worker(replace(services, claims=claims), stop=stop))
            await claims.looked(4)
            stop.set()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await task

    async def test_extends_the_leases_of_what_is_under_way_before_they_run_out(self) -> None:
        clock, store = HandClock(datetime.now(UTC)), MemoryStore()
        settings = Settings(lease_seconds=1)
        async with AsyncExitStack() as opened:
            services = await opened.enter_async_context(
                in_memory(settings, clock=clock, store=store, sandbox_latency_seconds=(50.0, 60.0))
            )
            caller = await services.payments.authenticator.by_api_key(await register(services))
            key = (await services.payments.make_payment_key(caller)).json["key"]
            await services.payments.pay(caller, Pay(payment_key=str(key), amount="1.00", currency="USD"))
            task = asyncio.create_task(run_worker(services, patience=timedelta(0)))
            await until_status(services, caller, "processing")
            for _ in range(3):
                clock.move(settings.lease * 0.75)

                async def extended() -> bool:
                    [job] = store.claims._state.jobs.values()
                    return job.lease_expires_at == clock.now() + settings.lease

                await until(extended)
            assert not await services.claims.claim_jobs(at=clock.now(), limit=1, lease=settings.lease)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    async def test_that_is_cancelled_hands_back_what_it_cannot_finish(self) -> None:
        clock = HandClock(datetime.now(UTC))
        async with AsyncExitStack() as opened:
            services = await opened.enter_async_context(in_memory(clock=clock, sandbox_latency_seconds=(50.0, 60.0)))
            caller = await services.payments.authenticator.by_api_key(await register(services))
            key = (await services.payments.make_payment_key(caller)).json["key"]
            await services.payments.pay(caller, Pay(payment_key=str(key), amount="1.00", currency="USD"))
            task = asyncio.create_task(run_worker(services, patience=timedelta(0)))
            await until_status(services, caller, "processing")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await services.claims.backlog(at=clock.now())).jobs_due == 1


def fail(secret: str) -> None:
    raise RuntimeError("a defect")


class TestLogs:
    @pytest.fixture(autouse=True)
    def restored(self) -> Iterator[None]:
        """Puts back what belongs to the whole process."""
        root = logging.getLogger()
        before = list(root.handlers), root.level
        levels = {name: logging.getLogger(name).level for name in QUIETER}
        yield
        root.handlers, root.level = before
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        logging.captureWarnings(False)

    def test_are_json_lines_with_the_request_where_no_terminal_is(self, capsys: pytest.CaptureFixture[str]) -> None:
        set_up_logs(Settings())
        token = request_id.set("req_1")
        logging.getLogger("payments_core.worker").warning("%d leases", 3)
        request_id.reset(token)
        logging.getLogger("uvicorn.error").info("started")
        first, second = map(json.loads, capsys.readouterr().err.splitlines())
        assert (first["event"], first["level"], first["request_id"]) == ("3 leases", "warning", "req_1")
        assert first["logger"] == "payments_core.worker"
        assert first["timestamp"].endswith("Z")
        assert (second["event"], "request_id" in second) == ("started", False)

    def test_keep_what_was_said_beside_the_words(self, capsys: pytest.CaptureFixture[str]) -> None:
        set_up_logs(Settings())
        logging.getLogger("entrypoints").info("answered", extra={"status": 200, "request_id": "req_1", "odd": {1}})
        line = json.loads(capsys.readouterr().err)
        assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is not None
        assert line == {
            "event": "answered",
            "level": "info",
            "logger": "entrypoints",
            "status": 200,
            "request_id": "req_1",
            "odd": "{1}",
        }

    def test_are_for_people_where_that_is_asked(self, capsys: pytest.CaptureFixture[str]) -> None:
        set_up_logs(Settings(log_format="console"))
        logging.getLogger("payments_core").warning("slow")
        assert "[warning  ] slow" in capsys.readouterr().err

    def test_begin_at_the_level_of_the_settings(self, capsys: pytest.CaptureFixture[str]) -> None:
        set_up_logs(Settings(log_level="error"))
        logging.getLogger("payments_core").warning("unheard")
        logging.getLogger("httpx").warning("unheard")
        assert capsys.readouterr().err == ""

    def test_show_no_urls_of_webhooks_and_no_rings(self, capsys: pytest.CaptureFixture[str]) -> None:
        set_up_logs(Settings(log_level="debug"))
        for name in ("httpx", "taskiq.receiver.receiver", "sqlalchemy.engine.Engine", "uvicorn.access"):
            logging.getLogger(name).info("too much")
        assert capsys.readouterr().err == ""

    def test_show_an_exception_without_what_its_variables_held(self, capsys: pytest.CaptureFixture[str]) -> None:
        set_up_logs(Settings())
        try:
            fail(SECRET)
        except RuntimeError:
            logging.getLogger("payments_core").exception("failed")
        [line] = capsys.readouterr().err.splitlines()
        assert "RuntimeError: a defect" in json.loads(line)["exception"]
        assert SECRET not in line


class TestMetrics:
    def test_count_requests_by_template_and_never_by_a_method_that_somebody_made_up(self) -> None:
        metrics = Metrics()
        metrics.request_done("/api/refunds/{id}", "GET", 200, 0.004)
        metrics.request_done("/api/refunds/{id}", "BREW", 405, 0.004)
        shown = metrics.text().decode()
        assert (
            'payments_http_request_seconds_bucket{le="0.005",method="GET",route="/api/refunds/{id}",status="200"} 1.0'
            in shown
        )
        assert 'method="other"' in shown
        assert "BREW" not in shown

    def test_show_the_backlog(self) -> None:
        metrics = Metrics()
        metrics.backlog(Backlog(jobs_due=1, jobs_dead=2, deliveries_due=3, oldest_due_seconds=4.5))
        shown = metrics.text().decode()
        for line in ("jobs_due 1.0", "jobs_dead 2.0", "deliveries_due 3.0", "oldest_due_seconds 4.5"):
            assert f"\npayments_{line}\n" in shown

    async def test_that_cannot_be_served_say_so_and_stop_nothing(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
    ) -> None:
        def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.setattr("entrypoints.metrics_server.open_port", broken)
        with sharing_metrics(Settings(secret_key=Secret(SECRET))) as shared:
            async with in_memory(metrics=shared.metrics) as services, shared.serving(services):

                async def said() -> bool:
                    return "serving the metrics failed" in caplog.text

                await until(said)
        assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - nothing else runs by now
