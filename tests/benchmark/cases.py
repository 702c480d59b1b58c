"""All cases, in the order of the targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.benchmark.case import Case
from tests.benchmark.console import CONSOLE
from tests.benchmark.deliveries import DELIVERIES, ONE_HANGS
from tests.benchmark.depth import DEPTH
from tests.benchmark.end_to_end import END_TO_END, END_TO_END_ONE
from tests.benchmark.memory import MEMORY
from tests.benchmark.pay import PAY, PAY_ONE
from tests.benchmark.pay_full import PAY_FULL
from tests.benchmark.reads import LIST_CASE, ONE_CASE
from tests.benchmark.slow_gateway import SLOW_GATEWAY
from tests.benchmark.starting import UNIT_CASE, UP_CASE

CASES: Final[Sequence[Case]] = (
    PAY,
    PAY_ONE,
    PAY_FULL,
    LIST_CASE,
    DEPTH,
    ONE_CASE,
    CONSOLE,
    END_TO_END,
    END_TO_END_ONE,
    SLOW_GATEWAY,
    DELIVERIES,
    ONE_HANGS,
    MEMORY,
    UP_CASE,
    UNIT_CASE,
)
