"""`payments shell`: Python with the facade at hand, and `await` at the prompt."""

from __future__ import annotations

import ast
import asyncio
import code
import contextlib
import importlib
import inspect
import signal
import threading
import traceback
from collections.abc import Coroutine, Generator
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from entrypoints.cli.data_dir_option import data_dir_option
from entrypoints.cli.errors import Stopped
from payments_core.errors import PaymentsError

if TYPE_CHECKING:
    from entrypoints.services import Services
    from entrypoints.settings import Settings

T = TypeVar("T")

CLOSE_SECONDS: Final = 4.0
BANNER: Final = "payments, services, Caller, Pay, …; await works; Ctrl-C clears the line, Ctrl-D ends."

EXAMPLE: Final = """\b
Example:
  payments shell -c 'print(await services.vital["store"]() or "the store answers")'
  payments shell
  >>> caller = Caller(merchant="mer_…")
  >>> (await payments.make_payment_key(caller)).json
"""


@click.command(short_help="An async Python prompt with the facade at hand.", epilog=EXAMPLE)
@click.option("-c", "--code", "source", help="Run this and end.")
@data_dir_option()
def shell(source: str | None, data_dir: Path) -> None:
    """Open a Python prompt with `payments` (the facade), `services` and the names of payments_core; `await` works.

    Whoever sits here is trusted with every merchant: a Caller needs no credential.
    """
    from entrypoints.cli.command_settings import settings_of_running
    from entrypoints.cli.signals import run

    settings = settings_of_running(data_dir)
    if source is None:
        _interact(settings)
    else:
        run(_run(settings, _compiled(source)))


async def _run(settings: Settings, compiled: CodeType) -> None:
    from entrypoints.wiring import wire

    async with wire(settings) as services:
        await _note(services)
        await _execute(compiled, _names(services))


async def _note(services: Services) -> None:
    """Keep in the audit log who opened a shell, or say that it could not be: a shell may be what mends the store."""
    from entrypoints.cli.staff import staff_of
    from payments_core.audit import Action

    why = await services.vital["store"]() or await services.vital["migrations"]()
    if why is None:
        await staff_of(services).note(Action.SHELL_OPENED)
    else:
        click.echo(f"Not in the audit log: {why}", err=True)


def _names(services: Services) -> dict[str, Any]:
    import payments_core

    names: dict[str, Any] = {name: getattr(payments_core, name) for name in payments_core.__all__}
    return names | {"asyncio": asyncio, "payments": services.payments, "services": services}


def _compiled(source: str) -> CodeType:
    try:
        compiled: CodeType = compile(source, "<payments shell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError as error:
        raise click.UsageError(f"The code does not parse: {error}") from None
    return compiled


async def _execute(compiled: CodeType, names: dict[str, Any]) -> None:
    result = FunctionType(compiled, names)()
    if inspect.isawaitable(result):
        await result


def _interact(settings: Settings) -> None:
    """Have the prompt in this thread, which alone hears Ctrl-C, and what its lines do in an event loop beside it."""
    from entrypoints.wiring import wire

    with contextlib.suppress(ImportError):
        importlib.import_module("readline")  # history and editing at the prompt, where the system has it
    signal.signal(signal.SIGTERM, _stop)
    with _event_loop() as loop:
        opened = contextlib.AsyncExitStack()
        services = _in(loop, opened.enter_async_context(wire(settings)))
        try:
            _in(loop, _note(services))
            _Prompt(_names(services), loop).interact(banner=BANNER, exitmsg="")
        except SystemExit:
            pass  # `exit()` ends the prompt, and not without closing
        finally:
            _in(loop, opened.aclose(), within_seconds=CLOSE_SECONDS)


class _Prompt(code.InteractiveConsole):
    """A prompt whose lines run in another thread's event loop."""

    def __init__(self, names: dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(names)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._names = names
        self._loop = loop

    def runcode(self, code: CodeType) -> None:
        """Run one input and show its failure as the plain prompt does, a refusal in a line; Ctrl-C cancels it."""
        try:
            error = _in(self._loop, self._outcome(code))
            if error is not None:
                raise error
        except (SystemExit, Stopped):
            raise
        except PaymentsError as refusal:  # an answer like any other: where it was raised tells nothing
            self.write("".join(traceback.format_exception_only(refusal)))
        except BaseException:
            self.showtraceback()

    async def _outcome(self, code: CodeType) -> BaseException | None:
        """Return what was raised: an `exit()` that is raised in a task would end the loop with it."""
        try:
            await _execute(code, self._names)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            return error
        return None


def _in(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], *, within_seconds: float | None = None) -> T:
    """Run the work in the other thread's loop and return what it gives; cancel it where this wait is broken off."""
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result(within_seconds)
    except BaseException:
        future.cancel()
        raise


@contextlib.contextmanager
def _event_loop() -> Generator[asyncio.AbstractEventLoop, None, None]:
    """Have an event loop run in a thread while the block runs."""
    from entrypoints.cli.signals import loop_factory

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=loop.run_forever, name="shell", daemon=True)
        thread.start()
        try:
            yield loop
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(number)
