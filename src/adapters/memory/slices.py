"""Slices of lists in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from payments_core.page import Slice
from payments_core.ports import Window

V = TypeVar("V")


def cut(rows: Iterable[V], window: Window, key: Callable[[V], str]) -> Slice[V]:
    """Make a slice of the rows that follow the position in reading order; one more than asked for tells the end."""
    found = list(islice(rows, window.limit + 1))
    more, items = len(found) > window.limit, found[: window.limit]
    if window.position is not None and window.position.backwards:
        items.reverse()
        before, after = more, True
    else:
        before, after = window.position is not None, more
    return Slice(
        items=items,
        before=key(items[0]) if items and before else None,
        after=key(items[-1]) if items and after else None,
    )
