"""A unit of work in memory: what it reads, what it remembers, and its commit."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

from adapters.memory.deliveries import MemoryDeliveries, cancel_pending, deliveries_of_replay, make_deliveries
from adapters.memory.shelves import (
    MemoryApiKeys,
    MemoryAttempts,
    MemoryEndpoints,
    MemoryMerchants,
    MemoryPaymentKeys,
    MemoryRefunds,
    MemorySessions,
    MemoryStaffMembers,
    MemoryStaffSessions,
    MemoryTransactions,
)
from adapters.memory.state import State
from payments_core.audit import AuditEntry
from payments_core.errors import Duplicate, LeaseLost, NotFound, StaleWrite
from payments_core.event import Event
from payments_core.idempotency import Record
from payments_core.ids import JobId, MerchantId
from payments_core.job import Job
from payments_core.merchant import ApiKey, Merchant, PaymentKey, Session
from payments_core.ports import Unique, Versioned
from payments_core.refund import Refund
from payments_core.transaction import Transaction
from payments_core.webhook import Endpoint


class MemoryEvents:
    """The port `Events`."""

    def __init__(self) -> None:
        self.added: list[Event] = []

    def add(self, event: Event, /) -> None:
        """Remember an event."""
        self.added.append(event)


class MemoryJobs:
    """The port `Jobs`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.added: list[Job] = []
        self.expected: list[Job] = []
        self.saved: dict[JobId, Job] = {}
        self.ended: dict[JobId, Job] = {}

    async def get(self, merchant: MerchantId, id: JobId, /) -> Job:
        """Return the merchant's job, or raise NotFound."""
        await asyncio.sleep(0)
        own = {job.id: job for job in (*self.added, *self.saved.values())}
        found = None if id in self.ended else own.get(id) or self._state.jobs.get(id)
        if found is None or found.merchant != merchant:
            raise NotFound("There is nothing with this id.")
        return found

    def add(self, job: Job, /) -> None:
        """Remember a new job."""
        self.added.append(job)

    def expect(self, job: Job, /) -> None:
        """Have the commit raise LeaseLost where its lease is another's."""
        self.expected.append(job)

    def save(self, job: Job, /) -> None:
        """Remember a claimed job's new state."""
        self.saved[job.id] = job

    def done(self, job: Job, /) -> None:
        """Remember to remove a claimed job."""
        self.ended[job.id] = job


