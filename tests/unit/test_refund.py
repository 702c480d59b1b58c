"""The refund's states, as the table says, and the one way out of `failed`."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from payments_core.errors import Conflict
from payments_core.refund import REFUND_ALLOWED, Refund, RefundStatus
from payments_core.testing import builders
from payments_core.transaction import Failure, StatusReason

FAILURE = Failure(code="returned", message="It came back.")


def a_refund() -> Refund:
    return builders.a_refund(builders.a_transaction(builders.a_payment_key(builders.a_merchant())))


def in_status(status: RefundStatus) -> Refund:
    return replace(a_refund(), status=status, status_reason=StatusReason.NEEDS_REVIEW)


@pytest.mark.parametrize("start", RefundStatus)
def test_a_refund_goes_where_the_table_says_and_nowhere_else(start: RefundStatus) -> None:
    refund = in_status(start)
    later = refund.updated_at + timedelta(seconds=1)
    moves: dict[RefundStatus, Callable[[], Refund]] = {
        RefundStatus.SUCCEEDED: lambda: refund.succeed(at=later, gateway_reference="re_1"),
        RefundStatus.FAILED: lambda: refund.fail(at=later, failure=FAILURE),
    }
    for status, move in moves.items():
        if status in REFUND_ALLOWED[start]:
            moved = move()
            assert (moved.status, moved.status_reason, moved.updated_at) == (status, None, later)
        else:
            with pytest.raises(Conflict) as refused:
                move()
            assert refused.value.code == "refund_state"
            assert refused.value.message == f"A {start} refund cannot become {status}."


def test_a_refund_has_three_moves_and_no_other() -> None:
    assert {(before.value, after.value) for before in RefundStatus for after in REFUND_ALLOWED[before]} == {
        ("pending", "succeeded"),
        ("pending", "failed"),
        ("succeeded", "failed"),
    }


def test_a_refund_keeps_what_the_gateway_said_of_it() -> None:
    refund = a_refund()
    assert refund.succeed(at=refund.updated_at, gateway_reference="re_1").gateway_reference == "re_1"
    assert refund.fail(at=refund.updated_at, failure=FAILURE).failure == FAILURE


def test_a_doubtful_refund_stays_pending_and_says_why_and_since_when() -> None:
    refund = a_refund()
    later = refund.updated_at + timedelta(seconds=1)
    doubtful = refund.doubt(at=later, reason=StatusReason.OUTCOME_UNKNOWN)
    assert doubtful == replace(refund, status_reason=StatusReason.OUTCOME_UNKNOWN, updated_at=later)
    assert doubtful.doubt(at=later, reason=None).status_reason is None


def test_a_failed_refund_whose_money_went_back_after_all_has_no_failure_left() -> None:
    failed = a_refund().fail(at=a_refund().updated_at, failure=FAILURE)
    later = failed.updated_at + timedelta(seconds=1)
    assert failed.recover(at=later, gateway_reference="re_2") == replace(
        failed, status=RefundStatus.SUCCEEDED, failure=None, gateway_reference="re_2", updated_at=later
    )
    doubtful = replace(failed, status_reason=StatusReason.NEEDS_REVIEW)
    assert doubtful.recover(at=later, gateway_reference="re_2").status_reason is None


@pytest.mark.parametrize("status", [RefundStatus.PENDING, RefundStatus.SUCCEEDED])
def test_only_a_failed_refund_recovers(status: RefundStatus) -> None:
    with pytest.raises(AssertionError):
        in_status(status).recover(at=a_refund().updated_at, gateway_reference="re_2")


@pytest.mark.parametrize("status", [RefundStatus.SUCCEEDED, RefundStatus.FAILED])
def test_only_a_pending_refund_is_in_doubt(status: RefundStatus) -> None:
    with pytest.raises(AssertionError):
        in_status(status).doubt(at=a_refund().updated_at, reason=None)
