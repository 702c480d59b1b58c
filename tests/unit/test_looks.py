"""The looks of the health page: shared by all who ask, bounded in time, never an exception."""

import asyncio
import gc

import pytest

from entrypoints import checks
from entrypoints.checks import always_says, answers, nothing_missing
from payments_core.errors import Unavailable


class Thing:
    """Something to look at, which counts the looks."""

    def __init__(self, *, wrong: Exception | None = None) -> None:
        self.wrong = wrong
        self.looks = 0
        self.missing: list[str] = []

    async def look(self) -> None:
        self.looks += 1
        await asyncio.sleep(0)
        if self.wrong is not None:
            raise self.wrong

    async def names(self) -> list[str]:
        await self.look()
        return self.missing


class HandClock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    clock = HandClock()
    monkeypatch.setattr(checks, "now_seconds", clock)
    return clock


async def test_many_who_ask_at_once_and_a_moment_later_share_one_look(clock: HandClock) -> None:
    thing = Thing()
    check = answers(thing.look, "otherwise")
    assert await asyncio.gather(*(check() for _ in range(100))) == [None] * 100
    clock.now += 0.9
    assert await check() is None
    assert thing.looks == 1
    clock.now += 0.2
    assert await check() is None
    assert thing.looks == 2


async def test_what_is_wrong_is_said_with_what_to_know_then_and_looked_at_again(clock: HandClock) -> None:
    thing = Thing(wrong=Unavailable("it is away"))
    check = answers(thing.look, "everything is slower")
    assert await check() == "it is away: everything is slower"
    thing.wrong = None
    clock.now += 1.1
    assert await check() is None


async def test_one_who_gives_up_leaves_the_look_to_the_next(clock: HandClock) -> None:
    thing = Thing()
    check = answers(thing.look, "otherwise")
    first, second = asyncio.ensure_future(check()), asyncio.ensure_future(check())
    await asyncio.sleep(0)
    first.cancel()
    assert await second is None
    assert first.cancelled()
    assert thing.looks == 2


async def test_a_look_that_hangs_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LOOK_SECONDS", 0.01)

    async def hang() -> None:
        await asyncio.Event().wait()

    assert await answers(hang, "look at it")() == "no answer within 0.01 s: look at it"


async def test_a_look_that_is_slow_to_give_up_is_left_in_time_and_not_heard_of_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checks, "LOOK_SECONDS", 0.01)
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    answered, given_up = asyncio.Event(), asyncio.Event()

    async def tell_the_server_first() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await answered.wait()
            given_up.set()
            raise Unavailable("it is away")

    assert await answers(tell_the_server_first, "look at it")() == "no answer within 0.01 s: look at it"
    gc.collect()
    assert not given_up.is_set()
    answered.set()
    await given_up.wait()
    await asyncio.sleep(0)  # its end is known a turn later
    gc.collect()
    assert told == []


async def test_a_look_with_a_defect_is_a_finding_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    check = answers(Thing(wrong=ZeroDivisionError("secret")).look, "look at it")
    assert await check() == "the look failed (ZeroDivisionError): look at it"
    assert "a look at what this service stands on failed" in caplog.text


async def test_migrations_are_looked_at_again_when_they_were_complete_a_while_ago(clock: HandClock) -> None:
    thing = Thing()
    check = nothing_missing(thing.names)
    assert await check() is None
    thing.missing = ["0001", "0002"]
    clock.now += 2.9
    assert await check() is None
    clock.now += 0.2
    assert await check() == "the database lacks 0001, 0002; run `payments migrate`"
    thing.missing = []
    clock.now += 1.1
    assert await check() is None


async def test_what_is_not_there_by_choice_says_so() -> None:
    assert await always_says("not there")() == "not there"
    assert await always_says(None)() is None
