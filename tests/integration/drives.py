"""Everything that is asked of a store, asked of one that has grown: each method, each filter, each direction."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from datetime import timedelta
from itertools import combinations
from typing import Any, Final, TypeAlias

from adapters.postgres import PostgresStore
from adapters.postgres.leftovers import PostgresLeftovers
from payments_core.attempt import AttemptState
from payments_core.audit import Action
from payments_core.errors import NotFound
from payments_core.event import EventType
from payments_core.ids import JobId, PaymentKeyId, TransactionId
from payments_core.job import JobState
from payments_core.merchant import Merchant
from payments_core.overall import KINDS_OF_IDS, RecordFilter, record_position
from payments_core.page import Position
from payments_core.ports import (
    AttemptFilter,
    AuditFilter,
    DeliveryFilter,
    EventFilter,
    JobFilter,
    MerchantFilter,
    TransactionFilter,
    UnitOfWork,
    View,
    Window,
)
from payments_core.testing.builders import (
    DAY,
    MINUTE,
    NOW,
    a_job,
    a_merchant,
    a_payment_key,
    a_record,
    a_refresh_token,
    a_refund,
    a_room,
    a_session,
    a_staff_member,
    a_staff_session,
    a_transaction,
    an_api_key,
    an_attempt,
    an_audit_entry,
    an_endpoint,
    an_event,
)
from payments_core.testing.subject import add
from payments_core.totals import SPAN_DAYS_MAX
from payments_core.transaction import Status
from payments_core.use_cases.remove_leftovers import REMOVED_MAX
from payments_core.webhook import DeliveryStatus
from tests.integration import crowded
from tests.integration.crowded import an_id, time_of

Called: TypeAlias = set[tuple[str, str]]
"""Methods that were called, by class and name."""
Drive: TypeAlias = Callable[[PostgresStore, Called], Awaitable[None]]

LIMIT: Final = 20
AFTER, BEFORE = time_of(an_id("txn", 200_000)), time_of(an_id("txn", 800_000))
EVENTS_AFTER, EVENTS_BEFORE = time_of(an_id("evt", 100_000)), time_of(an_id("evt", 300_000))

TRANSACTION_FILTER: Final = TransactionFilter(
    status=Status.FAILED,
    currency="EUR",
    payment_key=PaymentKeyId(crowded.KEYS[1]),
    reference="ref-500000",
    customer_reference=crowded.CUSTOMER,
    created_after=AFTER,
    created_before=BEFORE,
    min_amount_minor=999,
    max_amount_minor=3,
    text="needle",
    metadata=("order", "needle"),
)
"""Hardly any two have anything in common: then as much is looked at as ever is."""
EVENT_FILTER: Final = EventFilter(
    type=EventType.WEBHOOK_TEST,
    transaction=TransactionId(crowded.TRANSACTION),
    created_after=EVENTS_AFTER,
    created_before=EVENTS_BEFORE,
)
DELIVERY_FILTER: Final = DeliveryFilter(status=DeliveryStatus.EXHAUSTED, event_type=EventType.TRANSACTION_FAILED)
MERCHANT_FILTER: Final = MerchantFilter(text="nobody", suspended=True)
AUDIT_FILTER: Final = AuditFilter(
    action=Action.PASSWORD_RESET,
    subject=crowded.TRANSACTION,
    created_after=time_of(an_id("aud", 100_000)),
    created_before=time_of(an_id("aud", 200_000)),
)


class Watched:
    """A part of a store; what is called of it is noted."""

    def __init__(self, watched: object, called: Called) -> None:
        self._watched = watched
        self._called = called

    def __getattr__(self, name: str) -> Any:
        self._called.add((type(self._watched).__name__, name))
        return getattr(self._watched, name)


@asynccontextmanager
async def _view(store: PostgresStore, called: Called) -> AsyncGenerator[View]:
    """Open the big merchant's snapshot, which notes what is called of it."""
    async with store.view(crowded.BIG, False) as opened:
        view: Any = Watched(opened, called)
        yield view


def _some(whole: Any) -> Iterator[Any]:
    """Return filters with none, one, each two and all of the fields of a filter that has them all."""
    names = [field.name for field in fields(whole)]
    for number in (0, 1, 2, len(names)):
        for chosen in combinations(names, number):
            yield replace(whole, **{name: None for name in names if name not in chosen})


def _windows(key: str) -> list[Window]:
    positions = (None, Position(key=key), Position(key=key, backwards=True))
    return [Window(limit=LIMIT, position=position) for position in positions]


# ── what a merchant reads ────────────────────────────────────────────────────────────────────────────────────────────


