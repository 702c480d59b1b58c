"""Questions of many, answered together."""

from __future__ import annotations

import asyncio
import contextvars
import traceback
from collections.abc import Mapping, Sequence

import pytest

from payments_core.gathered import Gathered

request: contextvars.ContextVar[str | None] = contextvars.ContextVar("request", default=None)


class Desk:
    """Looks up what `truth` says at the moment when it is let go."""

    def __init__(self) -> None:
        self.truth = {"a": 1, "b": 2}
        self.asked: list[list[str]] = []
        self.goes = asyncio.Event()
        self.goes.set()
        self.error: Exception | None = None
        self.requests: list[str | None] = []

    async def look_up(self, keys: Sequence[str]) -> Mapping[str, int]:
        self.asked.append(list(keys))
        self.requests.append(request.get())
        found = {key: self.truth[key] for key in keys if key in self.truth}
        await self.goes.wait()
        if self.error is not None:
            raise self.error
        return found


async def steps() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def gathered(desk: Desk) -> Gathered[str, int]:
    return Gathered(desk.look_up, keys_max=3)


async def test_each_gets_its_own_answer_and_none_for_what_is_not_there(gathered: Gathered[str, int]) -> None:
    assert await asyncio.gather(*(gathered.get(key) for key in "abx")) == [1, 2, None]


async def test_who_is_alone_is_looked_up_at_once(desk: Desk, gathered: Gathered[str, int]) -> None:
    assert await gathered.get("a") == 1
    assert await gathered.get("a") == 1
    assert desk.asked == [["a"], ["a"]]


async def test_what_is_asked_during_a_look_up_is_answered_by_the_next(desk: Desk, gathered: Gathered[str, int]) -> None:
    desk.goes.clear()
    early = asyncio.create_task(gathered.get("a"))
    await steps()
    desk.truth["a"] = 7
    late = [asyncio.create_task(gathered.get("a")) for _ in range(5)]
    await steps()
    assert len(desk.asked) == 1
    desk.goes.set()
    assert await early == 1
    assert await asyncio.gather(*late) == [7] * 5
    assert desk.asked == [["a"], ["a"]]


async def test_a_look_up_has_so_many_keys_at_most(desk: Desk, gathered: Gathered[str, int]) -> None:
    await asyncio.gather(*(gathered.get(key) for key in "abcdefg"))
    assert desk.asked == [["a", "b", "c"], ["d", "e", "f"], ["g"]]


async def test_who_is_cancelled_leaves_the_others_their_answer(desk: Desk, gathered: Gathered[str, int]) -> None:
    desk.goes.clear()
    first, second = (asyncio.create_task(gathered.get("a")) for _ in range(2))
    await steps()
    first.cancel()
    await steps()
    desk.goes.set()
    assert await second == 1
    assert first.cancelled()
    assert await gathered.get("b") == 2


async def test_what_nobody_asks_for_any_more_when_its_look_up_would_begin_is_not_looked_up(
    desk: Desk, gathered: Gathered[str, int]
) -> None:
    desk.goes.clear()
    running = asyncio.create_task(gathered.get("x"))
    await steps()
    gone = [asyncio.create_task(gathered.get("a")) for _ in range(2)]
    stays, goes_too = (asyncio.create_task(gathered.get("b")) for _ in range(2))
    await steps()
    for task in (*gone, goes_too, running):
        task.cancel()
    await steps()
    desk.goes.set()
    assert await stays == 2
    assert desk.asked == [["x"], ["b"]]


async def test_who_asks_again_after_all_have_gone_is_answered(desk: Desk, gathered: Gathered[str, int]) -> None:
    desk.goes.clear()
    running = asyncio.create_task(gathered.get("x"))
    await steps()
    gone = asyncio.create_task(gathered.get("a"))
    await steps()
    gone.cancel()
    await steps()
    again = asyncio.create_task(gathered.get("a"))
    await steps()
    desk.goes.set()
    assert (await running, await again) == (None, 1)
    assert desk.asked == [["x"], ["a"]]


async def test_a_look_up_for_all_runs_in_no_request_s_context(desk: Desk, gathered: Gathered[str, int]) -> None:
    request.set("the first one's")
    assert await gathered.get("a") == 1
    assert desk.requests == [None]
    assert request.get() == "the first one's"


async def test_each_hears_of_a_failure_by_an_exception_of_its_own(desk: Desk, gathered: Gathered[str, int]) -> None:
    desk.error = OSError(5, "away")
    told = await asyncio.gather(*(gathered.get(key) for key in "aaab"), return_exceptions=True)
    assert len({id(error) for error in told}) == len(told)
    for error in told:
        assert isinstance(error, OSError)
        assert (error.args, error.__cause__) == ((5, "away"), desk.error)
        assert len(traceback.extract_tb(error.__traceback__)) == 1
    assert len(traceback.extract_tb(desk.error.__traceback__)) == 2


async def test_a_failure_is_told_to_those_who_asked_and_to_nobody_later(
    desk: Desk, gathered: Gathered[str, int]
) -> None:
    desk.error = OSError("away")
    told = await asyncio.gather(gathered.get("a"), gathered.get("b"), return_exceptions=True)
    assert all(isinstance(answer, OSError) for answer in told)
    desk.error = None
    assert await gathered.get("a") == 1


async def test_a_failure_that_nobody_waits_for_any_more_is_not_complained_of(
    desk: Desk, gathered: Gathered[str, int]
) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    desk.goes.clear()
    desk.error = OSError("away")
    alone = asyncio.create_task(gathered.get("a"))
    await steps()
    alone.cancel()
    await steps()
    desk.goes.set()
    await steps()
    assert complaints == []
