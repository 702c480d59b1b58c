"""A `.env` file, read strictly: what doesn't parse is refused, as it may hide the settings behind it."""

from __future__ import annotations

import io
import re
from pathlib import Path

from dotenv.parser import Binding, parse_stream


def read_env_file(path: Path, *, prefix: str) -> dict[str, str]:
    """Return what the file sets; nothing where there is none. No value refers to another.

    Raises ValueError, which shows nothing of the file, with the first line that doesn't parse or that hides a name with
    our prefix; OSError.
    """
    if not path.is_file():
        return {}
    written = path.read_bytes()
    try:
        text = written.decode()
    except UnicodeDecodeError as error:
        line = written.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: is not UTF-8: save the file in that encoding") from None
    given: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text, newline=None)):
        if binding.error or _hides(binding, prefix):
            raise ValueError(f"{path}, line {_line_of(binding)}: is not NAME=value, or a quote is not closed")
        if binding.key is not None and binding.value is not None:
            given[binding.key] = binding.value
    return given


def _hides(binding: Binding, prefix: str) -> bool:
    """Whether a setting of ours is lost in it: in several lines that one quote holds together, or without its `=`."""
    statement = binding.original.string.strip()
    ours = re.search(rf"^\s*(export\s+)?{prefix}", statement, re.MULTILINE) is not None
    return ours and ("\n" in statement or binding.value is None)


def _line_of(binding: Binding) -> int:
    """Where it begins; what the parser calls so is the first of the blank lines above."""
    string = binding.original.string
    blank = string[: len(string) - len(string.lstrip())]
    return binding.original.line + blank.count("\n")
