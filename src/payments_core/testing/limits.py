"""What every counter of rate limits must pass."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import pytest

from payments_core.limits import Limit
from payments_core.ports import RateLimits

THREE_IN_TWO_SECONDS: Final = Limit(name="three_in_two_seconds", amount=3, per_seconds=2)
TEN_A_MINUTE: Final = Limit(name="ten_a_minute", amount=10, per_seconds=60)
MARGIN_SECONDS: Final = 0.05
"""For clocks that run on between a hit and its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitsUnderTest:
    """Counters at zero, and a way to let that many seconds pass on their clock."""

    limits: RateLimits
    let_pass: Callable[[float], Awaitable[None]]


class RateLimitsContract:
    """Adapters supply `subject`."""

    @pytest.fixture
    def subject(self) -> RateLimitsUnderTest:
        """Return counters of the adapter's own, at zero."""
        raise NotImplementedError

    async def test_what_remains_is_counted_down_and_then_refused(self, subject: RateLimitsUnderTest) -> None:
        answers = [await subject.limits.hit(THREE_IN_TWO_SECONDS, "mer_1") for _ in range(5)]
        assert [(answer.allowed, answer.remaining) for answer in answers] == [
            (True, 2),
            (True, 1),
            (True, 0),
            (False, 0),
            (False, 0),
        ]
        assert all(answer.limit == THREE_IN_TWO_SECONDS for answer in answers)

    async def test_what_is_given_back_is_counted_no_longer(self, subject: RateLimitsUnderTest) -> None:
        limits = subject.limits
        await limits.give_back(THREE_IN_TWO_SECONDS, "mer_1")
        for _ in range(4):
            await limits.hit(THREE_IN_TWO_SECONDS, "mer_1")
        await limits.give_back(THREE_IN_TWO_SECONDS, "mer_1")
        await limits.give_back(THREE_IN_TWO_SECONDS, "mer_2")
        answers = [await limits.hit(THREE_IN_TWO_SECONDS, "mer_1") for _ in range(2)]
        assert [answer.allowed for answer in answers] == [True, False]

    async def test_every_answer_says_when_there_is_more_room(self, subject: RateLimitsUnderTest) -> None:
        first = await subject.limits.hit(TEN_A_MINUTE, "mer_1")
        await subject.let_pass(0.5)
        second = await subject.limits.hit(TEN_A_MINUTE, "mer_1")
        assert 59 < first.reset_after_seconds <= 60
        assert second.reset_after_seconds <= first.reset_after_seconds - 0.5 + MARGIN_SECONDS

    async def test_a_refused_caller_who_waits_as_told_is_let_in(self, subject: RateLimitsUnderTest) -> None:
        for _ in range(THREE_IN_TWO_SECONDS.amount):
            await subject.limits.hit(THREE_IN_TWO_SECONDS, "mer_1")
        refused = await subject.limits.hit(THREE_IN_TWO_SECONDS, "mer_1")
        assert 0 < refused.reset_after_seconds <= 2
        await subject.let_pass(refused.reset_after_seconds + MARGIN_SECONDS)
        assert (await subject.limits.hit(THREE_IN_TWO_SECONDS, "mer_1")).allowed

    async def test_the_window_slides_and_does_not_start_afresh(self, subject: RateLimitsUnderTest) -> None:
        hit = subject.limits.hit
        assert (await hit(THREE_IN_TWO_SECONDS, "mer_1")).allowed
        await subject.let_pass(1.5)
        assert (await hit(THREE_IN_TWO_SECONDS, "mer_1")).allowed
        assert (await hit(THREE_IN_TWO_SECONDS, "mer_1")).allowed
        await subject.let_pass(0.5 + MARGIN_SECONDS)
        assert (await hit(THREE_IN_TWO_SECONDS, "mer_1")).allowed
        assert not (await hit(THREE_IN_TWO_SECONDS, "mer_1")).allowed

    async def test_refused_hits_are_not_held_against_the_caller(self, subject: RateLimitsUnderTest) -> None:
        for _ in range(THREE_IN_TWO_SECONDS.amount):
            await subject.limits.hit(THREE_IN_TWO_SECONDS, "mer_1")
        await subject.let_pass(1)
        for _ in range(20):
            await subject.limits.hit(THREE_IN_TWO_SECONDS, "mer_1")
        await subject.let_pass(1 + MARGIN_SECONDS)
        assert (await subject.limits.hit(THREE_IN_TWO_SECONDS, "mer_1")).remaining == 2

    async def test_keys_and_limits_are_counted_apart(self, subject: RateLimitsUnderTest) -> None:
        for _ in range(THREE_IN_TWO_SECONDS.amount):
            await subject.limits.hit(THREE_IN_TWO_SECONDS, "mer_1")
        assert not (await subject.limits.hit(THREE_IN_TWO_SECONDS, "mer_1")).allowed
        assert (await subject.limits.hit(THREE_IN_TWO_SECONDS, "mer_2")).remaining == 2
        assert (await subject.limits.hit(TEN_A_MINUTE, "mer_1")).remaining == 9

    async def test_of_many_hits_at_once_exactly_the_allowed_number_gets_through(
        self, subject: RateLimitsUnderTest
    ) -> None:
        answers = await asyncio.gather(*(subject.limits.hit(TEN_A_MINUTE, "mer_1") for _ in range(50)))
        allowed = [answer for answer in answers if answer.allowed]
        assert sorted(answer.remaining for answer in allowed) == list(range(10))

    async def test_a_limit_of_none_allows_nothing(self, subject: RateLimitsUnderTest) -> None:
        closed = Limit(name="closed", amount=0, per_seconds=60)
        assert not (await subject.limits.hit(closed, "mer_1")).allowed
