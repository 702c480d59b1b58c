"""The sandbox's books in Postgres: the gateway's contract, two processes, and a server that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import LiteralString

import psycopg
import pytest
from sqlalchemy import make_url

from adapters.sandbox import EntryStatus, LedgerAway, SandboxGateway
from adapters.sandbox.gateway import LATE_DECISION_AFTER
from adapters.sandbox.postgres_ledger import PostgresLedger
from payments_core.gateway import Approved, Declined, NotSeen, Submission, Unknown
from payments_core.ids import AttemptId
from payments_core.testing.gateway import (
    CALLS_AT_ONCE,
    GatewayContract,
    GatewayUnderTest,
    charge_of,
    refund_of,
)
from tests.patience import until, until_seen


class HandClock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    async def wait(self, seconds: float, /) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def ledgers(database_url: str) -> AsyncIterator[Sequence[PostgresLedger]]:
    """Two ledgers on one database, as two workers have them."""
    both = [PostgresLedger(database_url) for _ in range(2)]
    await both[0].prepare()
    yield both
    for ledger in both:
        await ledger.close()


@pytest.fixture
def ledger(ledgers: Sequence[PostgresLedger]) -> PostgresLedger:
    return ledgers[0]


@pytest.fixture
def gateways(ledgers: Sequence[PostgresLedger], clock: HandClock) -> Sequence[SandboxGateway]:
    return [SandboxGateway(ledger, latency=(0, 0), clock=clock) for ledger in ledgers]


class TestSandboxOverPostgres(GatewayContract):
    @pytest.fixture
    def subject(self, gateways: Sequence[SandboxGateway], ledger: PostgresLedger) -> GatewayUnderTest:
        async def times_moved(attempt: AttemptId) -> int:
            return sum(entry.attempt == attempt and entry.code is None for entry in await ledger.entries())

        return GatewayUnderTest(
            gateway=gateways[0],
            approved_method="pm_approve",
            declined_method="pm_decline_fraud",
            times_moved=times_moved,
        )


async def submit_everywhere(gateways: Sequence[SandboxGateway], submission: Submission) -> list[object]:
    calls = [gateway.submit(submission) for gateway in gateways for _ in range(CALLS_AT_ONCE)]
    return list(await asyncio.gather(*calls))


@pytest.mark.parametrize("payment_method", ["pm_timeout_charged", "pm_timeout_not_charged", "pm_error_once"])
async def test_two_workers_at_once_charge_once_and_one_call_alone_stays_without_answer(
    gateways: Sequence[SandboxGateway], ledger: PostgresLedger, payment_method: str
) -> None:
    charge = charge_of(payment_method)
    outcomes = await submit_everywhere(gateways, charge)
    assert sum(isinstance(outcome, Unknown) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Approved) for outcome in outcomes) == len(outcomes) - 1
    assert [(entry.attempt, entry.status) for entry in await ledger.entries()] == [(charge.id, EntryStatus.CHARGED)]


async def test_a_dropped_call_is_not_seen_by_the_other_worker_whose_repeat_charges(
    gateways: Sequence[SandboxGateway],
) -> None:
    charge = charge_of("pm_error_once")
    assert isinstance(await gateways[0].submit(charge), Unknown)
    assert await gateways[1].lookup(charge) == NotSeen()
    assert isinstance(await gateways[1].submit(charge), Approved)


async def test_the_books_say_all_that_was_decided_and_what_was_changed_later_once(
    gateways: Sequence[SandboxGateway], ledger: PostgresLedger, clock: HandClock
) -> None:
    charge = charge_of("pm_refund_returned_late")
    charged = await gateways[0].submit(charge)
    assert isinstance(charged, Approved)
    refund = refund_of(charge, charged.reference)
    assert isinstance(await gateways[0].submit(refund), Approved)
    decided_at = clock.time
    clock.time += LATE_DECISION_AFTER
    changed_at = clock.time
    sightings = await asyncio.gather(*(gateway.lookup(refund) for gateway in gateways))
    clock.time += timedelta(hours=1)
    sightings.append(await gateways[0].lookup(refund))
    assert all(isinstance(sighting, Declined) and sighting.code == "returned" for sighting in sightings)

    entries = {entry.attempt: entry for entry in await ledger.entries()}
    assert entries[charge.id].status is EntryStatus.CHARGED
    assert entries[charge.id].changed_at is None
    returned = entries[refund.id]
    assert (returned.status, returned.code) == (EntryStatus.DECLINED, "returned")
    assert (returned.at, returned.changed_at) == (decided_at, changed_at)
    assert returned.amount == refund.amount
    assert returned.charge_reference == charged.reference


async def test_the_books_are_read_page_by_page_in_the_order_of_attempts(
    gateways: Sequence[SandboxGateway], ledger: PostgresLedger
) -> None:
    charges = [charge_of(None) for _ in range(3)]
    for charge in reversed(charges):
        await gateways[0].submit(charge)
    ids = sorted(charge.id for charge in charges)
    first = await ledger.entries(limit=2)
    rest = await ledger.entries(after=first[-1].attempt, limit=2)
    assert [entry.attempt for entry in first] == ids[:2]
    assert [entry.attempt for entry in rest] == ids[2:]


async def test_many_processes_may_prepare_the_books_at_once_and_again(database_url: str) -> None:
    ledgers = [PostgresLedger(database_url) for _ in range(5)]
    await asyncio.gather(*(ledger.prepare() for ledger in ledgers))
    await ledgers[0].prepare()
    assert await ledgers[0].entries() == []
    for ledger in ledgers:
        await ledger.close()


async def test_a_url_that_names_no_driver_is_taken_too(database_url: str) -> None:
    plain = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    ledger = PostgresLedger(plain)
    await ledger.prepare()
    assert await ledger.entries() == []
    await ledger.close()


async def test_an_outcome_is_unknown_while_the_server_cuts_connections_and_known_after(
    gateways: Sequence[SandboxGateway], database_url: str
) -> None:
    charge = charge_of("pm_approve")
    charged = await gateways[0].submit(charge)
    await terminate_all_others(database_url)
    assert isinstance(await gateways[0].lookup(charge), Unknown)
    assert await gateways[0].lookup(charge) == charged


async def test_a_server_that_cannot_be_reached_makes_the_outcome_unknown_and_says_nothing_secret(
    clock: HandClock,
) -> None:
    ledger = PostgresLedger("postgresql://somebody:secret@/nowhere?host=/nonexistent")
    gateway = SandboxGateway(ledger, latency=(0, 0), clock=clock)
    outcome = await gateway.submit(charge_of("pm_approve"))
    assert outcome == Unknown(why="the sandbox's ledger did not answer: OperationalError")
    with pytest.raises(LedgerAway):
        await ledger.prepare()
    await ledger.close()


async def test_a_ledger_that_is_locked_up_gives_up_in_time_and_the_charge_is_made_once_after_all(
    gateways: Sequence[SandboxGateway], ledger: PostgresLedger, database_url: str
) -> None:
    charge = charge_of("pm_approve")
    async with await psycopg.AsyncConnection.connect(dsn(database_url)) as connection:
        await connection.execute("LOCK TABLE sandbox.entries")
        started = asyncio.get_running_loop().time()
        assert isinstance(await gateways[0].submit(charge), Unknown)
        spent = asyncio.get_running_loop().time() - started
        assert spent < gateways[0].capabilities.quiet_period.total_seconds()
    assert await gateways[0].lookup(charge) == NotSeen()
    assert isinstance(await gateways[0].submit(charge), Approved)
    assert len(await ledger.entries()) == 1


async def test_calls_that_wait_for_each_other_end_in_the_time_of_one_and_what_came_too_late_is_not_written(
    gateways: Sequence[SandboxGateway], ledger: PostgresLedger, database_url: str
) -> None:
    gateway, refused = gateways[0], [charge_of("pm_approve") for _ in range(2)]
    async with await psycopg.AsyncConnection.connect(dsn(database_url)) as connection:
        await connection.execute("LOCK TABLE sandbox.entries")
        first = asyncio.create_task(gateway.submit(refused[0]))
        await until_seen(partial(statements_that_wait, database_url), 1)
        second = asyncio.create_task(gateway.submit(refused[1]))
        await asyncio.sleep(0)  # it waits for the first one's statement
        # A call that begins later and waits for no other has a whole call's time: nobody waited for longer than that.
        with pytest.raises(LedgerAway):
            await ledger.find(refused[1].id)
        assert first.done()
        assert second.done()
        assert all([isinstance(await call, Unknown) for call in (first, second)])
    await until(partial(is_approved, gateway, accepted := charge_of("pm_approve")))
    assert [entry.attempt for entry in await ledger.entries()] == [accepted.id]


async def test_an_entry_whose_caller_went_before_it_was_its_turn_is_not_written(
    gateways: Sequence[SandboxGateway], ledger: PostgresLedger, database_url: str
) -> None:
    gateway, given_up = gateways[0], charge_of("pm_approve")
    async with await psycopg.AsyncConnection.connect(dsn(database_url)) as connection:
        await connection.execute("LOCK TABLE sandbox.entries")
        first = asyncio.create_task(gateway.submit(charge_of("pm_approve")))
        await until_seen(partial(statements_that_wait, database_url), 1)
        second = asyncio.create_task(gateway.submit(given_up))
        await asyncio.sleep(0)  # it waits for the first one's statement
        second.cancel()
        await asyncio.wait([second])
    await first
    await until(partial(is_approved, gateway, charge_of("pm_approve")))
    assert given_up.id not in {entry.attempt for entry in await ledger.entries()}


async def test_what_a_server_comes_to_after_its_time_is_not_written_even_where_it_cannot_be_cancelled(
    gateways: Sequence[SandboxGateway], ledger: PostgresLedger, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_lost(*_: object, **__: object) -> None:
        """Cancel nothing, as over a network that swallows what is sent."""

    monkeypatch.setattr(psycopg.AsyncConnection, "cancel_safe", is_lost)
    charge = charge_of("pm_approve")
    async with await psycopg.AsyncConnection.connect(dsn(database_url)) as connection:
        await connection.execute("LOCK TABLE sandbox.entries")
        assert isinstance(await gateways[0].submit(charge), Unknown)
        assert await statements_that_wait(database_url) == 1, "the server is still at it"
    await until_seen(partial(statements_that_run, database_url), 0)
    assert await ledger.find(charge.id) is None


async def is_approved(gateway: SandboxGateway, submission: Submission) -> bool:
    return isinstance(await gateway.submit(submission), Approved)


async def statements_that_wait(database_url: str) -> int:
    return await number_of_others(database_url, "wait_event_type = 'Lock'")


async def statements_that_run(database_url: str) -> int:
    return await number_of_others(database_url, "state = 'active'")


async def number_of_others(database_url: str, which: LiteralString) -> int:
    async with await psycopg.AsyncConnection.connect(dsn(database_url), autocommit=True) as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND "
            + which
        )
        (number,) = await cursor.fetchone() or (0,)
        return int(number)


async def terminate_all_others(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn(database_url), autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def dsn(database_url: str) -> str:
    return make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
