"""The simulation finds bugs: each of these defects breaks a rule in one of the first histories."""

from collections.abc import Callable

import pytest

from tests.simulation.history import run_history
from tests.simulation.mutant import Mutant
from tests.simulation.mutants import MUTANTS
from tests.simulation.plan import make_plan

HISTORIES_MAX = 2_000
"""In which a mutant has to be caught. Most are in the first ten."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(mutant: Mutant, record_property: Callable[[str, object], None]) -> None:
    with mutant.patch():
        for seed in range(HISTORIES_MAX):
            breaches = run_history(make_plan(seed)).breaches
            if breaches:
                record_property("mutant", f"caught: {mutant.name} (seed {seed}: {breaches[0].rule})")
                return
    pytest.fail(f"{HISTORIES_MAX} histories keep every rule though {mutant.name}")
