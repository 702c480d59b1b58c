"""What a history is made of: who asks for what and when, and which faults there are. All of it follows from the seed.

A plan can be made smaller, which is how the trace of a broken rule gets short.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from random import Random
from typing import Final

OPERATIONS_MAX: Final = 9
PAYMENTS_MAX: Final = 4
AMOUNTS_MINOR: Final = (1, 700, 1_000, 99_999)
METHODS: Final = ("approved", "approved", "approved", "declined", "reversed", "reversed", "approved late")
"""What the gateway will decide about a charge, in the end."""


class Fault(StrEnum):
    """Kinds of faults that a history may have, each of which can be left out."""

    KILL = "kill"
    """A process ends between two steps, and another takes its place."""
    STOP = "stop"
    """A process stands still for a while, often for longer than its leases last, and goes on."""
    DRAIN = "drain"
    """A worker is asked to end, and hands its leases back."""
    RING = "ring"
    """Rings of the doorbell are lost, doubled or late."""
    STORE = "store"
    """The store refuses a commit or a read, or does not say whether it committed."""
    ANSWER = "answer"
    """An API's answer is lost on its way to the client."""
    GATEWAY = "gateway"
    """Calls are lost, answers are lost, late, missing or nonsense."""
    RECEIVER = "receiver"
    """Receivers answer 500, hang, are away, or are gone."""
    CLOCK = "clock"
    """Clocks of processes jump."""


class Act(StrEnum):
    """What clients do."""

    PAY = "pay"
    REFUND = "refund"
    CANCEL = "cancel"
    SWITCH = "switch an endpoint off and on"
    REMOVE = "remove an endpoint"
    REPLAY = "replay a window"
    RETRY = "retry a delivery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing that a client does, `at` seconds after the start. `of` is the number of a payment or an endpoint.

    `twin`: the request is sent twice at the same moment, with one key.
    """

    act: Act
    at: float
    of: int
    amount_minor: int = 0
    method: str = "approved"
    twin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A history to be. `rarity` is the mean number of steps between two faults of processes."""

    seed: int
    operations: tuple[Operation, ...]
    faults: frozenset[Fault] = field(default=frozenset(Fault))
    rarity: int
    apis: int
    workers: int
    endpoints: int
    span_seconds: float

    def smaller(self) -> Iterator[Plan]:
        """Return this plan with one thing less each."""
        for fault in sorted(self.faults):
            yield replace(self, faults=self.faults - {fault})
        for index in range(len(self.operations)):
            yield replace(self, operations=self.operations[:index] + self.operations[index + 1 :])
        if self.endpoints:
            yield replace(self, endpoints=self.endpoints - 1)
        if self.workers > 1:
            yield replace(self, workers=self.workers - 1)
        if self.apis > 1:
            yield replace(self, apis=self.apis - 1)


def make_plan(seed: int) -> Plan:
    """Return the plan of a seed."""
    random = Random(f"plan {seed}")
    span = random.choice([0.0, 1.0, 1.0, 60.0, 3_600.0, 6 * 24 * 3_600.0])
    payments = random.randint(1, PAYMENTS_MAX)
    endpoints = random.randint(0, 2)
    pays = [_pay(random, span, number) for number in range(payments)]
    others = [_other(random, span, payments, endpoints) for _ in range(random.randint(0, OPERATIONS_MAX - payments))]
    kinds = list(Fault)
    faults = (
        frozenset(random.sample(kinds, random.randint(0, len(kinds)))) if random.random() < 0.7 else frozenset(Fault)
    )
    return Plan(
        seed=seed,
        operations=(*pays, *others),
        faults=faults,
        rarity=random.choice([50, 200, 200, 800]),
        apis=random.randint(1, 2),
        workers=random.randint(1, 3),
        endpoints=endpoints,
        span_seconds=span,
    )


def _pay(random: Random, span: float, number: int) -> Operation:
    return Operation(
        act=Act.PAY,
        at=random.uniform(0, span),
        of=number,
        amount_minor=random.choice(AMOUNTS_MINOR),
        method=random.choice(METHODS),
        twin=random.random() < 0.2,
    )


def _other(random: Random, span: float, payments: int, endpoints: int) -> Operation:
    of_endpoints = (Act.SWITCH, Act.REMOVE, Act.REPLAY, Act.REPLAY, Act.RETRY, Act.RETRY) if endpoints else ()
    act = random.choice((*[Act.REFUND] * 8, Act.CANCEL, *of_endpoints))
    of_payment = act in (Act.REFUND, Act.CANCEL)
    return Operation(
        act=act,
        at=random.uniform(0, span + 120),
        of=random.randrange(payments if of_payment else endpoints),
        amount_minor=random.choice((0, 1, 300, 500, 700)),
        twin=random.random() < 0.2,
    )
