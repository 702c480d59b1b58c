"""Charts: where their bars are, and what is said of them."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest

from entrypoints.http.console.charts import HEIGHT, buckets, side_by_side, stacked

MONDAY = date(2026, 3, 2)


def test_a_short_span_has_a_bar_for_each_day() -> None:
    parts = buckets(MONDAY, date(2026, 3, 8))
    assert len(parts) == 7
    assert (parts[0].words, parts[-1].words) == ("2026-03-02", "2026-03-08")


def test_a_long_span_has_a_bar_for_each_week_and_none_beyond_its_end() -> None:
    parts = buckets(MONDAY, date(2027, 3, 1))
    assert len(parts) == 53
    assert parts[0].words == "2026-03-02 to 2026-03-08"
    assert (parts[-1].first, parts[-1].last) == (date(2027, 3, 1), date(2027, 3, 1))
    assert all(later.first - earlier.last == timedelta(days=1) for earlier, later in pairwise(parts))


def test_numbers_of_a_bucket_stand_on_each_other() -> None:
    drawn = stacked(buckets(MONDAY, MONDAY), [(30, 20)], ("succeeded", "failed"), str)
    lower, upper = drawn.bars
    assert drawn.top == "60"
    assert [lower.y, lower.height, upper.y, upper.height] == pytest.approx([50, 50, 50 / 3, 100 / 3], abs=0.01)
    assert upper.title == "2026-03-02: failed 20"


def test_numbers_that_are_no_parts_of_a_whole_stand_side_by_side() -> None:
    taken, refunded = side_by_side(buckets(MONDAY, MONDAY), [(100, 50)], ("taken", "refunded"), str).bars
    assert taken.x + taken.width == pytest.approx(refunded.x, abs=0.02)
    assert (taken.height, refunded.height) == (HEIGHT, HEIGHT / 2)


def test_a_number_below_zero_has_no_bar_and_a_span_of_nothing_has_an_axis() -> None:
    assert stacked(buckets(MONDAY, MONDAY), [(-3, 0)], ("succeeded", "failed"), str).bars == []
    assert stacked(buckets(MONDAY, MONDAY), [(0,)], ("succeeded",), str).top == "2"


@pytest.mark.parametrize(
    ("highest", "top"), [(1, "2"), (2, "2"), (3, "4"), (11, "20"), (501, "600"), (10**17, "1" + "0" * 17)]
)
def test_an_axis_ends_at_a_round_number(highest: int, top: str) -> None:
    assert stacked(buckets(MONDAY, MONDAY), [(highest,)], ("succeeded",), str).top == top
