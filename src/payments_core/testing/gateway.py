"""What every gateway must pass: an attempt moves money once at most, however often and however crowded it is asked."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import pytest

from payments_core.attempt import AttemptKind
from payments_core.gateway import Approved, Declined, NotSeen, Submission
from payments_core.ids import AttemptId, Moment
from payments_core.money import Money, currency
from payments_core.ports import Gateway

CALLS_AT_ONCE: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayUnderTest:
    """A gateway in its test mode, payment methods that it approves and declines for good, and its books.

    `times_moved` says how often the gateway itself moved money for an attempt, a charge or a refund.
    """

    gateway: Gateway
    approved_method: str | None
    declined_method: str | None
    times_moved: Callable[[AttemptId], Awaitable[int]]


def charge_of(payment_method: str | None) -> Submission:
    """Return a new charge of 12.34 USD."""
    return Submission(
        id=AttemptId(Moment(datetime.now(UTC), os.urandom(32)).id("att")),
        kind=AttemptKind.CHARGE,
        amount=Money(amount_minor=1234, currency=currency("USD")),
        livemode=False,
        payment_method=payment_method,
        charge_reference=None,
    )


def refund_of(charge: Submission, reference: str) -> Submission:
    """Return a new refund of a whole charge, which the gateway calls `reference`."""
    new = charge_of(charge.payment_method)
    return replace(new, kind=AttemptKind.REFUND, amount=charge.amount, charge_reference=reference)


class GatewayContract:
    """Adapters supply `subject`."""

    @pytest.fixture
    def subject(self) -> GatewayUnderTest:
        """Return a gateway of the adapter's own, in its test mode."""
        raise NotImplementedError

    async def test_the_same_attempt_again_gets_the_same_answer_and_moves_no_more_money(
        self, subject: GatewayUnderTest
    ) -> None:
        charge = charge_of(subject.approved_method)
        first = await subject.gateway.submit(charge)
        assert isinstance(first, Approved)
        assert await subject.gateway.submit(charge) == first
        assert await subject.times_moved(charge.id) == 1

    async def test_an_attempt_that_is_submitted_many_times_at_once_moves_money_once(
        self, subject: GatewayUnderTest
    ) -> None:
        charge = charge_of(subject.approved_method)
        outcomes = await asyncio.gather(*(subject.gateway.submit(charge) for _ in range(CALLS_AT_ONCE)))
        assert isinstance(outcomes[0], Approved)
        assert outcomes == [outcomes[0]] * CALLS_AT_ONCE
        assert await subject.times_moved(charge.id) == 1

    async def test_two_attempts_are_two_charges(self, subject: GatewayUnderTest) -> None:
        charges = [charge_of(subject.approved_method) for _ in range(2)]
        first, second = [await subject.gateway.submit(charge) for charge in charges]
        assert isinstance(first, Approved)
        assert isinstance(second, Approved)
        assert first.reference != second.reference
        assert [await subject.times_moved(charge.id) for charge in charges] == [1, 1]

    async def test_a_lookup_agrees_with_an_approval(self, subject: GatewayUnderTest) -> None:
        charge = charge_of(subject.approved_method)
        outcome = await subject.gateway.submit(charge)
        assert isinstance(outcome, Approved)
        assert await subject.gateway.lookup(charge) == outcome

    async def test_a_decline_moves_nothing_and_a_repeat_and_a_lookup_agree_with_it(
        self, subject: GatewayUnderTest
    ) -> None:
        charge = charge_of(subject.declined_method)
        outcome = await subject.gateway.submit(charge)
        assert isinstance(outcome, Declined)
        assert await subject.gateway.submit(charge) == outcome
        assert await subject.gateway.lookup(charge) == outcome
        assert await subject.times_moved(charge.id) == 0

    async def test_an_attempt_that_was_never_submitted_is_not_seen_and_a_lookup_moves_nothing(
        self, subject: GatewayUnderTest
    ) -> None:
        charge = charge_of(subject.approved_method)
        assert await subject.gateway.lookup(charge) == NotSeen()
        assert await subject.gateway.lookup(charge) == NotSeen()
        assert await subject.times_moved(charge.id) == 0

    async def test_a_refund_that_is_submitted_many_times_at_once_gives_the_money_back_once(
        self, subject: GatewayUnderTest
    ) -> None:
        charge = charge_of(subject.approved_method)
        charged = await subject.gateway.submit(charge)
        assert isinstance(charged, Approved)
        refund = refund_of(charge, charged.reference)
        outcomes = await asyncio.gather(*(subject.gateway.submit(refund) for _ in range(CALLS_AT_ONCE)))
        assert isinstance(outcomes[0], Approved)
        assert outcomes == [outcomes[0]] * CALLS_AT_ONCE
        assert await subject.gateway.lookup(refund) == outcomes[0]
        assert await subject.times_moved(refund.id) == 1

    async def test_a_key_is_kept_for_longer_than_an_attempt_may_go_unseen(self, subject: GatewayUnderTest) -> None:
        promised = subject.gateway.capabilities
        assert promised.name
        assert promised.quiet_period < promised.key_retention
