"""What a memory store holds: an account for each merchant, what is looked up over all of them, and the staff's."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, TypeAlias, TypeVar

from payments_core.attempt import Attempt
from payments_core.audit import AuditEntry
from payments_core.errors import NotFound
from payments_core.event import Event
from payments_core.idempotency import Record
from payments_core.ids import DeliveryId, EndpointId, JobId, MerchantId
from payments_core.job import Job
from payments_core.merchant import ApiKey, Merchant, PaymentKey, RefreshToken, Session
from payments_core.refund import Refund
from payments_core.staff_member import StaffMember, StaffSession
from payments_core.transaction import Transaction
from payments_core.webhook import Delivery, DeliveryStatus, Endpoint

V = TypeVar("V")

Key: TypeAlias = tuple[str, ...]
"""An identity: the merchant's id first."""


class Table(Generic[V]):
    """Rows by their id, kept in the order of ids."""

    __slots__ = ("_ids", "_rows")

    def __init__(self) -> None:
        self._rows: dict[str, V] = {}
        self._ids: list[str] = []

    def __len__(self) -> int:
        return len(self._ids)

    def get(self, id: str) -> V | None:
        """Return the row, if there is one."""
        return self._rows.get(id)

    def put(self, id: str, row: V) -> None:
        """Keep the row in place of an older one."""
        if id not in self._rows:
            insort(self._ids, id)
        self._rows[id] = row

    def remove(self, id: str) -> None:
        """Forget a row that is there."""
        del self._rows[id]
        del self._ids[bisect_left(self._ids, id)]

    def copy(self) -> Table[V]:
        """Return a table of its own with the same rows."""
        table = Table[V]()
        table._rows = self._rows.copy()
        table._ids = self._ids.copy()
        return table

    def oldest_first(self, *, above: str | None = None) -> Iterator[V]:
        """Return the rows with ids above that one, the lowest id first."""
        start = 0 if above is None else bisect_right(self._ids, above)
        return (self._rows[self._ids[index]] for index in range(start, len(self._ids)))

    def newest_first(self, *, below: str | None = None) -> Iterator[V]:
        """Return the rows with ids below that one, the highest id first."""
        end = len(self._ids) if below is None else bisect_left(self._ids, below)
        return (self._rows[self._ids[index]] for index in range(end - 1, -1, -1))


@dataclass(slots=True)
class Account:
    """One merchant and all that is theirs, of both modes. `log` has their events by position, the first at index 0.

    `seen`: a view holds this object, which therefore must not change any more (`State.writable`). Only what views
    show is copied then.
    """

    merchant: Merchant
    revision: int = 0
    seen: bool = False
    api_keys: Table[ApiKey] = field(default_factory=Table[ApiKey])
    payment_keys: Table[PaymentKey] = field(default_factory=Table[PaymentKey])
    transactions: Table[Transaction] = field(default_factory=Table[Transaction])
    refunds: Table[Refund] = field(default_factory=Table[Refund])
    refunds_of: dict[str, Table[Refund]] = field(default_factory=dict[str, Table[Refund]])
    endpoints: Table[Endpoint] = field(default_factory=Table[Endpoint])
    deliveries: dict[EndpointId, Table[Delivery]] = field(default_factory=dict[EndpointId, Table[Delivery]])
    events: dict[str, Event] = field(default_factory=dict[str, Event])
    log: list[Event] = field(default_factory=list[Event])
    records: dict[tuple[bool, str], Record] = field(default_factory=dict[tuple[bool, str], Record])
    sessions: Table[Session] = field(default_factory=Table[Session])
    refresh_tokens: Table[RefreshToken] = field(default_factory=Table[RefreshToken])
    attempts: Table[Attempt] = field(default_factory=Table[Attempt])
    audit: Table[AuditEntry] = field(default_factory=Table[AuditEntry])

    def split(self) -> Account:
        """Return an account that can go on while views keep this one as it is."""
        return replace(
            self,
            seen=False,
            api_keys=self.api_keys.copy(),
            payment_keys=self.payment_keys.copy(),
            transactions=self.transactions.copy(),
            refunds=self.refunds.copy(),
            refunds_of={id: table.copy() for id, table in self.refunds_of.items()},
            endpoints=self.endpoints.copy(),
            deliveries={id: table.copy() for id, table in self.deliveries.items()},
            events=self.events.copy(),
            log=self.log.copy(),
            records=self.records.copy(),
            attempts=self.attempts.copy(),
            audit=self.audit.copy(),
        )


class State:
    """Everything. It changes only between two awaits: `commit`, the claims and `touch` call it and never wait."""

    def __init__(self) -> None:
        self.accounts: dict[MerchantId, Account] = {}
        self.taken: dict[Hashable, Key] = {}
        """Each unique value and whose it is."""
        self.jobs: dict[JobId, Job] = {}
        self.pending: dict[DeliveryId, tuple[MerchantId, EndpointId]] = {}
        self.audit: Table[AuditEntry] = Table()
        """Everybody's and nobody's."""
        self.staff_members: Table[StaffMember] = Table()
        self.staff_sessions: Table[StaffSession] = Table()

    def account(self, merchant: MerchantId) -> Account:
        """Return the account to read from, or raise NotFound."""
        found = self.accounts.get(merchant)
        if found is None:
            raise NotFound("There is no such merchant.")
        return found

    def writable(self, merchant: MerchantId) -> Account:
        """Return the account to write to: one that no view holds."""
        found = self.account(merchant)
        if found.seen:
            found = self.accounts[merchant] = found.split()
        return found

    def delivery(self, merchant: MerchantId, endpoint: EndpointId, id: DeliveryId) -> Delivery | None:
        """Return the delivery, if there is one."""
        account = self.accounts.get(merchant)
        table = account.deliveries.get(endpoint) if account else None
        return table.get(id) if table else None

    def put_delivery(self, delivery: Delivery) -> None:
        """Keep the delivery in place of its older state."""
        deliveries = self.writable(delivery.merchant).deliveries
        deliveries.setdefault(delivery.endpoint, Table()).put(delivery.id, delivery)
        if delivery.status is DeliveryStatus.PENDING:
            self.pending[delivery.id] = (delivery.merchant, delivery.endpoint)
        else:
            self.pending.pop(delivery.id, None)

    def append(self, entry: AuditEntry) -> None:
        """Keep an entry of the audit log."""
        self.audit.put(entry.id, entry)
        if entry.merchant is not None and entry.merchant in self.accounts:
            self.writable(entry.merchant).audit.put(entry.id, entry)

    def pending_deliveries(self) -> Iterator[Delivery]:
        """Return all deliveries that are pending, in no order."""
        for id, (merchant, endpoint) in self.pending.items():
            delivery = self.delivery(merchant, endpoint, id)
            if delivery is not None:
                yield delivery
