"""Starting and ending one server process, without blocking the event loop."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from adapters.embedded.account import Account
from adapters.embedded.waiting import holds_within

CHILD: Final = Path(__file__).with_name("child.py")
ENVIRONMENT_KEPT: Final = ("PATH", "LD_LIBRARY_PATH")
LOG_TAIL_BYTES: Final = 2_000
LOG_TAIL_LINES: Final = 4


def launch(
    command: Sequence[str], *, directory: Path, lock: int, output: Path, account: Account | None
) -> subprocess.Popen[bytes]:
    """Start `command` in `directory`, with its output in a file that starts empty.

    On Linux it receives SIGINT when the *thread* that calls this ends, so call from the main one. It sees
    nothing of our environment, which may hold secrets, and no Ctrl-C: we end it ourselves, last of all.
    """
    user, group = ("-", "-") if account is None else (str(account.user_id), str(account.group_id))
    prelude = [sys.executable, "-I", "-S", str(CHILD), str(os.getpid()), str(lock), user, group]
    environment = {name: os.environ[name] for name in ENVIRONMENT_KEPT if name in os.environ}
    with open(output, "wb", opener=_private) as stream:
        return subprocess.Popen(  # noqa: S603 - the command is made of our own words and paths
            [*prelude, *command],
            cwd=directory,
            env={**environment, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            start_new_session=True,
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


async def end(process: subprocess.Popen[bytes], ladder: Sequence[tuple[int, float]]) -> None:
    """Send each signal in turn and give it its seconds, until the process has ended."""
    for number, patience_seconds in ladder:
        if process.poll() is None:
            process.send_signal(number)
        if await holds_within(lambda: process.poll() is not None, patience_seconds):
            return


def last_lines(*logs: Path) -> str:
    """Return the end of the first log that says anything, on one line and with its path."""
    for log in logs:
        tail = log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace") if log.is_file() else ""
        said = [line.strip() for line in tail.splitlines() if line.strip()]
        if said:
            return f"{log}: {' | '.join(said[-LOG_TAIL_LINES:])}"
    return ""
