"""How long payments took from their acceptance to their outcome, as the outside saw it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.evidence import Action, Evidence
from tests.chaos.judge import Verdict
from tests.chaos.plan import PLAIN_METHOD

OUTCOMES: Final = frozenset({"transaction.succeeded", "transaction.failed", "transaction.canceled"})
P99_SECONDS_MAX: Final = 5.0
"""With Redis away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Seconds from the 201 that a client got to the first webhook that told the outcome, in order.

    `slowest` is the payment that took longest.
    """

    seconds: Sequence[float]
    slowest: str

    def share(self, share: float) -> float:
        """Return the seconds that this share of payments took at most; not a number where there are none."""
        if not self.seconds:
            return math.nan
        return self.seconds[max(0, math.ceil(len(self.seconds) * share) - 1)]


def waits(evidence: Evidence, *, since: float = -math.inf, until: float = math.inf) -> Waits:
    """Return the waits of payments without a fault of the gateway that were accepted in a span of time."""
    told: dict[str, float] = {}
    for got in evidence.received.values():
        if got.type in OUTCOMES and got.transaction is not None:
            told[got.transaction] = min(got.first_at, told.get(got.transaction, math.inf))
    took: list[tuple[float, str]] = []
    for ask in evidence.asks:
        is_plain = ask.action is Action.PAY and ask.method == PLAIN_METHOD
        if is_plain and ask.made is not None and ask.told_at is not None and since <= ask.told_at < until:
            took.append((max(0.0, told.get(ask.made, math.inf) - ask.told_at), ask.made))
    took.sort()
    return Waits(seconds=[seconds for seconds, _ in took], slowest=took[-1][1] if took else "none")


def verdicts_on_redis_away(evidence: Evidence, since: float, until: float) -> list[Verdict]:
    """Return what has to hold while Redis is away: nothing is refused or doubtful, and outcomes come soon."""
    asked = [ask for ask in evidence.asks if since <= ask.asked_at < until]
    refused = [ask.key for ask in asked if ask.doubts or ask.unexpected]
    took = waits(evidence, since=since, until=until)
    late = took.share(0.99)
    return [
        Verdict(rule="With Redis away, everything is accepted", looked_at=len(asked), broken=refused),
        Verdict(
            rule=f"With Redis away, outcomes come within {P99_SECONDS_MAX:.0f} s (p99)",
            looked_at=len(took.seconds),
            broken=[] if late <= P99_SECONDS_MAX else [f"p99: {late:.2f} s"],
        ),
    ]
