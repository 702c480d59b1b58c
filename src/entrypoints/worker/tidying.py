"""The loop that removes what has expired, beside a worker's other work."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from datetime import timedelta
from typing import Final

from payments_core.errors import Unavailable
from payments_core.ports import Clock, Leftovers
from payments_core.use_cases.remove_leftovers import remove_leftovers

TIDIED_EVERY: Final = timedelta(seconds=60)
JITTER: Final = 0.2
REST: Final = 9.0
"""Times as long as a removal took is the rest behind it while there is more: a tenth of the time of one connection."""
REST_SECONDS_MIN: Final = 0.05

_log = logging.getLogger(__name__)


async def tidy(leftovers: Leftovers, clock: Clock, *, every: timedelta = TIDIED_EVERY) -> None:
    """Remove what has expired, a little at a time, until cancelled; each worker does, and none has to."""
    while True:
        began = time.monotonic()
        more = False
        try:
            more = await remove_leftovers(leftovers, at=clock.now())
        except Unavailable as error:
            # The sweeper says what there is to say.
            _log.debug("nothing was removed: %s", error.message)
        except Exception:
            _log.exception("removing what has expired failed")
        took = time.monotonic() - began
        rest = max(REST * took, REST_SECONDS_MIN) if more else every.total_seconds()
        # Workers that started together do not all come at once.
        await asyncio.sleep(rest * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - spreads load
