"""All cases, in the order of the targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.benchmark.case import Case
from tests.benchmark.depth import DEPTH
from tests.benchmark.end_to_end import END_TO_END, END_TO_END_ONE
from tests.benchmark.pay import PAY, PAY_ONE
from tests.benchmark.reads import LIST_CASE, ONE_CASE

CASES: Final[Sequence[Case]] = (PAY, PAY_ONE, LIST_CASE, DEPTH, ONE_CASE, END_TO_END, END_TO_END_ONE)
