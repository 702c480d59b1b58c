"""The load by `wrk`, where it is installed: its script, and what it prints in the end."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.benchmark.loader import Load, Loaded

THREADS: Final = 1
"""Two would take a core each from what is measured."""
MARK: Final = "measured: "
MICROSECONDS: Final = 1_000_000

SCRIPT: Final = """\
local parts = {%(parts)s}
local key, sent = "%(key)s", 0

function request()
  local part = parts[sent %% #parts + 1]
  sent = sent + 1
  if part[2] == nil then return part[1] end
  return part[1] .. key .. "-" .. sent .. part[2]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '%(mark)s{"answered":%%d,"microseconds":%%d,"p50":%%d,"p99":%%d,"status":%%d,"socket":%%d,"timeout":%%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
"""


def installed() -> str | None:
    """Return the program's path where it is installed."""
    return shutil.which("wrk")


def write_script(load: Load, folder: Path) -> Path:
    """Write the script of a load to a folder; return its path."""
    parts = ", ".join("{" + ", ".join(quoted(part) for part in parts if part is not None) + "}" for parts in _of(load))
    path = folder / f"{load.key or 'read'}.lua"
    path.write_text(SCRIPT % {"parts": parts, "key": load.key, "mark": MARK})
    return path


def command(program: str, load: Load, script: Path) -> Sequence[str]:
    """Return the command that runs a load."""
    return (
        program,
        *("--threads", str(THREADS), "--connections", str(load.connections)),
        *("--duration", f"{max(1, round(load.seconds))}s", "--timeout", "10s", "--script", str(script)),
        f"http://127.0.0.1:{load.port}/",
    )


def loaded(load: Load, printed: str) -> Loaded:
    """Read what the program printed; raise ValueError where its last line is not there.

    It cuts off what is in flight in the end: so many requests more may have been carried out.
    """
    found = re.search(rf"^{MARK}(.*)$", printed, re.MULTILINE)
    if found is None:
        raise ValueError(f"wrk has not said what it measured: {printed[-500:]}")
    said = json.loads(found[1])
    errors = {name: said[name] for name in ("status", "socket", "timeout") if said[name]}
    return Loaded(
        answered=said["answered"] - said["status"],
        seconds=said["microseconds"] / MICROSECONDS,
        p50=said["p50"] / MICROSECONDS,
        p99=said["p99"] / MICROSECONDS,
        errors=sum(errors.values()),
        shown_errors=[f"{count} errors of kind {name}" for name, count in errors.items()],
        unfinished_max=load.connections,
    )


def quoted(text: str) -> str:
    """Return a text as Lua reads it."""
    escaped = "".join(
        character if character.isprintable() and character not in '"\\' else f"\\{ord(character):03d}"
        for character in text
    )
    return f'"{escaped}"'


def _of(load: Load) -> Sequence[Sequence[str | None]]:
    return load.requests
