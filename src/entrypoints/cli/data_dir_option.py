"""The option --data-dir: where `up` keeps its data, and where other commands find it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from entrypoints.cli.data_directory import DEFAULT

OF_RUNNING: Final = "Where `payments up` runs; counts where settings don't name the database and the secret key."

Command = TypeVar("Command", bound=Callable[..., Any])


def data_dir_option(about: str = OF_RUNNING) -> Callable[[Command], Command]:
    """Return the option, which gives its command `data_dir`: a Path."""
    return click.option(
        "--data-dir", metavar="DIRECTORY", default=str(DEFAULT), show_default=True, callback=_path, help=about
    )


def _path(_ctx: click.Context, _parameter: click.Parameter, text: str) -> Path:
    """Refuse an empty text, such as an unset variable of a shell gives: as a path it is the current directory."""
    if not text.strip():
        raise click.BadParameter(f"it is empty: name a directory, or leave the option out for {DEFAULT}.")
    return Path(text)
