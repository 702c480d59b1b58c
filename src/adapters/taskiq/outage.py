"""What to say and how long to pause while Redis is away."""

import logging
import random
from typing import Final, final

PAUSE_FIRST_SECONDS: Final = 0.05
PAUSE_MAX_SECONDS: Final = 1.0
"""No longer than a sweeper's own period: a bell that is back later than that is of no use."""

logger = logging.getLogger(__name__)


@final
class Outage:
    """One stretch of failures: said once when it begins and once when it ends, with growing pauses within."""

    def __init__(self, activity: str) -> None:
        """Name what is failing, as the log shall call it."""
        self._activity = activity
        self._pause_seconds = 0.0

    @property
    def trouble(self) -> str | None:
        """What is failing now, or None."""
        return f"{self._activity} fails" if self._pause_seconds else None

    def failed(self, error: BaseException) -> float:
        """Note one more failure and return the seconds to pause before the next try.

        The pause doubles up to PAUSE_MAX_SECONDS; half of it is random, so that the processes which lost
        the same Redis do not all come back in the same moment.
        """
        if not self._pause_seconds:
            logger.warning("%s fails; work is found by looking instead: %r", self._activity, error)
        self._pause_seconds = min(max(self._pause_seconds * 2, PAUSE_FIRST_SECONDS), PAUSE_MAX_SECONDS)
        return self._pause_seconds * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing

    def ended(self) -> None:
        """Note a success."""
        if self._pause_seconds:
            logger.info("%s works again", self._activity)
            self._pause_seconds = 0.0
