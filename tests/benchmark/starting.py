"""`payments up` from nothing to the first payment, and the unit suite: what somebody waits for at a desk."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Final

import httpx

from tests.benchmark import requests
from tests.benchmark.case import Case, Tell
from tests.benchmark.figures import Figure, Outcome, Target, median
from tests.benchmark.fleet import end
from tests.benchmark.loading import ROOT, output
from tests.benchmark.merchants import Merchant
from tests.benchmark.options import Options
from tests.benchmark.world import World
from tests.chaos.fleet import PRELUDE
from tests.patience import PATIENCE_SECONDS
from tests.processes import environment, free_port

UP: Final = Target(most=5)
UNIT: Final = Target(most=10)
LOOK_SECONDS: Final = 0.01
DEMO_MERCHANT: Final = "demo_merchant.json"


async def measure_up(world: World, options: Options, tell: Tell) -> Outcome:
    """Start the whole service in an empty directory, and pay as soon as it can be done."""
    seconds: list[float] = []
    for number in range(options.form.rounds):
        tell(f"round {number + 1} of {options.form.rounds}")
        seconds.append(await _until_paid(world.folder / f"up-{number}"))
    return Outcome(
        figures=(Figure(name="`payments up` to the first 201", value=median(seconds), unit="s", target=UP, digits=2),),
        notes=(
            f"median of {len(seconds)} starts, each in an empty directory, from the start of the process;"
            " the environment is installed, its bytecode compiled",
        ),
    )


async def _until_paid(folder: Path) -> float:
    port = free_port()
    begun = time.monotonic()
    with (folder.with_suffix(".log")).open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(PRELUDE), str(os.getpid())),
            *(sys.executable, "-m", "entrypoints.cli", "up", "--port", str(port), "--data-dir", str(folder / "data")),
            env=environment({"PAYMENTS_METRICS_PORT": str(free_port())}),
            cwd=folder.parent,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            while time.monotonic() - begun < PATIENCE_SECONDS:
                assert process.returncode is None, "`payments up` ended by itself"
                if await _paid(client, folder / "data" / DEMO_MERCHANT):
                    return time.monotonic() - begun
                await asyncio.sleep(LOOK_SECONDS)
        raise AssertionError(f"`payments up` took no payment in {PATIENCE_SECONDS:.0f} s")
    finally:
        await end(process)


async def _paid(client: httpx.AsyncClient, demo: Path) -> bool:
    """Pay as the demo merchant; say whether there is one by now, and somebody who answers."""
    with contextlib.suppress(FileNotFoundError, httpx.TransportError):
        kept = json.loads(await asyncio.to_thread(demo.read_text))
        merchant = Merchant(id="", api_key=kept["api_key"], payment_key=kept["payment_key"])
        if not merchant.api_key or not merchant.payment_key:
            return False
        answer = await client.post(
            "/api/transactions/pay", json=requests.payment(merchant), headers=merchant.headers, timeout=PATIENCE_SECONDS
        )
        assert answer.status_code == 201, f"{answer.status_code} {answer.text}"
        return True
    return False


async def measure_unit(world: World, options: Options, tell: Tell) -> Outcome:
    """Run what `nox -s unit` runs."""
    tell("pytest tests/unit")
    command = (sys.executable, "-m", "pytest", "tests/unit", "--numprocesses", "auto", "--dist", "worksteal")
    begun = time.monotonic()
    printed = await output(command)
    seconds = time.monotonic() - begun
    return Outcome(
        figures=(Figure(name="unit suite", value=seconds, unit="s", target=UNIT, digits=1),),
        notes=(f"{' '.join(command[1:])}, in {ROOT.name}: {printed.strip().splitlines()[-1]}",),
    )


UP_CASE: Final = Case(name="up", what="`payments up` from an empty directory to the first 201", measure=measure_up)
UNIT_CASE: Final = Case(name="unit", what="the unit suite", measure=measure_unit, in_short=False)
