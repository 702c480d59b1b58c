"""The core over the memory store lives through histories that seeds decide, and keeps every rule in each of them."""

from collections.abc import Callable

import pytest

from tests.simulation.history import run_history
from tests.simulation.plan import Fault, make_plan
from tests.simulation.rules import RULES
from tests.simulation.shrink import told


def test_every_rule_holds_in_every_history(
    seeds: range, record_property: Callable[[str, object], None], request: pytest.FixtureRequest
) -> None:
    steps = 0
    for seed in seeds:
        result = run_history(make_plan(seed))
        steps += result.steps
        if result.breaches:
            pytest.fail(told(result), pytrace=False)
        if request.config.getoption("--seed") is not None:
            record_property("trace", "\n".join(result.trace))
    record_property("histories", len(seeds))
    record_property("steps", steps)


def test_one_plan_has_one_history() -> None:
    for seed in range(20):
        first, again = run_history(make_plan(seed)), run_history(make_plan(seed))
        assert first.trace == again.trace
        assert (first.steps, first.breaches) == (again.steps, again.breaches)


def test_the_plans_have_every_fault_and_many_shapes() -> None:
    plans = [make_plan(seed) for seed in range(200)]
    assert {fault for plan in plans for fault in plan.faults} == set(Fault)
    assert any(not plan.faults for plan in plans)
    assert {(plan.apis, plan.workers, plan.endpoints) for plan in plans} == {
        (apis, workers, endpoints) for apis in (1, 2) for workers in (1, 2, 3) for endpoints in (0, 1, 2)
    }
    assert len(RULES) == len({rule.__name__ for rule in RULES})
