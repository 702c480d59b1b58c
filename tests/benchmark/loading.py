"""Loads on the API, by wrk or by a process of our own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tests.benchmark import wrk
from tests.benchmark.loader import Load, Loaded
from tests.processes import environment

ROOT: Final = Path(__file__).parents[2]
LINE_BYTES_MAX: Final = 256 * 1024 * 1024
"""Of what a process of ours prints: the ids of a long load."""


async def run_load(load: Load, folder: Path, *, own: bool) -> Loaded:
    """Run a load to its end. wrk does it where it is installed, can do it and is not put aside by `own`."""
    program = None if own or load.rate is not None or load.limit is not None or load.keeps_ids else wrk.installed()
    if program is not None:
        script = await asyncio.to_thread(wrk.write_script, load, folder)
        return wrk.loaded(load, await output(wrk.command(program, load, script)))
    arguments = (sys.executable, "-m", "tests.benchmark.loader")
    said = json.loads(await output(arguments, typed=json.dumps(asdict(load))))
    return Loaded(**{**said, "ids": [(str(id), float(sent), float(at)) for id, sent, at in said["ids"]]})


def loader_name(*, own: bool) -> str:
    """Return what loads without a rate, as people read it."""
    return "wrk, one thread" if not own and wrk.installed() else "the loader of tests/benchmark, one process"


async def output(command: Sequence[str], *, typed: str = "") -> str:
    """Run a program to its end, with a line that is typed to it; return what it printed."""
    async with started(command) as process:
        out, err = await process.communicate(f"{typed}\n".encode())
    if process.returncode != 0:
        raise AssertionError(f"{command[0]} ended with {process.returncode}: {(err or out).decode()[-2000:]}")
    return out.decode()


@asynccontextmanager
async def started(command: Sequence[str]) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Have a program run, which ends with the block at the latest."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment({}),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_BYTES_MAX,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
