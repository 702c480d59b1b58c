"""The command and its process: signals, threads that wait, the prompt. Real processes and real time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import click
import pytest
from click.testing import CliRunner

from entrypoints.cli.app import payments as command_line
from entrypoints.cli.errors import CommandFailed, Stopped
from entrypoints.cli.signals import SAME_SIGNAL_SECONDS, ending_within, run
from entrypoints.cli.watch import until_one_ends
from tests.patience import PATIENCE_SECONDS

SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY: Final = {"PAYMENTS_SECRET_KEY": "k" * 8 + SECRET}
ROOT: Final = Path(__file__).parents[2]
COMMANDS: Final = ("up", "demo", "serve", "worker", "migrate", "listen", "merchant", "shell", "doctor")


# ── signals ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_work_close_what_it_opened(number: signal.Signals) -> None:
    closed: list[str] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            closed.append("closed")

    with pytest.raises(Stopped) as stopped:
        run(work())
    assert stopped.value.signal_number == number
    assert closed == ["closed"]


def test_a_question_asked_after_the_work_is_broken_off_by_a_signal() -> None:
    code = """
import sys
from entrypoints.cli.signals import run
async def work(): pass
run(work())
try:
    print("asking", flush=True)
    sys.stdin.readline()
except KeyboardInterrupt:
    sys.exit(130)
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        try:
            assert asking.stdout.readline() == "asking\n"
            asking.send_signal(signal.SIGINT)
            assert asking.wait(PATIENCE_SECONDS) == 128 + signal.SIGINT
        finally:
            asking.kill()


@pytest.mark.parametrize("raised", [KeyboardInterrupt, click.Abort])
def test_an_interruption_before_a_command_handles_signals_is_told_by_the_status_alone(
    raised: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def load() -> None:
        raise raised

    monkeypatch.setitem(command_line.commands, "load", load)
    done = CliRunner().invoke(command_line, ["load"])
    assert (done.exit_code, done.output) == (128 + signal.SIGINT, "")


def test_an_interruption_while_the_command_line_is_loaded_shows_no_traceback() -> None:
    code = """
import sys
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "entrypoints.cli.app":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from entrypoints.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "")


def test_a_second_signal_ends_the_process_at_once() -> None:
    code = """
import asyncio
from entrypoints.cli.signals import SAME_SIGNAL_SECONDS, run

async def work():
    try:
        print("begun", flush=True)
        await asyncio.Event().wait()
    finally:
        print("closing", flush=True)
        await asyncio.Event().wait()

run(work())
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "closing\n"
        process.send_signal(signal.SIGINT)  # a launcher that passes the same Ctrl-C on
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2 * SAME_SIGNAL_SECONDS)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 128 + signal.SIGINT


def test_work_that_ends_by_itself_gives_its_result() -> None:
    async def work() -> int:
        return 7

    assert run(work()) == 7


async def test_work_that_swallows_a_cancellation_is_cancelled_again() -> None:
    swallowed, closed = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.set()
        try:
            await asyncio.Event().wait()
        finally:
            closed.set()

    ending = asyncio.create_task(ending_within(work(), seconds=0.01))
    await asyncio.sleep(0)
    ending.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({ending})
    assert ending.cancelled()
    assert swallowed.is_set()
    assert closed.is_set()


async def test_work_that_nothing_ends_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrypoints.cli.signals.CANCEL_EVERY_SECONDS", 0.001)
    enough = asyncio.Event()

    async def work() -> None:
        while not enough.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await enough.wait()

    ending = asyncio.create_task(ending_within(work(), seconds=0.001))
    await asyncio.sleep(0)
    ending.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({ending})
    assert ending.cancelled()
    enough.set()


async def test_what_goes_wrong_while_work_ends_is_told() -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("it could not be closed")

    ending = asyncio.create_task(ending_within(work(), seconds=5))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(ValueError, match="could not be closed"):
        await ending


def test_work_that_never_ends_is_cut_off_in_time() -> None:
    code = """
import time
from entrypoints.cli import signals

signals.STOP_SECONDS_MAX = 0.2

async def work():
    print("begun", flush=True)
    time.sleep(0.1)  # the signal comes meanwhile
    try:
        import asyncio
        await asyncio.Event().wait()
    finally:
        time.sleep(60)

signals.run(work())
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert "not everything ended within 0.2 s" in said


def test_threads_that_still_wait_do_not_hold_the_end_of_the_command() -> None:
    code = """
import asyncio, time
from concurrent.futures import ThreadPoolExecutor
import click
from entrypoints.cli import main
from entrypoints.cli.app import payments
from entrypoints.cli.signals import run

async def work():
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, time.sleep, 60)
    loop.run_in_executor(ThreadPoolExecutor(), time.sleep, 60)

@payments.command()
def wait():
    run(work())
    click.echo("done")

main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "wait"], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


# ── parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_part_that_ends_by_itself_is_an_error_that_names_it() -> None:
    async def ends() -> None:
        return

    async def goes_on() -> None:
        await asyncio.Event().wait()

    worker, api = asyncio.create_task(ends(), name="worker"), asyncio.create_task(goes_on())
    with pytest.raises(CommandFailed, match="The worker ended by itself"):
        await until_one_ends((worker, api))
    api.cancel()


async def test_a_part_that_says_why_it_ended_is_told_by_that() -> None:
    async def ends() -> str:
        return "The cellar is flooded."

    with pytest.raises(CommandFailed, match=r"^The cellar is flooded\.$"):
        await until_one_ends([asyncio.create_task(ends())])


async def test_a_part_that_fails_is_told_by_its_failure() -> None:
    async def fails() -> None:
        raise ValueError("the cause")

    with pytest.raises(ValueError, match="the cause"):
        await until_one_ends([asyncio.create_task(fails())])


async def test_who_stops_waiting_for_a_part_leaves_it_to_end_in_its_own_way() -> None:
    part = asyncio.create_task(asyncio.Event().wait())
    waiting = asyncio.create_task(until_one_ends([part]))  # type: ignore[list-item]  # gives a bool, which nobody reads
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert not part.done()
    part.cancel()


# ── the prompt ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_at_the_prompt_await_works_and_ctrl_c_clears_the_line_or_ends_what_it_runs(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PAYMENTS_")}
    environ |= {
        "PAYMENTS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "PAYMENTS_SECRET_KEY": "k" * 8 + SECRET,
    }
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "entrypoints.cli", "shell"],
        cwd=tmp_path,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def say(line: str) -> None:
            assert process.stdin is not None
            process.stdin.write(line + "\n")
            process.stdin.flush()

        def hear(words: str) -> None:
            assert process.stdout is not None
            said = ""
            while words not in said:
                read = process.stdout.readline()
                assert read, said
                said += read

        say("def half():")
        say("print(await asyncio.sleep(0, 'one'))")
        hear("Error")  # a body was wanted
        process.send_signal(signal.SIGINT)
        hear("KeyboardInterrupt")
        say("print(await asyncio.sleep(0, 'two'))")
        hear("two")
        say("print('three'); await asyncio.sleep(60)")
        hear("three")
        process.send_signal(signal.SIGINT)
        hear("KeyboardInterrupt")
        say("raise ValueError('four')")
        hear("ValueError: four")
        say("exit()")
        assert process.wait(10) == 0
