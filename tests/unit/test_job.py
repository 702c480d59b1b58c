"""Jobs: backoff after unforeseen errors, dead at the end, fresh after progress."""

from datetime import UTC, datetime, timedelta

from payments_core.job import BACKOFF_MAX, ERROR_LENGTH_MAX, FAILURES_MAX
from payments_core.testing import builders

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_job_that_fails_again_and_again_waits_longer_and_is_then_dead() -> None:
    job = builders.a_job(builders.a_transaction(builders.a_payment_key(builders.a_merchant())))
    waits = []
    for number in range(1, FAILURES_MAX + 1):
        assert job.dead_at is None
        job = job.fail(at=NOW, error="boom")
        waits.append(job.due_at - NOW)
        assert job.failures == number
    assert job.dead_at == NOW
    assert waits[:4] == [timedelta(seconds=seconds) for seconds in (1, 2, 4, 8)]
    assert max(waits) <= BACKOFF_MAX


def test_progress_forgets_the_failures() -> None:
    job = builders.a_job(builders.a_transaction(builders.a_payment_key(builders.a_merchant())))
    again = job.fail(at=NOW, error="e" * 9_999).again(due_at=NOW)
    assert (again.failures, again.last_error) == (0, None)


def test_the_error_that_is_kept_has_a_bounded_length() -> None:
    job = builders.a_job(builders.a_transaction(builders.a_payment_key(builders.a_merchant())))
    assert len(job.fail(at=NOW, error="e" * 9_999).last_error or "") == ERROR_LENGTH_MAX
