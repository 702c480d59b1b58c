"""A shop on the store under test, with a gateway and receivers, whose books a verification reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol, TypeAlias

from payments_core.attempt import LOOKUP_SCHEDULE, Attempt
from payments_core.books import GatewayEntry
from payments_core.event import Event
from payments_core.gateway import Approved, Capabilities, Declined, NotSeen, Outcome, Sighting, Submission
from payments_core.idempotency import Once, Record, fingerprint
from payments_core.ids import AttemptId, EndpointId, RefundId, TransactionId
from payments_core.job import CLAIM_BATCH_MAX, LEASE, Job
from payments_core.merchant import Caller
from payments_core.money import Money, currency
from payments_core.ports import Answered, Books, Notification
from payments_core.recent import Recent
from payments_core.refund import Refund
from payments_core.testing.builders import MINUTE, NOW, a_room
from payments_core.testing.subject import Shop, Store, open_shop
from payments_core.transaction import Transaction
from payments_core.units import Made, Units
from payments_core.use_cases.deliver_webhook import deliver_webhook
from payments_core.use_cases.manage_webhooks import AddEndpoint, ChangeEndpoint, add_endpoint, change_endpoint
from payments_core.use_cases.pay import Pay, pay
from payments_core.use_cases.process_job import Processor
from payments_core.use_cases.refund_transaction import RefundTransaction, refund_transaction
from payments_core.values import encode_json
from payments_core.verification import Breach, Verification
from payments_core.webhook import RETRY_SCHEDULE, Delivery, Endpoint

ROUNDS_MAX: Final = 20
DECLINED: Final = "pm_declined"
PAY: Final = "POST /api/transactions/pay"

Row: TypeAlias = Transaction | Refund | Attempt | Endpoint | Event | Delivery | Job | Record
"""What a test can write and remove behind the store's back."""


class VerifiedStore(Store, Protocol):
    """A store whose books are read."""

    @property
    def books(self) -> Books: ...


class Tampering(Protocol):
    """Writes what no commit would, past every check: as a defect, a restored backup or a hand would."""

    async def put(self, row: Row, /) -> None:
        """Write a row as it is, in place of the one with its identity."""
        ...

    async def remove(self, row: Row, /) -> None:
        """Remove the row with its identity."""
        ...


@dataclass
class HandGateway:
    """A gateway that decides at once, and whose books are open."""

    books: dict[AttemptId, GatewayEntry] = field(default_factory=dict[AttemptId, GatewayEntry])
    gateway: str = "sandbox"

    @property
    def capabilities(self) -> Capabilities:
        """A gateway that forgets nothing."""
        forever = timedelta(days=1000)
        return Capabilities(name=self.gateway, livemode=False, key_retention=forever, quiet_period=timedelta(0))

    async def submit(self, submission: Submission, /) -> Outcome:
        """Decide by the payment method."""
        moved = submission.payment_method != DECLINED
        entry = GatewayEntry(attempt=submission.id, kind=submission.kind, amount=submission.amount, moved=moved)
        return _outcome(self.books.setdefault(submission.id, entry))

    async def lookup(self, submission: Submission, /) -> Sighting:
        """Say what was decided."""
        entry = self.books.get(submission.id)
        return NotSeen() if entry is None else _outcome(entry)

    async def entries_of(self, attempts: Sequence[AttemptId], /) -> Mapping[AttemptId, GatewayEntry]:
        """Return the entries of these attempts."""
        return {id: self.books[id] for id in attempts if id in self.books}

    async def entries(self, *, after: str, limit: int) -> Sequence[GatewayEntry]:
        """Return entries in the order of their attempts' ids."""
        return [self.books[id] for id in sorted(self.books) if id > after][:limit]


def _outcome(entry: GatewayEntry) -> Outcome:
    if entry.moved:
        return Approved(reference=f"ch_{entry.attempt}")
    return Declined(code="declined", message="The payment was declined.")


