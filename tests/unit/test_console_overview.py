"""The first page of the console: a span's figures by day and currency."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from entrypoints.http.console.overview import success_rate
from tests.unit.console_browser import Browser
from tests.unit.http_shop import Shop, open_api


@pytest.fixture
async def shop() -> AsyncGenerator[Shop, None]:
    async with open_api() as api:
        yield await api.open_shop()


@pytest.mark.parametrize("query", ["to=0001-01-05", "from=9999-12-31&to=9999-12-31", "to=2026-W09-7", "from=20260301"])
async def test_a_day_that_nobody_can_mean_is_said_to_be_wrong_at_its_field(shop: Shop, query: str) -> None:
    browser = await Browser(shop.api.client).sign_in(shop.email)
    page = await browser.get(f"/console?{query}")
    assert (page.status, page.heading) == (400, "Overview")
    assert "Must be a day, such as 2026-03-01." in page.words
    assert 'aria-invalid="true"' in page.html


@pytest.mark.parametrize(
    ("succeeded", "failed", "rate"),
    [(3, 1, "75.0%"), (0, 2, "0.0%"), (0, 0, None), (3, -1, "100.0%"), (-1, 2, "0.0%"), (-1, 0, None)],
)
def test_what_was_taken_back_from_earlier_days_makes_no_rate_beyond_its_ends(
    succeeded: int, failed: int, rate: str | None
) -> None:
    assert success_rate(succeeded, failed) == rate
