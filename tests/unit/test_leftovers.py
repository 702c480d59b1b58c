"""What has expired goes: not before every clock thinks so, a little at a time, and in spite of outages."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from adapters.memory.clock import HandClock
from entrypoints.worker import tidying
from payments_core.errors import Unavailable
from payments_core.testing.builders import NOW
from payments_core.use_cases.remove_leftovers import CLOCKS_APART_MAX, REMOVED_MAX, remove_leftovers


class Scripted:
    """Leftovers of which each removal goes as told; then there are none."""

    def __init__(self, script: Sequence[int | Exception] = ()) -> None:
        self.asked: list[tuple[datetime, int]] = []
        self.none_left = asyncio.Event()
        self._script = iter(script)

    async def remove(self, *, expired_before: datetime, limit: int) -> int:
        self.asked.append((expired_before, limit))
        await asyncio.sleep(0)
        match next(self._script, None):
            case None:
                self.none_left.set()
                return 0
            case Exception() as error:
                raise error
            case number:
                return number


async def test_what_expired_a_moment_ago_is_kept_for_clocks_that_are_behind() -> None:
    leftovers = Scripted()
    await remove_leftovers(leftovers, at=NOW)
    assert leftovers.asked == [(NOW - CLOCKS_APART_MAX, REMOVED_MAX)]


@pytest.mark.parametrize(("removed", "more"), [(0, False), (REMOVED_MAX - 1, False), (REMOVED_MAX, True)])
async def test_a_removal_that_reached_its_limit_says_that_there_may_be_more(removed: int, more: bool) -> None:
    assert await remove_leftovers(Scripted([removed]), at=NOW) is more


async def test_a_worker_goes_on_while_there_is_more_and_whatever_happens(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tidying, "REST_SECONDS_MIN", 0.0)
    leftovers = Scripted([REMOVED_MAX, Unavailable("away"), RuntimeError("boom"), REMOVED_MAX])
    tidying_up = asyncio.create_task(tidying.tidy(leftovers, HandClock(NOW), every=timedelta(0)))
    await leftovers.none_left.wait()
    tidying_up.cancel()
    with suppress(asyncio.CancelledError):
        await tidying_up
    assert len(leftovers.asked) >= 5
    assert [record.getMessage() for record in caplog.records if record.name == tidying.__name__] == [
        "removing what has expired failed"
    ]
