"""What counts for and against the score of the mutation tests."""

from __future__ import annotations

import pytest

from tests.mutation_score import killed_percent, score, table

RESULTS = (
    "    payments_core.money.x_currency__mutmut_1: killed",
    "    payments_core.money.xǁMoneyǁparse__mutmut_1: killed",
    "    payments_core.money.xǁMoneyǁ__add____mutmut_2: survived",
    "    adapters.http.guard.x__final__mutmut_1: no tests",
    "    adapters.http.guard.x__final__mutmut_2: timeout",
    "    adapters.http.guard.x__final__mutmut_3: not checked",
    "    adapters.http.guard.x__final__mutmut_4: killed",
    "",
)


def test_mutants_are_counted_by_file() -> None:
    assert score(RESULTS) == {
        "src/payments_core/money.py": {"killed": 2, "survived": 1},
        "src/adapters/http/guard.py": {"no tests": 1, "timeout": 1, "not checked": 1, "killed": 1},
    }


def test_what_no_test_reached_or_finished_counts_as_if_it_had_survived() -> None:
    assert killed_percent(score(RESULTS)["src/adapters/http/guard.py"]) == pytest.approx(25)


def test_a_run_without_a_mutant_has_shown_nothing() -> None:
    assert score(["", "no mutants"]) == {}
    assert table({}).splitlines()[-1] == "| all | 0 | 0 | 0 | 0 | 0 | 0 | 0.0 % |"


def test_the_table_has_a_line_for_each_file_and_one_for_all() -> None:
    assert table(score(RESULTS)).splitlines()[2:] == [
        "| `src/adapters/http/guard.py` | 4 | 1 | 0 | 1 | 1 | 1 | 25.0 % |",
        "| `src/payments_core/money.py` | 3 | 2 | 1 | 0 | 0 | 0 | 66.7 % |",
        "| all | 7 | 3 | 1 | 1 | 1 | 1 | 42.9 % |",
    ]
