"""The command as people and orchestrators run it: processes of its own, real servers, signals."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import sql

from adapters.embedded import EmbeddedPostgres
from entrypoints.cli.data_directory import DataDirectory
from payments_core.webhook import sign
from tests.patience import PATIENCE_SECONDS
from tests.processes import environment, free_port, run, running, wait_until_ready

DEMO_SECONDS_MAX: Final = 20.0
REPEATS_MAX: Final = 2
"""A machine that is busy with something else may make one demo slow, not each of them."""
SECRET_KEY: Final = "a key for tests alone: longer than it has to be"
QUIET: Final = {"PAYMENTS_METRICS_PORT": "0"}
NOBODY: Final = {
    "PAYMENTS_DATABASE_URL": "postgresql://nobody:very-secret@127.0.0.1:1/none",
    "PAYMENTS_REDIS_URL": "redis://127.0.0.1:1/0",
    "PAYMENTS_SECRET_KEY": SECRET_KEY,
}
WEBHOOK_SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PASSWORD: Final = "correct horse battery staple\n"
CREATE: Final = ("merchant", "create", "--email", "shop@example.com", "--password-stdin")
ACCOUNT: Final = b'{"email": "slow@example.com", "password": "correct horse battery staple"}'
HALF_A_REQUEST: Final = (
    b"POST /api/auth/register/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(ACCOUNT), ACCOUNT[:10])
)
on_linux = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks for processes in /proc")


def merchant_of(data: Path) -> dict[str, str]:
    kept: dict[str, str] = json.loads((data / "demo_merchant.json").read_text())
    return kept


def api_of(port: int, data: Path) -> httpx.Client:
    headers = {"Authorization": f"Token {merchant_of(data)['api_key']}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False)


def pay(api: httpx.Client, data: Path) -> str:
    body = {"payment_key": merchant_of(data)["payment_key"], "amount": "100.00", "currency": "USD"}
    answer = api.post("/api/transactions/pay", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def wait_for(api: httpx.Client, path: str, status: str) -> Mapping[str, Any]:
    """Return the resource once it has the status."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        resource: Mapping[str, Any] = api.get(path).json()
        if resource["status"] == status:
            return resource
        assert time.monotonic() < deadline, resource
        time.sleep(0.05)


def wait_for_words(process: subprocess.Popen[bytes], cwd: Path, words: str) -> str:
    """Return what the process said, once it has said these words."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        said = said_in(cwd)
        if words in said:
            return said
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.02)


def said_in(cwd: Path) -> str:
    """Return what the latest process of this directory said so far."""
    return max(cwd.glob("*.log"), key=lambda log: log.stat().st_mtime_ns).read_text()


def end(process: subprocess.Popen[bytes], number: int) -> int:
    """Send the signal and return the exit status, which is no success where the command itself found it too late."""
    process.send_signal(number)
    return process.wait(PATIENCE_SECONDS)


def left_in(directory: Path) -> Sequence[str]:
    """Return the processes that live in a directory, which may be gone already."""
    found: list[str] = []
    for place in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if str(place.readlink()).startswith(str(directory)):
                found.append((place.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it ended meanwhile
    return found


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the only line of a failure, which is no traceback."""
    assert done.returncode == 1, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Error: ")
    return lines[0]


def process_in(directory: Path) -> int:
    """Return the process that lives below a directory."""
    for place in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if place.readlink().is_relative_to(directory):
                return int(place.parent.name)
    raise AssertionError(f"no process lives in {directory}")


def wait_until_answered_as_usual(api: httpx.Client) -> None:
    """Return when what was sent over other connections before has been read: the server reads them in turn."""
    for _ in range(3):
        assert api.get("/health/live").status_code == 200


def wait_until_refused(port: int) -> None:
    """Return when nobody listens any more."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionError:
            return
        time.sleep(0.02)
    raise AssertionError(f"somebody still listens on {port}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """An `up` that runs, for tests that need no start of their own."""

    cwd: Path
    port: int


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    cwd, port = tmp_path_factory.mktemp("up"), free_port()
    with running("up", "--port", str(port), settings=QUIET, cwd=cwd) as process:
        wait_for_words(process, cwd, "Ctrl-C ends everything")
        yield Service(cwd=cwd, port=port)


@pytest.fixture
async def empty_database(running_postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of a database in which nothing was migrated."""
    name = f"cli_{uuid4().hex}"
    async with await psycopg.AsyncConnection.connect(running_postgres.dsn, autocommit=True) as connection:
        await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield running_postgres.dsn.replace("@/postgres?", f"@/{name}?")
        await connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


