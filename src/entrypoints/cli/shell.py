"""`payments shell`: Python with the facade at hand, and `await` at the prompt."""

from __future__ import annotations

import ast
import asyncio
import code
import contextlib
import importlib
import inspect
import threading
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final

import click

from entrypoints.cli.data_directory import DEFAULT

if TYPE_CHECKING:
    from entrypoints.settings import Settings


EXAMPLE: Final = """\b
Example:
  payments shell -c 'print(await services.vital["store"]() or "the store answers")'
  payments shell
  >>> caller = Caller(merchant="mer_…")
  >>> (await payments.make_payment_key(caller)).json
"""


@click.command(short_help="An async Python prompt with the facade at hand.", epilog=EXAMPLE)
@click.option("-c", "--code", "source", help="Run this and end.")
@click.option(
    "--data-dir",
    default=DEFAULT,
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where `payments up` runs; counts where PAYMENTS_DATABASE_URL is not set.",
)
def shell(source: str | None, data_dir: Path) -> None:
    """Open a Python prompt with `payments` (the facade), `services` and the names of payments_core; `await` works.

    Whoever sits here is trusted with every merchant: a Caller needs no credential.
    """
    from entrypoints.cli.configuration import settings_of_running
    from entrypoints.cli.running import run

    run(_shell(settings_of_running(data_dir), source))


async def _shell(settings: Settings, source: str | None) -> None:
    import payments_core
    from entrypoints.wiring import wire

    async with wire(settings) as services:
        names: dict[str, Any] = {name: getattr(payments_core, name) for name in payments_core.__all__}
        names |= {"asyncio": asyncio, "payments": services.payments, "services": services}
        if source is None:
            await _interact(names)
        else:
            await _execute(_compiled(source), names)


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


class _Prompt(code.InteractiveConsole):
    """A prompt in a thread, whose lines run in the event loop: as `python -m asyncio` does it."""

    def __init__(self, names: dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(names)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._names = names
        self._loop = loop

    def runcode(self, code: CodeType) -> None:
        """Run one input and show its failure, as the plain prompt does."""
        try:
            asyncio.run_coroutine_threadsafe(_execute(code, self._names), self._loop).result()
        except SystemExit:
            raise
        except BaseException:
            self.showtraceback()


async def _interact(names: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    prompt = _Prompt(names, loop)

    def interact() -> None:
        with contextlib.suppress(ImportError):
            importlib.import_module("readline")  # history and editing at the prompt, where the system has it
        with contextlib.suppress(SystemExit):
            prompt.interact(banner="payments, services, Caller, Pay, …; await works; Ctrl-D ends.", exitmsg="")
        loop.call_soon_threadsafe(ended.set)

    # A daemon: a prompt that waits for a line can't be told to end.
    threading.Thread(target=interact, name="prompt", daemon=True).start()
    await ended.wait()