async def transactions_listed(store: PostgresStore, called: Called) -> None:
    async with _view(store, called) as view:
        for filter in _some(TRANSACTION_FILTER):
            for window in _windows(an_id("txn", 500_000)):
                await view.transactions(window, filter)
        for text in (crowded.TRANSACTION, crowded.REFUND, an_id("rfn", 9_999_999)):
            for window in _windows(an_id("txn", 500_000)):
                await view.transactions(window, TransactionFilter(text=text))


async def events_listed(store: PostgresStore, called: Called) -> None:
    async with _view(store, called) as view:
        for filter in _some(EVENT_FILTER):
            for window in _windows("200000"):
                await view.events(window, filter)


async def deliveries_listed(store: PostgresStore, called: Called) -> None:
    async with _view(store, called) as view:
        for endpoint in (crowded.ENDPOINT, crowded.FULL):
            for filter in _some(DELIVERY_FILTER):
                for window in _windows(an_id("dlv", 100_000)):
                    await view.deliveries(endpoint, window, filter)


async def the_audit_log_listed(store: PostgresStore, called: Called) -> None:
    async with _view(store, called) as view:
        for filter in _some(AUDIT_FILTER):
            for window in _windows(an_id("aud", 150_000)):
                await view.audit(window, filter)


async def the_rest_listed(store: PostgresStore, called: Called) -> None:
    async with _view(store, called) as view:
        for window in _windows(an_id("rfn", 50_000)):
            for transaction in (None, crowded.REFUNDED, crowded.TRANSACTION):
                await view.refunds(window, transaction)
        await view.refunds_of([TransactionId(an_id("txn", number)) for number in range(0, 500, 5)], limit_each=10)
        for window in _windows(an_id("key", 10_000)):
            await view.payment_keys(window)
        for window in _windows(an_id("apk", 10_000)):
            await view.api_keys(window)
        for window in _windows(an_id("whk", 10)):
            await view.endpoints(window)


async def single_things_read(store: PostgresStore, called: Called) -> None:
    await store.revision(crowded.BIG)
    await store.open_a_secret()
    async with _view(store, called) as view:
        await view.merchant()
        await view.transaction(crowded.TRANSACTION)
        await view.refund(crowded.REFUND)
        await view.payment_key(crowded.KEYS[0])
        await view.api_key(crowded.API_KEY)
        await view.endpoint(crowded.ENDPOINT)
        await view.event(crowded.EVENT)
        await view.delivery(crowded.ENDPOINT, crowded.DELIVERY)
        for transaction in (crowded.REFUNDED, crowded.TRANSACTION):
            await view.attempts_of(transaction)
            await view.deliveries_of(transaction)
        await view.record(crowded.RECORD, at=NOW)


async def the_overview_read(store: PostgresStore, called: Called) -> None:
    last = NOW.date()
    async with _view(store, called) as view:
        totals = await view.totals(last - timedelta(days=SPAN_DAYS_MAX - 1), last)
        assert len(totals) == 2 * SPAN_DAYS_MAX
        await view.waiting(at=NOW)
        await view.endpoints_health(at=NOW)


# ── what a unit reads, and what it writes ────────────────────────────────────────────────────────────────────────────


async def units_read(store: PostgresStore, called: Called) -> None:
    async with store.begin() as opened:
        unit = _watched_unit(opened, called)
        big = crowded.BIG
        merchant = await unit.merchants.get(big)
        await unit.merchants.by_email(merchant.email)
        await unit.api_keys.get(big, crowded.API_KEY)
        await unit.api_keys.valid_of(big, at=NOW)
        key = await unit.payment_keys.get(big, False, crowded.KEYS[0])
        await unit.payment_keys.by_key(big, False, key.key)
        await unit.payment_keys.count(big, False)
        await unit.sessions.get(big, crowded.SESSION)
        await unit.sessions.valid_of(big, at=NOW)
        await unit.sessions.refresh_token("digest1")
        await unit.transactions.get(big, False, crowded.TRANSACTION)
        await unit.refunds.get(big, False, crowded.REFUND)
        for transaction in (crowded.REFUNDED, crowded.TRANSACTION):
            await unit.refunds.latest_of(big, transaction, limit=LIMIT)
        await unit.attempts.get(big, crowded.ATTEMPT)
        await unit.attempts.of(big, crowded.TRANSACTION)
        await unit.endpoints.get(big, False, crowded.ENDPOINT)
        await unit.endpoints.count(big, False)
        await unit.deliveries.get(big, crowded.ENDPOINT, crowded.DELIVERY)
        await unit.jobs.get(big, crowded.JOB)
        await unit.idempotency.get(big, False, crowded.RECORD, at=NOW)
        member = await unit.staff_members.get(crowded.MEMBER)
        await unit.staff_members.by_email(member.email)
        await unit.staff_sessions.get(crowded.STAFF_SESSION)
        await unit.staff_sessions.valid_of(member.id, at=NOW)


