"""The plan of a fault campaign: the seed decides it, and it has the faults that were asked for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.decks import Deck
from tests.chaos.kinds import KILLS, RECEPTIONS, REDIS_FAULTS, SCRIPTED, Kind, payment_method
from tests.chaos.options import read_options
from tests.chaos.plan import LASTING, LEASE_SECONDS, Plan, make_plan

RECEIVERS = ("shop-1", "shop-2")


def plan_of(*arguments: str) -> Plan:
    options = read_options(arguments)
    return make_plan(options.seed, options.counts, seconds=options.form.minutes * 60, receivers=RECEIVERS)


def test_a_seed_decides_the_whole_plan() -> None:
    assert plan_of("--seed", "7") == plan_of("--seed", "7")
    assert plan_of("--seed", "7") != plan_of("--seed", "8")


@pytest.mark.parametrize("form", [(), ("--long",)])
def test_a_plan_has_each_kind_of_fault_as_often_as_it_is_counted(form: tuple[str, ...]) -> None:
    counts, plan = read_options(form).counts, plan_of(*form)
    planned = Counter(step.kind for step in plan.steps) + Counter(kind for _, kind in plan.receptions)
    methods = Counter(method for _, method in plan.methods)
    planned += Counter({kind: methods[payment_method(kind)] for kind in SCRIPTED})
    assert planned == counts
    assert all(counts[kind] for kind in Kind)


def test_the_long_form_has_the_numbers_of_the_targets() -> None:
    counts = read_options(["--long"]).counts
    assert sum(counts.values()) >= 10_000
    assert sum(counts[kind] for kind in KILLS) >= 500
    assert counts[Kind.REDIS_FLUSHED] + counts[Kind.REDIS_STOPPED] >= 100
    assert counts[Kind.POSTGRES_STOPPED] >= 50


def test_each_number_is_an_option() -> None:
    numbers = "--faults 100 --kills 10 --redis-faults 6 --postgres-stops 1 --clients 2 --minutes 0.5"
    options = read_options([*numbers.split(), "--report", "other.md"])
    counts = options.counts
    assert sum(counts.values()) == 100
    assert sum(counts[kind] for kind in KILLS) == 10
    assert sum(counts[kind] for kind in REDIS_FAULTS) == 6
    assert counts[Kind.POSTGRES_STOPPED] == 1
    assert (options.form.clients, options.form.minutes, options.report) == (2, 0.5, Path("other.md"))
    assert min(counts[kind] for kind in (*RECEPTIONS, *SCRIPTED)) > 0


def test_fewer_faults_are_fewer_of_each_kind() -> None:
    whole, half = read_options(["--long"]).counts, read_options(["--long", "--faults", "5200"]).counts
    assert sum(half.values()) == 5200
    assert all(abs(half[kind] - whole[kind] / 2) <= 1 for kind in Kind)


@pytest.mark.parametrize("wrong", [["--minutes", "0"], ["--minutes", "soon"], ["--kills", "-1"], ["--fault", "3"]])
def test_an_option_that_makes_no_sense_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_options(wrong)
    assert "error:" in capsys.readouterr().err


def test_each_victim_meets_its_faults_in_the_order_of_their_moments() -> None:
    lanes = plan_of().lanes()
    for steps in lanes.values():
        assert [step.at for step in steps] == sorted(step.at for step in steps)
    assert sum(map(len, lanes.values())) == len(plan_of().steps)


def test_a_worker_that_is_stopped_past_its_lease_is_stopped_for_longer_than_that() -> None:
    assert LASTING[Kind.WORKER_PAST_LEASE][0] > LEASE_SECONDS


def test_a_deck_deals_each_card_once_and_none_before_its_moment() -> None:
    now = 100.0
    deck = Deck([(1.0, "first"), (1.5, "second"), (9.0, "last")], clock=lambda: now)
    assert deck.deal() is None
    deck.begin()
    assert deck.deal() is None
    now += 2.0
    assert [deck.deal() for _ in range(3)] == ["first", "second", None]
    now += 7.0
    assert [deck.deal() for _ in range(2)] == ["last", None]
