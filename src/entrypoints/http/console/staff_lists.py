"""Where one is in a list of the staff's: their keys are in the address as they are, and looked at before use."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from entrypoints.http.console.visits import Visit
from entrypoints.http.problems import Refusal
from payments_core.describe import JsonObject
from payments_core.errors import Invalid
from payments_core.ids import MerchantId
from payments_core.page import IDS, Position, Slice
from payments_core.ports import Window

T = TypeVar("T")

SHOWN: Final = 50
BY_MERCHANT: Final = re.compile(rf"{IDS.pattern}/{IDS.pattern}")
"""Keys of lists that go by merchant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a page shows of a list, and the keys of its neighbours."""

    items: Sequence[JsonObject]
    before: str | None
    after: str | None


def window_of(visit: Visit, keys: re.Pattern[str] = IDS) -> Window:
    """Return which part of a list the address asks for. Raises Refusal (`bad_request`): no field says where one is."""
    for name, backwards in (("after", False), ("before", True)):
        key = visit.query.get(name)
        if key is not None:
            if keys.fullmatch(key) is None:
                raise Refusal("bad_request", f"{name}: this is no place in this list. Start without one.")
            return Window(limit=SHOWN, position=Position(key=key, backwards=backwards))
    return Window(limit=SHOWN)


def part_of(found: Slice[T], describe_one: Callable[[T], JsonObject]) -> Part:
    """Return a slice as a page shows it."""
    return Part(items=[describe_one(item) for item in found.items], before=found.before, after=found.after)


def merchant_of(visit: Visit) -> MerchantId | None:
    """Return the merchant that the list is narrowed to. Raises Invalid."""
    text = visit.query.get("merchant")
    if text is None:
        return None
    if IDS.fullmatch(text) is None:
        raise Invalid.field("merchant", "malformed", "Must be the id of a merchant, such as `mer_` and 26 characters.")
    return MerchantId(text)