async def units_written(store: PostgresStore, called: Called) -> None:
    """Write each kind of thing, new and changed, with all that a commit says for it."""
    async with store.begin() as opened:
        unit = _watched_unit(opened, called)
        merchant = await unit.merchants.get(crowded.BIG)
        endpoint = await unit.endpoints.get(merchant.id, False, crowded.ENDPOINT)
        transaction = await unit.transactions.get(merchant.id, False, crowded.TRANSACTION)
    added = await _added(store, called, merchant)
    async with store.begin() as opened:
        unit = _watched_unit(opened, called)
        unit.merchants.save(merchant)
        for part, name in (
            (unit.api_keys, "api_key"),
            (unit.payment_keys, "payment_key"),
            (unit.sessions, "session"),
            (unit.transactions, "transaction"),
            (unit.refunds, "refund"),
            (unit.attempts, "attempt"),
            (unit.endpoints, "endpoint"),
        ):
            part.save(replace(added[name], version=1))
        unit.sessions.save_refresh_token(replace(added["token"], version=1))
        unit.deliveries.save(await unit.deliveries.get(merchant.id, crowded.ENDPOINT, crowded.DELIVERY))
        unit.jobs.save(replace(added["job"], due_at=NOW + DAY))
        for expected in (endpoint, transaction, replace(added["session"], version=1)):
            unit.expect(expected)
    await _staff_written(store, called)
    async with store.begin() as opened:
        unit = _watched_unit(opened, called)
        unit.jobs.expect(added["job"])
        unit.jobs.done(added["job"])
        unit.endpoints.save(replace(added["endpoint"], enabled=False, version=2))


async def _staff_written(store: PostgresStore, called: Called) -> None:
    member = a_staff_member()
    session = a_staff_session(member)
    async with store.begin() as opened:
        unit = _watched_unit(opened, called)
        unit.staff_members.add(member)
        unit.staff_sessions.add(session)
    async with store.begin() as opened:
        unit = _watched_unit(opened, called)
        unit.staff_members.save(replace(member, version=1))
        unit.staff_sessions.save(replace(session, version=1))
        unit.audit.add(an_audit_entry(None))


def _watched_unit(opened: UnitOfWork, called: Called) -> UnitOfWork:
    """Return the unit, whose parts note what is called of them."""
    unit: Any = Watched(opened, called)
    for name, part in inspect.getmembers(type(opened), lambda member: isinstance(member, property)):
        vars(unit)[name] = Watched(part.fget(opened), called)
    watched: UnitOfWork = unit
    return watched


async def _added(store: PostgresStore, called: Called, merchant: Merchant) -> dict[str, Any]:
    key, session, endpoint = a_payment_key(merchant), a_session(merchant), an_endpoint(merchant)
    transaction = a_transaction(key, reference="another", customer_reference=crowded.CUSTOMER)
    refund = a_refund(transaction)
    things: dict[str, Any] = {
        "newcomer": a_merchant(),
        "api_key": an_api_key(merchant),
        "payment_key": key,
        "session": session,
        "token": a_refresh_token(session),
        "transaction": transaction,
        "refund": refund,
        "attempt": an_attempt(refund),
        "endpoint": endpoint,
        "event": an_event(merchant, transaction=transaction),
        "job": a_job(transaction, due_at=NOW + DAY),
        "record": a_record(merchant),
        "entry": an_audit_entry(merchant),
    }
    async with store.begin() as opened:
        unit = _watched_unit(opened, called)
        for thing in things.values():
            add(unit, thing)
    return things


async def an_endpoint_replayed(store: PostgresStore, called: Called) -> None:
    """Replay as much as may be replayed at once."""
    since, until = time_of(an_id("evt", 150_000)), time_of(an_id("evt", 155_000))
    for only_failed in (False, True):
        async with store.begin() as opened:
            unit = _watched_unit(opened, called)
            endpoint = await unit.endpoints.get(crowded.BIG, False, crowded.ENDPOINT)
            await unit.deliveries.replay(endpoint, since=since, until=until, only_failed=only_failed, at=NOW)


# ── who is known, what workers claim, what staff see ─────────────────────────────────────────────────────────────────


async def a_refusal_noted(store: PostgresStore, called: Called) -> None:
    for merchant in (a_merchant(), None):
        await Watched(store.audit, called).append(an_audit_entry(merchant))


