"""What a merchant sees at a glance beside the totals: what waits, and how the endpoints are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from payments_core.webhook import DeliveryStatus, Endpoint

COUNT_MAX: Final = 1_000
"""Where counts end: this many stands for so many or more."""
LOOKED_AT_MAX: Final = 10_000
"""How many of a merchant's jobs, the oldest first, and of its attempts that need review are looked at."""
LATELY: Final = timedelta(hours=24)
FAILURES_LOOKED_AT_MAX: Final = 1_000
"""How many of an endpoint's deliveries that ended without success, the latest events' first, are looked at."""
DELIVERIES_LOOKED_AT_MAX: Final = 100
"""How many of an endpoint's deliveries, the latest events' first, are looked at for one that arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits in one mode of a merchant, each count up to COUNT_MAX.

    `due`: its time has come, and a worker has it or will take it next. `later`: put off, by a failure or until a
    look-up. Dead jobs and attempts in review wait for a person of the staff. Where more than LOOKED_AT_MAX wait, in
    both modes together, the counts of jobs and attempts are of those that were looked at, and `is_whole` is false.
    """

    payments_due: int
    payments_later: int
    refunds_due: int
    refunds_later: int
    dead_jobs: int
    attempts_in_review: int
    deliveries_due: int
    deliveries_later: int
    is_whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestDelivery:
    """The delivery of the latest event that an endpoint was or will be sent, and when it last changed."""

    status: DeliveryStatus
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointHealth:
    """How an endpoint is.

    `pending` counts its deliveries that are due or put off, up to COUNT_MAX. `exhausted_lately` counts those that used
    their whole schedule within LATELY, among the latest FAILURES_LOOKED_AT_MAX that ended without success.
    `last_success_at` is of the latest DELIVERIES_LOOKED_AT_MAX: None where none of these arrived.
    """

    endpoint: Endpoint
    pending: int
    exhausted_lately: int
    latest: LatestDelivery | None
    last_success_at: datetime | None

    @property
    def in_trouble(self) -> bool:
        """Say whether somebody should look at it.

        It has only failed since `failing_since`, whether it is still tried, was disabled for that by us
        (`DISABLED_AFTER`) or by its merchant meanwhile; or it is enabled and lost a delivery for good within LATELY.
        One that its merchant disabled while it was well is not in trouble.
        """
        return self.endpoint.failing_since is not None or (self.endpoint.enabled and self.exhausted_lately > 0)
