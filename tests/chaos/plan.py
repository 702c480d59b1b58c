"""The plan of a campaign: what happens to whom and when. It follows from the seed and the numbers alone."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.kinds import (
    API_FAULTS,
    POSTGRES_FAULTS,
    RECEPTIONS,
    REDIS_FAULTS,
    SCRIPTED,
    WORKER_FAULTS,
    Kind,
    payment_method,
)

LEASE_SECONDS: Final = 4
"""The shortest that the service takes."""
APIS: Final = ("api-1", "api-2")
WORKERS: Final = ("worker-1", "worker-2", "worker-3")
POSTGRES: Final = "postgres"
REDIS: Final = "redis"

PLAIN_METHOD: Final = "pm_approve"

# Least and most seconds that a fault lasts.
LASTING: Final[Mapping[Kind, tuple[float, float]]] = {
    Kind.API_STOPPED: (0.2, 3.0),
    Kind.WORKER_STOPPED: (0.2, 2.0),
    Kind.WORKER_PAST_LEASE: (LEASE_SECONDS + 0.5, LEASE_SECONDS + 4.0),
    Kind.REDIS_STOPPED: (0.0, 4.0),
    Kind.REDIS_FROZEN: (0.2, 2.5),
    Kind.POSTGRES_STOPPED: (0.0, 2.0),
    Kind.RECEIVER_REFUSES: (0.5, 4.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A fault of one victim, `at` so many seconds after the beginning or later, lasting `seconds`."""

    kind: Kind
    victim: str
    at: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to happen. `methods` and `receptions` are dealt, each to the first that comes at its moment or later."""

    seed: int
    steps: Sequence[Step]
    methods: Sequence[tuple[float, str]]
    receptions: Sequence[tuple[float, Kind]]

    def lanes(self) -> Mapping[str, Sequence[Step]]:
        """Return each victim's steps in their order: two faults of one victim never overlap."""
        lanes: defaultdict[str, list[Step]] = defaultdict(list)
        for step in sorted(self.steps, key=lambda step: step.at):
            lanes[step.victim].append(step)
        return lanes


def make_plan(seed: int, counts: Mapping[Kind, int], *, seconds: float, receivers: Sequence[str]) -> Plan:
    """Return the plan of a seed: so many faults of each kind, spread at random over so many seconds."""
    chance = random.Random(seed)
    victims: dict[Kind, Sequence[str]] = {
        **dict.fromkeys(API_FAULTS, APIS),
        **dict.fromkeys(WORKER_FAULTS, WORKERS),
        **dict.fromkeys(REDIS_FAULTS, (REDIS,)),
        **dict.fromkeys(POSTGRES_FAULTS, (POSTGRES,)),
        Kind.RECEIVER_REFUSES: receivers,
    }
    steps = [
        Step(
            kind=kind,
            victim=chance.choice(whom),
            at=chance.uniform(0, seconds),
            seconds=chance.uniform(*LASTING.get(kind, (0.0, 0.0))),
        )
        for kind, whom in victims.items()
        for _ in range(counts.get(kind, 0))
    ]

    def dealt(kinds: Iterable[Kind]) -> list[tuple[float, Kind]]:
        return sorted((chance.uniform(0, seconds), kind) for kind in kinds for _ in range(counts.get(kind, 0)))

    methods = [(at, payment_method(kind)) for at, kind in dealt(SCRIPTED)]
    return Plan(seed=seed, steps=steps, methods=methods, receptions=dealt(RECEPTIONS))
