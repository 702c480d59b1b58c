"""The garbage collector in a process that serves for long."""

from __future__ import annotations

import gc
from typing import Final

OBJECTS_BETWEEN_LOOKS: Final = 5_000
"""How many objects may come and stay before the youngest are looked through: a request makes some hundred, and more of
them would be more memory."""
LOOKS_BETWEEN: Final = 10
"""How many looks at the younger ones there are for each at the older ones."""


def spare_what_is_loaded() -> None:
    """Leave what was made until now, which is there to stay, out of every later collection.

    Modules, models and compiled statements are several hundred thousand objects. Walking them again and again takes a
    quarter of the processor time of a busy API process (docs/performance.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_LOOKS, LOOKS_BETWEEN, LOOKS_BETWEEN)
