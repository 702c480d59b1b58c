"""Our own command in processes of its own, as a deployment runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from tests.patience import PATIENCE_SECONDS

SECRET_KEY: Final = "a secret key for tests that is longer than it has to be"
PASSWORD: Final = "correct horse battery staple"


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without settings of ours, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PAYMENTS_")}
    # Where bytecode is not kept, each process compiles all that it imports again: seconds instead of a fraction.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "NO_COLOR": "1", **settings}


def run(*arguments: str, settings: Mapping[str, str], cwd: Path, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command to its end, with what is typed to it."""
    return subprocess.run(
        [sys.executable, "-m", "entrypoints.cli", *arguments],
        env=environment(settings),
        cwd=cwd,
        input=typed,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@contextmanager
def running(*arguments: str, settings: Mapping[str, str], cwd: Path) -> Generator[subprocess.Popen[bytes], None, None]:
    """Have the command run in a process of its own until the block ends; what it says goes to a file in `cwd`."""
    log = cwd / f"{arguments[0]}-{time.monotonic_ns()}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "entrypoints.cli", *arguments],
            env=environment(settings),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{arguments[0]} did not end: {log.read_text()[-2000:]}") from None


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the API says that it is ready."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the process ended before it was ready"
        try:
            if httpx.get(f"{url}/health/ready", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{url} was not ready in {PATIENCE_SECONDS} s")
