"""Pages of lists: keyset cursors that are bound to one list of one merchant."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from payments_core.errors import Invalid
from payments_core.values import Json, canonical_json

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

LIMIT_MAX: Final = 100
LIMIT_DEFAULT: Final = 20
CURSOR_LENGTH_MAX: Final = 300
_BINDING_BYTES: Final = 9
IDS: Final = re.compile(r"[a-z]{3}_[0-9A-Z]{26}")
POSITIONS: Final = re.compile(r"[0-9]{1,18}")
RECORDS: Final = re.compile(r"[0-9]{1,17}-[0-9a-f]{32}")
"""What the keys of a list look like: ids, the positions of events, or idempotency records over all merchants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where to read on: behind `key` in the list's order, or before it where `backwards`.

    The key is like those that the list's slices give, which `read_cursor` sees to: a store takes it as it is.
    """

    key: str
    backwards: bool = False


END: Final = Position(key="9" * 18, backwards=True)
"""Behind all events that there will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Generic[T_co]):
    """What a store found: items in the list's order, and the keys to read on from (None: the list ends there)."""

    items: Sequence[T_co]
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """A page of a list with the cursors of its neighbours, and the merchant's revision at which it was read.

    `stopped_at` is the key up to which was looked, in the page's direction, where that ended before the page was full:
    a filter without an index looks at so many things and no more. None: all was looked at that the page has room for.
    """

    items: Sequence[T]
    next: str | None
    previous: str | None
    revision: int
    stopped_at: str | None = None


def _binding(bound_to: Json) -> str:
    digest = hashlib.blake2b(canonical_json(bound_to), digest_size=_BINDING_BYTES).digest()
    return base64.urlsafe_b64encode(digest).decode()


def write_cursor(position: Position, bound_to: Json) -> str:
    """Return the cursor for a position in the list that `bound_to` describes (merchant, mode, list, filters)."""
    text = json.dumps([position.key, int(position.backwards), _binding(bound_to)], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str, bound_to: Json, *, keys: re.Pattern[str]) -> Position:
    """Return the position of a cursor; raise Invalid where it is malformed or belongs to another list.

    The binding keeps lists apart and is no secret: that the key is one of the list's `keys` is checked as well.
    """
    try:
        if len(cursor) > CURSOR_LENGTH_MAX:
            raise _bad_cursor()
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        match json.loads(base64.b64decode(padded, altchars=b"-_", validate=True)):
            case [str(key), (0 | 1) as backwards, str(binding)] if binding == _binding(bound_to) and keys.fullmatch(
                key
            ):
                return Position(key=key, backwards=bool(backwards))
            case _:
                raise _bad_cursor()
    except (ValueError, binascii.Error, RecursionError):
        raise _bad_cursor() from None


def _bad_cursor() -> Invalid:
    return Invalid.field(
        "cursor",
        "invalid_cursor",
        "This cursor is not one of this list with these filters; start without one.",
    )
