"""The benchmark's own arithmetic: what it would get wrong here, it would report as the service's speed."""

from __future__ import annotations

import json
import math
import shutil
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmark import publishing, wrk
from tests.benchmark.__main__ import chosen
from tests.benchmark.case import Case, Tell
from tests.benchmark.cases import CASES
from tests.benchmark.end_to_end import Left, growth_of, received_rate, waits_of
from tests.benchmark.figures import Figure, Outcome, Target, Verdict, median, share
from tests.benchmark.floor import hidden, read_floor
from tests.benchmark.loader import Load, Loaded
from tests.benchmark.machine import Machine
from tests.benchmark.options import LONG, SHORT, Options, read_options
from tests.benchmark.plot import LEFT, RIGHT, place_of
from tests.benchmark.receiving import Webhook
from tests.benchmark.report import Measured, Run
from tests.benchmark.slow_gateway import steady_rate
from tests.benchmark.world import World

NAMES = [case.name for case in CASES]
LEAST, MOST = Target(least=1000), Target(most=40)


def options_of(*arguments: str) -> Options:
    return read_options(arguments, NAMES)


# ── percentiles and verdicts ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (share(values, 0.5), share(values, 0.99), share(values, 1.0)) == (50, 99, 100)
    assert share([7.0], 0.99) == 7
    assert math.isnan(share([], 0.5))


def test_a_median_is_the_middle_one() -> None:
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 2, 3]) == 2.5
    assert math.isnan(median([]))


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [
        (LEAST, 1000, Verdict.MET),
        (LEAST, 999.9, Verdict.NOT_MET),
        (MOST, 40, Verdict.MET),
        (MOST, 40.1, Verdict.NOT_MET),
        (MOST, math.nan, Verdict.NOT_MET),
        (MOST, math.inf, Verdict.NOT_MET),
        (None, 1, Verdict.NO_TARGET),
    ],
)
def test_a_target_is_met_at_its_bound_and_not_beyond(target: Target | None, value: float, verdict: Verdict) -> None:
    assert Figure(name="figure", value=value, unit="/s", target=target).verdict is verdict


def test_a_case_with_faults_meets_no_target() -> None:
    good = Figure(name="figure", value=2000, unit="/s", target=LEAST)
    assert Outcome(figures=[good]).verdict_of(good) is Verdict.MET
    assert Outcome(figures=[good], faults=["3 errors"]).verdict_of(good) is Verdict.FAILED


def test_a_share_of_the_target_is_above_one_where_it_is_better_on_either_side() -> None:
    assert LEAST.share_of(2000) == 2
    assert MOST.share_of(20) == 2
    assert MOST.share_of(80) == 0.5
    assert MOST.share_of(-1) == math.inf


def test_figures_are_shown_with_their_units() -> None:
    assert Figure(name="rate", value=12345.6, unit="/s", target=LEAST).shown == "12,346/s"
    assert Figure(name="p99", value=39.96, unit="ms", target=MOST, digits=1).shown == "40.0 ms"
    assert Figure(name="p99", value=1, unit="ms", target=MOST, digits=1).target_shown == "≤ 40 ms"
    assert Figure(name="ratio", value=1, unit="x", target=Target(least=0.8), digits=2).target_shown == "≥ 0.80 x"
    assert Figure(name="none", value=math.nan, unit="MB").shown == "not measured"


# ── options ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_long_form_has_all_cases_and_the_numbers_of_the_targets() -> None:
    options = options_of()
    assert chosen(options) == list(CASES)
    assert (options.form, options.connections) == (LONG, 64)
    assert (LONG.stored, LONG.stored_of_one, LONG.depth) == (5_000_000, 1_000_000, 10_000)


def test_the_short_form_leaves_out_the_unit_suite() -> None:
    options = options_of("--short")
    assert options.form == SHORT
    assert [case.name for case in chosen(options)] == [name for name in NAMES if name != "unit"]


def test_only_what_was_asked_for_is_measured() -> None:
    assert [case.name for case in chosen(options_of("--only", "list,pay", "--short"))] == ["pay", "list"]
    assert [case.name for case in chosen(options_of("--only", "unit", "--short"))] == ["unit"]


def test_a_list_is_deep_enough_for_its_page_however_small_the_store() -> None:
    form = options_of("--stored", "10").form
    assert form.stored >= form.stored_of_one >= 2 * form.depth


