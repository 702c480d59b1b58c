"""Defects, each put into the code on purpose: what shows that the simulation finds such.

Each is a small patch of one place. A name says what the code does then.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from unittest.mock import patch

from adapters.memory import claims as memory_claims
from adapters.memory.shelf import Shelf
from adapters.memory.unit import MemoryJobs, MemoryUnitOfWork
from payments_core import job, transaction
from payments_core.attempt import Attempt
from payments_core.event import Event
from payments_core.gateway import Declined, NotSeen, Sighting, Submission, Unknown
from payments_core.ids import AttemptId, Moment
from payments_core.ports import UnitOfWork
from payments_core.refund import Refund
from payments_core.transaction import Status, Transaction
from payments_core.units import Units
from payments_core.use_cases import process_job, settle_attempt, settle_charge
from payments_core.use_cases.settle_refund import succeed_refund
from tests.simulation.mutant import Mutant
from tests.simulation.webhook_mutants import WEBHOOK_MUTANTS

GUESSED: Final = Declined(code="guessed", message="It will have failed.")


# ── jobs and leases


@contextmanager
def _no_fencing() -> Iterator[None]:
    def check_leases(self: MemoryUnitOfWork) -> None:
        """Write what there is to write, whoever holds the job, as an UPDATE does whose rows nobody counts."""
        for jobs in (self.jobs.saved, self.jobs.ended):
            for id in [id for id in jobs if id not in self._state.jobs]:
                del jobs[id]

    with patch.object(MemoryUnitOfWork, "_check_leases", check_leases):
        yield


@contextmanager
def _enqueued_before_the_commit() -> Iterator[None]:
    def add(self: MemoryJobs, job: job.Job, /) -> None:
        self._state.jobs[job.id] = job

    with patch.object(MemoryJobs, "add", add):
        yield


@contextmanager
def _enqueued_after_the_commit() -> Iterator[None]:
    def commit(self: MemoryUnitOfWork) -> None:
        jobs, self.jobs.added = self.jobs.added, []
        original(self)
        for added in jobs:
            asyncio.get_running_loop().call_soon(self._state.jobs.setdefault, added.id, added)

    original = MemoryUnitOfWork.commit
    with patch.object(MemoryUnitOfWork, "commit", commit):
        yield


# ── the gateway


def _answers(change: Callable[[Sighting], Sighting]) -> AbstractContextManager[object]:
    async def bounded(answer: Awaitable[Sighting]) -> Sighting:
        return change(await original(answer))

    original = process_job._bounded
    return patch.object(process_job, "_bounded", bounded)


def _a_time_out_is_a_failure() -> AbstractContextManager[object]:
    return _answers(lambda sighting: GUESSED if isinstance(sighting, Unknown) else sighting)


def _not_seen_is_a_failure() -> AbstractContextManager[object]:
    return _answers(lambda sighting: GUESSED if isinstance(sighting, NotSeen) else sighting)


@contextmanager
def _a_new_key_for_each_call() -> Iterator[None]:
    def submission_of(attempt: Attempt) -> Submission:
        return replace(original(attempt), id=AttemptId(f"{attempt.id}_{next(calls)}"))

    original, calls = process_job.submission_of, itertools.count()
    with patch.object(process_job, "submission_of", submission_of):
        yield


@contextmanager
def _a_late_word_is_ignored() -> Iterator[None]:
    async def correct(*_: object, **__: object) -> None:
        return

    with patch.object(settle_charge, "_correct", correct):
        yield


@contextmanager
def _no_second_look() -> Iterator[None]:
    def end(work: UnitOfWork, _moment: Moment, job: job.Job, _check_again_after: timedelta | None) -> None:
        work.jobs.done(job)

    with patch.object(settle_attempt, "_end", end):
        yield


def _the_first_doubt_is_a_persons() -> AbstractContextManager[object]:
    return patch.object(Attempt, "next_lookup_after", lambda _self, _schedule: None)


@contextmanager
def _a_late_refund_is_believed() -> Iterator[None]:
    async def approve(
        work: UnitOfWork, moment: Moment, attempt: Attempt, of: Transaction, refund: Refund | None, reference: str
    ) -> None:
        if refund is None:
            await original(work, moment, attempt, of, refund, reference)
            return
        work.attempts.save(attempt.approve(reference, moment.now))
        succeed_refund(work, moment, of, refund, reference, request_id=attempt.request_id)

    original = settle_attempt._approve
    with patch.object(settle_attempt, "_approve", approve):
        yield


@contextmanager
def _closed_is_reopened() -> Iterator[None]:
    async def succeed_charge(
        work: UnitOfWork, moment: Moment, _attempt: Attempt, charged: Transaction, reference: str, **_: object
    ) -> None:
        work.transactions.save(replace(charged, status=Status.SUCCEEDED, completed_at=moment.now))

    with patch.object(settle_attempt, "succeed_charge", succeed_charge):
        yield


# ── money and state


def _nothing_left_is_refunded() -> AbstractContextManager[object]:
    whole = property(lambda self: self.amount.amount_minor)
    return patch.object(Transaction, "refundable_minor", whole)


def _what_is_processed_is_canceled() -> AbstractContextManager[object]:
    wider = {Status.PROCESSING: frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED})}
    return patch.dict(transaction.ALLOWED, wider)


def _the_last_writer_wins() -> AbstractContextManager[object]:
    return patch.object(Shelf, "check_versions", lambda _self: None)


def _keys_are_not_written_down() -> AbstractContextManager[object]:
    def with_record(self: Units, act: Any, _caller: object, _once: object) -> Any:
        async def again(work: UnitOfWork, moment: Moment) -> Any:
            made = await act(work, moment)
            return _Answer(body=self._body(made), resource=made.resource)

        return again

    from payments_core.units import Answer as _Answer

    return patch.object(Units, "_with_record", with_record)


# ── events


@contextmanager
def _numbered_before_the_commit() -> Iterator[None]:
    def init(self: MemoryUnitOfWork, state: Any) -> None:
        original_init(self, state)
        begun[id(self)] = {merchant: len(account.log) for merchant, account in state.accounts.items()}

    def apply_event(self: MemoryUnitOfWork, event: Event) -> None:
        original_apply(self, event)
        numbers = begun[id(self)]
        numbers[event.merchant] += 1
        account = self._state.writable(event.merchant)
        account.log[-1] = replace(account.log[-1], position=numbers[event.merchant])

    begun: dict[int, dict[Any, int]] = {}
    original_init, original_apply = MemoryUnitOfWork.__init__, MemoryUnitOfWork._apply_event
    with (
        patch.object(MemoryUnitOfWork, "__init__", init),
        patch.object(MemoryUnitOfWork, "_apply_event", apply_event),
    ):
        yield


MUTANTS: Final[tuple[Mutant, ...]] = (
    Mutant(name="the fencing check is dropped", patch=_no_fencing),
    Mutant(name="a job is enqueued before the commit", patch=_enqueued_before_the_commit),
    Mutant(name="a job is enqueued after the commit", patch=_enqueued_after_the_commit),
    Mutant(
        name="an expired lease is never claimed again",
        patch=lambda: patch.object(memory_claims, "_is_free", lambda work, _at: work.lease_expires_at is None),
    ),
    Mutant(name="a job dies of its first failure", patch=lambda: patch.object(job, "FAILURES_MAX", 1)),
    Mutant(name="a time-out is marked failed", patch=_a_time_out_is_a_failure),
    Mutant(name="an attempt that the gateway has not seen is marked failed", patch=_not_seen_is_a_failure),
    Mutant(name="each call has a new key", patch=_a_new_key_for_each_call),
    Mutant(
        name="a call is repeated for longer than keys are kept",
        patch=lambda: patch.object(process_job, "KEY_RETENTION_SHARE", 1_000),
    ),
    Mutant(name="a late word of the gateway is ignored", patch=_a_late_word_is_ignored),
    Mutant(name="an answer that may change is not looked at again", patch=_no_second_look),
    Mutant(name="the first doubt is left to a person", patch=_the_first_doubt_is_a_persons),
    Mutant(name="a refund that failed is given back when the gateway says so late", patch=_a_late_refund_is_believed),
    Mutant(name="a closed payment is reopened without a correction", patch=_closed_is_reopened),
    Mutant(name="what is refunded is not taken from what is left", patch=_nothing_left_is_refunded),
    Mutant(name="a payment that is being charged can be canceled", patch=_what_is_processed_is_canceled),
    Mutant(name="the last writer wins", patch=_the_last_writer_wins),
    Mutant(name="idempotency keys are not written down", patch=_keys_are_not_written_down),
    Mutant(name="events are numbered before the commit", patch=_numbered_before_the_commit),
    *WEBHOOK_MUTANTS,
)