@dataclass
class VerifiedShop:
    """A merchant with an endpoint that takes everything, on a store whose books are in order.

    Its clock stands still until it is moved, and so does the work until `work` does it.
    """

    store: VerifiedStore
    tampering: Tampering
    gateway: HandGateway = field(default_factory=HandGateway)
    at: datetime = NOW
    status_code: int = 204
    shop: Shop = field(init=False)
    units: Units = field(init=False)
    caller: Caller = field(init=False)
    endpoint: EndpointId = field(init=False)
    made: int = field(default=0, init=False)

    async def open(self) -> None:
        """Store the merchant and the endpoint; its subscription is older than any margin then."""
        self.shop = await open_shop(self.store)
        self.caller = Caller(merchant=self.shop.merchant.id)
        self.units = Units(begin=self.store.begin, clock=self, entropy=self._entropy, encode=encode_json, doorbell=self)
        added = await self._answer(partial(add_endpoint, command=AddEndpoint(url="https://a.example/"), notifier=self))
        self.endpoint = EndpointId(added)
        self.at += 10 * MINUTE

    # ── the ports that it is

    def now(self) -> datetime:
        """Return the time."""
        return self.at

    async def wait(self, seconds: float, /) -> None:
        """Let so much time pass."""
        self.at += timedelta(seconds=seconds)

    def ring(self) -> None:
        """Nobody waits for work."""

    def refuses(self, _url: str, /) -> str | None:
        """Take any address."""
        return None

    async def send(self, _notification: Notification, /) -> Answered:
        """Answer with `status_code`."""
        return Answered(status_code=self.status_code, milliseconds=1, excerpt="")

    # ── what happens

    async def pay(self, *, payment_method: str | None = None, key: str | None = None) -> TransactionId:
        """Take a payment of 100.00 USD; `key` is an idempotency key."""
        command = Pay(payment_key=self.shop.key.key, amount="100.00", currency="USD", payment_method=payment_method)
        amount = Money(amount_minor=10_000, currency=currency("USD"))
        act = partial(pay, command=command, amount=amount, gateway=self.gateway.gateway, recent=Recent())
        once = (
            None
            if key is None
            else Once(key=key, route=PAY, status=201, fingerprint=fingerprint(b"k" * 32, route=PAY, body={}))
        )
        return TransactionId(await self._answer(act, once))

    async def refund(self, transaction: TransactionId, amount: str = "30.00") -> RefundId:
        """Promise money back."""
        command = RefundTransaction(transaction=transaction, amount=amount)
        return RefundId(await self._answer(partial(refund_transaction, command=command)))

    async def set_enabled(self, enabled: bool) -> None:
        """Open or close the endpoint."""
        command = ChangeEndpoint(enabled=enabled)
        await self._answer(partial(change_endpoint, id=self.endpoint, command=command, notifier=self))

    async def work(self) -> None:
        """Do what is due now, and what follows from it."""
        processor = Processor(
            units=self.units, clock=self, gateways={False: self.gateway}, lookups=LOOKUP_SCHEDULE, recent=Recent()
        )
        for _ in range(ROUNDS_MAX):
            claims = self.store.claims
            jobs = await claims.claim_jobs(at=self.at, limit=CLAIM_BATCH_MAX, lease=LEASE)
            deliveries = await claims.claim_deliveries(at=self.at, room=a_room(), lease=LEASE)
            if not jobs and not deliveries:
                return
            for job in jobs:
                await processor.process(job)
            for claimed in deliveries:
                await deliver_webhook(self.units, self, self, claimed, RETRY_SCHEDULE)
        raise AssertionError("the work does not end")

    async def paid(self) -> TransactionId:
        """Return a payment that has succeeded, with all its webhooks delivered."""
        id = await self.pay()
        await self.work()
        return id

    async def breaches(self) -> Sequence[Breach]:
        """Verify, without a pause."""
        return (await self.verification().run()).breaches

    def verification(self) -> Verification:
        """Return a verification of the store and the gateway."""
        return Verification(books=self.store.books, ledgers=[self.gateway], clock=self, pause=_no_pause)

    async def _answer(self, act: Callable[..., Awaitable[Made]], once: Once | None = None) -> str:
        made = await self.units.answer(partial(act, caller=self.caller), caller=self.caller, once=once)
        assert made.resource is not None
        return made.resource

    def _entropy(self, length: int) -> bytes:
        self.made += 1
        return self.made.to_bytes(length, "big")


async def _no_pause() -> None:
    """Nobody else is at work."""
