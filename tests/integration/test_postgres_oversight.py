"""What staff look for among millions of rows is found in an index, and nothing is looked through as a whole."""

import os
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import PostgresStore, keyset
from adapters.security.vault import AeadVault
from payments_core.attempt import AttemptState
from payments_core.job import JobState
from payments_core.page import Position
from payments_core.ports import AttemptFilter, JobFilter, Window
from payments_core.testing.builders import NOW, a_job, a_transaction, an_attempt
from payments_core.testing.subject import open_shop, put, read_all

COPIES = 20_000
COPY_ATTEMPTS = """
    INSERT INTO payments.attempts (
        merchant_id, id, livemode, kind, transaction_id, amount_minor, currency, gateway, prepared_at, called_at,
        state, lookups, updated_at, version
    )
    SELECT merchant_id, 'att_' || number, livemode, kind, 'txn_' || number, amount_minor, currency, gateway,
        prepared_at, called_at, 'approved', lookups, updated_at, version
    FROM payments.attempts, generate_series(1, :copies) AS number
"""
COPY_JOBS = """
    INSERT INTO payments.jobs (
        merchant_id, id, livemode, kind, subject, due_at, created_at, failures, lease_token
    )
    SELECT merchant_id, 'job_' || number, livemode, kind, subject, due_at, created_at, failures, lease_token
    FROM payments.jobs, generate_series(1, :copies) AS number
"""


@pytest.fixture
def store(engine: AsyncEngine) -> PostgresStore:
    return PostgresStore(engine, vault=AeadVault([b"k" * 32], entropy=os.urandom))


@pytest.fixture
async def crowd(store: PostgresStore, engine: AsyncEngine) -> None:
    """Many attempts and jobs of a merchant, and those of ten others."""
    for number in range(11):
        shop = await open_shop(store)
        transaction = a_transaction(shop.key)
        await put(store, transaction, an_attempt(transaction), a_job(transaction, due_at=NOW))
        if number == 0:
            async with engine.begin() as connection:
                await connection.execute(text(COPY_ATTEMPTS), {"copies": COPIES})
                await connection.execute(text(COPY_JOBS), {"copies": COPIES})
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.execute(text("VACUUM ANALYZE payments.attempts, payments.jobs, payments.merchants"))


async def _plans(engine: AsyncEngine, said: list[tuple[str, Any]]) -> str:
    """Return how the server does each statement that was said."""
    lines: list[str] = []
    async with engine.connect() as connection:
        for statement, parameters in said:
            rows = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            lines.extend(str(row[0]) for row in rows)
    return "\n".join(lines)


@pytest.mark.usefixtures("crowd")
async def test_no_table_is_looked_through_for_what_staff_ask(store: PostgresStore, engine: AsyncEngine) -> None:
    said: list[tuple[str, Any]] = []

    def hear(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        said.append((statement, parameters))

    async def plan(look: Any) -> str:
        said.clear()
        event.listen(engine.sync_engine, "before_cursor_execute", hear)
        try:
            await look
        finally:
            event.remove(engine.sync_engine, "before_cursor_execute", hear)
        return await _plans(engine, list(said))

    oversight, window = store.oversight, Window(limit=20)
    behind = Window(limit=20, position=Position(key="mer_0/att_0"))
    (job,) = (await oversight.jobs(Window(limit=1), JobFilter(), at=NOW)).items
    (attempt,) = (await oversight.attempts(Window(limit=1), AttemptFilter())).items
    dead, review = JobFilter(state=JobState.DEAD), AttemptFilter(state=AttemptState.NEEDS_REVIEW)
    for look, index in (
        (oversight.jobs(window, dead, at=NOW), "ix_jobs_dead"),
        (oversight.jobs(behind, dead, at=NOW), "ix_jobs_dead"),
        (oversight.jobs(window, replace(dead, merchant=job.merchant), at=NOW), "ix_jobs_dead"),
        (oversight.jobs(behind, JobFilter(state=JobState.DUE), at=NOW), "pk_jobs"),
        (oversight.job(job.id), "pk_jobs"),
        (oversight.attempts(window, review), "ix_attempts_needs_review"),
        (oversight.attempts(behind, review), "ix_attempts_needs_review"),
        (oversight.attempts(behind, AttemptFilter(state=AttemptState.UNKNOWN)), "pk_attempts"),
        (oversight.attempt(attempt.id), "ix_attempts_id"),
    ):
        found = await plan(look)
        assert index in found, found
        assert "Seq Scan on jobs" not in found, found
        assert "Seq Scan on attempts" not in found, found
        assert "Sort" not in found, found


@pytest.mark.usefixtures("crowd")
async def test_what_matches_rarely_is_found_in_looks_of_bounded_size(store: PostgresStore) -> None:
    assert keyset.SCAN_ROWS_MAX < COPIES, "one look doesn't reach the end"
    every = AttemptFilter(state=AttemptState.PREPARED)
    first = await store.oversight.attempts(Window(limit=20), every)
    assert first.after is not None
    found = await read_all(lambda window: store.oversight.attempts(window, every), limit=20)
    assert len(found) == 11