# ── up ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@on_linux
def test_up_serves_from_an_empty_directory_ends_cleanly_and_has_its_data_on_the_next_start(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / ".payments"
    with running("up", "--port", str(port), settings=QUIET, cwd=tmp_path) as service:
        wait_for_words(service, tmp_path, "Ctrl-C ends everything")
        kept = merchant_of(data)
        with api_of(port, data) as api:
            transaction = pay(api, data)
            wait_for(api, f"/api/transactions/{transaction}/", "succeeded")
        assert end(service, signal.SIGTERM) == 0
    assert said_in(tmp_path).endswith("\nStopped; the data stays in .payments.\n")
    assert "Traceback" not in said_in(tmp_path)
    assert left_in(tmp_path) == []
    assert {path.stat().st_mode & 0o077 for path in (data, *data.glob("*"))} == {0}
    with running("up", "--port", str(port), settings=QUIET, cwd=tmp_path) as service:
        wait_for_words(service, tmp_path, "Ctrl-C ends everything")
        assert merchant_of(data) == kept
        with api_of(port, data) as api:
            assert api.get(f"/api/transactions/{transaction}/").json()["status"] == "succeeded"
        assert end(service, signal.SIGINT) == 0
    assert left_in(tmp_path) == []


def test_the_lines_that_up_prints_work_as_they_stand(service: Service) -> None:
    said = said_in(service.cwd).splitlines()
    calls = [number for number, line in enumerate(said) if "curl" in line]
    block = said[calls[0] : calls[-1] + 1]
    pasted = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(block)],
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert len(calls) == len([line for line in block if line]) == 4, "calls alone: a shell may know no comments"
    assert pasted.returncode == 0, pasted.stderr
    assert json.loads(pasted.stderr)["status"] == "pending", "the payment's answer is shown"
    assert pasted.stderr.endswith("\n")
    assert pasted.stdout.endswith("\n")
    payment, refund, payments = (json.loads(line) for line in pasted.stdout.splitlines())
    assert payment["status"] == "succeeded"
    assert refund["amount"] == "30.00"
    assert payment["id"] in [each["id"] for each in payments["results"]]


def test_a_merchant_made_beside_up_is_known_to_the_shell_and_to_the_api(service: Service) -> None:
    settings = {"PAYMENTS_REGISTRATION": "closed"}
    made = run(*CREATE, settings=settings, cwd=service.cwd, typed=PASSWORD)
    api_key = re.search(r"sk_test_\w+", made.stdout)
    assert api_key is not None, made.stderr
    asked = f'print((await payments.authenticator.by_api_key("{api_key[0]}")).merchant)'
    answered = run("shell", "-c", asked, settings=settings, cwd=service.cwd)
    assert answered.stdout.strip() in made.stdout, answered.stderr
    headers = {"Authorization": f"Token {api_key[0]}"}
    me = httpx.get(f"http://127.0.0.1:{service.port}/api/auth/me/", headers=headers, trust_env=False)
    assert me.json()["email"] == "shop@example.com"


def test_a_refusal_at_the_prompt_is_a_line_and_a_mistake_there_a_traceback(service: Service) -> None:
    typed = 'await payments.authenticator.by_api_key("nobody")\n1 / 0\n'
    refused, *mistaken = run("shell", settings={}, cwd=service.cwd, typed=typed).stderr.split("Traceback")
    assert "payments_core.errors.InvalidCredentials: " in refused
    assert len(mistaken) == 1
    assert "ZeroDivisionError" in mistaken[0]