@pytest.mark.parametrize(
    "arguments",
    [
        ("--only", "pey"),
        ("--only", ","),
        ("--seconds", "0"),
        ("--seconds", "nan"),
        ("--seconds", "1e9"),
        ("--connections", "0"),
        ("--connections", "1001"),
        ("--merchants", "65"),
        ("--rate", "fast"),
        ("--publish", "--short"),
        ("--publish", "--only", "pay"),
    ],
)
def test_options_that_make_no_sense_end_the_program(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        options_of(*arguments)
    assert arguments[0] in capsys.readouterr().err


def test_options_say_how_to_measure_it_again() -> None:
    assert options_of("--only", "pay").command == "uv run nox -s bench -- --only pay"
    assert options_of().command == "uv run nox -s bench"


# ── wrk and pgbench ──────────────────────────────────────────────────────────────────────────────────────────────────

LOAD = Load(port=8000, connections=64, seconds=10, status=201, requests=[['POST "x"\r\nKey: ', "\r\n\r\n{}"]], key="k")
WRK_PRINTED = """\
Running 10s test @ http://127.0.0.1:8000/
Requests/sec:   5003.11
measured: {"answered":50031,"microseconds":10000012,"p50":12100,"p99":31500,"status":31,"socket":0,"timeout":1}
"""
PGBENCH_PRINTED = """\
number of transactions actually processed: 26634
number of failed transactions: 0 (0.000%)
latency average = 24.036 ms
initial connection time = 61.019 ms
tps = 2662.681452 (without initial connection time)
"""


def test_what_wrk_printed_is_read_and_every_error_counts() -> None:
    loaded = wrk.loaded(LOAD, WRK_PRINTED)
    assert loaded.answered == 50_000
    assert loaded.rate == pytest.approx(5000, rel=1e-4)
    assert (loaded.p50, loaded.p99) == (0.0121, 0.0315)
    assert loaded.errors == 32
    assert loaded.unfinished_max == 64


def test_wrk_that_measured_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        wrk.loaded(LOAD, "unable to connect to 127.0.0.1:8000 Connection refused")


def test_the_script_for_wrk_has_the_requests_byte_for_byte(tmp_path: Path) -> None:
    script = wrk.write_script(LOAD, tmp_path).read_text()
    assert r'{"POST \034x\034\013\010Key: ", "\013\010\013\010{}"}' in script
    assert 'local key, sent = "k", 0' in script


def test_what_pgbench_printed_is_read() -> None:
    floor = read_floor(PGBENCH_PRINTED)
    assert floor.rate == pytest.approx(2662.681452)
    assert floor.latency_seconds == pytest.approx(0.024036)


@pytest.mark.parametrize(
    "printed", ["", "pgbench: error: relation does not exist", PGBENCH_PRINTED.replace(": 0 (", ": 3 (")]
)
def test_a_floor_with_failed_transactions_is_none(printed: str) -> None:
    with pytest.raises(ValueError, match="pgbench"):
        read_floor(printed)


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("'plain'", "'plain'"),
        ("'2026-11-28 00:50:00+00'", "'2026-11-28 00:50:00+00'"),
        ("""'{"a":true}'""", r"""E'{"a"\x3Atrue}'"""),
        (r"E'\\x00 :name'", r"E'\\x00 \x3Aname'"),
        ("NULL", "NULL"),
    ],
)
def test_a_literal_has_nothing_that_pgbench_takes_for_a_variable(literal: str, expected: str) -> None:
    assert hidden(literal) == expected


# ── what the outside saw ─────────────────────────────────────────────────────────────────────────────────────────────


def webhook(transaction: str, at: float, type: str = "transaction.succeeded") -> Webhook:
    return Webhook(path="/", type=type, transaction=transaction, at=at)


def test_waits_count_from_the_answer_to_the_first_webhook_and_missing_ones_are_the_longest() -> None:
    loaded = Loaded(
        answered=3,
        seconds=1,
        p50=0,
        p99=0,
        errors=0,
        ids=[("txn_1", 0.0, 1.0), ("txn_2", 0.0, 2.0), ("txn_3", 0.0, 3.0)],
    )
    came = [webhook("txn_1", 0.5, "transaction.created"), webhook("txn_1", 1.5), webhook("txn_1", 9.0)]
    assert waits_of(loaded, [*came, webhook("txn_3", 2.9)]) == [0.0, 0.5, math.inf]


def test_a_rate_is_between_the_first_and_the_last() -> None:
    assert received_rate([10.0, 10.5, 11.0]) == 2
    assert math.isnan(received_rate([10.0]))
    assert math.isnan(received_rate([]))


def test_a_backlog_that_stays_does_not_grow() -> None:
    assert growth_of([Left(at=number, count=100) for number in range(40)]) == 0
    assert growth_of([Left(at=number, count=7 * number) for number in range(40)]) == pytest.approx(7)
    assert math.isnan(growth_of([Left(at=0, count=1)]))