async def credentials_looked_up(store: PostgresStore, called: Called) -> None:
    credentials: Any = Watched(store.credentials, called)
    await credentials.api_key("digest0")
    await credentials.session(crowded.BIG, crowded.SESSION)
    await credentials.touch(crowded.BIG, crowded.API_KEY, at=NOW)


async def work_claimed(store: PostgresStore, called: Called) -> None:
    claims: Any = Watched(store.claims, called)
    jobs = await claims.claim_jobs(at=NOW, limit=100, lease=MINUTE)
    room = a_room(limit=400, limit_each=10, limit_each_merchant=40)
    deliveries = [one.delivery for one in await claims.claim_deliveries(at=NOW, room=room, lease=MINUTE)]
    await claims.extend(jobs, deliveries, until=NOW + 2 * MINUTE)
    await claims.release(jobs, deliveries)


async def leftovers_removed(leftovers: PostgresLeftovers, called: Called) -> None:
    await Watched(leftovers, called).remove(expired_before=NOW, limit=REMOVED_MAX)


async def backlog_counted(store: PostgresStore, called: Called) -> None:
    await Watched(store.claims, called).backlog(at=NOW)


async def staff_look_at_transactions(store: PostgresStore, called: Called) -> None:
    oversight: Any = Watched(store.oversight, called)
    named = [TransactionFilter(text=text) for text in (crowded.TRANSACTION, crowded.REFUND, an_id("rfn", 9_999_999))]
    for merchant in (None, crowded.BIG, crowded.OTHER):
        for window in _windows(an_id("txn", 500_000)):
            for filter in (*_some(TRANSACTION_FILTER), *named):
                await oversight.transactions(window, filter, merchant)


async def staff_look_at_the_rest(store: PostgresStore, called: Called) -> None:
    oversight: Any = Watched(store.oversight, called)
    for merchant in (None, crowded.BIG, crowded.OTHER):
        for list, key in (
            (oversight.refunds, an_id("rfn", 50_000)),
            (oversight.payment_keys, an_id("key", 10_000)),
            (oversight.endpoints, an_id("whk", 10_000)),
        ):
            for window in _windows(key):
                await list(window, merchant)


async def staff_look_at_idempotency_records(store: PostgresStore, called: Called) -> None:
    oversight: Any = Watched(store.oversight, called)
    for merchant in (None, crowded.BIG, crowded.OTHER):
        for window in _windows(record_position(crowded.BIG, False, "key-100000", NOW)):
            for key in (None, crowded.RECORD):
                await oversight.idempotency_records(window, RecordFilter(key=key, merchant=merchant))


async def staff_find_ids(store: PostgresStore, called: Called) -> None:
    oversight: Any = Watched(store.oversight, called)
    things = (crowded.BIG, crowded.TRANSACTION, crowded.REFUND, crowded.KEYS[0], crowded.ENDPOINT, crowded.EVENT)
    for id in (*things, crowded.ATTEMPT, crowded.JOB):
        assert (await oversight.find(id)).id == id
    for kind in KINDS_OF_IDS:
        try:
            await oversight.find(an_id(kind, 9_999_999))
        except NotFound:
            continue
        raise AssertionError("there is nothing with this id")


async def staff_looks(store: PostgresStore, called: Called) -> None:
    oversight: Any = Watched(store.oversight, called)
    for merchant in (None, crowded.BIG):
        for window in _windows(f"{crowded.BIG}/{an_id('job', 50_000)}"):
            for job_state in (None, *JobState):
                await oversight.jobs(window, JobFilter(state=job_state, merchant=merchant), at=NOW)
        for window in _windows(f"{crowded.BIG}/{an_id('att', 150_000)}"):
            for attempt_state in (None, *AttemptState):
                await oversight.attempts(window, AttemptFilter(state=attempt_state, merchant=merchant))
        for window in _windows(an_id("aud", 150_000)):
            for filter in _some(AUDIT_FILTER):
                await oversight.audit(window, filter, merchant)
    await oversight.job(crowded.JOB)
    await oversight.attempt(crowded.ATTEMPT)
    for look in (oversight.job(JobId("job_0")), oversight.attempt(an_id("att", 9_999_999))):
        try:
            await look
        except NotFound:
            continue
        raise AssertionError("there is nothing with this id")


async def staff_look_for_merchants(store: PostgresStore, called: Called) -> None:
    oversight: Any = Watched(store.oversight, called)
    for window in _windows(an_id("mer", 150)):
        for merchants in _some(MERCHANT_FILTER):
            await oversight.merchants(window, merchants)
        await oversight.merchants(window, MerchantFilter(text=crowded.BIG))
    await oversight.merchant(crowded.BIG)
    await oversight.staff_members(limit=1_000)
    await oversight.staff_session(crowded.STAFF_SESSION)