def test_up_in_production_makes_no_merchant_and_says_how_one_is_made(empty_database: str, tmp_path: Path) -> None:
    settings = {**QUIET, "PAYMENTS_ENV": "production", "PAYMENTS_DATABASE_URL": empty_database}
    data = tmp_path / "data"
    with running("up", "--port", "0", "--data-dir", str(data), settings=settings, cwd=tmp_path) as service:
        said = wait_for_words(service, tmp_path, "Ctrl-C ends everything")
        assert f"payments merchant create --data-dir {data} --email …" in said
        assert "sk_test_" not in said
        assert not (data / "demo_merchant.json").exists()
        made = run(*CREATE, "--data-dir", str(data), settings=settings, cwd=tmp_path, typed=PASSWORD)
        assert "API key  sk_test_" in made.stdout, made.stderr


@on_linux
def test_what_was_accepted_before_a_kill_is_there_after_it_and_work_goes_on(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / ".payments"
    with running("up", "--port", str(port), settings=QUIET, cwd=tmp_path) as service:
        wait_for_words(service, tmp_path, "Ctrl-C ends everything")
        with api_of(port, data) as api:
            transaction = pay(api, data)
        service.kill()
        service.wait()
    # The lease that the killed worker may have held on that payment runs out in a minute: another one is processed.
    with running("up", "--port", str(port), settings=QUIET, cwd=tmp_path) as service:
        wait_for_words(service, tmp_path, "Ctrl-C ends everything")
        with api_of(port, data) as api:
            assert api.get(f"/api/transactions/{transaction}/").status_code == 200
            wait_for(api, f"/api/transactions/{pay(api, data)}/", "succeeded")
        assert end(service, signal.SIGTERM) == 0
    assert left_in(tmp_path) == []


@on_linux
def test_up_ends_in_time_with_a_frozen_valkey_slow_gateway_calls_and_slow_clients(tmp_path: Path) -> None:
    port, metrics_port, data = free_port(), free_port(), tmp_path / ".payments"
    settings = {"PAYMENTS_METRICS_PORT": str(metrics_port), "PAYMENTS_SANDBOX_LATENCY_SECONDS": "30"}
    with running("up", "--port", str(port), settings=settings, cwd=tmp_path) as service:
        wait_for_words(service, tmp_path, "Ctrl-C ends everything")
        with (
            api_of(port, data) as api,
            socket.create_connection(("127.0.0.1", port)) as slow_client,
            socket.create_connection(("127.0.0.1", metrics_port)),
        ):
            wait_for(api, f"/api/transactions/{pay(api, data)}/", "processing")
            slow_client.sendall(HALF_A_REQUEST)
            wait_until_answered_as_usual(api)
            os.kill(process_in(data / "valkey"), signal.SIGSTOP)
            assert end(service, signal.SIGTERM) == 0
    assert left_in(tmp_path) == []


@on_linux
def test_up_ends_where_a_server_of_its_own_ends_and_says_so(tmp_path: Path) -> None:
    data = tmp_path / ".payments"

    def postmaster() -> int:
        return int((data / "postgres" / "data" / "postmaster.pid").read_text().split()[0])

    for name, process in (("Postgres", postmaster), ("Valkey", lambda: process_in(data / "valkey"))):
        with running("up", "--port", "0", settings=QUIET, cwd=tmp_path) as service:
            wait_for_words(service, tmp_path, "Ctrl-C ends everything")
            os.kill(process(), signal.SIGKILL)
            assert service.wait(PATIENCE_SECONDS) == 1
        told = said_in(tmp_path).splitlines()[-1]
        assert told.startswith(f"Error: {name} ended by itself (signal 9), its log is {data}/")
        assert told.endswith(": start `payments up` again, the data is there.")


def test_a_taken_port_is_one_clear_line_and_leaves_no_trace(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("up", "--port", str(port), settings=QUIET, cwd=tmp_path)
    assert f"Port {port} on 127.0.0.1 is taken" in one_line(done)
    assert list(tmp_path.iterdir()) == []


def test_a_data_directory_that_another_up_holds_is_one_clear_line_with_the_cure(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / ".payments")
    directory.make()
    with directory.held():
        said = one_line(run("up", "--port", "0", settings=QUIET, cwd=tmp_path))
    assert f"Another `payments up` (process {os.getpid()})" in said
    assert "--data-dir" in said


def test_data_whose_secret_key_is_gone_is_left_as_it_is(tmp_path: Path) -> None:
    data = tmp_path / ".payments"
    DataDirectory(data).make()
    (data / "postgres").mkdir()
    said = one_line(run("up", "--port", "0", settings=QUIET, cwd=tmp_path))
    assert all(words in said for words in (f"{data}/secret_key is missing", "PAYMENTS_SECRET_KEY", "rm -r"))
    assert not (data / "secret_key").exists()


@pytest.mark.parametrize("command", [("up", "--port", "0"), ("serve", "--port", "0"), ("worker",), ("migrate",)])
def test_a_database_that_is_not_there_is_told_with_its_name_and_a_cure(
    command: Sequence[str], running_postgres: EmbeddedPostgres, redis_url: str, tmp_path: Path
) -> None:
    settings = {
        **QUIET,
        "PAYMENTS_DATABASE_URL": running_postgres.dsn.replace("@/postgres?", "@/nodb?"),
        "PAYMENTS_REDIS_URL": redis_url,
        "PAYMENTS_SECRET_KEY": SECRET_KEY,
    }
    said = run(*command, settings=settings, cwd=tmp_path).stderr.splitlines()[-1]
    assert said.startswith("Error: Postgres does not answer: it has no such database")
    assert all(words in said for words in ('"nodb" does not exist', "create what it lacks", "payments doctor"))


def test_beside_an_up_that_does_not_run_commands_say_so(tmp_path: Path) -> None:
    (tmp_path / ".payments" / "postgres").mkdir(parents=True)
    for command in (CREATE, ("shell", "-c", "pass")):
        assert "`payments up` isn't running" in one_line(run(*command, settings={}, cwd=tmp_path))
    assert "✗ service: `payments up` isn't running" in run("doctor", settings={}, cwd=tmp_path).stdout


def test_a_data_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("up", "--port", "0", "--data-dir", "file/data", settings=QUIET, cwd=tmp_path)
    assert "--data-dir" in one_line(done)


def test_a_directory_of_somebody_else_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    said = one_line(run("up", "--port", "0", "--data-dir", ".", settings=QUIET, cwd=tmp_path))
    assert f"{tmp_path} holds files" in said
    assert f"--data-dir, such as {tmp_path}/.payments" in said
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert (
        f"✗ data directory: {tmp_path} holds files"
        in run("doctor", "--data-dir", ".", settings={}, cwd=tmp_path).stdout
    )


def test_a_directory_with_nothing_but_what_a_file_system_leaves_is_taken(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    (tmp_path / "lost+found").mkdir()
    assert directory.foreign() is None
    (tmp_path / "notes.txt").write_text("mine")
    assert directory.foreign() is not None


def test_a_setting_that_does_not_parse_stops_the_start_with_its_line(tmp_path: Path) -> None:
    done = run("up", "--port", "0", settings={"PAYMENTS_SANDBOX_APPROVAL_RATE": "2"}, cwd=tmp_path)
    assert "PAYMENTS_SANDBOX_APPROVAL_RATE" in one_line(done)
    assert list(tmp_path.iterdir()) == []


# ── demo ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@on_linux
def test_the_demo_tells_the_whole_story_in_time_and_leaves_nothing_behind(tmp_path: Path) -> None:
    def demo() -> tuple[subprocess.CompletedProcess[str], float]:
        begun = time.monotonic()
        return run("demo", settings={"TMPDIR": str(tmp_path)}, cwd=tmp_path), time.monotonic() - begun

    done, took_seconds = demo()
    for _ in range(REPEATS_MAX):
        if took_seconds >= DEMO_SECONDS_MAX:
            done, took_seconds = demo()
    assert took_seconds < DEMO_SECONDS_MAX
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^✓ .* \(\d+ ms\): ", done.stdout, re.MULTILINE)) == 10
    assert "\x1b" not in done.stdout + done.stderr, "no colours in a file"
    assert list(tmp_path.iterdir()) == []
    assert left_in(tmp_path) == []


@on_linux
def test_a_demo_that_is_interrupted_leaves_nothing_behind(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with running("demo", settings={"TMPDIR": str(temporary)}, cwd=tmp_path) as demo:
        wait_for_words(demo, tmp_path, "Postgres started")
        assert end(demo, signal.SIGINT) == 128 + signal.SIGINT
    assert list(temporary.iterdir()) == []
    assert left_in(temporary) == []


# ── a deployment ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_deployment_is_migrated_once_and_then_runs(empty_database: str, redis_url: str, tmp_path: Path) -> None:
    settings = {
        **QUIET,
        "PAYMENTS_DATABASE_URL": empty_database,
        "PAYMENTS_REDIS_URL": redis_url,
        "PAYMENTS_SECRET_KEY": SECRET_KEY,
    }
    too_early = one_line(run("serve", "--port", "0", settings=settings, cwd=tmp_path))
    assert too_early.startswith("Error: migrations: the database lacks 0001")
    assert too_early.endswith("; run `payments migrate`")
    assert "Applied 0001" in run("migrate", settings=settings, cwd=tmp_path).stdout
    again = run("migrate", settings=settings, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, "The database is up to date; nothing was missing.\n")

    port = free_port()
    with (
        running("serve", "--port", str(port), settings=settings, cwd=tmp_path) as api,
        running("worker", settings=settings, cwd=tmp_path) as worker,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        wait_until_ready(f"http://127.0.0.1:{port}", api)
        account = {"email": "shop@example.com", "password": "correct horse battery staple"}
        api_key = client.post("/api/auth/register/", json=account).json()["api_key"]
        client.headers["Authorization"] = f"Token {api_key}"
        key = client.post("/api/payments/payment_key/").json()["key"]
        body = {"payment_key": key, "amount": "5.00", "currency": "EUR"}
        paid = client.post("/api/transactions/pay", json=body).json()
        wait_for(client, f"/api/transactions/{paid['id']}/", "succeeded")
        assert end(worker, signal.SIGTERM) == 0
        with socket.create_connection(("127.0.0.1", port)) as slow_client:
            slow_client.sendall(HALF_A_REQUEST)
            wait_until_answered_as_usual(client)
            api.send_signal(signal.SIGTERM)
            wait_until_refused(port)
            slow_client.sendall(ACCOUNT[10:])
            assert slow_client.recv(100).startswith(b"HTTP/1.1 201 ")
        assert api.wait(PATIENCE_SECONDS) == 0
    for log in tmp_path.glob("*.log"):
        assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("name", ["serve", "worker", "migrate"])
def test_a_deployment_without_settings_is_told_which_and_where(name: str, tmp_path: Path) -> None:
    done = run(name, settings={}, cwd=tmp_path)
    assert done.returncode == 1
    assert "PAYMENTS_DATABASE_URL" in done.stderr
    assert "payments up" in done.stderr
    assert ("PAYMENTS_SECRET_KEY" in done.stderr) == (name != "migrate")


# ── doctor ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def findings(done: subprocess.CompletedProcess[str]) -> Mapping[str, str]:
    """Return the mark of each finding; of several with one name the last."""
    return {name: mark for mark, name in re.findall(r"^(\S) ([a-z ]+): ", done.stdout, re.MULTILINE)}


def test_no_look_of_doctor_is_charged_for_loading_what_looks(tmp_path: Path) -> None:
    code = """
import asyncio, sys
from pathlib import Path
from entrypoints.cli.doctor import diagnosis

loaded = []
timeout = asyncio.timeout

def timed(seconds):
    loaded.append("entrypoints.wiring" in sys.modules)
    return timeout(seconds)

async def look():
    asyncio.timeout = timed
    return [finding.name async for finding in diagnosis.diagnose(Path(".payments"))]

assert "database" in asyncio.run(look())
assert loaded and all(loaded), loaded
"""
    nobody = {"PAYMENTS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "PAYMENTS_SECRET_KEY": SECRET_KEY}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(nobody),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_doctor_finds_everything_well_where_it_is(database_url: str, redis_url: str, tmp_path: Path) -> None:
    settings = {
        "PAYMENTS_DATABASE_URL": database_url,
        "PAYMENTS_REDIS_URL": redis_url,
        "PAYMENTS_SECRET_KEY": SECRET_KEY,
    }
    done = run("doctor", settings=settings, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert set(findings(done).values()) == {"✓"}, done.stdout


def test_doctor_names_each_thing_that_is_away_and_shows_no_secret(tmp_path: Path) -> None:
    done = run("doctor", settings=NOBODY, cwd=tmp_path)
    assert done.returncode == 1
    found = findings(done)
    assert {name: found[name] for name in ("database", "migrations", "clock", "redis", "queue")} == {
        "database": "✗",
        "migrations": "-",
        "clock": "-",
        "redis": "-",
        "queue": "-",
    }, done.stdout
    assert "very-secret" not in done.stdout + done.stderr
    assert SECRET_KEY not in done.stdout + done.stderr


def test_doctor_tells_a_misspelt_name_beside_a_setting_that_does_not_parse(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PAYMENTS_LOG_LEVLE=debug\n")
    done = run("doctor", settings={"PAYMENTS_SANDBOX_APPROVAL_RATE": "2"}, cwd=tmp_path)
    assert "✗ settings: PAYMENTS_SANDBOX_APPROVAL_RATE: " in done.stdout
    assert "- settings: PAYMENTS_LOG_LEVLE is no setting; did you mean PAYMENTS_LOG_LEVEL?" in done.stdout


def test_doctor_and_up_name_the_line_of_an_env_file_that_does_not_parse(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f'PAYMENTS_SECRET_KEY="{SECRET_KEY}\nPAYMENTS_METRICS_PORT=0\n')
    said = ".env, line 1: is not NAME=value, or a quote is not closed"
    assert f"✗ settings: {said}" in run("doctor", settings={}, cwd=tmp_path).stdout
    assert one_line(run("up", "--port", "0", settings={}, cwd=tmp_path)) == f"Error: {said}"


def test_doctor_names_all_that_a_deployment_lacks_and_a_place_where_nothing_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("doctor", "--data-dir", "file/data", settings={}, cwd=tmp_path)
    assert "✗ settings: PAYMENTS_DATABASE_URL and PAYMENTS_SECRET_KEY are not set" in done.stdout
    assert f"✗ data directory: {tmp_path}/file/data cannot be made" in done.stdout


def test_doctor_says_what_hides_our_packages(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign" / "adapters"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").touch()
    done = run("doctor", settings={"PYTHONPATH": str(foreign.parent)}, cwd=tmp_path)
    assert done.returncode == 1
    assert f"✗ packages: adapters of this project is hidden by {foreign}" in done.stdout


# ── listen ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_listen_takes_what_is_signed_and_refuses_what_is_not(tmp_path: Path) -> None:
    port = free_port()
    body = json.dumps({"type": "webhook.test", "sequence": None, "data": {}}).encode()
    headers = sign([WEBHOOK_SECRET], id="evt_1", at=datetime.now(UTC), body=body)
    with running("listen", "--port", str(port), "--secret", WEBHOOK_SECRET, settings={}, cwd=tmp_path) as listener:
        wait_for_words(listener, tmp_path, "Listening on")
        url = f"http://127.0.0.1:{port}/"
        assert httpx.post(url, content=body, headers=headers, trust_env=False).status_code == 204
        assert httpx.post(url, content=body + b" ", headers=headers, trust_env=False).status_code == 400
        assert end(listener, signal.SIGINT) == 0
    said = said_in(tmp_path)
    assert "✓ webhook.test evt_1" in said
    assert "✗ webhook.test evt_1" in said
    assert said.endswith("\nStopped.\n")


@pytest.mark.parametrize("path", ["", "/api", "/api/"])
def test_listen_registers_itself_and_removes_itself_at_the_end(path: str, service: Service, tmp_path: Path) -> None:
    data = service.cwd / ".payments"
    settings = {"MERCHANT_API_KEY": merchant_of(data)["api_key"]}
    url = f"http://127.0.0.1:{service.port}{path}"
    with (
        running("listen", "--port", "0", "--register", url, settings=settings, cwd=tmp_path) as listener,
        api_of(service.port, data) as api,
    ):
        wait_for_words(listener, tmp_path, "Listening on")
        pay(api, data)
        wait_for_words(listener, tmp_path, "✓ transaction.succeeded")
        assert end(listener, signal.SIGTERM) == 0
        assert api.get("/api/webhooks/").json()["results"] == []