def test_a_steady_rate_leaves_out_the_wait_before_and_the_last_calls() -> None:
    before, end = [(0.0, 0), (4.0, 0)], [(30.0, 10_000), (60.0, 10_000)]
    steady = [(4.0 + number, 500 * number) for number in range(1, 17)]
    rate, seconds = steady_rate([*before, *steady, *end], total=10_000)
    assert rate == pytest.approx(500)
    assert seconds == 15
    assert math.isnan(steady_rate(before, total=10)[0])


def test_a_steady_rate_of_waves_is_their_mean() -> None:
    looks = [(number / 4, 2000 * int(number / 16)) for number in range(16 * 8)]
    rate, _ = steady_rate(looks, total=16_000)
    assert rate == pytest.approx(500, rel=0.06)


# ── plot and page ────────────────────────────────────────────────────────────────────────────────────────────────────


async def _measure(world: World, options: Options, tell: Tell) -> Outcome:
    raise NotImplementedError


def run_of(*figures: Figure, faults: tuple[str, ...] = (), options: Options | None = None) -> Run:
    case = Case(name="pay", what="pay <here>", measure=_measure)
    outcome = Outcome(figures=figures, notes=("64 connections",), faults=faults)
    machine = Machine(
        date="2026-11-28 01:00 UTC",
        commit="abc",
        cores=2,
        processor="Some | Processor",
        memory_gigabytes=23.5,
        kernel="Linux 6",
        python="3.11",
        postgres="18",
        valkey="9",
        busy=0.1,
    )
    return Run(
        machine=machine, options=options or options_of(), measured=[Measured(case=case, outcome=outcome, seconds=1)]
    )


RATE = Figure(name="rate < all", value=2000, unit="/s", target=LEAST)
LATE = Figure(name="p99", value=math.inf, unit="ms", target=MOST)
UNKNOWN = Figure(name="memory", value=math.nan, unit="MB", target=MOST)
FLOOR = Figure(name="pgbench", value=1500, unit="/s")


def test_a_plot_is_well_formed_and_has_a_bar_for_each_figure_with_a_target() -> None:
    root = ElementTree.fromstring(publishing.as_plot(run_of(RATE, LATE, UNKNOWN, FLOOR)))
    bars = [each.get("class") for each in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert bars == ["met", "missed", "missed"]
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "rate < all" in texts
    assert "pgbench" not in texts


def test_a_bar_ends_at_the_edges() -> None:
    middle = (LEFT + RIGHT) / 2
    assert place_of(1) == middle
    assert place_of(2) - middle == pytest.approx(middle - place_of(0.5))
    assert [place_of(share) for share in (1e9, math.inf)] == [RIGHT, RIGHT]
    assert [place_of(share) for share in (1e-9, 0, math.nan)] == [LEFT, LEFT, LEFT]


def test_the_page_names_the_command_and_the_target_of_each_figure() -> None:
    page = publishing.as_page(run_of(RATE, FLOOR, faults=("3 errors",)))
    assert "| rate < all | 2,000/s | ≥ 1,000/s | failed | `uv run nox -s bench -- --only pay` |" in page
    assert "| pgbench | 1,500/s |  |  | `uv run nox -s bench -- --only pay` |" in page
    assert "**`pay` failed:** 3 errors" in page
    assert "`abc`" in page
    assert r"Some \| Processor" in page


def test_results_replace_those_before_and_nothing_else() -> None:
    page = (publishing.DOCS / publishing.PAGE).read_text()
    once = publishing.replaced(page, "first")
    twice = publishing.replaced(once, "second")
    assert once.replace("first", "second") == twice
    assert twice.startswith(page.partition(publishing.BEGIN)[0])
    with pytest.raises(ValueError, match="marks"):
        publishing.replaced("# Another page", "results")


def test_results_are_written_where_they_were_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = tmp_path / "docs"
    shutil.copytree(publishing.DOCS, docs)
    monkeypatch.setattr(publishing, "DOCS", docs)
    quiet = replace(options_of(), out=tmp_path / "out")
    assert [path.parent for path in publishing.write(run_of(RATE, options=quiet))] == [quiet.out] * 2
    loud = replace(quiet, publish=True)
    assert docs / "performance.md" in publishing.write(run_of(RATE, LATE, UNKNOWN, options=loud))
    assert "rate < all" in (docs / "performance.md").read_text()
    found = json.loads((docs / "performance.json").read_text())
    assert [figure["value"] for figure in found["cases"][0]["figures"]] == [2000, None, None]
    assert found["machine"]["commit"] == "abc"
