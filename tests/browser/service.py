"""The whole service as `payments up` runs it, with a receiver of webhooks next to it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.browser.receiver import Receiver, receiving
from tests.processes import free_port, run, running, wait_until_ready

SETTINGS: Final = {
    "PAYMENTS_METRICS_PORT": "0",
    # Everybody in these tests comes from one address, and opens more pages than a person.
    "PAYMENTS_LIMIT_REGISTRATION": "10000/1h",
    "PAYMENTS_LIMIT_LOGIN_ADDRESS": "10000/1m",
    "PAYMENTS_LIMIT_LOGIN_ACCOUNT": "10000/15m",
    "PAYMENTS_LIMIT_CONSOLE": "100000/1m",
    "PAYMENTS_LIMIT_API": "100000/1s",
    # Long enough that a page which was just loaded shows a payment on its way.
    "PAYMENTS_SANDBOX_LATENCY_SECONDS": "1",
    # What nobody knows of stays so, and its job with it.
    "PAYMENTS_LOOKUP_SCHEDULE": "1h",
    # What fails once is exhausted: then it is up to people to send it again.
    "PAYMENTS_WEBHOOK_SCHEDULE": "0s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where it is, where its data is, and what its webhooks may reach."""

    url: str
    data: Path
    cwd: Path
    receiver: Receiver

    def command(self, *arguments: str, typed: str = "") -> str:
        """Run a command of ours next to the service, and return what it printed."""
        done = run(*arguments, "--data-dir", str(self.data), settings=SETTINGS, cwd=self.cwd, typed=typed)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def serving(cwd: Path, settings: Mapping[str, str] = SETTINGS) -> Generator[Service, None, None]:
    """Have the service run while the block runs."""
    port, data = free_port(), cwd / "data"
    url = f"http://127.0.0.1:{port}"
    up = ("up", "--port", str(port), "--data-dir", str(data))
    with receiving() as receiver, running(*up, settings=settings, cwd=cwd) as process:
        wait_until_ready(url, process)
        yield Service(url=url, data=data, cwd=cwd, receiver=receiver)