class MemoryIdempotencyRecords:
    """The port `IdempotencyRecords`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.added: list[Record] = []

    async def get(self, merchant: MerchantId, livemode: bool, key: str, /, *, at: datetime) -> Record | None:
        """Return what the key did, unless that has expired."""
        await asyncio.sleep(0)
        identity = (merchant, livemode, key)
        own = [record for record in self.added if (record.merchant, record.livemode, record.key) == identity]
        found = own[-1] if own else self.stored(*identity)
        return found if found is not None and at < found.expires_at else None

    def add(self, record: Record, /) -> None:
        """Remember a record."""
        self.added.append(record)

    def stored(self, merchant: MerchantId, livemode: bool, key: str) -> Record | None:
        """Return the record that is committed, expired or not."""
        account = self._state.accounts.get(merchant)
        return account.records.get((livemode, key)) if account else None


class MemoryAuditEntries:
    """The port `AuditEntries`."""

    def __init__(self) -> None:
        self.added: list[AuditEntry] = []

    def add(self, entry: AuditEntry, /) -> None:
        """Remember an entry."""
        self.added.append(entry)


class MemoryUnitOfWork:
    """The port `UnitOfWork`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.merchants = MemoryMerchants(state)
        self.api_keys = MemoryApiKeys(state)
        self.payment_keys = MemoryPaymentKeys(state)
        self.sessions = MemorySessions(state)
        self.transactions = MemoryTransactions(state)
        self.refunds = MemoryRefunds(state)
        self.attempts = MemoryAttempts(state)
        self.endpoints = MemoryEndpoints(state)
        self.deliveries = MemoryDeliveries(state)
        self.events = MemoryEvents()
        self.jobs = MemoryJobs(state)
        self.idempotency = MemoryIdempotencyRecords(state)
        self.audit = MemoryAuditEntries()
        self.staff_members = MemoryStaffMembers(state)
        self.staff_sessions = MemoryStaffSessions(state)
        self._shelves = (
            self.merchants,
            self.api_keys,
            self.payment_keys,
            self.sessions,
            self.sessions.tokens,
            self.transactions,
            self.refunds,
            self.attempts,
            self.deliveries,
            self.endpoints,
            self.staff_members,
            self.staff_sessions,
        )

    def expect(self, aggregate: Versioned, /) -> None:
        """Have the commit raise StaleWrite where this aggregate's version moved."""
        match aggregate:
            case Merchant():
                self.merchants.expect(aggregate)
            case ApiKey():
                self.api_keys.expect(aggregate)
            case PaymentKey():
                self.payment_keys.expect(aggregate)
            case Session():
                self.sessions.expect(aggregate)
            case Transaction():
                self.transactions.expect(aggregate)
            case Refund():
                self.refunds.expect(aggregate)
            case Endpoint():
                self.endpoints.expect(aggregate)

    def commit(self) -> None:
        """Write everything or, raising, nothing. It never waits: nobody sees a part of it."""
        merchants = self._merchants()
        self._check_records()
        for shelf in self._shelves:
            shelf.check_versions()
        self._check_leases()
        for shelf in self._shelves:
            shelf.check_unique()
        self._check_identities()
        self._apply()
        for merchant in merchants:
            self._state.writable(merchant).revision += 1

    # A key that is taken is named first: the same request was here before, which comes before every business rule.
    def _check_records(self) -> None:
        seen = set[tuple[MerchantId, bool, str]]()
        for record in self.idempotency.added:
            identity = (record.merchant, record.livemode, record.key)
            before = self.idempotency.stored(*identity)
            if identity in seen or (before is not None and record.created_at < before.expires_at):
                raise Duplicate(Unique.IDEMPOTENCY_KEY)
            seen.add(identity)

    def _check_leases(self) -> None:
        for job in (*self.jobs.expected, *self.jobs.saved.values(), *self.jobs.ended.values()):
            held = self._state.jobs.get(job.id)
            if held is None or held.lease_token != job.lease_token:
                raise LeaseLost("another worker has claimed this job, or it is done")

    def _check_identities(self) -> None:
        jobs = [job.id for job in self.jobs.added]
        events = [event.id for event in self.events.added]
        entries = [entry.id for entry in self.audit.added]
        if any(len({*ids}) < len(ids) for ids in (jobs, events, entries)):
            raise Duplicate(Unique.ID)
        if any(id in self._state.jobs for id in jobs) or any(self._state.audit.get(id) for id in entries):
            raise Duplicate(Unique.ID)
        for event in self.events.added:
            account = self._state.accounts.get(event.merchant)
            if account is not None and event.id in account.events:
                raise Duplicate(Unique.ID)

    def _merchants(self) -> set[MerchantId]:
        """Return the merchants that the commit touches; raise StaleWrite for one that was never stored."""
        touched = set[MerchantId]().union(*(shelf.merchants() for shelf in self._shelves))
        touched.update(event.merchant for event in self.events.added)
        touched.update(job.merchant for job in (*self.jobs.added, *self.jobs.saved.values(), *self.jobs.ended.values()))
        touched.update(record.merchant for record in self.idempotency.added)
        touched.update(entry.merchant for entry in self.audit.added if entry.merchant is not None)
        touched.update(replay.endpoint.merchant for replay in self.deliveries.replays)
        if touched - self.merchants.merchants() - self._state.accounts.keys():
            raise StaleWrite("a merchant was never stored")
        return touched

    def _apply(self) -> None:
        for shelf in self._shelves:
            shelf.apply()
        for endpoint in self.endpoints.own():
            if not endpoint.enabled or endpoint.removed_at is not None:
                cancel_pending(self._state, endpoint)
        for replay in self.deliveries.replays:
            for delivery in list(deliveries_of_replay(self._state, replay)):
                self._state.put_delivery(delivery)
        for event in self.events.added:
            self._apply_event(event)
        self._apply_records()
        for job in (*self.jobs.added, *self.jobs.saved.values()):
            self._state.jobs[job.id] = job
        for id in self.jobs.ended:
            del self._state.jobs[id]

    def _apply_records(self) -> None:
        for entry in self.audit.added:
            self._state.append(entry)
        for record in self.idempotency.added:
            self._state.writable(record.merchant).records[record.livemode, record.key] = record

    def _apply_event(self, event: Event) -> None:
        account = self._state.writable(event.merchant)
        placed = replace(event, position=len(account.log) + 1)
        account.log.append(placed)
        account.events[event.id] = placed
        make_deliveries(self._state, account, placed)
