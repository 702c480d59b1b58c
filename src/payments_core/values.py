"""Plain values: what JSON can say, how it is written, and how times look in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Final, TypeAlias

Json: TypeAlias = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]

Encode = Callable[[Json], bytes]
"""Write plain values as compact UTF-8 JSON, keys in the order given."""


def encode_json(value: Json) -> bytes:
    """Write plain values as compact UTF-8 JSON with the standard library."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def canonical_json(value: Json) -> bytes:
    """Write plain values so that equal values give equal bytes: keys sorted, no blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, sort_keys=True).encode()


def format_time(at: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds and `Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Unset(Enum):
    """The type of UNSET, a field that was not given where None is a value."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
