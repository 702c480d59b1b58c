"""The transaction's states and sums, as the table says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from payments_core.errors import Conflict, RuleBroken
from payments_core.event import EventType
from payments_core.merchant import PaymentKey
from payments_core.money import Money, currency
from payments_core.testing import builders
from payments_core.transaction import (
    ALLOWED,
    CLOSED,
    REFUNDS_MAX,
    Failure,
    Status,
    StatusReason,
    Transaction,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
FAILURE = Failure(code="insufficient_funds", message="Not enough money.")


def usd(amount_minor: int) -> Money:
    return Money(amount_minor=amount_minor, currency=currency("USD"))


def payment_key() -> PaymentKey:
    return builders.a_payment_key(builders.a_merchant())


def pending(amount_minor: int = 10_000) -> Transaction:
    return builders.a_transaction(payment_key(), amount_minor=amount_minor)


def in_status(status: Status) -> Transaction:
    if status is Status.PENDING:
        return pending()
    if status is Status.CANCELED:
        return pending().cancel(at=NOW, reason=StatusReason.REQUESTED)[0]
    processing = pending().process(at=NOW)[0]
    match status:
        case Status.PROCESSING:
            return processing
        case Status.SUCCEEDED:
            return processing.succeed(at=NOW, gateway_reference="ch_1")[0]
        case Status.FAILED:
            return processing.fail(at=NOW, failure=FAILURE)[0]


@pytest.mark.parametrize(("before", "after"), list(product(Status, [s for s in Status if s is not Status.PENDING])))
def test_a_status_follows_another_only_where_the_table_allows_it(before: Status, after: Status) -> None:
    transaction = in_status(before)
    moves = {
        Status.PROCESSING: lambda: transaction.process(at=LATER),
        Status.SUCCEEDED: lambda: transaction.succeed(at=LATER, gateway_reference="ch_2"),
        Status.FAILED: lambda: transaction.fail(at=LATER, failure=FAILURE),
        Status.CANCELED: lambda: transaction.cancel(at=LATER, reason=StatusReason.REQUESTED),
    }
    if after in ALLOWED[before]:
        moved, fact = moves[after]()
        assert (moved.status, moved.updated_at) == (after, LATER)
        assert fact.sequence == transaction.facts + 1
    else:
        with pytest.raises(Conflict) as refused:
            moves[after]()
        assert refused.value.code == ("transaction_not_cancelable" if after is Status.CANCELED else "transaction_state")
        assert refused.value.message.startswith((f"A {before} transaction cannot", f"The transaction is {before}: "))


def test_a_transaction_has_four_moves_and_no_other() -> None:
    assert {(before.value, after.value) for before in Status for after in ALLOWED[before]} == {
        ("pending", "processing"),
        ("pending", "canceled"),
        ("processing", "succeeded"),
        ("processing", "failed"),
    }


def test_the_table_closes_every_closed_status() -> None:
    assert all(not ALLOWED[status] for status in CLOSED)


def test_a_closed_transaction_knows_when_it_was_completed_and_an_open_one_does_not() -> None:
    for status in Status:
        assert (in_status(status).completed_at is not None) == (status in CLOSED)


def test_facts_are_counted_from_one_over_transitions_and_refunds() -> None:
    transaction = replace(pending(), facts=1)
    created = transaction.created()
    transaction, processing = transaction.process(at=NOW)
    transaction, succeeded = transaction.succeed(at=NOW, gateway_reference="ch_1")
    transaction, refund_created = transaction.reserve_refund(usd(100), at=NOW)
    transaction, refund_succeeded = transaction.settle_refund(usd(100), at=NOW)
    facts = [created, processing, succeeded, refund_created, refund_succeeded]
    assert [fact.sequence for fact in facts] == [1, 2, 3, 4, 5]
    assert [fact.type for fact in facts] == [
        EventType.TRANSACTION_CREATED,
        EventType.TRANSACTION_PROCESSING,
        EventType.TRANSACTION_SUCCEEDED,
        EventType.REFUND_CREATED,
        EventType.REFUND_SUCCEEDED,
    ]


def test_a_correction_leads_from_a_closed_status_to_another_and_shows_its_evidence() -> None:
    corrected, fact = in_status(Status.SUCCEEDED).correct(
        Status.FAILED, at=NOW, evidence={"source": "gateway"}, failure=FAILURE
    )
    assert corrected.status is Status.FAILED
    assert corrected.failure == FAILURE
    assert fact.detail == {"from": "succeeded", "to": "failed", "evidence": {"source": "gateway"}}


def test_a_correction_keeps_the_gateways_name_for_the_charge_unless_the_evidence_has_another() -> None:
    succeeded = in_status(Status.SUCCEEDED)
    assert succeeded.correct(Status.FAILED, at=NOW, evidence={})[0].gateway_reference == "ch_1"
    corrected, _ = succeeded.correct(Status.FAILED, at=NOW, evidence={}, gateway_reference="ch_2")
    assert corrected.gateway_reference == "ch_2"


def test_a_corrected_transaction_is_changed_at_that_time_and_has_lost_the_reason_of_before() -> None:
    canceled = in_status(Status.CANCELED)
    assert canceled.status_reason is StatusReason.REQUESTED
    corrected, _ = canceled.correct(Status.SUCCEEDED, at=LATER, evidence={}, gateway_reference="ch_1")
    assert (corrected.status_reason, corrected.updated_at) == (None, LATER)


def test_a_doubt_keeps_the_transaction_in_processing_and_ends_with_it() -> None:
    doubted = in_status(Status.PROCESSING).doubt(at=LATER, reason=StatusReason.OUTCOME_UNKNOWN)
    assert (doubted.status, doubted.status_reason) == (Status.PROCESSING, StatusReason.OUTCOME_UNKNOWN)
    assert doubted.updated_at == LATER
    assert doubted.succeed(at=NOW, gateway_reference="ch_1")[0].status_reason is None


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.SUCCEEDED])
def test_only_a_succeeded_transaction_can_be_refunded(status: Status) -> None:
    transaction = in_status(status)
    assert transaction.refundable_minor == 0
    with pytest.raises(RuleBroken) as refused:
        transaction.reserve_refund(usd(1), at=NOW)
    assert refused.value.code == "transaction_not_refundable"
    assert refused.value.message.startswith(f"The transaction is {status}: ")


def test_refunds_that_are_pending_or_done_never_exceed_the_amount() -> None:
    transaction = in_status(Status.SUCCEEDED)
    transaction, _ = transaction.reserve_refund(usd(6_000), at=NOW)
    transaction, _ = transaction.settle_refund(usd(6_000), at=NOW)
    transaction, _ = transaction.reserve_refund(usd(3_000), at=NOW)
    with pytest.raises(RuleBroken) as refused:
        transaction.reserve_refund(usd(1_001), at=NOW)
    assert refused.value.code == "refund_exceeds_amount"
    assert "cannot exceed" in refused.value.message
    assert "10.00 USD" in refused.value.message


def test_a_transaction_of_which_all_is_given_back_says_so() -> None:
    transaction, _ = in_status(Status.SUCCEEDED).reserve_refund(usd(10_000), at=NOW)
    with pytest.raises(RuleBroken) as refused:
        transaction.reserve_refund(usd(1), at=NOW)
    assert refused.value.code == "already_refunded"


def test_a_failed_refund_can_be_given_again() -> None:
    transaction, _ = in_status(Status.SUCCEEDED).reserve_refund(usd(10_000), at=NOW)
    transaction, fact = transaction.release_refund(usd(10_000), at=NOW)
    assert fact.type is EventType.REFUND_FAILED
    assert transaction.refundable_minor == 10_000


def test_a_refund_that_came_back_can_be_given_again() -> None:
    transaction, _ = in_status(Status.SUCCEEDED).reserve_refund(usd(4_000), at=NOW)
    transaction, _ = transaction.settle_refund(usd(4_000), at=NOW)
    transaction, _ = transaction.return_refund(usd(4_000), at=NOW)
    assert (transaction.refunded_minor, transaction.refundable_minor) == (0, 10_000)


def test_refunds_beyond_the_most_that_one_transaction_may_have_are_refused() -> None:
    transaction = in_status(Status.SUCCEEDED)
    for _ in range(REFUNDS_MAX):
        transaction, _ = transaction.reserve_refund(usd(1), at=NOW)
    with pytest.raises(RuleBroken) as refused:
        transaction.reserve_refund(usd(1), at=NOW)
    assert refused.value.code == "too_many_refunds"
    assert "at most 100 refunds" in refused.value.message


EVIDENCE = {"gateway_reference": "re_1"}


def test_a_cancellation_that_is_refused_names_the_state() -> None:
    with pytest.raises(Conflict) as refused:
        in_status(Status.SUCCEEDED).cancel(at=NOW, reason=StatusReason.REQUESTED)
    assert refused.value.message == "The transaction is succeeded: only a pending one can be canceled."


def test_every_fact_says_when_it_happened_and_to_which_transaction() -> None:
    new = replace(pending(), facts=1)
    assert (new.created().at, new.created().transaction) == (new.created_at, new.id)
    processing, processed = new.process(at=LATER)
    succeeded, charged = processing.succeed(at=LATER, gateway_reference="ch_1")
    reserved, refund_made = succeeded.reserve_refund(usd(100), at=LATER)
    settled, refund_done = reserved.settle_refund(usd(100), at=LATER)
    returned, refund_back = settled.return_refund(usd(100), at=LATER)
    facts = [
        *(processed, charged, refund_made, refund_done, refund_back),
        new.cancel(at=LATER, reason=StatusReason.REQUESTED)[1],
        processing.fail(at=LATER, failure=FAILURE)[1],
        succeeded.correct(Status.FAILED, at=LATER, evidence={})[1],
        reserved.release_refund(usd(100), at=LATER)[1],
        returned.recover_refund(usd(100), at=LATER)[1],
    ]
    assert {(fact.at, fact.transaction) for fact in facts} == {(LATER, new.id)}


def test_a_cancellation_is_told_as_one() -> None:
    _, fact = pending().cancel(at=NOW, reason=StatusReason.REQUESTED)
    assert fact.type is EventType.TRANSACTION_CANCELED


def test_whatever_happens_to_its_refunds_changes_the_transaction_at_that_time() -> None:
    reserved, _ = in_status(Status.SUCCEEDED).reserve_refund(usd(100), at=LATER)
    released, _ = reserved.release_refund(usd(100), at=LATER + timedelta(1))
    settled, _ = reserved.settle_refund(usd(100), at=LATER + timedelta(2))
    returned, _ = settled.return_refund(usd(100), at=LATER + timedelta(3))
    recovered, _ = returned.recover_refund(usd(100), at=LATER + timedelta(4))
    assert [each.updated_at - LATER for each in (reserved, released, settled, returned, recovered)] == [
        timedelta(days) for days in range(5)
    ]


def test_what_is_known_of_a_refund_that_came_back_or_recovered_is_in_the_fact() -> None:
    settled, _ = in_status(Status.SUCCEEDED).reserve_refund(usd(100), at=NOW)[0].settle_refund(usd(100), at=NOW)
    returned, came_back = settled.return_refund(usd(100), at=NOW, detail=EVIDENCE)
    recovered, went_through = returned.recover_refund(usd(100), at=NOW, detail=EVIDENCE)
    assert (came_back.type, came_back.detail) == (EventType.REFUND_FAILED, EVIDENCE)
    assert (went_through.type, went_through.detail) == (EventType.REFUND_SUCCEEDED, EVIDENCE)
    assert (recovered.refunded_minor, recovered.refundable_minor) == (100, 9_900)


def test_a_refund_that_recovers_may_take_all_that_is_left_and_no_more() -> None:
    succeeded = in_status(Status.SUCCEEDED)
    taken, _ = succeeded.reserve_refund(usd(6_000), at=NOW)
    assert taken.recover_refund(usd(4_000), at=NOW)[0].refundable_minor == 0
    with pytest.raises(RuleBroken) as refused:
        taken.recover_refund(usd(4_001), at=NOW)
    assert refused.value.code == "refund_exceeds_amount"
    assert refused.value.message.startswith("The refund is of 40.01 USD, and 40.00 are left of the transaction: ")


def test_nothing_of_a_transaction_that_did_not_succeed_recovers() -> None:
    with pytest.raises(RuleBroken) as refused:
        in_status(Status.CANCELED).recover_refund(usd(1), at=NOW)
    assert refused.value.code == "transaction_not_refundable"
    assert refused.value.message == "The transaction is canceled: nothing of it can have been refunded."
