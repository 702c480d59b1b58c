"""Several API processes on one port: all answer, one that dies is replaced, none outlives the parent."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx
import pytest

from entrypoints.cli.serve import several
from tests.patience import PATIENCE_SECONDS
from tests.processes import SECRET_KEY, free_port, run, running

WORKERS: Final = 3
ROUNDS: Final = 40
ANSWERING: Final = "Answering on "
QUIET: Final = {"PAYMENTS_METRICS_PORT": "0"}
pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Mapping[str, str]:
    return {
        **QUIET,
        "PAYMENTS_DATABASE_URL": database_url,
        "PAYMENTS_REDIS_URL": redis_url,
        "PAYMENTS_SECRET_KEY": SECRET_KEY,
    }


def serve(port: int, workers: int = WORKERS) -> Sequence[str]:
    return ("serve", "--port", str(port), "--workers", str(workers))


def said_in(cwd: Path) -> str:
    (log,) = cwd.glob("serve-*.log")
    return log.read_text()


def wait_for_words(parent: subprocess.Popen[bytes], cwd: Path, words: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while words not in said_in(cwd):
        assert parent.poll() is None, said_in(cwd)
        assert time.monotonic() < deadline, said_in(cwd)
        time.sleep(0.02)


def children_of(parent: subprocess.Popen[bytes]) -> set[int]:
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text()
    return {int(child) for child in children.split()}


def wait_until_gone(processes: set[int]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(lives(process) for process in processes):
        assert time.monotonic() < deadline, f"some of {processes} still live"
        time.sleep(0.02)


def lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def descriptors_of(process: int) -> int:
    """Return how many files and connections a process holds."""
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def connected(port: int, number: int) -> list[httpx.Client]:
    """Return clients that have been answered, each over a connection of its own that stays open."""
    clients = [httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) for _ in range(number)]
    for client in clients:
        assert client.get("/health/live").status_code == 200
    return clients


def test_connections_are_spread_over_all_processes(settings: Mapping[str, str], tmp_path: Path) -> None:
    port = free_port()
    with running(*serve(port), settings=settings, cwd=tmp_path) as parent:
        wait_for_words(parent, tmp_path, ANSWERING)
        before = {process: descriptors_of(process) for process in children_of(parent)}
        assert len(before) == WORKERS
        clients = connected(port, ROUNDS)
        taken = {process: descriptors_of(process) - number for process, number in before.items()}
        for client in clients:
            client.close()
        assert all(number > 0 for number in taken.values()), taken
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(PATIENCE_SECONDS) == 0
        wait_until_gone(set(before))
    said = said_in(tmp_path)
    assert said.count(ANSWERING) == 1
    assert said.count("Stopped.") == 1
    assert "Traceback" not in said


def test_who_is_killed_is_replaced_and_nobody_is_refused_meanwhile(settings: Mapping[str, str], tmp_path: Path) -> None:
    port = free_port()
    with running(*serve(port), settings=settings, cwd=tmp_path) as parent:
        wait_for_words(parent, tmp_path, ANSWERING)
        before = children_of(parent)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        for client in connected(port, ROUNDS):
            client.close()
        wait_for_words(parent, tmp_path, "answers in its place")
        after = children_of(parent)
        assert len(after) == WORKERS
        assert before - after == {victim}
    said = said_in(tmp_path)
    assert f"API process {victim} was ended by signal 9; another one starts in 0.1 s" in said
    assert said.count(ANSWERING) == 1


def test_no_process_outlives_a_parent_that_was_killed(settings: Mapping[str, str], tmp_path: Path) -> None:
    port = free_port()
    with running(*serve(port), settings=settings, cwd=tmp_path) as parent:
        wait_for_words(parent, tmp_path, ANSWERING)
        children = children_of(parent)
        parent.kill()
        wait_until_gone(children)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    assert "Traceback" not in said_in(tmp_path)


def test_a_process_that_is_frozen_does_not_keep_the_others_from_a_stop_in_time(
    settings: Mapping[str, str], tmp_path: Path
) -> None:
    with running(*serve(free_port()), settings=settings, cwd=tmp_path) as parent:
        wait_for_words(parent, tmp_path, ANSWERING)
        children = children_of(parent)
        os.kill(min(children), signal.SIGSTOP)
        parent.send_signal(signal.SIGINT)
        assert parent.wait(PATIENCE_SECONDS) == 0, "the command itself found it too late"
        wait_until_gone(children)
    assert "1 API processes did not end within" in said_in(tmp_path)


def asleep() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "600"])


def standing_still() -> subprocess.Popen[bytes]:
    process = asleep()
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)  # until it does
    return process


async def test_of_many_processes_those_alone_are_killed_and_counted_that_do_not_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(several, "END_SECONDS", 1.0)
    # As many as the event loop has threads, so that nobody there would see that one more has ended.
    frozen = [standing_still() for _ in range(min(32, (os.cpu_count() or 1) + 4))]
    willing = asleep()
    await several.end_all([*frozen, willing])
    assert [process.returncode for process in frozen] == [-signal.SIGKILL] * len(frozen)
    assert willing.returncode == -signal.SIGTERM
    assert f"{len(frozen)} API processes did not end within 1.0 s" in caplog.text


def test_a_request_under_way_is_answered_before_the_end(settings: Mapping[str, str], tmp_path: Path) -> None:
    port = free_port()
    account = json.dumps({"email": "slow@example.com", "password": "correct horse battery staple"}).encode()
    head = (
        b"POST /api/auth/register/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(account)
    )
    with running(*serve(port), settings=settings, cwd=tmp_path) as parent:
        wait_for_words(parent, tmp_path, ANSWERING)
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(head + account[:10])
            for client in connected(port, ROUNDS):
                client.close()
            parent.send_signal(signal.SIGTERM)
            wait_until_refused(port)
            slow.sendall(account[10:])
            assert slow.recv(100).startswith(b"HTTP/1.1 201 ")
        assert parent.wait(PATIENCE_SECONDS) == 0


def wait_until_refused(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionError:
            return
        time.sleep(0.02)
    raise AssertionError(f"somebody still listens on {port}")


# ── what keeps all of them from answering is said once ────────────────────────────────────────────────────────────────


def test_a_port_that_is_taken_is_one_line_also_where_the_other_one_has_several_processes(
    settings: Mapping[str, str], tmp_path: Path
) -> None:
    port = free_port()
    with running(*serve(port), settings=settings, cwd=tmp_path) as parent:
        wait_for_words(parent, tmp_path, ANSWERING)
        for workers in (1, WORKERS):
            refused = run(*serve(port, workers), settings=settings, cwd=tmp_path)
            assert refused.returncode == 1
            (line,) = refused.stderr.splitlines()
            assert line.startswith(f"Error: Port {port} on 127.0.0.1 is taken")


def test_settings_that_are_missing_are_said_once(tmp_path: Path) -> None:
    refused = run(*serve(0), settings={}, cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.count("PAYMENTS_SECRET_KEY is not set") == 1
    assert refused.stderr.count("PAYMENTS_DATABASE_URL is not set") == 1


def test_a_database_that_is_away_is_said_once(redis_url: str, tmp_path: Path) -> None:
    settings = {
        **QUIET,
        "PAYMENTS_DATABASE_URL": "postgresql://nobody:hush@127.0.0.1:1/none",
        "PAYMENTS_REDIS_URL": redis_url,
        "PAYMENTS_SECRET_KEY": SECRET_KEY,
    }
    refused = run(*serve(0), settings=settings, cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.count("Error: ") == 1, refused.stderr
    assert "nobody listens at this address" in refused.stderr
    assert ANSWERING not in refused.stderr


def test_what_weakens_an_installation_is_said_once(settings: Mapping[str, str], tmp_path: Path) -> None:
    weak = {**settings, "PAYMENTS_RATE_LIMITS": "off"}
    with running(*serve(free_port()), settings=weak, cwd=tmp_path) as parent:
        wait_for_words(parent, tmp_path, ANSWERING)
    assert said_in(tmp_path).count("nothing is limited") == 1


def test_metrics_are_those_of_all_processes(settings: Mapping[str, str], tmp_path: Path) -> None:
    port, metrics_port = free_port(), free_port()
    shared = {**settings, "PAYMENTS_METRICS_PORT": str(metrics_port)}
    with running(*serve(port), settings=shared, cwd=tmp_path) as parent:
        wait_for_words(parent, tmp_path, ANSWERING)
        for client in connected(port, ROUNDS):
            assert client.get("/api/auth/me/").status_code == 401
            client.close()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (counted := refused_requests(metrics_port)) != ROUNDS:
            assert time.monotonic() < deadline, counted
            time.sleep(0.05)


def refused_requests(metrics_port: int) -> float:
    try:
        lines = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics", trust_env=False).text.splitlines()
    except httpx.TransportError:
        return 0
    counts = [
        line for line in lines if line.startswith("payments_http_request_seconds_count") and 'status="401"' in line
    ]
    return sum(float(line.rpartition(" ")[2]) for line in counts)
