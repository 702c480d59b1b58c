"""Plain values: what JSON can say, how it is written, and how times look in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from string import ascii_lowercase, ascii_uppercase
from typing import Final, TypeAlias

Json: TypeAlias = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]

Encode = Callable[[Json], bytes]
"""Write plain values as compact UTF-8 JSON, keys in the order given."""


# Made once: `json.dumps` makes one for each call.
_write: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_write_sorted: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, sort_keys=True
).encode


def encode_json(value: Json) -> bytes:
    """Write plain values as compact UTF-8 JSON with the standard library."""
    return _write(value).encode()


def canonical_text(value: Json) -> str:
    """Write plain values so that equal values give equal texts: keys sorted, no blanks."""
    return _write_sorted(value)


def canonical_json(value: Json) -> bytes:
    """Return `canonical_text` in UTF-8."""
    return canonical_text(value).encode()


def format_time(at: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds and `Z`."""
    # Several times as fast as strftime; what is cut off is "+00:00".
    return f"{at.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"


_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


def lower_ascii(text: str) -> str:
    """Return the text with A to Z in lower case and everything else as it is: the same in every store."""
    return text.translate(_LOWER)


class Unset(Enum):
    """The type of UNSET, a field that was not given where None is a value."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
