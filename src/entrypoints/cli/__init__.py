"""The command `payments`. Each command is a module, which imports what is heavy only when it runs."""

from __future__ import annotations

import importlib.util
import sys
from typing import Final

INSTALL: Final = 'in the clone of payments-core: pip install ".[server,embedded]"'
"""By path: on an index anybody could have the name."""
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells have it."""


def main() -> None:
    """Run the command line of this process; the console script `payments`."""
    try:
        _run()
    except KeyboardInterrupt:  # while the command was still loading
        sys.exit(INTERRUPTED)


def _run() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal that knows no ✓ gets a ?
    if importlib.util.find_spec("click") is None:
        sys.exit(f"Error: The command needs packages that are not installed: {INSTALL}")
    from entrypoints.cli.app import payments
    from entrypoints.cli.signals import end_process

    try:
        payments()
    except SystemExit as ended:
        if isinstance(ended.code, str):
            raise  # which the interpreter prints
        end_process(int(ended.code or 0))
