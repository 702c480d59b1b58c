"""When what has no answer yet is tried again. An installation may have schedules of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from payments_core.attempt import LOOKUP_SCHEDULE
from payments_core.webhook import RETRY_SCHEDULE

STEPS_MAX: Final = 50
"""Of one schedule. All attempts at a delivery are kept in one row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedules:
    """How long to wait before each step.

    `lookups`: before each look-up of an attempt without an outcome, from the call or look-up before it on; behind the
    last one a person must look. `deliveries`: before each attempt at a webhook, of which the first is made at once.

    Raises ValueError for a schedule without steps, with more than STEPS_MAX, or with one that goes back in time, and
    for one of deliveries whose first step is not 0.
    """

    lookups: Sequence[timedelta] = LOOKUP_SCHEDULE
    deliveries: Sequence[timedelta] = RETRY_SCHEDULE

    def __post_init__(self) -> None:
        for steps in (self.lookups, self.deliveries):
            if not 1 <= len(steps) <= STEPS_MAX or min(steps) < timedelta(0):
                raise ValueError(f"a schedule has from 1 to {STEPS_MAX} steps, none of them negative")
        if self.deliveries[0]:
            raise ValueError("the first attempt at a webhook is made at once: its schedule begins with 0")
