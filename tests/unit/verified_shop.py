"""A merchant over memory, the sandbox's ledger and receivers, with everything that a verification looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

from adapters.memory import HandClock, MemoryNotifier, MemoryPasswords, MemoryStore
from adapters.memory.doorbell import MemoryDoorbell
from adapters.memory.limits import MemoryRateLimits
from adapters.memory.state import Account, State
from adapters.memory.tokens import MemoryAccessTokens
from adapters.sandbox import MemoryLedger, SandboxBooks, SandboxGateway
from payments_core import AddEndpoint, Caller, Once, Pay, Payments, Ports, RefundTransaction, Register
from payments_core.idempotency import fingerprint
from payments_core.ids import EndpointId, MerchantId, TransactionId
from payments_core.testing.builders import NOW
from payments_core.verification import Report, Verification
from payments_core.worker import Worker

MINUTE = timedelta(minutes=1)


def _entropy() -> Any:
    count = 0

    def entropy(length: int) -> bytes:
        nonlocal count
        count += 1
        return count.to_bytes(length, "big")

    return entropy


async def _at_once(_seconds: float) -> None: ...


@dataclass
class VerifiedShop:
    """Its clock stands still until it is moved, and so does the work."""

    clock: HandClock = field(default_factory=lambda: HandClock(NOW))
    store: MemoryStore = field(default_factory=MemoryStore)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    notifier: MemoryNotifier = field(default_factory=MemoryNotifier)
    payments: Payments = field(init=False)
    worker: Worker = field(init=False)
    caller: Caller = field(init=False)
    payment_key: str = field(init=False)

    @classmethod
    async def open(cls) -> Self:
        shop = cls()
        entropy = _entropy()
        shop.payments = Payments(
            Ports(
                begin=shop.store.begin,
                views=shop.store,
                oversight=shop.store.oversight,
                audit=shop.store.audit,
                credentials=shop.store.credentials,
                passwords=MemoryPasswords(entropy=entropy),
                tokens=MemoryAccessTokens(),
                limits=MemoryRateLimits(clock=shop.clock.now),
                gateways={False: SandboxGateway(shop.ledger, latency=(0, 0), clock=shop.clock, sleep=_at_once)},
                notifier=shop.notifier,
                doorbell=MemoryDoorbell(),
                clock=shop.clock,
                entropy=entropy,
            )
        )
        shop.worker = Worker(shop.payments, shop.store.claims, shop.clock, wake=MemoryDoorbell().ring)
        registered = await shop.payments.register(Register(email="shop@example.com", password="correct horse battery"))
        shop.caller = await shop.payments.authenticator.by_api_key(str(registered.json["api_key"]))
        shop.payment_key = str((await shop.payments.make_payment_key(shop.caller)).json["key"])
        return shop

    @property
    def merchant(self) -> MerchantId:
        return self.caller.merchant

    @property
    def state(self) -> State:
        """Where a test writes what no commit would."""
        return self.store._state

    @property
    def account(self) -> Account:
        return self.state.accounts[self.merchant]

    async def add_endpoint(self) -> EndpointId:
        made = await self.payments.add_endpoint(self.caller, AddEndpoint(url="https://shop.example/webhooks"))
        return EndpointId(str(made.resource))

    async def pay(self, payment_method: str | None = None, key: str | None = None) -> TransactionId:
        """Take a payment of 100.00 USD; `key` is an idempotency key."""
        command = Pay(payment_key=self.payment_key, amount="100.00", currency="USD", payment_method=payment_method)
        paid = await self.payments.pay(self.caller, command, once=None if key is None else once(key))
        return TransactionId(str(paid.resource))

    async def refund(self, transaction: TransactionId, amount: str) -> str:
        refunded = await self.payments.refund(self.caller, RefundTransaction(transaction=transaction, amount=amount))
        return str(refunded.resource)

    async def work(self, *, later: timedelta = timedelta(0)) -> None:
        self.clock.move(later)
        await self.worker.sweep_until_idle()

    def verification(self, **options: Any) -> Verification:
        books = {"books": self.store.books, "ledgers": [SandboxBooks(self.ledger)], "clock": self.clock}
        return Verification(**{**books, "pause": no_pause, **options})

    async def verify(self, **options: Any) -> Report:
        return await self.verification(**options).run()

    async def broken(self, **options: Any) -> dict[str, list[str]]:
        """Verify, and return the ids of the rows that break each rule, by its name."""
        found: dict[str, list[str]] = {}
        for breach in (await self.verify(**options)).breaches:
            found.setdefault(breach.rule.name, []).append(breach.subject)
        return found


async def no_pause() -> None: ...


def once(key: str, route: str = "POST /api/transactions/pay") -> Once:
    return Once(key=key, route=route, status=201, fingerprint=fingerprint(b"k" * 32, route=route, body={}))
